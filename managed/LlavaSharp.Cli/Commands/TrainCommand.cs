using System.CommandLine;
using System.Globalization;
using LlavaSharp.Training;
using LlavaSharp.Zero;

namespace LlavaSharp.Cli.Commands;

/// <summary>Trains a stage of the recipe. Its flags are the recipe's, read as Hugging Face's parser reads them.</summary>
internal static class TrainCommand
{
    private const string Introduction = """
        llavasharp train --FLAG VALUE …

        Trains one stage of the LLaVA-1.5 recipe, with the recipe's own flags.

        Stage 1 aligns: the language model and the vision tower are frozen, the projector learns from
        captions. It writes mm_projector.bin and config.json.

          $ llavasharp train --tune_mm_mlp_adapter True --version plain \
              --model_name_or_path vicuna-7b-v1.5 --vision_tower clip-vit-large-patch14-336 \
              --data_path blip_laion_cc_sbu_558k.json --image_folder images --learning_rate 1e-3 \
              --per_device_train_batch_size 32 --warmup_ratio 0.03 --model_max_length 2048 \
              --output_dir pretrain

        Stage 2 instructs: projector and language model learn from conversations. It writes a Hugging
        Face LLaVA folder, which llavasharp generate and transformers open.

          $ llavasharp train --version v1 --image_aspect_ratio pad --group_by_modality_length True \
              --model_name_or_path vicuna-7b-v1.5 --vision_tower clip-vit-large-patch14-336 \
              --pretrain_mm_mlp_adapter pretrain/mm_projector.bin --data_path mix665k.json \
              --image_folder data --learning_rate 2e-5 --per_device_train_batch_size 16 \
              --warmup_ratio 0.03 --model_max_length 2048 --output_dir finetune

        LoRA: with --lora_enable True stage 2 trains adapters beside the decoder's linears, and writes
        a PEFT folder, which llavasharp generate --adapter and merge-lora open. The recipe's own scripts,
        ported, are in runs/; add --dry_run True to check files, shapes, data and memory first.

        Every run also leaves train_config.json (what was really used; --config reads it), log.jsonl,
        TensorBoard events, trainer_state.json and report.html. It stops at the first sample that cannot
        be trained, and names it. --model_max_length must leave room behind a picture's rows (576 with
        clip-vit-large-patch14-336); a run that learned no token is an error and leaves no result.

        Checkpoints: every save_steps updates the whole state goes to output_dir/checkpoint-N. The same
        command again goes on from the newest whole one and ends with the same bytes as a run that was
        never cut short. Ctrl-C, SIGTERM, SIGHUP (a closed terminal) and SIGUSR1 (what sbatch
        --signal=USR1@120 sends) write a checkpoint first, then exit with code 130. A second one, a second
        or more later, ends the process at once.

        Booleans: --flag, --flag True, --flag False, --no_flag.

        """;

    /// <summary>Makes the verb.</summary>
    /// <param name="shell">What it talks to.</param>
    /// <returns>The verb.</returns>
    public static Verb Create(Shell shell)
    {
        var command = new Command("train", "train a stage") { TreatUnmatchedTokensAsErrors = false };
        command.SetAction(parsed => Run(shell, parsed.UnmatchedTokens));
        return new(
            command,
            "trains stage 1 (the projector) or stage 2 (all but the vision tower)",
            "llavasharp train --model_name_or_path llm --vision_tower clip --data_path d.json",
            Introduction + Flags());
    }

    private static int Run(Shell shell, IReadOnlyList<string> arguments)
    {
        var place = RankDiscovery.Find(shell.Variable);
        place = place with { Journal = JobJournal.PathOf(shell.Variable(JobJournal.Variable), place.Rank) };
        FollowLauncher(shell);
        if (place.IsFirst)
        {
            return Run(shell, shell.Error, place, arguments);
        }

        // What goes wrong on all processes, the first one says.
        try
        {
            return Run(shell with { Out = TextWriter.Null, Error = TextWriter.Null }, shell.Error, place, arguments);
        }
        catch (UserErrorException)
        {
            return ExitCode.UserError;
        }
        catch (OperationCanceledException)
        {
            return ExitCode.Cancelled;
        }
    }

    // Under launch, launch decides when to end without a checkpoint; where it was killed, the job ends with one.
    private static void FollowLauncher(Shell shell)
    {
        if (shell.Signals is { } signals && shell.Variable(JobJournal.StarterVariable) is { Length: > 0 } launcher)
        {
            signals.AtOnce = () => { };
            signals.FollowEndOf(launcher);
        }
    }

    private static int Run(Shell shell, TextWriter lost, RankPlace place, IReadOnlyList<string> arguments)
    {
        var (options, notes) = TrainOptionsParser.Parse(arguments, place.World);
        options = options with { Place = place, Fault = FaultSwitch.Parse(shell.Variable(FaultSwitch.Variable)) };
        var progress = shell.Progress();
        foreach (var note in notes)
        {
            progress.Note($"note: {note}");
        }

        if (options.DryRun)
        {
            foreach (var (what, how) in DryRun.Check(options, progress.Warn))
            {
                shell.Out.WriteLine($"{what,-12}{how}");
            }

            shell.Out.WriteLine("dry run: nothing was trained or written");
            return ExitCode.Ok;
        }

        try
        {
            var result = FineTune.Run(
                options, progress, (message, fault) => Report(lost, place, message, fault), shell.Cancellation);
            shell.Summary(string.Create(
                CultureInfo.InvariantCulture,
                $"trained {result.Steps.Count} updates in {result.Seconds:0.0} s, mean loss {result.MeanLoss:0.0000}, last {result.LastLoss:0.0000}"
                + $"{(result.EmptySteps == 0 ? "" : $"; {result.EmptySteps} updates had nothing to learn, or were left out")}"));
            return ExitCode.Ok;
        }
        catch (JobEndedException e)
        {
            return e.Code;
        }
    }

    // Rank 0 reports. If rank 0 was lost, another rank reports after a short delay.
    private static int Report(TextWriter error, RankPlace place, string message, JobFault fault)
    {
        Thread.Sleep(TimeSpan.FromSeconds(place.IsFirst || fault == JobFault.Machine ? 0 : 2));
        error.WriteLine(fault == JobFault.Internal ? $"internal error: {message}" : $"error: {message}");
        return fault switch
        {
            JobFault.RankLost => ExitCode.RankLost,
            JobFault.Machine => ExitCode.UserError,
            _ => ExitCode.Internal,
        };
    }

    private static string Flags()
    {
        var defaults = new TrainOptions();
        return string.Concat(TrainFlags.All.Select(f =>
        {
            var value = f.Read?.Invoke(defaults);
            var text = value is null ? "" : $" [{Convert.ToString(value, CultureInfo.InvariantCulture)}]";
            return $"  --{f.Name}\n      {f.Help}{text}\n";
        }));
    }
}
