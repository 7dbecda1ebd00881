using System.Text;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Generation;

/// <summary>
/// Turns an answer's ids into text as they come, and finds where the answer ends: at a stop token, or where its text holds a stop text,
/// however many tokens spell that. Text is handed over as soon as it is certain: no part of a stop text, no half of a character, no
/// space that the answer may end with. The pieces together are the whole text, without spaces around it.
/// </summary>
/// <remarks>Each id is decoded once, together with the few before it that it may share a character with.</remarks>
internal sealed class AnswerReader
{
    // A character has at most four bytes, so of an unfinished one at most three are there.
    private const int UnfinishedMax = 3, BytesMax = 4;

    private readonly LlavaTokenizer _tokenizer;
    private readonly int[] _anchor;
    private readonly string _before;
    private readonly IReadOnlySet<int> _stopTokens;
    private readonly IReadOnlyList<string> _stopTexts;
    private readonly List<int> _ids = [];
    private readonly List<int> _window = [];
    private readonly StringBuilder _text = new();
    private string _held = "";
    private int _taken;

    /// <summary>Begins an answer.</summary>
    /// <param name="tokenizer">Decodes.</param>
    /// <param name="stopTokens">Ids that end an answer.</param>
    /// <param name="stopTexts">Texts that end an answer; none is empty.</param>
    public AnswerReader(LlavaTokenizer tokenizer, IReadOnlySet<int> stopTokens, IReadOnlyList<string> stopTexts)
    {
        (_tokenizer, _stopTokens, _stopTexts) = (tokenizer, stopTokens, stopTexts);

        // Decoders drop a space at the start of a text: with a token before it, a window's first space stays.
        _anchor = [Enumerable.Range(0, tokenizer.IdCount).FirstOrDefault(id => tokenizer.Decode([id]) is [>= 'a' and <= 'z', ..])];
        _before = tokenizer.Decode(_anchor);
    }

    /// <summary>The ids so far, up to the one that ended the answer.</summary>
    public int[] Ids => [.. _ids];

    /// <summary>Whether a stop token or a stop text has come.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>The text handed over so far.</summary>
    public string Text => _text.ToString();

    /// <summary>Takes the next id; ids after the end are ignored.</summary>
    /// <param name="id">The id.</param>
    /// <returns>What of the text has become certain; often nothing.</returns>
    public string Add(int id)
    {
        if (IsStopped)
        {
            return "";
        }

        _ids.Add(id);
        if (_stopTokens.Contains(id))
        {
            return Stop(_held + Take(whole: false));
        }

        if (Decode([id]).Length == 0)
        {
            return "";
        }

        _window.Add(id);
        _held += Take(whole: true);
        if (FindStop(_held) is >= 0 and var at)
        {
            return Stop(_held[..at]);
        }

        var certain = _held.Length - _stopTexts.Select(stop => Beginning(_held, stop)).DefaultIfEmpty(0).Max();
        return Give(_held[..certain].TrimEnd().Length);
    }

    /// <summary>Ends an answer that nothing has stopped.</summary>
    /// <returns>The rest of its text.</returns>
    public string End() => IsStopped ? "" : Stop(_held + Take(whole: false), stopped: false);

    private string Stop(string rest, bool stopped = true)
    {
        IsStopped = stopped;
        _held = rest.TrimEnd();
        var last = Give(_held.Length);
        _held = "";
        return last;
    }

    // Hands the first characters of what is held over, without spaces at the answer's start.
    private string Give(int count)
    {
        var given = _held[..count];
        _held = _held[count..];
        if (_text.Length == 0)
        {
            given = given.TrimStart();
        }

        _text.Append(given);
        return given;
    }

    // The window's new text; where only whole characters are taken, the last are left that the next ids may complete.
    private string Take(bool whole)
    {
        var text = Decode([.. _window]);
        var broken = text.Length - text.TrimEnd('\uFFFD').Length;
        var end = whole ? text.Length - Math.Min(broken, UnfinishedMax) : text.Length;
        if (end <= _taken)
        {
            return "";
        }

        var piece = text[_taken..end];
        _taken = end;
        if (broken == 0)
        {
            _window.Clear();
            _taken = 0;
        }
        else if (broken > 2 * BytesMax && _window.Count > 2 * BytesMax)
        {
            CutWindow(text);
        }

        return piece;
    }

    // In a run of bytes that are no text, the window would grow with the answer: all but its last ids are settled.
    private void CutWindow(string text)
    {
        int[] settled = [.. _window[..^BytesMax]], rest = [.. _window[^BytesMax..]];
        var before = Decode(settled);
        if (before + Decode(rest) == text && _taken >= before.Length)
        {
            _window.RemoveRange(0, settled.Length);
            _taken -= before.Length;
        }
    }

    private string Decode(int[] ids) => _tokenizer.Decode([.. _anchor, .. ids])[_before.Length..];

    private int FindStop(string text)
    {
        var first = -1;
        foreach (var stop in _stopTexts)
        {
            var at = text.IndexOf(stop, StringComparison.Ordinal);
            first = at >= 0 && (first < 0 || at < first) ? at : first;
        }

        return first;
    }

    // How many of a text's last characters a stop text may begin with.
    private static int Beginning(string text, string stop)
    {
        var length = Math.Min(text.Length, stop.Length - 1);
        while (length > 0 && !text.EndsWith(stop[..length], StringComparison.Ordinal))
        {
            length--;
        }

        return length;
    }
}
