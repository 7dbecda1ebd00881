using LlavaSharp.Checkpoints;

namespace LlavaSharp.Lora;

/// <summary>Writes the folder that LLaVA's LoRA training leaves and that its loader, with the base model, opens:
/// <c>adapter_config.json</c>, <c>adapter_model.safetensors</c>, <c>non_lora_trainables.bin</c> and the LLaVA
/// <c>config.json</c>.</summary>
public static class AdapterWriter
{
    /// <summary>Writes the folder: a new one appears whole; in one that is there, config.json comes last.</summary>
    /// <exception cref="UserErrorException">A parameter is missing or has another shape, or the folder cannot be written.</exception>
    public static void Write(string folder, AdapterExport export)
    {
        IReadOnlyList<string> modules = export.Modules ?? LoraTargets.Find(export.Config);
        Dictionary<string, long[]> shapes = ParameterTable.Shapes(export.Config).ToDictionary();
        List<TensorSource> adapters =
            [.. LoraTargets.Parameters(export.Config, export.Options, modules).Select(p => Tensor(p.Key, p.Value))];
        if (export.Options.Bias == LoraBias.All)
        {
            adapters.AddRange(
                export.Trainables.Where(n => n.EndsWith(".bias", StringComparison.Ordinal)).Select(n => Tensor(n, shapes[n])));
        }

        AtomicFolder.Write(folder, temporary =>
        {
            SafetensorsWriter.Write(Path.Combine(temporary, AdapterReader.WeightsFile), adapters);
            TorchArchive.Write(Path.Combine(temporary, AdapterReader.TrainablesFile),
                [.. export.Trainables.Select(n => Tensor(n, shapes[n]))]);
            AtomicFile.WriteText(Path.Combine(temporary, AdapterConfig.FileName),
                new AdapterConfig(export.Options, export.BaseModel, LoraTargets.Suffixes(modules)).ToJson());
            HuggingFaceLlavaWriter.WriteJson(temporary, "config.json", LlavaLayoutConfig.ToJson(export.Config, export.Fields, export.Type));
        });

        TensorSource Tensor(string name, long[] shape) =>
            ParameterExport.Source(AdapterNames.FromCanonical(name), name, shape, export.Parameters, export.Type);
    }
}
