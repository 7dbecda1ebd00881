using System.CommandLine;
using LlavaSharp.Checkpoints;
using LlavaSharp.Lora;

namespace LlavaSharp.Cli.Commands;

/// <summary>Merges a LoRA adapter into its base model.</summary>
internal static class MergeLoraCommand
{
    private const string Help = """
        llavasharp merge-lora --model BASE --adapter DIR --output DIR [flags]

        Adds an adapter to the weights it was trained on, W + s·B·A in float32, and writes a whole model.
        What trained beside the adapter (the projector, non_lora_trainables.bin) replaces the base's.
        Weights are read, merged and written one at a time.

          --model DIR            the base: a LLaMA or Mistral folder, or a LLaVA folder
          --adapter DIR          the adapter, as LLaVA's LoRA training or PEFT writes it
          --output DIR           where the merged model goes; an empty or new folder
          --overwrite            replace the model in a folder that has files already; other files stay
          --layout NAME          hf, llava or gguf, as llavasharp convert has them [hf]
          --dtype T              f32, f16 or bf16, with gguf also q8_0 [as the base is stored]
          --vision_tower DIR     the CLIP folder, if config.json names one that is not here
          --shard_size N         largest file of weights [5GB]
          --template NAME        the conversation format that it is to be asked in: stated in config.json,
                                 in gguf the chat template [what it was trained with; else v1]
          --unmerge              takes the adapter out of a model that it was merged into, W - s·B·A;
                                 what trained beside it stays; not for DoRA's

          $ llavasharp merge-lora --model vicuna-7b-v1.5 --adapter llava-lora --output llava-merged

        """;

    /// <summary>Makes the verb.</summary>
    /// <param name="shell">What it talks to.</param>
    /// <returns>The verb.</returns>
    public static Verb Create(Shell shell)
    {
        var model = new Option<string>("--model") { Required = true };
        var adapter = new Option<string>("--adapter") { Required = true };
        var output = new Option<string>("--output") { Required = true };
        var overwrite = new Option<bool>("--overwrite");
        var layout = new Option<string>("--layout") { DefaultValueFactory = _ => "hf" };
        var type = new Option<string?>("--dtype");
        var tower = new Option<string?>("--vision_tower");
        var shard = new Option<string>("--shard_size") { DefaultValueFactory = _ => "5GB" };
        var template = new Option<string?>("--template");
        var unmerge = new Option<bool>("--unmerge");
        var command = new Command("merge-lora", "merge an adapter")
        {
            model, adapter, output, overwrite, layout, type, tower, shard, template, unmerge,
        };
        command.SetAction(parsed => Run(
            shell,
            parsed.GetRequiredValue(model),
            parsed.GetRequiredValue(adapter),
            new ModelTarget("--output", parsed.GetRequiredValue(output), parsed.GetValue(layout)!, parsed.GetValue(overwrite)),
            parsed.GetValue(type),
            parsed.GetValue(tower),
            ExportTypes.ParseSize(parsed.GetValue(shard)!),
            parsed.GetValue(template),
            parsed.GetValue(unmerge)));
        return new(
            command,
            "merges a LoRA adapter into its base model",
            "llavasharp merge-lora --model vicuna-7b-v1.5 --adapter llava-lora --output merged",
            Help);
    }

    private static int Run(
        Shell shell, string folder, string adapter, ModelTarget target, string? typeName, string? tower, long shardBytes,
        string? template, bool unmerge)
    {
        ModelFolders.CheckNames(target.Layout, typeName);
        target.Check(("--model", folder), ("--adapter", adapter), ("--vision_tower", tower));
        using var model = AdaptedModel.Open(folder, adapter, tower, unmerge);
        shell.Cancellation.ThrowIfCancellationRequested();
        shell.Summary(ModelFolders.Write(
            model, target, typeName, shardBytes, withTower: true, template, shell.Error.WriteLine));
        return ExitCode.Ok;
    }
}
