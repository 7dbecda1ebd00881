using System.Diagnostics;
using System.Globalization;

namespace LlavaSharp.Bench;

/// <summary>A program that times a case and prints one line of JSON.</summary>
/// <param name="Name">What the table calls it.</param>
/// <param name="Command">The program and the arguments that come first.</param>
/// <param name="Script">What it reads from standard input; null when nothing.</param>
internal sealed record Side(string Name, string[] Command, string? Script)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(15);

    /// <summary>Ours, TorchSharp's and Hugging Face's.</summary>
    public static Side[] All =>
    [
        new("llavasharp", ["build/release/bench/bench_step", "--json"], null),
        new("torchsharp", [Environment.ProcessPath!, "torchsharp"], null),
        new("hugging-face", [.. Peer.Split(' ', StringSplitOptions.RemoveEmptyEntries), "-"], "tests/peer/bench_step.py"),
    ];

    private static string Peer => Environment.GetEnvironmentVariable("LLAVASHARP_PEER") is { Length: > 0 } peer ? peer : "python3";

    /// <summary>Runs it; one that takes longer than a quarter of an hour is stopped.</summary>
    /// <param name="case">What to time.</param>
    /// <param name="failure">The last line it complained with, when it gave no figures.</param>
    public StepFigures? Run(StepCase @case, out string failure)
    {
        ProcessStartInfo start = new(Command[0])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        CultureInfo invariant = CultureInfo.InvariantCulture;
        string[] arguments =
        [
            .. Command[1..], "--stage", @case.Stage, "--size", @case.Size, "--batch", @case.Batch.ToString(invariant),
            "--steps", @case.Steps.ToString(invariant),
            .. @case.Threads > 0 ? (string[])["--threads", @case.Threads.ToString(invariant)] : [],
        ];
        Array.ForEach(arguments, start.ArgumentList.Add);
        try
        {
            using Process process = Process.Start(start)!;
            Task<string> complaints = process.StandardError.ReadToEndAsync();
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            process.StandardInput.Write(Script is null ? "" : File.ReadAllText(Script));
            process.StandardInput.Close();
            if (!process.WaitForExit(Patience))
            {
                process.Kill(entireProcessTree: true);
                failure = $"stopped after {Patience.TotalMinutes:0} minutes";
                return null;
            }

            failure = complaints.Result.TrimEnd().Split('\n')[^1];
            return output.Result.Split('\n').Select(line => StepFigures.Parse(Name, line)).LastOrDefault(figures => figures is not null);
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException)
        {
            failure = e.Message;
            return null;
        }
    }
}
