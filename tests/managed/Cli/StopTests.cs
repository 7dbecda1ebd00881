using System.Diagnostics;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tests.Training;

namespace LlavaSharp.Tests.Cli;

/// <summary>What a run leaves where it was stopped before it began, and where others' files lie; in processes of their own.</summary>
public sealed class StopTests : IDisposable
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "LlavaSharp.Cli");

    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [InlineData("INT")]
    [InlineData("TERM")]
    public async Task The_first_signal_ends_a_program_that_waits_for_a_file(string signal)
    {
        // Opening the other end returns when the program reads; then it waits for bytes that never come.
        var pipe = _tiny["flags.json"];
        Assert.Equal(0, await Shell($"mkfifo {pipe}"));

        // Whoever runs this may ignore the signal: a shell does with SIGINT for what it starts in the background.
        using var process = Start("env", ["--default-signal", Program, "train", "--config", pipe, "--output_dir", _tiny["out"]]);
        await using var writer = new FileStream(pipe, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        Assert.Equal(0, await Shell($"kill -{signal} {process.Id}"));
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            Assert.Fail("the signal was swallowed");
        }

        Assert.Equal(130, process.ExitCode);
        Assert.False(Directory.Exists(_tiny["out"]));
    }

    [Fact]
    public void A_run_leaves_checkpoints_of_other_programs_alone()
    {
        var output = _tiny["out"];
        _tiny.WriteText("out/checkpoint-500/pytorch_model.bin", "weights");
        _tiny.WriteText("out/runs/events", "mine");
        var before = TinyFolders.Files(output);
        string[] anew =
        [
            "--resume", "no", "--overwrite_output_dir", "True", "--max_steps", "2", "--save_steps", "1", "--save_total_limit", "1",
        ];
        Assert.StartsWith($"--output_dir {output} holds checkpoint-500 of another program", Error(_tiny.Stage1(output)));
        Assert.StartsWith(
            $"{output}/checkpoint-500 was made by another program", Error(_tiny.Stage1(output, [.. anew, "--max_steps", "500"])));
        Host.Succeed(_tiny.Stage1(output, anew));
        Host.Succeed(_tiny.Stage1(output, anew));
        Assert.Equal(["checkpoint-2", "checkpoint-500", "runs"], RunFolder.Checkpoints(output));
        var after = TinyFolders.Files(output);
        Assert.All(before, file => Assert.Equal(file.Value, after[file.Key]));
    }

    [Fact]
    public void The_model_is_not_trained_over()
    {
        var before = TinyFolders.Files(_tiny.Llama);
        Assert.Equal(
            $"--model_name_or_path {_tiny.Llama} is where the result would go; name another --output_dir",
            Error(_tiny.Stage2(_tiny["clip/../llama"], "--overwrite_output_dir")));
        Assert.Equal(before, TinyFolders.Files(_tiny.Llama));
    }

    /// <summary>As root: the output folder is a mount in a folder that cannot be written.</summary>
    [Fact]
    public async Task An_output_folder_that_is_a_mount()
    {
        Assert.SkipUnless(await Shell("unshare --mount true") == 0, "mounts may not be made here");
        Directory.CreateDirectory(_tiny["parent/out"]);
        Directory.CreateDirectory(_tiny["parent/lora"]);
        string Train(string output, string more) => $"{Program} {string.Join(' ', _tiny.Stage2(_tiny[output]))} --max_steps 1 {more}";
        Assert.Equal(0, await Shell($"""
            unshare --mount bash -c '
              cd {_tiny["parent"]}/..
              mount --bind parent parent && mount -t tmpfs none parent/out && mount -t tmpfs none parent/lora
              mount -o remount,ro,bind parent
              {Train("parent/out", "")} && test -f parent/out/model.safetensors || exit 3
              {Train("parent/lora", "--lora_enable True")} && test -f parent/lora/adapter_model.safetensors || exit 4
              {Train("parent/new", "--dry_run True")}; test $? = 2 || exit 5
              mount -o remount,ro parent/out
              {Train("parent/out", "--overwrite_output_dir --resume no --dry_run True")}; test $? = 2 || exit 6
            '
            """));
    }

    private static string Error(string[] arguments)
    {
        var (code, _, error) = Host.Run(arguments);
        Assert.Equal(2, code);
        return error.TrimEnd('\n').Split('\n')[^1]["error: ".Length..];
    }

    private static Process Start(string program, string[] arguments)
    {
        var process = new Process
        {
            StartInfo = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true },
        };
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }

    private static async Task<int> Shell(string script)
    {
        using var shell = Start("bash", ["-c", script]);
        await shell.WaitForExitAsync();
        return shell.ExitCode;
    }
}
