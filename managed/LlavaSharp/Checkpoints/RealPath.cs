using System.Globalization;
using System.Text.RegularExpressions;

namespace LlavaSharp.Checkpoints;

/// <summary>Tells whether two paths lead to one place: symbolic links are followed, and bind mounts are seen through, as far as the
/// system says what is mounted where.</summary>
internal static partial class RealPath
{
    private const int LinksMax = 40;
    private const string Mounts = "/proc/self/mountinfo";

    /// <summary>The path without links. Parts that do not exist stay as they are, and so does a loop of links.</summary>
    internal static string Of(string path)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        string root = Path.GetPathRoot(full)!, real = root;
        var rest = new Stack<string>(Parts(full[root.Length..]).Reverse());
        for (int links = 0; rest.TryPop(out string? part);)
        {
            if (part == "..")
            {
                real = Path.GetDirectoryName(real) ?? real;
                continue;
            }

            string next = Path.Combine(real, part);
            if (new FileInfo(next).LinkTarget is not { } link)
            {
                real = next;
                continue;
            }

            if (++links > LinksMax)
            {
                return full;
            }

            real = Path.IsPathRooted(link) ? root : real;
            foreach (string inner in Parts(link).Reverse())
            {
                rest.Push(inner);
            }
        }

        return real;
    }

    /// <summary>Whether both paths are one file or folder.</summary>
    internal static bool IsSame(string a, string b) => Place(a) == Place(b);

    /// <summary>Whether a path lies below a folder, at any depth.</summary>
    internal static bool IsInside(string path, string folder) =>
        Place(path).StartsWith(Place(folder).TrimEnd('/') + "/", StringComparison.Ordinal);

    // The device and the path on it: the same through every mount point.
    private static string Place(string path)
    {
        string real = Of(path), place = real;
        int longest = -1;
        foreach (string line in File.Exists(Mounts) ? File.ReadLines(Mounts) : [])
        {
            // number, parent, device, folder of the device, mount point, …
            if (line.Split(' ') is [_, _, { } device, var root, var point, ..])
            {
                (root, point) = (Unescape(root).TrimEnd('/'), Unescape(point).TrimEnd('/'));
                bool holds = real == point || real.StartsWith(point + "/", StringComparison.Ordinal);
                if (holds && point.Length >= longest)
                {
                    longest = point.Length;
                    place = $"{device}:{root}{real[point.Length..]}";
                }
            }
        }

        return place;
    }

    private static string[] Parts(string path) =>
        [.. path.Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries).Where(part => part != ".")];

    private static string Unescape(string text) =>
        EscapePattern().Replace(text, m => ((char)Convert.ToInt32(m.Value[1..], 8)).ToString(CultureInfo.InvariantCulture));

    [GeneratedRegex(@"\\[0-7]{3}")]
    private static partial Regex EscapePattern();
}
