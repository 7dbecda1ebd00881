using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlavaSharp.Imaging;

/// <summary>The canvases of anyres as flags and configs spell them: Python's <c>[[336, 672], (672, 336)]</c>, width first. transformers
/// writes the height first.</summary>
public static class GridPinpoints
{
    private const int Most = 1024;

    /// <summary>Reads a flag's text.</summary>
    /// <param name="text">A list of pairs, as Python or JSON writes it.</param>
    /// <returns>Widths and heights, in pixels.</returns>
    /// <exception cref="UserErrorException">The text is not such a list.</exception>
    public static IReadOnlyList<(int Width, int Height)> Parse(string text)
    {
        try
        {
            return Read(JsonNode.Parse(text.Replace('(', '[').Replace(')', ']'))) ?? throw Wrong(text);
        }
        catch (JsonException)
        {
            throw Wrong(text);
        }
    }

    /// <summary>What is said where anyres is asked for without them.</summary>
    internal static UserErrorException Missing() => new("anyres needs the sizes to cut pictures into: give --image_grid_pinpoints, such as "
        + $"\"{Text(AnyResolution.NeuralChat)}\"");

    /// <summary>Reads a config's value.</summary>
    /// <param name="node">A list of pairs, or its text.</param>
    /// <returns>The pairs as they stand; null when it is no such list.</returns>
    internal static IReadOnlyList<(int First, int Second)>? Read(JsonNode? node)
    {
        if (node is JsonValue value && value.TryGetValue(out string? text))
        {
            return Parse(text);
        }

        return node is JsonArray { Count: > 0 and <= Most } list && list.All(IsPair)
            ? [.. list.Select(pair => ((int)pair![0]!, (int)pair[1]!))]
            : null;
    }

    /// <summary>The JSON of a list, the first number of each pair first.</summary>
    internal static JsonArray Write(IEnumerable<(int First, int Second)> pairs) =>
        [.. pairs.Select(pair => (JsonNode)new JsonArray(pair.First, pair.Second))];

    /// <summary>A flag's spelling of canvases.</summary>
    internal static string Text(IEnumerable<(int First, int Second)> pairs) =>
        "[" + string.Join(", ", pairs.Select(pair => $"[{pair.First}, {pair.Second}]")) + "]";

    /// <summary>The same pairs with their numbers exchanged.</summary>
    internal static IReadOnlyList<(int First, int Second)> Swap(IEnumerable<(int First, int Second)> pairs) =>
        [.. pairs.Select(pair => (pair.Second, pair.First))];

    private static bool IsPair(JsonNode? node) => node is JsonArray { Count: 2 } pair
        && pair.All(n => n is JsonValue value && value.TryGetValue(out int number) && number > 0);

    private static UserErrorException Wrong(string text) =>
        new($"image_grid_pinpoints {text}: expected a list of [width, height], such as [[336, 672], [672, 336]]");
}
