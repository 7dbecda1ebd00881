using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Tests.Checkpoints;

namespace LlavaSharp.Tests.Lora;

public sealed class AdapterTests : IDisposable
{
    private static readonly LlavaConfig Config = TinyFolders.Config();
    private static readonly AdapterOptions Options = new() { Rank = 2, Alpha = 3, Dropout = 0.25 };
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Every_linear_of_the_decoder_and_no_other_is_a_target()
    {
        string[] expected = [.. Enumerable.Range(0, 2).SelectMany(i => new[] { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj" }.Select(p => $"layer.{i}.{p}"))];
        Assert.Equal(expected, LoraTargets.Find(Config));
        Assert.Equal(["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"], LoraTargets.Suffixes(expected));
        Dictionary<string, long[]> shapes = LoraTargets.Parameters(Config, Options with { Dora = true }).ToDictionary();
        Assert.Equal([2, 8], shapes["layer.1.self_attn.k_proj.lora_A.weight"]);
        Assert.Equal([4, 2], shapes["layer.1.self_attn.k_proj.lora_B.weight"]);
        Assert.Equal([4], shapes["layer.1.self_attn.k_proj.lora_magnitude_vector"]);
        Assert.Equal(3 * expected.Length, shapes.Count);
        Assert.Throws<ArgumentException>(() => LoraTargets.Parameters(Config, Options, ["layer.9.mlp.up_proj"]).Count());
        Assert.Throws<ArgumentException>(() => LoraTargets.Parameters(Config, Options, ["head.norm"]).Count());
    }

    [Fact]
    public void The_recipes_adapter_of_7B_has_as_many_parameters_as_it_says()
    {
        LlavaConfig vicuna = Config with { Text = new TextConfig() };
        LlavaConfig mistral = Config with { Text = new TextConfig { IntermediateSize = 14336, KeyValueHeadCount = 8 } };
        Assert.Equal(319.8, Math.Round(Count(vicuna) / 1e6, 1));
        Assert.Equal(335.5, Math.Round(Count(mistral) / 1e6, 1));

        static double Count(LlavaConfig config) => LoraTargets.Parameters(config, new AdapterOptions { Rank = 128, Alpha = 256 })
            .Sum(p => (double)p.Value.Aggregate(1L, (a, b) => a * b));
    }

    [Fact]
    public void Scale_is_alpha_over_the_rank_or_over_its_root()
    {
        Assert.Equal(2, new AdapterOptions { Rank = 128, Alpha = 256 }.Scale);
        Assert.Equal(0.25, new AdapterOptions().Scale);
        Assert.Equal(8, new AdapterOptions { Rank = 4, Alpha = 16, RankStabilized = true }.Scale);
        new AdapterOptions().Check();
        Assert.Equal("--lora_r 0: a rank is at least 1", Mistake(new AdapterOptions { Rank = 0 }.Check));
        Assert.Equal("--lora_alpha 0: it must be above 0", Mistake(new AdapterOptions { Alpha = 0 }.Check));
        Assert.Equal("--lora_dropout 1: it must be at least 0 and below 1", Mistake(new AdapterOptions { Dropout = 1 }.Check));
    }

    [Fact]
    public void A_folder_holds_what_peft_and_llava_look_for()
    {
        AdapterWriter.Write(_folder["a"], new TinyAdapter(Config, Options).Export());
        Assert.Equal(["adapter_config.json", "adapter_model.safetensors", "config.json", "non_lora_trainables.bin"],
            Directory.GetFiles(_folder["a"]).Select(Path.GetFileName).Order());
        using var file = SafetensorsFile.Open(_folder["a/adapter_model.safetensors"]);
        Assert.Equal(28, file.Names.Count);
        Assert.Equal([2, 8], file["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"].Shape);
        Assert.Equal([12, 2], file["base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"].Shape);
        Assert.Equal(["base_model.model.model.mm_projector.0.weight", "base_model.model.model.mm_projector.0.bias", "base_model.model.model.mm_projector.2.weight", "base_model.model.model.mm_projector.2.bias"],
            TorchArchive.Read(_folder["a/non_lora_trainables.bin"]).Keys);
        JsonNode json = JsonNode.Parse(File.ReadAllText(_folder["a/adapter_config.json"]))!;
        Assert.Equal("""["down_proj","gate_proj","k_proj","o_proj","q_proj","up_proj","v_proj"]""", json["target_modules"]!.ToJsonString());
        Assert.Equal(("LORA", "CAUSAL_LM", 2, 3, 0.25, "none", false, false, "tiny-base"),
            ((string)json["peft_type"]!, (string)json["task_type"]!, (int)json["r"]!, (int)json["lora_alpha"]!, (double)json["lora_dropout"]!,
            (string)json["bias"]!, (bool)json["use_dora"]!, (bool)json["use_rslora"]!, (string)json["base_model_name_or_path"]!));
        Assert.Equal("llava_llama", (string)JsonNode.Parse(File.ReadAllText(_folder["a/config.json"]))!["model_type"]!);
    }

    [Theory]
    [InlineData(false, false, LoraBias.None)]
    [InlineData(true, false, LoraBias.All)]
    [InlineData(true, true, LoraBias.LoraOnly)]
    public void What_is_written_reads_back(bool stabilised, bool dora, LoraBias bias)
    {
        AdapterOptions options = Options with { RankStabilized = stabilised, Dora = dora, Bias = bias };
        var written = new TinyAdapter(Config, options);
        AdapterWriter.Write(_folder["a"], written.Export());
        using var adapter = AdapterReader.Open(_folder["a"]);
        Assert.Equal(options, adapter.Config.Options);
        Assert.Equal("tiny-base", adapter.Config.BaseModel);
        Assert.Equal(LoraTargets.Find(Config).Order(StringComparer.Ordinal), adapter.Modules);
        Assert.Equal(TinyAdapter.Trainables(Config).Order(StringComparer.Ordinal), adapter.Replaced);
        foreach (string name in LoraTargets.Parameters(Config, options).Select(p => p.Key).Concat(TinyAdapter.Trainables(Config)))
        {
            Assert.True(adapter.TryGet(name, out TensorType type, out _, out LongBytes bytes));
            Assert.Equal(TensorType.F32, type);
            Assert.Equal(written.Values(name), MemoryMarshal.Cast<byte, float>(bytes.ToArray()).ToArray());
        }
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Merged_weights_are_those_of_a_plain_sum_in_double(bool stabilised, bool dora)
    {
        AdapterOptions options = Options with { RankStabilized = stabilised, Dora = dora };
        var values = new TinyAdapter(Config, options);
        AdapterWriter.Write(_folder["a"], values.Export());
        using var adapter = AdapterReader.Open(_folder["a"]);
        var plain = new TinyModel(Config);
        var merged = new MergedSource(plain, Config, adapter);
        HashSet<string> targets = [.. LoraTargets.Find(Config).Select(m => m + ".weight")];
        foreach ((string name, long[] shape) in ParameterTable.Shapes(Config))
        {
            Assert.True(merged.TryGet(name, out _, out long[] found, out LongBytes bytes));
            Assert.Equal(shape, found);
            float[] actual = MemoryMarshal.Cast<byte, float>(bytes.ToArray()).ToArray();
            plain.TryGet(name, out _, out _, out bytes);
            float[] weight = MemoryMarshal.Cast<byte, float>(bytes.ToArray()).ToArray();
            if (name.StartsWith("projector.", StringComparison.Ordinal))
            {
                Assert.Equal(values.Values(name), actual);
                Assert.NotEqual(weight, actual);
            }
            else if (targets.Contains(name))
            {
                double[] expected = Merge(weight, values.Values(name.Replace(".weight", LoraTargets.DownSuffix)),
                    values.Values(name.Replace(".weight", LoraTargets.UpSuffix)),
                    dora ? values.Values(name.Replace(".weight", LoraTargets.MagnitudeSuffix)) : null,
                    options);
                Assert.All(actual.Zip(expected), p => Assert.Equal(p.Second, p.First, 2e-7 * Math.Max(1, Math.Abs(p.Second))));
                Assert.NotEqual(weight, actual);
            }
            else
            {
                Assert.Equal(weight, actual);
            }
        }
    }

    [Theory]
    [InlineData("base_model.model.", "")]
    [InlineData("", "")]
    [InlineData("base_model.model.", ".default")]
    public void Older_files_and_other_prefixes_are_read(string prefix, string infix)
    {
        AdapterWriter.Write(_folder["a"], new TinyAdapter(Config, Options).Export());
        IReadOnlyList<TensorSource> tensors;
        using (var file = SafetensorsFile.Open(_folder["a/adapter_model.safetensors"]))
        {
            tensors = [.. file.Names.Select(n => TensorSource.FromBytes(
                prefix + n["base_model.model.".Length..].Replace("_A.weight", "_A" + infix + ".weight").Replace("_B.weight", "_B" + infix + ".weight"),
                file[n].Type, file[n].Shape, file.Bytes(n).ToArray()))];
        }

        File.Delete(_folder["a/adapter_model.safetensors"]);
        TorchArchive.Write(_folder["a/adapter_model.bin"], tensors);
        using var adapter = AdapterReader.Open(_folder["a"]);
        Assert.Equal(14, adapter.Modules.Count);
        adapter.TryGet("layer.1.mlp.down_proj.lora_B.weight", out _, out long[] shape, out _);
        Assert.Equal([8, 2], shape);
    }

    [Fact]
    public void A_base_and_an_adapter_compute_what_the_merged_folders_compute()
    {
        TinyFolders.WriteParts(_folder["lm"], _folder["vision_tower"], Config);
        AdapterWriter.Write(_folder["a"], new TinyAdapter(Config, Options).Export());
        using var engine = new Engine();
        using var model = AdaptedModel.Open(_folder["lm"], _folder["a"]);
        Assert.Equal("pad", model.Config.ImageAspectRatio);
        using LoadedModel loaded = ModelLoader.Load(engine, model.Config, model.Parameters);
        float[] expected = TinyFolders.Logits(loaded.Model);
        var export = new ModelExport
        {
            Config = model.Config,
            Parameters = model.Parameters,
            Tokenizer = model.Base.LoadTokenizer(),
            Processor = model.Base.LoadProcessor(),
        };
        HuggingFaceLlavaWriter.Write(_folder["hf"], export);
        LlavaLayoutWriter.Write(_folder["llava"], export);
        Assert.Equal(expected, TinyFolders.Logits(engine, new ModelParts { LanguageFolder = _folder["hf"] }));
        Assert.Equal(expected, TinyFolders.Logits(engine, new ModelParts { LanguageFolder = _folder["llava"] }));
        using var over = AdaptedModel.Open(_folder["llava"], _folder["a"]);
        using LoadedModel twice = ModelLoader.Load(engine, over.Config, over.Parameters);
        Assert.NotEqual(expected, TinyFolders.Logits(twice.Model));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_engines_adapters_and_its_merge_compute_what_the_merged_folder_does(bool stabilised)
    {
        AdapterOptions options = Options with { RankStabilized = stabilised };
        var values = new TinyAdapter(Config, options);
        AdapterWriter.Write(_folder["a"], values.Export());
        using var adapter = AdapterReader.Open(_folder["a"]);
        using var engine = new Engine();
        using LoadedModel beside = ModelLoader.Load(engine, Config, new TinyModel(Config));
        foreach (string module in adapter.Modules)
        {
            beside.Model.AttachLora(adapter.Config.Options.ToEngine(seed: 1), module + ".weight");
        }

        foreach ((string name, long[] shape) in LoraTargets.Parameters(Config, options).Concat(ParameterTable.Projector(Config)))
        {
            beside.Model.Write(name, ElementType.Float32, shape, MemoryMarshal.AsBytes<float>(values.Values(name)));
        }

        var merged = new MergedSource(new TinyModel(Config), Config, adapter);
        using LoadedModel ours = ModelLoader.Load(engine, Config, merged);
        float[] expected = TinyFolders.Logits(ours.Model);
        Close(expected, TinyFolders.Logits(beside.Model));
        beside.Model.MergeLora();
        Close(expected, TinyFolders.Logits(beside.Model));
        foreach (string module in adapter.Modules)
        {
            Assert.All(beside.Model.Read(module + ".weight").Zip(ours.Model.Read(module + ".weight")), p => Assert.Equal(p.Second, p.First, 2e-7));
        }

        static void Close(float[] expected, float[] actual)
        {
            double difference = Math.Sqrt(expected.Zip(actual).Sum(p => Math.Pow(p.First - p.Second, 2)));
            Assert.InRange(difference / Math.Sqrt(expected.Sum(v => (double)v * v)), 0, 1e-5);
        }
    }

    [Fact]
    public void What_the_engine_attaches_is_what_was_asked_for() => Assert.Equal(
        new Interop.LoraOptions { Rank = 3, Alpha = 5, Dropout = 0.1, Seed = 7, RankStabilized = true, Decomposed = true },
        new AdapterOptions { Rank = 3, Alpha = 5, Dropout = 0.1, RankStabilized = true, Dora = true }.ToEngine(7));

    [Fact]
    public void What_cannot_be_merged_is_named()
    {
        AdapterWriter.Write(_folder["a"], new TinyAdapter(Config, Options).Export());
        string path = _folder["a/adapter_config.json"], original = File.ReadAllText(path);
        Refused("peft_type", "LOHA", $"'{path}': peft_type = \"LOHA\" is not supported; only 'LORA' is");
        Refused("bias", "some", $"'{path}': bias = \"some\" should be none, all or lora_only");
        Refused("use_dora", true, $"'{_folder["a/adapter_model.safetensors"]}': tensor 'base_model.model.model.layers.0.mlp.down_proj.lora_A.weight' has no layer.0.mlp.down_proj.lora_magnitude_vector beside it");
        Refused("r", 0, $"'{path}': r = 0 should be a whole number of at least 1");
        Refused("r", 3, $"'{_folder["a/adapter_model.safetensors"]}': tensor 'base_model.model.model.layers.0.mlp.down_proj.lora_A.weight' has shape [2, 12], but its config asks for [3, 12] (layer.0.mlp.down_proj.lora_A.weight)");
        LlavaConfig smaller = Config with { Text = Config.Text with { LayerCount = 1 } };
        using (var adapter = AdapterReader.Open(_folder["a"]))
        {
            Assert.Equal($"'{_folder["a/adapter_model.safetensors"]}': tensor 'base_model.model.model.layers.1.mlp.down_proj.lora_A.weight' has no place in the model (layer.1.mlp.down_proj.weight); the adapter belongs to another base, 'tiny-base'",
                Mistake(() => GC.KeepAlive(new MergedSource(new TinyModel(smaller), smaller, adapter))));
        }

        SafetensorsWriter.Write(_folder["a/adapter_model.safetensors"], [TensorSource.FromFloats("other.lora_A.weight", [1, 1], new float[1])]);
        Assert.Equal($"'{_folder["a/adapter_model.safetensors"]}': tensor 'other.lora_A.weight' is of no parameter that a LLaVA model has", Mistake(() => AdapterReader.Open(_folder["a"])));
        SafetensorsWriter.Write(_folder["a/adapter_model.safetensors"], []);
        Assert.Equal($"'{_folder["a"]}' holds no adapter: no key contains lora_A", Mistake(() => AdapterReader.Open(_folder["a"])));
        File.Delete(_folder["a/adapter_model.safetensors"]);
        Assert.Equal($"'{_folder["a"]}' holds neither adapter_model.safetensors nor adapter_model.bin", Mistake(() => AdapterReader.Open(_folder["a"])));
        File.Delete(path);
        Assert.Equal($"'{path}' does not exist", Mistake(() => AdapterReader.Open(_folder["a"])));

        void Refused(string field, JsonNode value, string message)
        {
            JsonObject json = JsonNode.Parse(original)!.AsObject();
            json[field] = value;
            File.WriteAllText(path, json.ToJsonString());
            Assert.Equal(message, Mistake(() =>
            {
                using var adapter = AdapterReader.Open(_folder["a"]);
                GC.KeepAlive(new MergedSource(new TinyModel(Config), Config, adapter));
            }));
            File.WriteAllText(path, original);
        }
    }

    /// <summary>W + s·B·A, and with DoRA each row scaled to its length, in double and in the plainest order.</summary>
    private static double[] Merge(float[] weight, float[] down, float[] up, float[]? lengths, AdapterOptions options)
    {
        int rank = options.Rank, rows = up.Length / rank, columns = down.Length / rank;
        double[] merged = new double[weight.Length];
        for (int row = 0; row < rows; row++)
        {
            double squares = 0;
            for (int column = 0; column < columns; column++)
            {
                double sum = 0;
                for (int k = 0; k < rank; k++)
                {
                    sum += (double)up[(row * rank) + k] * down[(k * columns) + column];
                }

                double value = weight[(row * columns) + column] + (options.Scale * sum);
                merged[(row * columns) + column] = value;
                squares += value * value;
            }

            for (int column = 0; column < columns && lengths is not null; column++)
            {
                merged[(row * columns) + column] *= lengths[row] / Math.Sqrt(squares);
            }
        }

        return merged;
    }

    private static string Mistake(Action action) => Assert.Throws<UserErrorException>(action).Message;
}
