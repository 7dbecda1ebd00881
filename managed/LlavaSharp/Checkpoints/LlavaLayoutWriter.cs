using LlavaSharp.Imaging;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Checkpoints;

/// <summary>Writes a folder as the original LLaVA code saves and loads it: LlavaLlamaForCausalLM or LlavaMistralForCausalLM, with
/// <c>model.mm_projector.…</c> and, unless asked otherwise, <c>model.vision_tower.vision_tower.…</c>.</summary>
public static class LlavaLayoutWriter
{
    /// <summary>Writes the folder: a new one appears whole; in one that is there, config.json comes last.</summary>
    /// <param name="folder">Where to.</param>
    /// <param name="export">From what.</param>
    /// <param name="withTower">Whether the tower's weights go into the checkpoint, as full training leaves them; false leaves
    /// them to the folder that mm_vision_tower names, as most published checkpoints do.</param>
    /// <exception cref="UserErrorException">The model has no tower, the tokenizer belongs to another one, or the folder cannot
    /// be written.</exception>
    public static void Write(string folder, ModelExport export, bool withTower = true)
    {
        if (export.Config.Vision is null)
        {
            throw new UserErrorException("LLaVA's layout needs a vision tower, and this model has none; name a CLIP folder with "
                + "--vision_tower");
        }

        // The original code pads by config.json, and knows no other image processor than CLIP's.
        export = export with { Processor = export.Processor with { Pads = null } };
        ModelLoader.CheckVocabulary(export.Config, export.Tokenizer);
        LlavaConfig config = WithoutExportRows(export);

        // A published name leads to the tower from anywhere. Else the tower's folder goes into the checkpoint's: a path may lead
        // nowhere tomorrow, or to a whole LLaVA folder, which is no tower.
        string? name = LlavaTower.PublishedName(export.Config.Vision);
        LlavaFields fields = export.Fields.With("mm_vision_tower", name ?? LlavaLayoutConfig.TowerFolder);
        AtomicFolder.Write(folder, temporary =>
        {
            SafetensorsWriter.WriteSharded(temporary, [.. ParameterTable.Shapes(config)
                .Where(p => withTower || !p.Key.StartsWith("vision.", StringComparison.Ordinal)).Select(p => Source(p.Key, p.Value))],
                export.ShardBytesMax);
            new HuggingFaceTokenizerFiles(export.Tokenizer, KeptTokens(export))
            {
                EosIds = config.Text.EosIds,
                PadId = config.PadTokenId,
                ModelMaxLength = export.ModelMaxLength,
            }.Write(temporary);
            if (name is null)
            {
                HuggingFacePartsWriter.WriteVisionTower(Path.Combine(temporary, LlavaLayoutConfig.TowerFolder), config.Vision!,
                    export.Parameters, export.Processor, export.Type);
            }

            AtomicFile.WriteText(Path.Combine(temporary, ImageProcessorConfig.FileName), export.Processor.ToJson());
            HuggingFaceLlavaWriter.WriteJson(temporary, "config.json", LlavaLayoutConfig.ToJson(config, fields, export.Type));
            HuggingFaceLlavaWriter.WriteJson(
                temporary, "generation_config.json", HuggingFaceLlavaWriter.GenerationConfigOf(config.Text));
        });

        TensorSource Source(string canonical, long[] shape)
        {
            string stored = ParameterNames.FromCanonical(canonical, ParameterNaming.Llava);
            bool cut = canonical is "embed.weight" or "head.weight" && shape[0] < export.Config.Text.VocabularySize;
            return cut
                ? ParameterExport.FirstRows(stored, canonical, shape, export.Config.Text.VocabularySize, export.Parameters, export.Type)
                : ParameterExport.Source(stored, canonical, shape, export.Parameters, export.Type);
        }
    }

    /// <summary>Hugging Face's layout needs <c>&lt;image&gt;</c>, <c>&lt;pad&gt;</c> and rows up to a multiple of 64; the original
    /// has none of them, so the rows behind the last other token are cut off again. The logits of the rest stay as they were.</summary>
    private static LlavaConfig WithoutExportRows(ModelExport export)
    {
        LlavaConfig config = export.Config;
        int rows = config.Text.VocabularySize;
        int unknown = export.Tokenizer.UnknownId < 0 ? export.Tokenizer.EosId : export.Tokenizer.UnknownId;
        if (config.ImageTokenIndex is not null)
        {
            rows = Math.Min(rows, KeptTokens(export).Select(t => t.Id + 1).Append(export.Tokenizer.PieceCount).Max());
        }

        int? pad = config.PadTokenId ?? config.Text.PadId;
        bool dropped = config.ImageTokenIndex is not null && pad is { } id && export.Tokenizer.Spelling(id) == ExportVocabulary.PadText;
        pad = pad is null || pad >= rows || dropped ? unknown : pad;
        return config with
        {
            Text = config.Text with { VocabularySize = rows, PadId = pad },
            ImageTokenIndex = null,
            PadTokenId = pad,
        };
    }

    private static List<AddedToken> KeptTokens(ModelExport export)
    {
        bool huggingFace = export.Config.ImageTokenIndex is not null;
        return [.. export.Tokenizer.Tokens
            .Where(t => t.Id < export.Tokenizer.PieceCount || !(huggingFace && IsExports(t.Text)))];
    }

    private static bool IsExports(string token) => token is ExportVocabulary.ImageText or ExportVocabulary.PadText
        || token.StartsWith(ExportVocabulary.UnusedPrefix, StringComparison.Ordinal);
}
