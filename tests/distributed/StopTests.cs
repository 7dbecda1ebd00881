using System.Diagnostics;
using System.Runtime.Versioning;
using LlavaSharp.Interop;
using LlavaSharp.Training.Resume;
using LlavaSharp.Trials;

namespace LlavaSharp.Distributed.Tests;

/// <summary>Signals to launch, to its group and to all: a checkpoint is written, and no process is left, whatever was killed.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class StopTests : IDisposable
{
    private readonly RankData _data = new();

    public void Dispose() => _data.Dispose();

    [Theory]
    [InlineData(ProcessSignals.Interrupt, "group")]
    [InlineData(ProcessSignals.Terminate, "group")]
    [InlineData(ProcessSignals.Terminate, "all")]
    [InlineData(ProcessSignals.Hangup, "group")]
    [InlineData(ProcessSignals.User1, "launch")]
    [InlineData(ProcessSignals.Interrupt, "launch")]
    public async Task A_signal_ends_the_job_with_a_checkpoint(int signal, string to)
    {
        var folder = _data.Tiny["out"];
        using var launch = await Start(folder);
        var error = launch.StandardError.ReadToEndAsync();
        foreach (var process in to == "all" ? Job.Ids(folder) : [to == "group" ? -launch.Id : launch.Id])
        {
            ProcessSignals.Send(process, signal);
        }

        await Ended(launch);
        Assert.True(launch.ExitCode == 130, $"{launch.ExitCode}: {await error}");
        var checkpoint = Assert.Single(Directory.GetDirectories(folder));
        Assert.StartsWith("checkpoint-", Path.GetFileName(checkpoint));
        Assert.Null(CheckpointManifest.FindDamage(checkpoint));
        Assert.Empty(Job.Orphans(folder));
        var lines = (await error).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Contains("stopping: the processes write a checkpoint first; a second Ctrl-C ends them at once, without one", lines);
        Assert.Contains(lines, l => l.StartsWith("warning: stopped after update ") && l.EndsWith(checkpoint));
        Assert.DoesNotContain(lines, l => l.StartsWith("---") || l.Contains('\u001b') || l.Contains("mpirun"));
    }

    [Fact]
    public async Task A_second_signal_ends_a_job_that_does_not_end_by_itself()
    {
        var folder = _data.Tiny["out"];
        using var launch = await Start(folder, "LLAVASHARP_FAULT=stall:rank=1,step=3");
        var error = launch.StandardError.ReadToEndAsync();
        ProcessSignals.Send(-launch.Id, ProcessSignals.Interrupt);
        await Task.Delay(1500, TestContext.Current.CancellationToken);
        Assert.False(launch.HasExited);
        ProcessSignals.Send(-launch.Id, ProcessSignals.Interrupt);
        await Ended(launch);
        Assert.True(launch.ExitCode == 130, $"{launch.ExitCode}: {await error}");
        Assert.Empty(Job.Orphans(folder));
    }

    [Fact]
    public async Task No_process_outlives_a_launch_that_is_killed()
    {
        var folder = _data.Tiny["out"];
        using var launch = await Start(folder);
        launch.Kill();
        await Ended(launch);
        await Gone(folder);
        Assert.Single(new CheckpointStore(folder).List());
    }

    [Fact]
    public async Task No_process_outlives_an_mpirun_that_is_killed()
    {
        var folder = _data.Tiny["out"];
        using var launch = await Start(folder);
        var error = launch.StandardError.ReadToEndAsync();
        foreach (var id in Job.Ids(folder))
        {
            using var process = Process.GetProcessById(id);
            if (process.ProcessName is "mpirun" or "orterun")
            {
                process.Kill();
            }
        }

        await Ended(launch);
        Assert.Equal(75, launch.ExitCode);
        Assert.Contains("error: mpirun was ended (signal 9), and its ranks with it: step ", await error);
        Assert.Empty(Job.Orphans(folder));
    }

    [Theory]
    [InlineData("exit 70", 70, 1)]
    [InlineData("exit 2", 2, 1)]
    [InlineData("exit 1", 1, 1)]
    [InlineData("exit 75", 75, 3)]
    [InlineData("kill -9 $$", 75, 3)]
    public async Task Only_a_job_that_lost_a_process_is_started_again(string end, int code, int times)
    {
        // In the place of mpirun.
        var (folder, count) = (Directory.CreateDirectory(_data.Tiny["bin"]).FullName, _data.Tiny["count"]);
        var fake = Path.Combine(folder, "mpirun");
        await File.WriteAllTextAsync(fake, $"#!/bin/sh\necho once >> '{count}'\n{end}\n", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(fake, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        var outcome = await Job.Run(
            ["launch", "--nproc", "2", "--restart", "2", "train"], $"PATH={folder}:{Environment.GetEnvironmentVariable("PATH")}");
        Assert.True(outcome.Code == code, $"{outcome.Code}: {outcome.Error}");
        Assert.Equal(times, (await File.ReadAllLinesAsync(count, TestContext.Current.CancellationToken)).Length);
    }

    [Fact]
    public async Task A_folder_for_temporary_files_that_is_missing_is_named()
    {
        var missing = _data.Tiny["missing"];
        var outcome = await Job.Run(RankData.Launch(2, _data.Train("all", _data.Tiny["out"], 0, 1, 1)), $"TMPDIR={missing}");
        Assert.Equal(2, outcome.Code);
        Assert.Equal(
            $"error: no file can be made in the folder for temporary files, {missing}/: it does not exist; name another one in TMPDIR\n",
            outcome.Error);
        Assert.False(Directory.Exists(missing));
    }

    // Returns in the middle of its updates.
    private async Task<Process> Start(string folder, params string[] variables)
    {
        string[] train = _data.Train("all", folder, 0, 1, 1_000_000);
        var launch = Job.StartInForeground(RankData.Launch(2, train), variables);
        var log = Path.Combine(folder, "log.jsonl");
        for (var clock = Stopwatch.StartNew(); !File.Exists(log) || File.ReadAllLines(log).Length < 3; await Task.Delay(20))
        {
            Assert.True(!launch.HasExited && clock.Elapsed.TotalSeconds < 120, "no update");
        }

        return launch;
    }

    private static async Task Gone(string folder)
    {
        for (var clock = Stopwatch.StartNew(); Job.Orphans(folder) is { Length: > 0 } orphans; await Task.Delay(50))
        {
            Assert.True(clock.Elapsed.TotalSeconds < 120, string.Join('\n', orphans));
        }
    }

    private static async Task Ended(Process launch)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await launch.WaitForExitAsync(limit.Token);
    }
}
