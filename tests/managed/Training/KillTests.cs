using System.Diagnostics;
using System.Globalization;
using LlavaSharp.Training.Resume;

namespace LlavaSharp.Tests.Training;

/// <summary>
/// Real processes, killed with SIGKILL at random moments, in the middle of an update or of writing a checkpoint. A few kills of a short
/// run here; <c>./build.sh soak</c> sets LLAVASHARP_KILLS and LLAVASHARP_KILL_STEPS for long ones.
/// </summary>
public sealed class KillTests : IDisposable
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "LlavaSharp.Cli");

    private readonly TinyRun _tiny = new();
    private readonly Random _random = new(Setting("LLAVASHARP_KILL_SEED", 1));

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData("stage 1")]
    [InlineData("stage 2")]
    [InlineData("LoRA")]
    public async Task A_run_killed_at_random_moments_ends_with_the_same_bytes(string stage)
    {
        var (kills, steps) = (Setting("LLAVASHARP_KILLS", 2), Setting("LLAVASHARP_KILL_STEPS", 24));
        var (whole, killed) = (_tiny["whole"], _tiny["killed"]);
        await Finish(Arguments(stage, whole, steps));
        var (done, late) = (0, 0);
        for (var kill = 0; kill < kills; kill++)
        {
            // Somewhere after the next few updates, so that the kills spread over the run. Where this process slept until the run had
            // ended, the kill came too late, and what was left to kill begins anew.
            var goal = Math.Max(done + 1, (kill * steps / kills) + _random.Next(1, Math.Max(2, steps / kills)));
            await KillAfter(Math.Min(goal, steps - 1), Arguments(stage, killed, steps), killed);
            done = new CheckpointStore(killed).List() is [var (step, _), ..] ? step : 0;
            if (File.Exists(Path.Combine(killed, "trainer_state.json")))
            {
                Directory.Delete(killed, recursive: true);
                (done, kill, late) = (0, -1, late + 1);
                Assert.True(late < 20, "every kill came too late");
            }
        }

        await Finish(Arguments(stage, killed, steps));
        RunFolder.AssertSame(whole, killed);
        Assert.DoesNotContain(RunFolder.Checkpoints(killed), name => !name.StartsWith("checkpoint-", StringComparison.Ordinal));
    }

    [Fact]
    public async Task SIGTERM_saves_and_exits_with_130()
    {
        var (whole, cut) = (_tiny["whole"], _tiny["cut"]);
        await Finish(Arguments("stage 2", whole, 200));
        using var process = Start(Arguments("stage 2", cut, 200));
        await Reaches(process, cut, 3);
        using (Process.Start("bash", ["-c", $"kill -TERM {process.Id}"]))
        {
            await process.WaitForExitAsync();
        }

        Assert.Equal(130, process.ExitCode);
        Assert.EndsWith("stopped\n", await process.StandardError.ReadToEndAsync(), StringComparison.Ordinal);
        await Finish(Arguments("stage 2", cut, 200));
        RunFolder.AssertSame(whole, cut);
    }

    private string[] Arguments(string stage, string output, int steps)
    {
        string[] more = ["--max_steps", $"{steps}", "--save_steps", "1", "--save_total_limit", "2", "--threads", "1", "--dataloader_num_workers", "1"];
        return stage switch
        {
            "stage 1" => _tiny.Stage1(output, more),
            "LoRA" => _tiny.Stage2(output, ["--lora_enable", "True", "--lora_r", "2", .. more]),
            _ => _tiny.Stage2(output, more),
        };
    }

    private async Task KillAfter(int step, string[] arguments, string output)
    {
        using var process = Start(arguments);
        await Reaches(process, output, step);
        await Task.Delay(_random.Next(0, 40));
        process.Kill();
        await process.WaitForExitAsync();
    }

    private static async Task Reaches(Process process, string output, int step)
    {
        var store = new CheckpointStore(output);
        for (var clock = Stopwatch.StartNew(); store.List() is not [var (done, _), ..] || done < step; await Task.Delay(1))
        {
            Assert.True(!process.HasExited && clock.Elapsed.TotalMinutes < 10, $"no checkpoint-{step}");
        }
    }

    private static async Task Finish(string[] arguments)
    {
        using var process = Start(arguments);
        var error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, error);
    }

    private static Process Start(string[] arguments) =>
        Process.Start(new ProcessStartInfo(Program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;

    private static int Setting(string name, int value) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : value;
}
