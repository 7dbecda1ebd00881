using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Checkpoints;

public sealed class ModelLoaderTests : IDisposable
{
    private static readonly LlavaTokenizer Tokenizer = LlavaTokenizer.FromBytes(TinyTokenizer.Bytes(), legacy: true);
    private readonly TempFolder _folder = new();
    private readonly Engine _engine = new();

    public void Dispose()
    {
        _engine.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("mlp2x_gelu", true)]
    [InlineData("mlp3x_gelu", true)]
    [InlineData("mlp1x_gelu", true)]
    [InlineData("linear", true)]
    [InlineData("identity", true)]
    [InlineData("mlp2x_gelu", false)]
    public void The_table_here_is_the_engines(string projector, bool vision)
    {
        LlavaConfig config = TinyModel.Config(projector);
        config = vision ? config : config with { Vision = null };
        using var model = new Model(_engine, ModelLoader.ToModelConfig(config));
        Assert.Equal(
            ParameterTable.Shapes(config).Select(p => p.Key + TensorTypes.Format(p.Value)).Order(StringComparer.Ordinal),
            model.Parameters.Select(p => p.Name + TensorTypes.Format(p.Shape)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_llava_folder_arrives_whole_in_each_precision()
    {
        foreach (TensorType type in (TensorType[])[TensorType.F32, TensorType.F16, TensorType.BF16])
        {
            LlavaConfig config = Export("out", TinyModel.Config(vocabulary: Tokenizer.PieceCount), type);
            using LoadedModel loaded = ModelLoader.Load(_engine, _folder["out"]);
            Assert.False(loaded.FreshProjector);
            Assert.Equal(config.Text.VocabularySize, loaded.Config.Text.VocabularySize);
            using var stored = new CheckpointSource(CheckpointReader.Open(_folder["out"]));
            foreach (ParameterInfo parameter in loaded.Model.Parameters)
            {
                stored.TryGet(parameter.Name, out _, out _, out LongBytes bytes);
                float[] expected = new float[parameter.Count];
                TensorConvert.ToFloats(type, bytes, 0, expected);
                Assert.Equal(expected, loaded.Model.Read(parameter.Name));
            }
        }
    }

    [Fact]
    public void What_an_engine_holds_is_exported_bit_by_bit()
    {
        Export("a", TinyModel.Config(vocabulary: Tokenizer.PieceCount));
        using LoadedModel loaded = ModelLoader.Load(_engine, _folder["a"]);
        HuggingFaceLlavaWriter.Write(_folder["b"], new()
        {
            Config = loaded.Config,
            Parameters = new ModelParameterSource(loaded.Model),
            Tokenizer = Tokenizer,
            Processor = ImageProcessorConfig.Clip(28),
        });
        Assert.Equal(File.ReadAllBytes(_folder["a/model.safetensors"]), File.ReadAllBytes(_folder["b/model.safetensors"]));
        Assert.False(new ModelParameterSource(loaded.Model).TryGet("none", out _, out _, out _));
    }

    [Theory]
    [InlineData("mlp2x_gelu")]
    [InlineData("linear")]
    [InlineData("identity")]
    public void Two_folders_make_a_model_with_a_fresh_or_a_stored_projector(string projector)
    {
        LlavaConfig config = WriteParts(projector);
        ModelParts parts = Parts(projector);
        using LoadedModel fresh = ModelLoader.Load(_engine, parts);
        using LoadedModel same = ModelLoader.Load(_engine, parts);
        using LoadedModel other = ModelLoader.Load(_engine, parts with { Seed = 43 });
        Assert.Equal(projector != "identity", fresh.FreshProjector);
        Assert.Equal(TinyModel.Values("layer.1.mlp.up_proj.weight", 96), fresh.Model.Read("layer.1.mlp.up_proj.weight"));
        Assert.Equal(TinyModel.Values("vision.pre_layrnorm.bias", 8), fresh.Model.Read("vision.pre_layrnorm.bias"));
        foreach ((string name, _) in ParameterTable.Projector(config))
        {
            float[] values = fresh.Model.Read(name);
            Assert.All(values, v => Assert.InRange(v, -1 / MathF.Sqrt(8), 1 / MathF.Sqrt(8)));
            Assert.True(values.Distinct().Count() > values.Length / 2);
            Assert.Equal(values, same.Model.Read(name));
            Assert.NotEqual(values, other.Model.Read(name));
        }

        if (projector != "identity")
        {
            MmProjectorFile.Write(_folder["mm_projector.bin"], config, new TinyModel(config));
            using LoadedModel stored = ModelLoader.Load(_engine, parts with { ProjectorFile = _folder["mm_projector.bin"] });
            Assert.False(stored.FreshProjector);
            string weight = ParameterTable.Projector(config).First().Key;
            Assert.Equal(TinyModel.Values(weight, 64), stored.Model.Read(weight));
        }
    }

    [Fact]
    public void A_language_model_alone_is_text_only()
    {
        WriteParts("mlp2x_gelu");
        using LoadedModel loaded = ModelLoader.Load(_engine, new ModelParts { LanguageFolder = _folder["lm"] });
        Assert.Null(loaded.Config.Vision);
        Assert.DoesNotContain(loaded.Model.Parameters, p => p.Kind is UnitKinds.Vision or UnitKinds.Projector);
    }

    [Fact]
    public void A_llava_folder_takes_another_projector_and_other_settings()
    {
        LlavaConfig config = Export("out", TinyModel.Config(vocabulary: Tokenizer.PieceCount));
        var replaced = new TinyModel(config);
        replaced.Replaced["projector.2.bias"] = [1, 2, 3, 4, 5, 6, 7, 8];
        MmProjectorFile.Write(_folder["p.bin"], config, replaced);
        ModelParts parts = new()
        {
            LanguageFolder = _folder["out"],
            ProjectorFile = _folder["p.bin"],
            FeatureLayer = -1,
            ImageAspectRatio = "square",
            KeepClassToken = true,
        };
        using LoadedModel loaded = ModelLoader.Load(_engine, parts);
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], loaded.Model.Read("projector.2.bias"));
        Assert.Equal((-1, "square", true), (loaded.Config.FeatureLayer, loaded.Config.ImageAspectRatio, loaded.Config.KeepClassToken));
        Assert.Equal("mm_vision_select_layer = 9 is outside the tower, which has 2 layers; use -3 to 2",
            Assert.Throws<UserErrorException>(() => ModelLoader.ReadConfig(parts with { FeatureLayer = 9 })).Message);
    }

    [Fact]
    public void Mistakes_are_one_line_with_both_shapes()
    {
        LlavaConfig config = WriteParts("mlp2x_gelu");
        ModelParts parts = Parts("mlp2x_gelu");
        string lm = _folder["lm/config.json"], text = File.ReadAllText(lm);
        string file = _folder["lm/model.safetensors"];
        Refused(lm, text.Replace("\"intermediate_size\": 12", "\"intermediate_size\": 16"),
            $"'{file}': tensor 'model.layers.0.mlp.gate_proj.weight' has shape [12, 8], but its config asks for [16, 8] (layer.0.mlp.gate_proj.weight)");
        Refused(lm, text.Replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"),
            $"'{_folder["lm"]}' lacks the parameter layer.2.input_layernorm.weight of shape [8]");
        Refused(lm, text.Replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1"),
            $"'{file}': tensor 'model.layers.1.input_layernorm.weight' has no place in the model (layer.1.input_layernorm.weight): layer counts or the projector type differ from the checkpoint's");
        File.WriteAllText(lm, text);

        MmProjectorFile.Write(_folder["p.bin"], TinyModel.Config("mlp3x_gelu"), new TinyModel(TinyModel.Config("mlp3x_gelu")));
        parts = parts with { ProjectorFile = _folder["p.bin"] };
        Assert.Equal($"'{_folder["p.bin"]}': tensor 'model.mm_projector.4.bias' has no place in the model (projector.4.bias): layer counts or the projector type differ from the checkpoint's",
            Message(parts));
        MmProjectorFile.Write(_folder["p.bin"], TinyModel.Config("mlp1x_gelu"), new TinyModel(TinyModel.Config("mlp1x_gelu")));
        Assert.Equal($"'{_folder["p.bin"]}' lacks the parameter projector.2.weight of shape [8, 8]", Message(parts));
        TorchArchive.Write(_folder["p.bin"], [.. ParameterTable.Projector(config).Select(
            p => TensorSource.FromBytes(ParameterNames.FromCanonical(p.Key, ParameterNaming.Llava), TensorType.I64, p.Value,
                new byte[8 * p.Value.Aggregate(1L, (a, b) => a * b)]))]);
        Assert.Equal($"'{_folder["p.bin"]}': tensor 'model.mm_projector.0.weight' has dtype I64; F32, F16, BF16 or F64 is needed", Message(parts));

        void Refused(string path, string json, string message)
        {
            File.WriteAllText(path, json);
            Assert.Equal(message, Message(parts));
        }
    }

    private string Message(ModelParts parts) => Assert.Throws<UserErrorException>(() => ModelLoader.Load(_engine, parts)).Message;

    private ModelParts Parts(string projector) => new()
    {
        LanguageFolder = _folder["lm"],
        ClipFolder = _folder["clip"],
        Projector = ProjectorType.Parse(projector),
    };

    private LlavaConfig WriteParts(string projector)
    {
        LlavaConfig config = TinyModel.Config(projector, Tokenizer.PieceCount);
        HuggingFacePartsWriter.WriteLanguageModel(_folder["lm"], config.Text, new TinyModel(config), Tokenizer);
        HuggingFacePartsWriter.WriteVisionTower(_folder["clip"], config.Vision!, new TinyModel(config), ImageProcessorConfig.Clip(28));
        return config;
    }

    private LlavaConfig Export(string folder, LlavaConfig config, TensorType type = TensorType.F32) =>
        HuggingFaceLlavaWriter.Write(_folder[folder], new()
        {
            Config = config,
            Parameters = new TinyModel(config),
            Tokenizer = Tokenizer,
            Processor = ImageProcessorConfig.Clip(28),
            Type = type,
        });
}
