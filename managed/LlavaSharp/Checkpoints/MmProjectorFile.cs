namespace LlavaSharp.Checkpoints;

/// <summary>The file that the recipe's first stage leaves: the projector alone, as the original LLaVA code saves it,
/// with keys <c>model.mm_projector.0.weight</c>, <c>.0.bias</c>, <c>.2.weight</c>, <c>.2.bias</c>, and where
/// the model has them <c>model.image_newline</c> and, with tokens around images, <c>model.embed_tokens.weight</c>.</summary>
public static class MmProjectorFile
{
    /// <summary>The name LLaVA gives it.</summary>
    public const string FileName = "mm_projector.bin";

    /// <summary>Writes the projector of a model.</summary>
    /// <param name="path">The file; LLaVA calls it <c>mm_projector.bin</c>. One that ends in .safetensors gets that format.</param>
    /// <param name="config">Says which parameters there are.</param>
    /// <param name="parameters">Has them.</param>
    /// <param name="type">F32, F16 or BF16.</param>
    /// <exception cref="UserErrorException">The path cannot be written.</exception>
    public static void Write(string path, LlavaConfig config, IParameterSource parameters, TensorType type = TensorType.F32)
    {
        List<TensorSource> tensors = [.. ParameterTable.Projector(config).Concat(ParameterTable.Newline(config))
            .Concat(config.ImageStartEnd ? ParameterTable.Decoder(config.Text).Take(1) : []).Select(
            p => ParameterExport.Source(ParameterNames.FromCanonical(p.Key, ParameterNaming.Llava), p.Key, p.Value, parameters, type))];
        if (path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase))
        {
            SafetensorsWriter.Write(path, tensors);
        }
        else
        {
            TorchArchive.Write(path, tensors);
        }
    }

    /// <summary>Opens a projector: <c>.bin</c> or <c>.safetensors</c>; keys may have any prefix before
    /// <c>mm_projector.</c>, or Hugging Face's <c>multi_modal_projector.</c>. Dispose it after loading.</summary>
    /// <exception cref="UserErrorException">The file is missing or damaged, or holds no projector.</exception>
    public static CheckpointSource Open(string path)
    {
        CheckpointReader reader = CheckpointReader.OpenFile(path);
        var source = new CheckpointSource(reader);
        if (!source.Names.Any(name => name.StartsWith("projector.", StringComparison.Ordinal)))
        {
            source.Dispose();
            throw new UserErrorException($"'{path}' holds no projector: no key contains 'mm_projector.'");
        }

        return source;
    }
}
