using System.Text;
using System.Text.Json;

namespace LlavaSharp.Data;

/// <summary>
/// Guesses from the keys of a JSON object what its author meant. It is asked only about objects that cannot be used as they are, for
/// a message with the remedy; the object is whole JSON.
/// </summary>
internal static class SampleHints
{
    private const int Shown = 6;

    private static readonly string[] Questions = ["instruction", "query", "question", "prompt", "input", "user", "human", "problem"];

    private static readonly string[] Answers = ["output", "response", "answer", "completion", "assistant", "gpt", "solution", "caption", "label"];

    private static readonly string[] TurnKeys = ["from", "role", "value", "content", "speaker"];

    private static readonly string[] PictureWords = ["image", "img", "picture", "photo", "video", "media", "frame"];

    private static readonly string[] PictureEndings =
        [".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".mp4", ".avi", ".mov", ".mkv", ".webm"];

    private delegate bool Look(string name, ref Utf8JsonReader value);

    /// <summary>Why an object has no conversations: how it seems to be meant, and what to do.</summary>
    public static string NoConversations(ReadOnlySpan<byte> json)
    {
        var names = new List<string>();
        string? turns = null, samples = null, list = null;
        Each(json, (string name, ref Utf8JsonReader value) =>
        {
            names.Add(name);
            if (FirstKeys(ref value) is { } keys)
            {
                turns ??= Array.Exists(TurnKeys, keys.Contains) ? name : null;
                samples ??= keys.Exists(key => key is "conversations" or "messages") ? name : null;
                list ??= name;
            }

            return false;
        });
        var question = names.Find(n => Questions.Contains(n, StringComparer.OrdinalIgnoreCase));
        var answer = names.Find(n => Answers.Contains(n, StringComparer.OrdinalIgnoreCase));
        return (samples is null ? turns : null, samples ?? list, question, answer) switch
        {
            ({ } name, _, _, _) => $"; its \"{name}\" holds turns: rename the key to \"conversations\"",
            (_, { } name, _, _) => $", but other objects under \"{name}\": samples must lie in a list that is the whole file, "
                + "not in an object around it; keep that list alone",
            (_, _, { } q, { } a) => $", but \"{q}\" and \"{a}\": make turns of them, "
                + "\"conversations\": [{\"from\": \"human\", \"value\": …}, {\"from\": \"gpt\", \"value\": …}]",
            _ when names.Count == 0 => "; it is empty",
            _ => $"; its keys are {string.Join(", ", names.Take(Shown).Select(n => $"\"{n}\""))}{(names.Count > Shown ? " …" : "")}",
        };
    }

    /// <summary>The first key that seems to name a picture or a video; null when none does.</summary>
    public static string? PictureKey(ReadOnlySpan<byte> json)
    {
        string? found = null;
        Each(json, (string name, ref Utf8JsonReader value) =>
        {
            if (name is not ("id" or "conversations" or "messages") && NamesPicture(name, ref value))
            {
                found = name;
            }

            return found is not null;
        });
        return found;
    }

    private static bool NamesPicture(string name, ref Utf8JsonReader value)
    {
        if (name is "image" or "images")
        {
            return true;
        }

        var type = value.TokenType;
        var named = type is JsonTokenType.String or JsonTokenType.StartArray or JsonTokenType.StartObject
            && Array.Exists(PictureWords, word => name.Contains(word, StringComparison.OrdinalIgnoreCase));
        if (type == JsonTokenType.StartArray)
        {
            value.Read();
        }

        var text = value.TokenType == JsonTokenType.String ? Encoding.UTF8.GetString(value.ValueSpan) : "";
        return named || Array.Exists(PictureEndings, ending => text.EndsWith(ending, StringComparison.OrdinalIgnoreCase));
    }

    /// <summary>The keys of an object, or of a list's first object; null for any other value.</summary>
    private static List<string>? FirstKeys(ref Utf8JsonReader value)
    {
        if (value.TokenType == JsonTokenType.StartArray)
        {
            value.Read();
        }

        if (value.TokenType != JsonTokenType.StartObject)
        {
            return null;
        }

        var names = new List<string>();
        while (value.Read() && value.TokenType == JsonTokenType.PropertyName)
        {
            names.Add(Encoding.UTF8.GetString(value.ValueSpan));
            value.Skip();
        }

        return names;
    }

    /// <summary>Shows each key of an object with a reader that stands at its value, until the callback has seen enough.</summary>
    private static void Each(ReadOnlySpan<byte> json, Look look)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = SampleReader.MaxDepth });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            // As it is written, escapes included: a name that is no Unicode is shown all the same.
            var name = Encoding.UTF8.GetString(reader.ValueSpan);
            reader.Read();
            var value = reader;
            if (look(name.Length <= 40 ? name : name[..40] + "…", ref value))
            {
                return;
            }

            reader.Skip();
        }
    }
}
