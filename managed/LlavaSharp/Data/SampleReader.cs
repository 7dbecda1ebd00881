using System.Text.Json;

namespace LlavaSharp.Data;

/// <summary>
/// Reads one sample of a LLaVA data file: <c>id</c>, <c>image</c>, <c>conversations</c> of <c>from</c> and <c>value</c>. The spellings of
/// ShareGPT's relatives are read, too: <c>images</c>, <c>messages</c>, <c>role</c>, <c>content</c>, and other names of the speakers.
/// Other keys are ignored; a key that is read may occur once.
/// </summary>
internal static class SampleReader
{
    /// <summary>Nesting allowed in a data file; LLaVA's own needs four.</summary>
    public const int MaxDepth = 32;

    /// <summary>Parses a sample.</summary>
    /// <param name="json">One JSON object.</param>
    /// <exception cref="FormatException">The object is no sample; the message says why.</exception>
    /// <exception cref="JsonException">The bytes are no JSON.</exception>
    public static Sample Parse(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
        reader.Read();
        string? id = null;
        IReadOnlyList<string> images = [];
        List<Turn>? turns = null;
        var seen = Keys.None;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (Is(ref reader, "id"u8))
            {
                Once(ref seen, Keys.Id, "id");
                id = ReadId(ref reader, json);
            }
            else if (Is(ref reader, "image"u8) || Is(ref reader, "images"u8))
            {
                var one = Is(ref reader, "image"u8);
                Once(ref seen, one ? Keys.Image : Keys.Images, one ? "image" : "images");
                images = Either(images, ReadImages(ref reader));
            }
            else if (Is(ref reader, "conversations"u8) || Is(ref reader, "messages"u8))
            {
                var llava = Is(ref reader, "conversations"u8);
                Once(ref seen, llava ? Keys.Conversations : Keys.Messages, llava ? "conversations" : "messages");
                turns = turns is null ? ReadTurns(ref reader)
                    : throw new FormatException("it has both \"conversations\" and \"messages\"; keep one");
            }
            else
            {
                reader.Skip();
            }
        }

        return turns switch
        {
            null => throw new FormatException("it has no \"conversations\"" + SampleHints.NoConversations(json)),
            [] => throw new FormatException("its \"conversations\" is empty"),
            _ => new Sample(id, images, turns)
            {
                UnreadPictureKey = images.Count == 0 && PictureMarks.Any(turns) ? SampleHints.PictureKey(json) : null,
            },
        };
    }

    /// <summary>Converters of tables write both keys, one of them empty.</summary>
    private static IReadOnlyList<string> Either(IReadOnlyList<string> first, IReadOnlyList<string> second) =>
        first.Count == 0 ? second
        : second.Count == 0 ? first
        : throw new FormatException("it has both \"image\" and \"images\"; keep one");

    /// <summary>An id may be anything, and nothing depends on it: text as it is, the rest as written.</summary>
    private static string? ReadId(ref Utf8JsonReader reader, ReadOnlySpan<byte> json)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.String)
        {
            return ReadText(ref reader, "its \"id\"");
        }

        var start = (int)reader.TokenStartIndex;
        var none = reader.TokenType == JsonTokenType.Null;
        reader.Skip();
        return none ? null : System.Text.Encoding.UTF8.GetString(json[start..(int)reader.BytesConsumed]);
    }

    /// <summary>One path, or a list of them. null and "" are accepted as "no image": exports of tables write them.</summary>
    private static IReadOnlyList<string> ReadImages(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.Null)
        {
            return [];
        }

        if (reader.TokenType != JsonTokenType.StartArray)
        {
            return ReadPath(ref reader) is { Length: > 0 } path ? [path] : [];
        }

        var images = new List<string>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            images.Add(ReadPath(ref reader));
        }

        return images;
    }

    private static string ReadPath(ref Utf8JsonReader reader) => reader.TokenType == JsonTokenType.String
        ? ReadText(ref reader, "its \"image\"")
        : throw new FormatException($"its \"image\" is {Kind(reader.TokenType)}, not text; write the path of the picture's file, or a list of paths");

    private static List<Turn> ReadTurns(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            throw new FormatException($"its \"conversations\" is {Kind(reader.TokenType)}, not a list");
        }

        var turns = new List<Turn>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            turns.Add(reader.TokenType == JsonTokenType.StartObject
                ? ReadTurn(ref reader, turns.Count)
                : throw new FormatException($"turn {turns.Count} is {Kind(reader.TokenType)}, not an object"));
        }

        return turns;
    }

    private static Turn ReadTurn(ref Utf8JsonReader reader, int index)
    {
        var (from, value, other) = ((string?)null, (string?)null, (string?)null);
        var seen = Keys.None;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (Is(ref reader, "from"u8) || Is(ref reader, "role"u8))
            {
                Once(ref seen, Keys.From, "from", index);
                reader.Read();
                from = ReadText(ref reader, $"turn {index}: its \"from\"");
            }
            else if (Is(ref reader, "value"u8) || Is(ref reader, "content"u8))
            {
                Once(ref seen, Keys.Value, "value", index);
                reader.Read();
                value = ReadText(ref reader, $"turn {index}: its \"value\"");
            }
            else
            {
                other ??= System.Text.Encoding.UTF8.GetString(reader.ValueSpan);
                reader.Skip();
            }
        }

        return from is null || value is null
            ? throw new FormatException($"turn {index} has no \"{(from is null ? "from" : "value")}\""
                + (other is null ? "" : $", but \"{other[..Math.Min(other.Length, 40)]}\"; is that its name for it? Rename the key"))
            : new Turn(Speaker(from), value);
    }

    /// <summary>The speaker's name in LLaVA's own files; a name that is not known stays, and messages show it.</summary>
    private static string Speaker(string name) => name switch
    {
        "user" => "human",
        "assistant" or "chatgpt" or "bard" or "bing" or "model" => "gpt",
        _ => name,
    };

    private static string ReadText(ref Utf8JsonReader reader, string what)
    {
        if (reader.TokenType != JsonTokenType.String)
        {
            var remedy = reader.TokenType == JsonTokenType.StartArray
                ? "; join the text of its parts, with <image> where a picture goes, and name the pictures under \"image\"" : "";
            throw new FormatException($"{what} is {Kind(reader.TokenType)}, not text{remedy}");
        }

        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw Fault.With(
                new FormatException($"{what} is not valid Unicode (broken UTF-8, or half a surrogate pair)", e), SampleFault.BadText);
        }
    }

    /// <summary>Whether a key has this name. One that is no Unicode has none that is known.</summary>
    private static bool Is(ref Utf8JsonReader reader, ReadOnlySpan<byte> name)
    {
        if (!reader.ValueIsEscaped)
        {
            return reader.ValueSpan.SequenceEqual(name);
        }

        try
        {
            return reader.ValueTextEquals(name);
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    private static void Once(ref Keys seen, Keys key, string name, int? turn = null)
    {
        if ((seen & key) != 0)
        {
            throw new FormatException($"{(turn is null ? "it" : $"turn {turn}")} has the key \"{name}\" twice");
        }

        seen |= key;
    }

    /// <summary>A token's kind in words, for messages.</summary>
    public static string Kind(JsonTokenType type) => type switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "a list",
        JsonTokenType.String => "text",
        JsonTokenType.Number => "a number",
        JsonTokenType.True or JsonTokenType.False => "true or false",
        JsonTokenType.Null => "null",
        _ => "nothing",
    };

    [Flags]
    private enum Keys
    {
        None = 0,
        Id = 1,
        Image = 2,
        Conversations = 4,
        From = 8,
        Value = 16,
        Images = 32,
        Messages = 64,
    }
}
