using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>A file's tensors that no parameter is read from: refused by name, unless they change nothing.</summary>
public sealed class UnusedTensorsTests : IDisposable
{
    private static readonly LlavaConfig Config = TinyFolders.Config();
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("language_model.model.layers.0.self_attn.q_proj.bias", "It is of biases that the decoder's linears do not have")]
    [InlineData("language_model.model.layers.1.mlp.up_proj.bias", "It is of biases that the decoder's linears do not have")]
    [InlineData("language_model.model.layers.0.self_attn.q_proj.lora_A.default.weight", "It is of an adapter that was not merged")]
    [InlineData("multi_modal_projector.linear_3.weight", "It is of a projector of another shape")]
    [InlineData("model.mm_projector.readout.weight", "It is of a projector of another shape")]
    [InlineData("model.vision_resampler.latents", "It is of a resampler")]
    [InlineData("language_model.model.layers.0.self_attn.q_proj.weight.absmax", "It is of weights quantised by another program")]
    [InlineData("language_model.model.layers.0.self_attn.q_norm.weight", "remove what the model does not need")]
    [InlineData("entirely.other", "remove what the model does not need")]
    public void What_would_change_the_answers_is_refused(string name, string meaning)
    {
        string message = Assert.Throws<UserErrorException>(() => Open([(name, TensorType.F32)])).Message;
        Assert.StartsWith(
            $"'{_folder["model/model.safetensors"]}': '{name}' has no place in the model, and without it the answers would be another model's",
            message,
            StringComparison.Ordinal);
        Assert.Contains(meaning, message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', message);
    }

    [Theory]
    [InlineData("language_model.model.layers.0.self_attn.rotary_emb.inv_freq", TensorType.F32)]
    [InlineData("model.rotary_emb.inv_freq", TensorType.BF16)]
    [InlineData("vision_tower.vision_model.embeddings.position_ids", TensorType.I64)]
    [InlineData("text_model.encoder.layers.0.mlp.fc1.bias", TensorType.F32)]
    [InlineData("text_projection.weight", TensorType.F32)]
    [InlineData("visual_projection.weight", TensorType.F32)]
    [InlineData("logit_scale", TensorType.F32)]
    [InlineData("num_batches_tracked", TensorType.I64)]
    [InlineData("language_model.model.layers.0.self_attn.mask", TensorType.Bool)]
    public void What_changes_nothing_is_left_out(string name, TensorType type) => Open([(name, type)]).Dispose();

    [Fact]
    public void Many_are_counted()
    {
        string[] names = [.. Enumerable.Range(0, 5).Select(i => $"model.layers.0.extra.{i}")];
        Assert.Contains(
            "'model.layers.0.extra.0', 'model.layers.0.extra.1', 'model.layers.0.extra.2' and 2 more have no place in the model",
            Assert.Throws<UserErrorException>(() => Open([.. names.Select(n => (n, TensorType.F32))])).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_projectors_file_is_judged_too()
    {
        TinyFolders.WriteParts(_folder["llama"], _folder["clip"], Config);
        SafetensorsWriter.Write(_folder["p.safetensors"], [
            .. ParameterTable.Projector(Config).Select(p =>
                Source(ParameterNames.FromCanonical(p.Key, ParameterNaming.Llava), TensorType.F32, p.Value)),
            Source("model.vision_resampler.query", TensorType.F32, [2]),
        ]);
        ModelParts parts = new() { LanguageFolder = _folder["llama"], ClipFolder = _folder["clip"], ProjectorFile = _folder["p.safetensors"] };
        Assert.StartsWith(
            $"'{_folder["p.safetensors"]}': 'model.vision_resampler.query' has no place in the model",
            Assert.Throws<UserErrorException>(() => ModelSource.Open(parts)).Message,
            StringComparison.Ordinal);
    }

    private ModelSource Open(IReadOnlyList<(string Name, TensorType Type)> more)
    {
        HuggingFaceLlavaWriter.Write(_folder["model"], TinyFolders.Export(Config));
        string path = _folder["model/model.safetensors"];
        using (var file = SafetensorsFile.Open(path))
        {
            SafetensorsWriter.Write(path + ".new", [
                .. file.Entries.Select(e => TensorSource.FromFloats(e.Name, e.Shape, file.Floats(e.Name))),
                .. more.Select(m => Source(m.Name, m.Type, [2])),
            ]);
        }

        File.Move(path + ".new", path, overwrite: true);
        return ModelSource.Open(new ModelParts { LanguageFolder = _folder["model"] });
    }

    private static TensorSource Source(string name, TensorType type, long[] shape)
    {
        byte[] bytes = new byte[shape.Aggregate(1L, (a, b) => a * b) * type.ByteSize()];
        return new TensorSource(name, type, shape, stream => stream.Write(bytes));
    }
}
