using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;
using LlavaSharp.Zero;

namespace LlavaSharp.Training.Resume;

/// <summary>
/// manifest.json of a checkpoint: every other file with its length and SHA-256. It is written last, so a folder
/// without one was never finished.
/// </summary>
public static class CheckpointManifest
{
    /// <summary>File name in the checkpoint.</summary>
    public const string FileName = "manifest.json";

    /// <summary>Describes every file of a folder, and writes that down in it.</summary>
    /// <param name="folder">A folder of files only.</param>
    /// <param name="known">Hashes by file name, where whoever wrote a file has made its hash already.</param>
    /// <exception cref="UserErrorException">It cannot be written.</exception>
    public static void Write(string folder, IReadOnlyDictionary<string, string>? known = null)
    {
        var files = new JsonObject();
        foreach (var file in Directory.GetFiles(folder).Order(StringComparer.Ordinal))
        {
            files[Path.GetFileName(file)] = new JsonObject
            {
                ["bytes"] = FileLinks.LengthOf(file),
                ["sha256"] = known?.GetValueOrDefault(Path.GetFileName(file)) ?? Sha256(file),
            };
        }

        var manifest = new JsonObject { ["format"] = 1, ["files"] = files };
        AtomicFile.WriteText(Path.Combine(folder, FileName), manifest.ToJsonString(ResolvedConfig.Readable) + "\n");
    }

    /// <summary>Whether a folder is a checkpoint that this program has written, whole or damaged.</summary>
    /// <param name="folder">A folder.</param>
    /// <returns>True where its manifest or its state says so; a folder that has neither belongs to another program.</returns>
    public static bool IsOurs(string folder) => HasField(folder, FileName, "files") || HasField(folder, RunState.FileName, "micro_batches");

    private static bool HasField(string folder, string name, string field)
    {
        try
        {
            var json = JsonNode.Parse(File.ReadAllBytes(Path.Combine(folder, name))) as JsonObject;
            return json?["format"]?.GetValueKind() == JsonValueKind.Number && json.ContainsKey(field);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or ArgumentException)
        {
            return false;
        }
    }

    /// <summary>Looks for the first file that is not as the manifest says.</summary>
    /// <param name="folder">A checkpoint.</param>
    /// <param name="ranks">The processes that ask, all of them, of the same folder: each hashes its share of the files. Null: one.</param>
    /// <returns>What is wrong with which file, the same on all; null when nothing is.</returns>
    public static string? FindDamage(string folder, Ranks? ranks = null)
    {
        ranks ??= Ranks.Single;
        var own = FindOwn(folder, ranks.Rank, ranks.World) is var (place, damage)
            ? string.Create(CultureInfo.InvariantCulture, $"{place} {damage}") : "";
        return ranks.Gather("checking a checkpoint", own).Where(found => found.Length > 0).Select(found => found.Split(' ', 2))
            .MinBy(found => int.Parse(found[0], CultureInfo.InvariantCulture))?[1];
    }

    /// <summary>Looks at a rank's share of the files: those at places rank, rank + world and so on.</summary>
    /// <param name="folder">A checkpoint.</param>
    /// <param name="rank">From 0.</param>
    /// <param name="world">Processes.</param>
    /// <returns>The place in the manifest of the first damaged file of the share, and what is wrong; null when nothing is.</returns>
    internal static (int Place, string Damage)? FindOwn(string folder, int rank, int world)
    {
        try
        {
            var path = Path.Combine(folder, FileName);
            if (!File.Exists(path))
            {
                return (0, $"{FileName} is missing");
            }

            var files = JsonNode.Parse(File.ReadAllBytes(path))?["files"]?.AsObject();
            if (files is null || files.Count == 0)
            {
                return (0, $"{FileName} names no files");
            }

            foreach (var (place, (name, file)) in files.Index().Where(f => f.Index % world == rank))
            {
                if (Compare(folder, name, file!["bytes"]!.GetValue<long>(), file["sha256"]!.GetValue<string>()) is { } damage)
                {
                    return (place, damage);
                }
            }

            return null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or NullReferenceException)
        {
            return (0, $"{FileName} is damaged");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return (0, e.Message);
        }
    }

    /// <summary>SHA-256 of a file.</summary>
    /// <param name="path">The file.</param>
    /// <returns>64 hexadecimal digits.</returns>
    public static string Sha256(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 20);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    private static string? Compare(string folder, string name, long bytes, string sha256)
    {
        var path = Path.Combine(folder, Path.GetFileName(name));
        var file = FileLinks.Follow(path);
        return !file.Exists ? new FileInfo(path).LinkTarget is null ? $"{name} is missing" : FileLinks.Missing(path)
            : file.Length != bytes ? $"{name} has {file.Length} bytes, {bytes} were written"
            : Sha256(path) != sha256 ? $"{name} has another SHA-256 than when it was written"
            : null;
    }
}
