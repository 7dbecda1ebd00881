using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlavaSharp.Training;

/// <summary>
/// A file of flags for <c>--config</c>: an object of names and values, or train_config.json of an earlier run, whose flags
/// are read. Flags of
/// the command line come after it and so count more.
/// </summary>
internal static class FlagFile
{
    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <returns>Names and values as texts, in the file's order; null values are left out.</returns>
    /// <exception cref="UserErrorException">It cannot be read, or a value is neither text, number nor boolean.</exception>
    public static IReadOnlyList<(string Name, string Value)> Read(string path)
    {
        try
        {
            JsonDocumentOptions lenient = new() { CommentHandling = JsonCommentHandling.Skip };
            var json = JsonNode.Parse(File.ReadAllBytes(path), documentOptions: lenient) as JsonObject
                ?? throw new UserErrorException($"--config {path}: not a JSON object of flags");
            var flags = json["flags"] as JsonObject ?? json;
            return [.. flags.Where(f => f.Value is not null).Select(f => (f.Key, Text(path, f.Key, f.Value!)))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"--config {path} cannot be read: {e.Message}", e);
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"--config {path}: {e.Message}", e);
        }
    }

    private static string Text(string path, string name, JsonNode value) => value.GetValueKind() switch
    {
        JsonValueKind.String => value.GetValue<string>(),
        JsonValueKind.True => "True",
        JsonValueKind.False => "False",
        JsonValueKind.Number => value.ToJsonString(),
        _ => throw new UserErrorException($"--config {path}: {name} is {value.ToJsonString()}; expected text, a number or a boolean"),
    };
}
