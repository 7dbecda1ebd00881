namespace LlavaSharp.Training;

/// <summary>Looks for Intel Gaudi, for <c>--use_habana</c>.</summary>
internal static class GaudiDevice
{
    /// <summary>Why <c>--use_habana</c> cannot be honoured here.</summary>
    /// <param name="root">Where device files lie, <c>/dev</c>.</param>
    /// <returns>One line with what was looked for, and how to run all the same.</returns>
    public static string Refusal(string root = "/dev")
    {
        const string Remedy = "to train on the CPU, add --use_habana False or leave the flag out";
        var accelerators = Path.Combine(root, "accel");
        string[] found =
        [
            .. Directory.Exists(accelerators) ? Directory.GetFiles(accelerators, "accel*") : [],
            .. Directory.Exists(root) ? Directory.GetFiles(root, "hl?*") : [],
        ];
        return found.Length > 0
            ? $"--use_habana True: there is {string.Join(", ", found.Order(StringComparer.Ordinal))}, but this build has no Gaudi backend; {Remedy}"
            : $"--use_habana True: no Gaudi on this machine (looked for {root}/accel/accel* and {root}/hl*); {Remedy}";
    }
}
