using System.Reflection;
using System.Runtime.InteropServices;

namespace LlavaSharp.Interop;

/// <summary>
/// Finds libllavasharp.so when the first import is called. LLAVASHARP_LIBTORCH names a folder whose libtorch_cpu.so is
/// loaded first, by full path: its SONAME then satisfies the engine's need, and the one beside the engine is not opened.
/// </summary>
internal static unsafe class EngineLoader
{
    public const string LibtorchVariable = "LLAVASHARP_LIBTORCH";

    private static readonly Lazy<nint> Library = new(Load);

    /// <summary>Makes the imports of this assembly come here.</summary>
    public static void Register() => NativeLibrary.SetDllImportResolver(
        typeof(EngineLoader).Assembly, static (name, _, _) => name == "llavasharp" ? Library.Value : 0);

    /// <summary>The file that must be loaded before the engine; null when the variable is not set.</summary>
    /// <param name="folder">Value of <see cref="LibtorchVariable"/>.</param>
    /// <exception cref="EngineException">The folder has no libtorch_cpu.so.</exception>
    public static string? ChosenLibtorch(string? folder)
    {
        if (string.IsNullOrEmpty(folder))
        {
            return null;
        }
        string file = Path.Combine(Path.GetFullPath(folder), "libtorch_cpu.so");
        return File.Exists(file) ? file : throw new EngineException(EngineStatus.Unsupported,
            $"{LibtorchVariable} is {folder}, but there is no {file}: name the folder that holds it, or unset the variable.");
    }

    /// <summary>Loads a library from a folder's file, with the reason in one line when it does not load.</summary>
    public static nint Open(string file)
    {
        try
        {
            return NativeLibrary.Load(file);
        }
        catch (Exception failure) when (failure is DllNotFoundException or BadImageFormatException)
        {
            // The first line is general advice; the loader's own words follow it, a line for each place that was tried.
            string[] lines = failure.Message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
            string reason = lines.Skip(1).FirstOrDefault(line => line.Contains(".so", StringComparison.Ordinal)) ?? lines[0];
            throw new EngineException(EngineStatus.Unsupported, $"{file} does not load: {reason}");
        }
    }

    private static nint Load()
    {
        if (ChosenLibtorch(Environment.GetEnvironmentVariable(LibtorchVariable)) is string libtorch)
        {
            Open(libtorch);
        }
        Assembly assembly = typeof(EngineLoader).Assembly;
        if (!NativeLibrary.TryLoad("llavasharp", assembly, DllImportSearchPath.SafeDirectories, out nint library))
        {
            string file = Path.Combine(AppContext.BaseDirectory, "libllavasharp.so");
            library = File.Exists(file) ? Open(file) : throw new EngineException(EngineStatus.Unsupported,
                $"libllavasharp.so is not in {AppContext.BaseDirectory}: run ./build.sh native, then build again.");
        }
        CheckVersion(library);
        return library;
    }

    // Structs of another version would be misread, so nothing else is called before this.
    private static void CheckVersion(nint library)
    {
        nint export = NativeLibrary.GetExport(library, "llv_library_info_get");
        var get = (delegate* unmanaged[Cdecl]<Native.LibraryInfo*, EngineStatus>)export;
        Native.LibraryInfo info;
        if (get(&info) != EngineStatus.Ok || info.AbiVersion != Native.AbiVersion)
        {
            throw new EngineException(EngineStatus.Unsupported,
                $"libllavasharp.so speaks version {info.AbiVersion} of the contract, this host {Native.AbiVersion}: "
                + "run ./build.sh native.");
        }
    }
}
