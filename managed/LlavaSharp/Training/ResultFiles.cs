using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Lora;

namespace LlavaSharp.Training;

/// <summary>
/// What a stage leaves: stage 1 the projector and config.json, LoRA the adapter's folder, stage 2 a Hugging Face LLaVA folder, or
/// one in LLaVA's own layout where the former holds no such model. The first two, small beside a state, are in every checkpoint too,
/// as the recipe has them.
/// </summary>
internal static class ResultFiles
{
    /// <summary>What the run is called.</summary>
    public static string Name(TrainOptions options) =>
        options.TuneMmMlpAdapter ? "stage 1" : options.LoraEnable ? "stage 2, LoRA" : "stage 2";

    /// <summary>Writes the result.</summary>
    /// <returns>What it is, and where.</returns>
    /// <exception cref="UserErrorException">It cannot be written.</exception>
    public static string Write(TrainSetup setup, Model model, IParameterSource weights)
    {
        var output = setup.Options.OutputDir!;
        if (setup.Options.TuneMmMlpAdapter)
        {
            var path = StageOneFiles.ProjectorPath(output);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            MmProjectorFile.Write(path, setup.Config, weights);
            MmProjectorFile.Write(Path.ChangeExtension(path, ".safetensors"), setup.Config, weights);
            AtomicFile.WriteText(Path.Combine(output, "config.json"), StageOneFiles.ConfigJson(setup));
            return $"projector: {Path.GetFullPath(path)}";
        }

        if (setup.Adapters is { } adapters)
        {
            WriteAdapter(setup, adapters, model, weights, output);
            return $"adapter: {Path.GetFullPath(output)}";
        }

        var export = new ModelExport
        {
            Config = setup.Config,
            Parameters = weights,
            Tokenizer = setup.Tokenizer,
            Processor = setup.Processor,
            Fields = LlavaFields.None.With(LlavaFields.TemplateField, setup.Template.FullName),
            ModelMaxLength = setup.Options.ModelMaxLength,
        };
        if (HuggingFaceLlavaWriter.CanExport(setup.Config, out var reason))
        {
            HuggingFaceLlavaWriter.Write(output, export);
            return $"checkpoint: {Path.GetFullPath(output)}";
        }

        LlavaLayoutWriter.Write(output, export);
        return $"checkpoint in LLaVA's own layout: {Path.GetFullPath(output)}; {reason}";
    }

    /// <summary>Writes what a checkpoint holds beside the state.</summary>
    public static void WriteBeside(TrainSetup setup, Model model, IParameterSource weights, string folder)
    {
        if (setup.Options.TuneMmMlpAdapter)
        {
            MmProjectorFile.Write(Path.Combine(folder, MmProjectorFile.FileName), setup.Config, weights);
            AtomicFile.WriteText(Path.Combine(folder, "config.json"), StageOneFiles.ConfigJson(setup));
        }
        else if (setup.Adapters is { } adapters)
        {
            WriteAdapter(setup, adapters, model, weights, folder);
        }
    }

    private static void WriteAdapter(TrainSetup setup, AdapterOptions adapters, Model model, IParameterSource weights, string folder)
    {
        var options = setup.Options;
        AdapterWriter.Write(folder, new()
        {
            Config = setup.Config,
            Options = adapters,
            Parameters = weights,
            BaseModel = options.ModelNameOrPath!,

            // The original's loader, too, takes the rows of new tokens from there, all others with them.
            Trainables = [.. model.Parameters
                .Where(p => (p.Trainable && p.Kind != UnitKinds.Lora) || (setup.AddsTokens && p.Name is "embed.weight" or "head.weight"))
                .Select(p => p.Name)],
            Fields = LlavaFields.None
                .With(LlavaFields.TemplateField, setup.Template.FullName)
                .With("mm_vision_tower", options.VisionTower ?? options.ModelNameOrPath)
                .With("tokenizer_model_max_length", options.ModelMaxLength)
                .With("freeze_mm_mlp_adapter", options.FreezeMmMlpAdapter)
                .With("mm_projector_lr", options.MmProjectorLr),
        });
    }
}
