using LlavaSharp.Imaging;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>Writes a language model or a CLIP tower by itself, in the layout that LlamaForCausalLM, MistralForCausalLM and
/// CLIPVisionModel load, and that this library puts together again.</summary>
public static class HuggingFacePartsWriter
{
    /// <summary>Writes a LLaMA or Mistral folder.</summary>
    /// <exception cref="UserErrorException">The folder cannot be written, or a parameter is missing.</exception>
    public static void WriteLanguageModel(
        string folder, TextConfig config, IParameterSource parameters, LlavaTokenizer tokenizer, TensorType type = TensorType.F32) =>
        AtomicFolder.Write(folder, temporary =>
        {
            SafetensorsWriter.WriteSharded(temporary, [.. ParameterTable.Decoder(config).Select(p => ParameterExport.Source(
                ParameterNames.FromCanonical(p.Key, ParameterNaming.LanguageModel), p.Key, p.Value, parameters, type))]);
            new HuggingFaceTokenizerFiles(tokenizer)
            {
                EosIds = config.EosIds,
                PadId = config.PadId,
                ModelMaxLength = config.MaxPositions,
            }.Write(temporary);
            var json = config.ToJson();
            json["torch_dtype"] = type.ConfigName();
            HuggingFaceLlavaWriter.WriteJson(temporary, "config.json", json);
            HuggingFaceLlavaWriter.WriteJson(temporary, "generation_config.json", HuggingFaceLlavaWriter.GenerationConfigOf(config));
        });

    /// <summary>Writes a CLIP vision tower's folder.</summary>
    /// <exception cref="UserErrorException">The folder cannot be written, or a parameter is missing.</exception>
    public static void WriteVisionTower(
        string folder,
        VisionConfig config,
        IParameterSource parameters,
        ImageProcessorConfig processor,
        TensorType type = TensorType.F32) =>
        AtomicFolder.Write(folder, temporary =>
        {
            SafetensorsWriter.WriteSharded(temporary, [.. ParameterTable.Vision(config).Select(p => ParameterExport.Source(
                ParameterNames.FromCanonical(p.Key, ParameterNaming.Clip), p.Key, p.Value, parameters, type))]);
            AtomicFile.WriteText(Path.Combine(temporary, ImageProcessorConfig.FileName), processor.ToJson());
            var json = config.ToJson();
            json["architectures"] = new System.Text.Json.Nodes.JsonArray("CLIPVisionModel");
            json["torch_dtype"] = type.ConfigName();
            HuggingFaceLlavaWriter.WriteJson(temporary, "config.json", json);
        });
}
