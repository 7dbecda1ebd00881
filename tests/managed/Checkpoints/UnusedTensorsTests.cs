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
    [InlineData("model.image_newline", TensorType.F32)] // of every published 1.6, whether its config uses it or not
    [InlineData("num_batches_tracked", TensorType.I64)]
    [InlineData("language_model.model.layers.0.self_attn.mask", TensorType.Bool)]
    public void What_changes_nothing_is_left_out(string name, TensorType type) => Open([(name, type)]).Dispose();

    // What is not read is refused where parameters lie, or by what it means; elsewhere nobody asks for it.
    [Theory]
    [InlineData("unused", TensorType.U8, null)]
    [InlineData("unused", TensorType.Other, null)]
    [InlineData("language_model.model.layers.0.self_attn.q_norm.weight", TensorType.Other, "remove what the model does not need")]
    [InlineData("language_model.model.layers.0.self_attn.q_proj.qweight", TensorType.I32, "weights quantised by another program")]
    [InlineData("multi_modal_projector.linear_3.weight", TensorType.I8, "a projector of another shape")]
    public void A_type_that_is_not_read_matters_where_a_parameter_lies(string name, TensorType type, string? meaning)
    {
        if (meaning is null)
        {
            Open([(name, type)]).Dispose();
        }
        else
        {
            Assert.Contains(meaning, Assert.Throws<UserErrorException>(() => Open([(name, type)])).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Many_are_counted()
    {
        string[] names = [.. Enumerable.Range(0, 5).Select(i => $"model.layers.0.extra.{i}")];
        Assert.Contains(
            "'model.layers.0.extra.0', 'model.layers.0.extra.1', 'model.layers.0.extra.2' and 2 more have no place in the model",
            Assert.Throws<UserErrorException>(() => Open([.. names.Select(n => (n, TensorType.F32))])).Message,
            StringComparison.Ordinal);
    }

    // A LLaVA checkpoint whose config.json was replaced by its language model's: another projector would be drawn for it.
    [Theory]
    [InlineData("model.mm_projector.0.weight")]
    [InlineData("multi_modal_projector.linear_1.weight")]
    public void A_projector_in_a_language_models_folder_is_refused(string name)
    {
        TinyFolders.WriteParts(_folder["llama"], _folder["clip"], Config);
        Add(_folder["llama/model.safetensors"], [(name, TensorType.F32)]);
        ModelParts parts = new() { LanguageFolder = _folder["llama"], ClipFolder = _folder["clip"] };
        Assert.Equal(
            $"'{_folder["llama/model.safetensors"]}': tensor '{name}' is of a LLaVA model, but config.json beside it has the model_type of "
            + "a language model, and the tensor would not be used; take the config.json that belongs to the weights",
            Assert.Throws<UserErrorException>(() => ModelSource.Open(parts)).Message);
        MmProjectorFile.Write(_folder["p.bin"], Config, new TinyModel(Config));
        ModelSource.Open(parts with { ProjectorFile = _folder["p.bin"] }).Dispose();
    }

    [Fact]
    public void A_whole_clip_folder_gives_its_tower()
    {
        TinyFolders.WriteParts(_folder["llama"], _folder["clip"], Config);
        Add(_folder["clip/model.safetensors"], [
            ("text_model.embeddings.token_embedding.weight", TensorType.F32), ("text_model.embeddings.position_ids", TensorType.I64),
            ("vision_model.embeddings.position_ids", TensorType.I64), ("logit_scale", TensorType.F32),
            ("text_projection.weight", TensorType.F32), ("visual_projection.weight", TensorType.F32), ("text_model.final_layer_norm.bias", TensorType.F16),
        ]);
        ModelSource.Open(new() { LanguageFolder = _folder["llama"], ClipFolder = _folder["clip"] }).Dispose();
        Add(_folder["clip/model.safetensors"], [("vision_model.head.attention.in_proj_weight", TensorType.F32)]);
        Assert.Contains(
            "'vision_model.head.attention.in_proj_weight' has no place in the model",
            Assert.Throws<UserErrorException>(
                () => ModelSource.Open(new() { LanguageFolder = _folder["llama"], ClipFolder = _folder["clip"] })).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("mm_resampler_type", "\"perceiver\"", "\"perceiver\" is not supported; only null and 'identity' are")]
    [InlineData("mm_resampler_type", "\"identity\"", null)]
    [InlineData("mm_resampler_type", "null", null)]
    [InlineData("s2", "true", "true is not supported; the tower sees a picture at one size; only false is")]
    [InlineData("s2", "false", null)]
    public void A_config_that_asks_for_another_architecture_is_refused(string field, string value, string? message)
    {
        LlavaLayoutWriter.Write(_folder["model"], TinyFolders.Export(Config));
        string path = _folder["model/config.json"];
        File.WriteAllText(path, File.ReadAllText(path).Insert(1, $"\"{field}\": {value},"));
        ModelParts parts = new() { LanguageFolder = _folder["model"] };
        if (message is null)
        {
            ModelSource.Open(parts).Dispose();
        }
        else
        {
            Assert.Equal($"'{path}': {field} = {message}", Assert.Throws<UserErrorException>(() => ModelSource.Open(parts)).Message);
        }
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
        Add(_folder["model/model.safetensors"], more);
        return ModelSource.Open(new ModelParts { LanguageFolder = _folder["model"] });
    }

    private static void Add(string path, IReadOnlyList<(string Name, TensorType Type)> more)
    {
        using (var file = SafetensorsFile.Open(path))
        {
            SafetensorsWriter.Write(path + ".new", [
                .. file.Entries.Select(e => TensorSource.FromBytes(e.Name, e.Type, e.Shape, file.Bytes(e.Name).ToArray())),
                .. more.Select(m => Source(m.Name, m.Type, [2])),
            ]);
        }

        File.Move(path + ".new", path, overwrite: true);
    }

    private static TensorSource Source(string name, TensorType type, long[] shape)
    {
        byte[] bytes = new byte[shape.Aggregate(1L, (a, b) => a * b) * type.ByteSize()];
        return new TensorSource(name, type, shape, stream => stream.Write(bytes));
    }
}
