using System.Diagnostics;

namespace LlavaSharp.Interop.Tests;

/// <summary>How the library is found, what it says of itself, and its log.</summary>
public sealed class LibraryTests
{
    [Fact]
    public void The_library_describes_itself()
    {
        LibraryInfo info = EngineLibrary.Info;
        Assert.Equal(Native.AbiVersion, info.AbiVersion);
        Assert.Matches(@"^\d+\.\d+\.\d+", info.Version);
        Assert.StartsWith("2.", info.Libtorch, StringComparison.Ordinal);
        Assert.NotEmpty(info.Simd);
    }

    [Fact]
    public void A_chosen_libtorch_is_loaded_first()
    {
        string file = Path.Combine(AppContext.BaseDirectory, "libtorch_cpu.so");
        string folder = Path.GetDirectoryName(File.ResolveLinkTarget(file, returnFinalTarget: true)?.FullName ?? file)!;
        (int code, string output) = RunProbe(folder);
        Assert.True(code == 0, output);
    }

    [Fact]
    public void A_chosen_libtorch_that_is_not_there_is_one_clear_line()
    {
        (int code, string output) = RunProbe("/nowhere/at/all");
        Assert.NotEqual(0, code);
        Assert.Contains(
            "LLAVASHARP_LIBTORCH is /nowhere/at/all, but there is no /nowhere/at/all/libtorch_cpu.so: "
            + "name the folder that holds it, or unset the variable.", output);
    }

    [Fact]
    public void A_file_that_is_no_library_is_one_clear_line()
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, "not a library");
            EngineException refusal = Assert.Throws<EngineException>(() => EngineLoader.Open(file));
            Assert.Equal(EngineStatus.Unsupported, refusal.Status);
            Assert.StartsWith($"{file} does not load: ", refusal.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', refusal.Message);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void No_variable_means_the_libtorch_beside_the_engine()
    {
        Assert.Null(EngineLoader.ChosenLibtorch(null));
        Assert.Null(EngineLoader.ChosenLibtorch(""));
    }

    [Fact]
    public void A_log_sink_that_throws_is_detached_and_remembered()
    {
        try
        {
            EngineLibrary.SetLog(LogLevel.Debug, (_, _) => throw new TimeZoneNotFoundException("from the sink"));
            using (Engine engine = new())
            {
                Assert.True(engine.Threads > 0);
            }
            Assert.IsType<TimeZoneNotFoundException>(EngineLibrary.LogFault);

            List<(LogLevel Level, string Line)> lines = [];
            EngineLibrary.SetLog(LogLevel.Debug, (level, line) => lines.Add((level, line)));
            Assert.Null(EngineLibrary.LogFault);
            using (Engine engine = new())
            {
                Assert.True(engine.Threads > 0);
            }
            Assert.NotEmpty(lines);
            Assert.All(lines, entry => Assert.DoesNotContain('\n', entry.Line));
        }
        finally
        {
            EngineLibrary.SetLog(LogLevel.Error, null);
        }
    }

    // The variable is read once a process, so a process of its own runs the first test above.
    private static (int Code, string Output) RunProbe(string libtorch)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
        {
            start.ArgumentList.Add(typeof(LibraryTests).Assembly.Location);
        }
        start.ArgumentList.Add("-method");
        start.ArgumentList.Add($"*.{nameof(The_library_describes_itself)}");
        start.ArgumentList.Add("-noColor");
        start.Environment[EngineLoader.LibtorchVariable] = libtorch;
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }
}
