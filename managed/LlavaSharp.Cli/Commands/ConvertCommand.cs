using System.CommandLine;
using LlavaSharp.Checkpoints;
using LlavaSharp.Lora;
using LlavaSharp.Training.Resume;

namespace LlavaSharp.Cli.Commands;

/// <summary>Writes a model into another layout or precision.</summary>
internal static class ConvertCommand
{
    private const string Help = """
        llavasharp convert --from DIR --to DIR --layout hf|llava|gguf [flags]

        Writes a model in another layout or precision; nothing but the precision changes its logits.
        Reads .safetensors and .bin, sharded or not, of transformers' LLaVA folders, of the original
        LLaVA code's, and of a language model beside a CLIP folder and a projector. Weights are read and
        written one at a time.

          --from DIR             a LLaVA folder of either layout, a LLaMA or Mistral folder, or a
                                 checkpoint-N of full tuning, whole or in the shards of its processes
          --to DIR               where the result goes; an empty or new folder, but gguf files may be added
          --overwrite            replace the model in a folder that has files already; other files stay
          --layout NAME          hf: transformers' LlavaForConditionalGeneration;
                                 llava: LlavaLlamaForCausalLM or LlavaMistralForCausalLM;
                                 gguf: model-T.gguf and mmproj-T.gguf, which llama.cpp runs
          --dtype T              f32, f16 or bf16, with gguf also q8_0 [as it is stored]
          --vision_tower DIR     the CLIP folder, if config.json names one that is not here, or if
                                 --from is a language model
          --projector FILE       mm_projector.bin or .safetensors, if --from has none or another
          --projector_type NAME  of a language model's --projector [mlp2x_gelu]
          --image_aspect_ratio M square or pad, of a language model [pad]
          --without_tower        llava: leave the tower's weights to the folder that mm_vision_tower names
          --shard_size N         largest file of weights [5GB]
          --template NAME        the conversation format that it is to be asked in: stated in config.json,
                                 in gguf the chat template [what it was trained with; else v1]

          $ llavasharp convert --from llava-v1.5-7b --to llava-v1.5-7b-hf --layout hf \
              --vision_tower clip-vit-large-patch14-336
          $ llavasharp convert --from finetune --to gguf --layout gguf --dtype q8_0

        """;

    /// <summary>Makes the verb.</summary>
    /// <param name="shell">What it talks to.</param>
    /// <returns>The verb.</returns>
    public static Verb Create(Shell shell)
    {
        var from = new Option<string>("--from") { Required = true };
        var to = new Option<string>("--to") { Required = true };
        var overwrite = new Option<bool>("--overwrite");
        var layout = new Option<string>("--layout") { Required = true };
        var type = new Option<string?>("--dtype");
        var tower = new Option<string?>("--vision_tower");
        var projector = new Option<string?>("--projector");
        var projectorType = new Option<string?>("--projector_type");
        var aspect = new Option<string?>("--image_aspect_ratio");
        var without = new Option<bool>("--without_tower");
        var shard = new Option<string>("--shard_size") { DefaultValueFactory = _ => "5GB" };
        var template = new Option<string?>("--template");
        var command = new Command("convert", "convert a model")
        {
            from, to, overwrite, layout, type, tower, projector, projectorType, aspect, without, shard, template,
        };
        command.SetAction(parsed => Run(
            shell,
            new ModelParts
            {
                LanguageFolder = parsed.GetRequiredValue(from),
                ClipFolder = parsed.GetValue(tower),
                ProjectorFile = parsed.GetValue(projector),
                Projector = ProjectorType.Parse(parsed.GetValue(projectorType) ?? ProjectorType.Mlp2.Name),
                ImageAspectRatio = AspectRatio(parsed.GetValue(aspect)),
            },
            new ModelTarget("--to", parsed.GetRequiredValue(to), parsed.GetRequiredValue(layout), parsed.GetValue(overwrite)),
            parsed.GetValue(type),
            ExportTypes.ParseSize(parsed.GetValue(shard)!),
            !parsed.GetValue(without),
            parsed.GetValue(template)));
        return new(
            command,
            "writes a model in transformers', the original LLaVA code's or llama.cpp's layout",
            "llavasharp convert --from llava-v1.5-7b --to hf --layout hf --vision_tower clip",
            Help);
    }

    private static int Run(
        Shell shell, ModelParts parts, ModelTarget target, string? typeName, long shardBytes, bool withTower, string? template)
    {
        ModelFolders.CheckNames(target.Layout, typeName);
        target.Check(("--from", parts.LanguageFolder), ("--vision_tower", parts.ClipFolder), ("--projector", parts.ProjectorFile));
        if (TrainedModel.IsCheckpoint(parts.LanguageFolder))
        {
            using var trained = TrainedModel.Open(parts.LanguageFolder, parts.ClipFolder);
            using var whole = new AdaptedModel(trained.Base, trained, parts.LanguageFolder);
            shell.Cancellation.ThrowIfCancellationRequested();
            shell.Summary(ModelFolders.Write(whole, target, typeName, shardBytes, withTower, template, shell.Error.WriteLine));
            return ExitCode.Ok;
        }

        if (!LlavaConfig.IsLlavaFolder(parts.LanguageFolder))
        {
            parts = parts with { ImageAspectRatio = parts.ImageAspectRatio ?? "pad" };
        }

        using var model = AdaptedModel.Open(parts, null);
        shell.Cancellation.ThrowIfCancellationRequested();
        if (model.Base.LacksProjector)
        {
            throw new UserErrorException($"--from {parts.LanguageFolder} is a language model; name its projector with --projector");
        }

        shell.Summary(ModelFolders.Write(model, target, typeName, shardBytes, withTower, template, shell.Error.WriteLine));
        return ExitCode.Ok;
    }

    private static string? AspectRatio(string? text) => text is null or "square" or "pad"
        ? text : throw new UserErrorException($"--image_aspect_ratio {text} is not known: use square or pad");
}
