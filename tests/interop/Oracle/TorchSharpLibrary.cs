using System.Runtime.InteropServices;
using TorchSharp;

namespace LlavaSharp.Interop.Tests.Oracle;

/// <summary>
/// Makes TorchSharp usable before its first call. Its Linux library asks for GLIBCXX_3.4.32 because of one symbol that
/// no code calls; where the system's libstdc++ is older, that one requirement is marked weak in a private copy, which
/// takes the place of the link in this test's output folder.
/// </summary>
internal static class TorchSharpLibrary
{
    private const string Version = "GLIBCXX_3.4.32";

    private static readonly Lazy<string?> Reason = new(Prepare);

    /// <summary>Why TorchSharp cannot be used here; null when it can.</summary>
    public static string? SkipReason => Reason.Value;

    private static string? Prepare()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            return "TorchSharp's library is prepared here for Linux on x64 alone";
        }
        try
        {
            if (!SystemHas(Version))
            {
                Weaken(Path.Combine(AppContext.BaseDirectory, "libLibTorchSharp.so"));
            }
            using torch.Tensor one = torch.ones(1);
            return one.item<float>() == 1 ? null : "TorchSharp computes nonsense";
        }
        catch (Exception failure)
        {
            return $"TorchSharp does not load: {(failure.InnerException ?? failure).Message.Split('\n')[0]}";
        }
    }

    private static bool SystemHas(string version)
    {
        NativeLibrary.Load("libstdc++.so.6");
        string file = File.ReadLines("/proc/self/maps").First(line => line.Contains("/libstdc++.so.6", StringComparison.Ordinal));
        byte[] library = File.ReadAllBytes(file[file.IndexOf('/', StringComparison.Ordinal)..]);
        return library.AsSpan().IndexOf(System.Text.Encoding.ASCII.GetBytes(version + "\0")) >= 0;
    }

    private static void Weaken(string path)
    {
        ElfFile library = new(File.ReadAllBytes(path));
        foreach ((string name, long record) in library.NeededVersions())
        {
            if (name == Version)
            {
                library.MakeWeak(record);
            }
        }
        // A rename replaces the link itself, never the package's file behind it.
        string copy = path + ".weak";
        File.WriteAllBytes(copy, library.Bytes);
        File.Move(copy, path, overwrite: true);
    }
}
