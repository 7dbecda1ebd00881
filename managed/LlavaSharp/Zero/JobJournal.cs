using System.Globalization;

namespace LlavaSharp.Zero;

/// <summary>
/// Where the ranks of a job on one machine write down which exchange they came to last: a folder with a file for each, named by
/// <c>LLAVASHARP_JOURNAL</c>. Whoever started them reads there how far they had come when one was killed, which nobody is left to say.
/// </summary>
public static class JobJournal
{
    /// <summary>The environment variable that names the folder.</summary>
    public const string Variable = "LLAVASHARP_JOURNAL";

    /// <summary>The environment variable by which ranks know who started them, see <see cref="JobProcesses.Identity"/>.</summary>
    public const string StarterVariable = "LLAVASHARP_STARTER";

    /// <summary>A rank's file.</summary>
    /// <param name="folder">The folder; null or empty where none is kept.</param>
    /// <param name="rank">The rank.</param>
    /// <returns>Its path, or "".</returns>
    public static string PathOf(string? folder, int rank) =>
        string.IsNullOrEmpty(folder) ? "" : Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"rank-{rank}"));

    /// <summary>The exchange that any of the ranks came to last: where the others wait for one that is gone.</summary>
    /// <param name="folder">The folder.</param>
    /// <returns>Words such as "step 3, reduce of layer.4, 4096 bytes"; null when there was none yet.</returns>
    public static string? Last(string folder)
    {
        var (last, words) = (0L, (string?)null);
        foreach (var file in Directory.GetFiles(folder))
        {
            if (File.ReadAllText(file).TrimEnd().Split('\t') is [var number, var text]
                && long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > last)
            {
                (last, words) = (count, text);
            }
        }

        return words;
    }
}
