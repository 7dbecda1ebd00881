using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using LlavaSharp.Data;

namespace LlavaSharp.Tests.Gguf;

/// <summary>The little of Jinja that chat templates here use, run: if, for, set, sums of texts, comparisons of texts.</summary>
internal sealed partial class TinyJinja
{
    private readonly (bool IsTag, string Text)[] _parts;
    private readonly Dictionary<string, object> _names = [];
    private readonly StringBuilder _out = new();

    private TinyJinja(string template, IReadOnlyList<Turn> turns, bool ask)
    {
        _parts = [.. Tags().Matches(template).Select(m => (m.Value.StartsWith("{%", StringComparison.Ordinal), m.Groups[1].Value.Trim()))];
        Assert.Equal(template.Length, Tags().Matches(template).Sum(m => m.Length));
        _names["messages"] = turns;
        _names["add_generation_prompt"] = ask;
    }

    /// <summary>Renders a template over messages; human is user, gpt assistant.</summary>
    public static string Render(string template, IReadOnlyList<Turn> turns, bool ask = true)
    {
        var jinja = new TinyJinja(template, turns, ask);
        Assert.Equal(jinja._parts.Length, jinja.Run(0, true));
        return jinja._out.ToString();
    }

    [GeneratedRegex(@"\{[%{]((?:""(?:[^""\\]|\\.)*""|'[^']*'|[^""'])*?)[%}]\}")]
    private static partial Regex Tags();

    [GeneratedRegex(@"m\['\w+'\]|messages\[0\]\['\w+'\]|""(?:[^""\\]|\\.)*""|'[^']*'|\w+")]
    private static partial Regex Terms();

    // Runs parts up to the tag that closes the block; gives its index.
    private int Run(int at, bool live)
    {
        while (at < _parts.Length)
        {
            var (isTag, text) = _parts[at];
            var word = text.Split(' ')[0];
            if (!isTag)
            {
                _out.Append(live ? Sum(text) : "");
                at++;
            }
            else if (word == "set")
            {
                var split = text[4..].Split(" = ", 2);
                if (live)
                {
                    (string name, object value) = split[1] switch
                    {
                        "namespace(first=true)" => (split[0] + ".first", true),
                        "false" => (split[0], (object)false),
                        var sum => (split[0], Sum(sum)),
                    };
                    _names[name] = value;
                }

                at++;
            }
            else if (word == "if")
            {
                at = If(at, live);
            }
            else if (word == "for")
            {
                Assert.Equal("for m in messages", text);
                var end = Run(at + 1, false);
                foreach (var turn in live ? (IReadOnlyList<Turn>)_names["messages"] : [])
                {
                    _names["m"] = turn;
                    Run(at + 1, true);
                }

                at = end + 1;
            }
            else
            {
                return at;
            }
        }

        return at;
    }

    private int If(int at, bool live)
    {
        var done = false;
        while (_parts[at].Text != "endif")
        {
            var text = _parts[at].Text;
            var holds = !done && (text == "else" || Holds(text[(text.IndexOf(' ', StringComparison.Ordinal) + 1)..], live));
            at = Run(at + 1, live && holds);
            done |= holds;
        }

        return at + 1;
    }

    private bool Holds(string condition, bool live)
    {
        if (!live)
        {
            return false;
        }

        var sides = condition.Split(" == ");
        return sides.Length == 2 ? Sum(sides[0]) == Sum(sides[1]) : _names[condition] switch
        {
            bool value => value,
            var text => ((string)text).Length > 0,
        };
    }

    private string Sum(string sum) => string.Concat(Terms().Matches(sum).Select(m => Term(m.Value)));

    private string Term(string term) => term switch
    {
        ['"', ..] => JsonSerializer.Deserialize<string>(term)!,
        ['\'', ..] => term[1..^1],
        _ when term.EndsWith(']') => Part(
            term[0] == 'm' && term[1] == '[' ? (Turn)_names["m"] : ((IReadOnlyList<Turn>)_names["messages"])[0], term.Contains("role", StringComparison.Ordinal)),
        _ => (string)_names[term],
    };

    private static string Part(Turn turn, bool role) => !role ? turn.Value : turn.From switch
    {
        "human" => "user",
        "gpt" => "assistant",
        _ => turn.From,
    };
}
