using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Tests.Lora;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>Weights that are not finite, and values that a narrower type cannot hold: named, in every verb that reads weights.</summary>
public sealed class FiniteValuesTests : IDisposable
{
    private const string Name = "layer.1.mlp.down_proj.weight", Stored = "language_model.model.layers.1.mlp.down_proj.weight";

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(TensorType.F32)]
    [InlineData(TensorType.F16)]
    [InlineData(TensorType.BF16)]
    [InlineData(TensorType.F64)]
    public void The_first_value_that_is_not_finite_is_found_at_any_place(TensorType type)
    {
        for (var length = 1; length < 70; length++)
        {
            float[] values = [.. Enumerable.Range(0, length).Select(i => i % 3 == 0 ? -60000f : i)];
            Assert.Equal(-1, Find(values));
            foreach (var bad in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity, -float.NaN])
            {
                var at = length * 7 % length;
                values[length - 1] = bad;
                Assert.Equal(length - 1, Find(values));
                values[at] = bad;
                Assert.Equal(at, Find(values));
                (values[at], values[length - 1]) = (1, 1);
            }
        }

        Assert.Equal(-1, Find([]));

        long Find(float[] values)
        {
            byte[] bytes = new byte[values.Length * type.ByteSize()];
            TensorConvert.FromFloats(values, type, bytes);
            return FiniteValues.FindOther(type, LongBytes.Of(bytes));
        }
    }

    [Theory]
    [InlineData(3.5e38)]
    [InlineData(-1e300)]
    [InlineData(double.NaN)]
    public void A_double_beyond_float32_is_none_of_its_values(double value)
    {
        byte[] bytes = [.. BitConverter.GetBytes(1.0), .. BitConverter.GetBytes(value)];
        Assert.Equal(1, FiniteValues.FindOther(TensorType.F64, LongBytes.Of(bytes)));
        Assert.Equal(-1, FiniteValues.FindOther(TensorType.F64, LongBytes.Of(BitConverter.GetBytes((double)float.MaxValue))));
    }

    [Theory]
    [InlineData(TensorType.F16, 65519f, 65520f)]
    [InlineData(TensorType.BF16, 3.3961773e38f, 3.3961777e38f)]
    public void Narrowing_ends_where_the_type_rounds_to_infinity(TensorType type, float fits, float tooLarge)
    {
        foreach (var sign in (float[])[1, -1])
        {
            FiniteValues.RequireFit([0, sign * fits], 0, [2], type, "x");
            Assert.Throws<UserErrorException>(() => FiniteValues.RequireFit([0, sign * tooLarge], 0, [2], type, "x"));
            Assert.True(float.IsFinite(Narrowed(sign * fits)) && float.IsInfinity(Narrowed(sign * tooLarge)));
        }

        float Narrowed(float value)
        {
            byte[] bytes = new byte[2];
            TensorConvert.FromFloats([value], type, bytes);
            float[] back = new float[1];
            TensorConvert.ToFloats(type, bytes, back);
            return back[0];
        }
    }

    [Theory]
    [InlineData(float.NaN, "NaN")]
    [InlineData(float.NegativeInfinity, "-Infinity")]
    public void Every_verb_names_a_weight_that_is_not_finite(float value, string text)
    {
        WriteModel(value);
        string message = $"'{Path.Combine(Model, "model.safetensors")}': tensor '{Stored}' ({Name}) holds a value that is not finite: {text} at "
            + "[1, 2]; training that diverged leaves such weights: take an earlier checkpoint, or train again with a lower --learning_rate";
        Assert.Equal(message, Host.Mistake("generate", "--model", Model, "--prompt", "hi"));
        Assert.Equal(message, Host.Mistake("generate", "--model", Model, "--prompt", "hi", "--bits", "4"));
        foreach (var layout in (string[])["hf", "llava", "gguf"])
        {
            Assert.Equal(message, Host.Mistake("convert", "--from", Model, "--to", _folder["out"], "--layout", layout));
            Assert.Empty(Directory.Exists(_folder["out"]) ? Directory.GetFiles(_folder["out"]) : []);
        }

        WriteAdapter();
        Assert.Equal(message, Host.Mistake("merge-lora", "--model", Model, "--adapter", _folder["adapter"], "--output", _folder["out"]));
        _folder.Write("data.json", """[{"id":"1","conversations":[{"from":"human","value":"hi"},{"from":"gpt","value":"a red car"}]}]""");
        string[] train =
        [
            "train", "--model_name_or_path", Model, "--data_path", _folder["data.json"], "--version", "v1", "--max_steps", "1",
            "--model_max_length", "2048", "--output_dir", _folder["run"],
        ];
        Assert.Equal(message, Host.Mistake([.. train, "--dry_run", "True"]));
        var (code, _, error) = Host.Run(train);
        Assert.Equal(2, code);
        Assert.Contains($"error: {message}\n", error);
    }

    [Fact]
    public void A_value_too_large_for_f16_is_named_with_the_remedy()
    {
        WriteModel(70000);
        Assert.Equal(
            $"'{Path.Combine(Model, "model.safetensors")}': tensor '{Stored}' ({Name}) holds 70000 at [1, 2]: too large for f16, which ends at "
            + "65504; use --dtype bf16",
            Host.Mistake("convert", "--from", Model, "--to", _folder["out"], "--layout", "hf", "--dtype", "f16"));
        Assert.False(Directory.Exists(_folder["out"]));
        Host.Succeed("convert", "--from", Model, "--to", _folder["out"], "--layout", "hf", "--dtype", "bf16");
    }

    [Fact]
    public void Weights_that_are_finite_and_overflow_are_told_by_the_largest()
    {
        var model = new TinyModel(TinyFolders.Config());
        model.Replaced["head.norm.weight"] = [.. Enumerable.Repeat(1e10f, 8)];
        model.Replaced["head.weight"] = [.. Enumerable.Repeat(1e38f, 8 * TinyFolders.Tokenizer.PieceCount)];
        HuggingFaceLlavaWriter.Write(Model, TinyFolders.Export(TinyFolders.Config()) with { Parameters = model });
        var message = Host.Mistake("generate", "--model", Model, "--prompt", "hi", "--max_new_tokens", "4");
        Assert.StartsWith("the model cannot answer: a logit of token 0 of sequence 0 is not finite. Its largest weight is 1E+38, in head.weight;", message);
    }

    [Theory]
    [InlineData("text_config", "rms_norm_eps", "0", "text_config.rms_norm_eps = 0 should be above 0")]
    [InlineData("text_config", "rms_norm_eps", "-1e-5", "text_config.rms_norm_eps = -1e-5 should be above 0")]
    [InlineData("text_config", "rms_norm_eps", "1e-60", "text_config.rms_norm_eps = 1e-60 should be within what float32 holds")]
    [InlineData("text_config", "rope_theta", "1e60", "text_config.rope_theta = 1e60 should be within what float32 holds")]
    [InlineData("vision_config", "layer_norm_eps", "0", "vision_config.layer_norm_eps = 0 should be above 0")]
    public void A_number_that_cannot_be_computed_with_is_named_in_every_verb(string part, string field, string value, string message)
    {
        WriteModel(1);
        var path = Path.Combine(Model, "config.json");
        var json = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(path))!;
        json[part]![field] = System.Text.Json.Nodes.JsonNode.Parse(value);
        File.WriteAllText(path, json.ToJsonString());
        message = $"'{path}': {message}";
        Assert.Equal(message, Host.Mistake("generate", "--model", Model, "--prompt", "hi"));
        Assert.Equal(message, Host.Mistake("convert", "--from", Model, "--to", _folder["out"], "--layout", "hf"));
        Assert.Equal(message, Host.Mistake(
            "train", "--model_name_or_path", Model, "--data_path", _folder["x"], "--output_dir", _folder["run"], "--dry_run", "True"));
    }

    private string Model => _folder["model"];

    private void WriteModel(float value)
    {
        var config = TinyFolders.Config();
        var model = new TinyModel(config);
        float[] values = TinyModel.Values(Name, config.Text.HiddenSize * config.Text.IntermediateSize);
        values[config.Text.IntermediateSize + 2] = value;
        model.Replaced[Name] = values;

        // As another program leaves it: our own writer refuses such weights.
        var export = TinyFolders.Export(config) with { Parameters = model };
        HuggingFaceLlavaWriter.Write(Model, export with { Parameters = new TinyModel(config) });
        var path = Path.Combine(Model, "model.safetensors");
        TensorSource[] tensors;
        using (var file = SafetensorsFile.Open(path))
        {
            tensors = [.. file.Names.Select(n => TensorSource.FromBytes(
                n, file[n].Type, file[n].Shape, n == Stored ? LongBytes.Of(values).ToArray() : file.Bytes(n).ToArray()))];
        }

        SafetensorsWriter.Write(path, tensors);
    }

    private void WriteAdapter()
    {
        var config = LlavaConfig.Load(Model);
        LlavaSharp.Lora.AdapterWriter.Write(
            _folder["adapter"], new TinyAdapter(config, new() { Rank = 2, Alpha = 4 }).Export());
    }
}
