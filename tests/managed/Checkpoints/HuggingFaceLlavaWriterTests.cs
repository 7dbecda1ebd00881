using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Checkpoints;

public sealed class HuggingFaceLlavaWriterTests : IDisposable
{
    private static readonly LlavaTokenizer Tokenizer = LlavaTokenizer.FromBytes(TinyTokenizer.Bytes(), legacy: true);
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Adds_rows_for_the_two_tokens_and_leaves_the_others_alone()
    {
        LlavaConfig config = TinyModel.Config(vocabulary: Tokenizer.PieceCount);
        LlavaConfig written = Write(config);
        int rows = (Tokenizer.PieceCount + 2 + 63) / 64 * 64;
        Assert.Equal(
            (Tokenizer.PieceCount, Tokenizer.PieceCount + 1, rows),
            (written.ImageTokenIndex, written.PadTokenId, written.Text.VocabularySize));
        using var source = new CheckpointSource(CheckpointReader.Open(_folder["out"]));
        foreach ((string name, long[] shape) in TinyModel.Shapes(config))
        {
            Assert.True(source.TryGet(name, out TensorType type, out long[] stored, out LongBytes bytes));
            float[] values = new float[bytes.Length / 4], expected = TinyModel.Values(name, shape.Aggregate(1L, (a, b) => a * b));
            TensorConvert.ToFloats(type, bytes, 0, values);
            Assert.Equal(expected, values[..expected.Length]);
            if (name is "embed.weight" or "head.weight")
            {
                Assert.Equal([rows, 8], stored);
                for (int i = expected.Length; i < values.Length; i++)
                {
                    Assert.Equal(expected.Where((_, at) => at % 8 == i % 8).Average(v => (double)v), values[i], 1e-6);
                }
            }
            else
            {
                Assert.Equal(shape, stored);
            }
        }
    }

    [Fact]
    public void What_is_written_reads_back_as_the_same_model()
    {
        LlavaConfig written = Write(TinyModel.Config(vocabulary: Tokenizer.PieceCount) with { FeatureLayer = -1, KeepClassToken = true });
        LlavaConfig read = LlavaConfig.Load(_folder["out"]);
        Assert.Equal(written with { Text = written.Text with { EosIds = read.Text.EosIds } }, read);
        Assert.Equal("pad", read.ImageAspectRatio);
        LlavaTokenizer tokenizer = LlavaTokenizer.Load(_folder["out"]);
        Assert.Equal(Tokenizer.ModelBytes, tokenizer.ModelBytes);
        Assert.Equal(read.ImageTokenIndex, tokenizer.AddedTokens["<image>"]);
        Assert.Equal(read.PadTokenId, tokenizer.AddedTokens["<pad>"]);
        Assert.True(tokenizer.Legacy);
        Assert.Equal(28, ImageProcessorConfig.Load(_folder["out"]).Size);

        // Written again from what was read, nothing is added.
        string again = _folder["again"];
        LlavaConfig same = HuggingFaceLlavaWriter.Write(again, Export(read, new TinyModel(read)) with { Tokenizer = tokenizer });
        Assert.Equal(read, same);
        Assert.Equal(File.ReadAllText(_folder["out/tokenizer.json"]), File.ReadAllText(Path.Combine(again, "tokenizer.json")));
        Assert.Equal(File.ReadAllText(_folder["out/config.json"]), File.ReadAllText(Path.Combine(again, "config.json")));
    }

    [Fact]
    public void Stores_the_precision_asked_for_in_shards_asked_for()
    {
        LlavaConfig config = TinyModel.Config(vocabulary: Tokenizer.PieceCount);
        ModelExport export = Export(config, new TinyModel(config)) with { Type = TensorType.BF16, ShardBytesMax = 4096 };
        HuggingFaceLlavaWriter.Write(_folder["out"], export);
        Assert.True(Directory.GetFiles(_folder["out"], "model-*-of-*.safetensors").Length > 2);
        Assert.Equal("bfloat16", (string)JsonNode.Parse(File.ReadAllText(_folder["out/config.json"]))!["torch_dtype"]!);
        using var reader = CheckpointReader.Open(_folder["out"]);
        Assert.All(reader.Names, name =>
        {
            reader.TryGet(name, out TensorType type, out _, out _);
            Assert.Equal(TensorType.BF16, type);
        });

        // A later export in one file must not leave the shards beside it.
        _folder.Write("out/log.jsonl", "kept");
        Write(config);
        Assert.Equal([_folder["out/model.safetensors"]], Directory.GetFiles(_folder["out"], "model*"));
        Assert.Equal("kept", File.ReadAllText(_folder["out/log.jsonl"]));
        Assert.Equal([_folder["out"]], Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void Rows_that_a_base_has_to_spare_are_used_and_not_changed()
    {
        LlavaConfig config = TinyModel.Config(vocabulary: Tokenizer.PieceCount + 5);
        LlavaConfig written = Write(config);
        Assert.Equal((Tokenizer.PieceCount, Tokenizer.PieceCount + 1, Tokenizer.PieceCount + 5),
            (written.ImageTokenIndex, written.PadTokenId, written.Text.VocabularySize));
    }

    [Fact]
    public void Tokens_of_a_base_keep_their_ids_and_gaps_are_named()
    {
        int pieces = Tokenizer.PieceCount;
        Directory.CreateDirectory(_folder["tok"]);
        File.WriteAllBytes(_folder["tok/tokenizer.model"], Tokenizer.ModelBytes);
        _folder.Write("tok/added_tokens.json", $$"""{"<im_patch>":{{pieces}},"<s>":1}""");
        LlavaTokenizer tokenizer = LlavaTokenizer.Load(_folder["tok"]);
        LlavaConfig config = TinyModel.Config(vocabulary: pieces + 1);
        ExportVocabulary plan = ExportVocabulary.Plan(config, tokenizer);
        Assert.Equal([(pieces, "<im_patch>"), (pieces + 1, "<image>"), (pieces + 2, "<pad>")], Behind(plan));
        config = config with { ImageTokenIndex = pieces + 3, Text = config.Text with { VocabularySize = pieces + 9 } };
        plan = ExportVocabulary.Plan(config, tokenizer);
        Assert.Equal([(pieces, "<im_patch>"), (pieces + 1, $"<unused_{pieces + 1}>"), (pieces + 2, $"<unused_{pieces + 2}>"), (pieces + 3, "<image>"), (pieces + 4, "<pad>")],
            Behind(plan));
        Assert.Equal(pieces + 9, plan.Rows);
    }

    [Theory]
    [InlineData("linear")]
    [InlineData("identity")]
    [InlineData("mlp1x_gelu")]
    [InlineData("mlp3x_gelu")]
    public void Another_projector_is_refused_before_anything_is_written(string projector)
    {
        LlavaConfig config = TinyModel.Config(projector, Tokenizer.PieceCount);
        Assert.False(HuggingFaceLlavaWriter.CanExport(config, out string? reason));
        Assert.Equal($"Hugging Face's LLaVA layout holds only the projector mlp2x_gelu, and this model's is {projector}; train with --mm_projector_type mlp2x_gelu", reason);
        Assert.Equal(reason, Assert.Throws<UserErrorException>(() => Write(config)).Message);
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void A_text_only_model_is_refused()
    {
        Assert.False(HuggingFaceLlavaWriter.CanExport(TinyModel.Config() with { Vision = null }, out string? reason));
        Assert.Equal("Hugging Face's LLaVA layout needs a vision tower, and this model has none; name a CLIP folder with --vision_tower", reason);
    }

    [Fact]
    public void A_tokenizer_of_another_model_is_refused()
    {
        int pieces = Tokenizer.PieceCount;
        Assert.Equal($"the tokenizer has {pieces} pieces, but the language model only {pieces - 1} rows (vocab_size); tokenizer.model belongs to another model",
            Assert.Throws<UserErrorException>(() => Write(TinyModel.Config(vocabulary: pieces - 1))).Message);
        Assert.Equal($"the config's image_token_index 5 is a piece of the tokenizer, which has {pieces}; tokenizer.model belongs to another model",
            Assert.Throws<UserErrorException>(() => Write(TinyModel.Config(vocabulary: pieces) with { ImageTokenIndex = 5 })).Message);
    }

    [Fact]
    public void Nothing_is_left_when_a_parameter_is_missing_or_misshapen()
    {
        LlavaConfig config = TinyModel.Config(vocabulary: Tokenizer.PieceCount);
        LlavaConfig wider = config with { Text = config.Text with { IntermediateSize = 16 } };
        UserErrorException e = Assert.Throws<UserErrorException>(
            () => HuggingFaceLlavaWriter.Write(_folder["out"], Export(wider, new TinyModel(config))));
        Assert.Contains(" has shape [8, 12], but its config asks for [8, 16] (layer.0.mlp.down_proj.weight)", e.Message);
        LlavaConfig deeper = config with { Text = config.Text with { LayerCount = 3 } };
        e = Assert.Throws<UserErrorException>(() => HuggingFaceLlavaWriter.Write(_folder["out"], Export(deeper, new TinyModel(config))));
        Assert.Contains(" lacks the parameter layer.2.", e.Message);
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_named()
    {
        LlavaConfig config = TinyModel.Config(vocabulary: Tokenizer.PieceCount);
        _folder.Write("file", "");
        foreach (string target in (string[])[_folder["file/out"], "/proc/out"])
        {
            Assert.StartsWith($"cannot write '{target}': ", Assert.Throws<UserErrorException>(
                () => HuggingFaceLlavaWriter.Write(target, Export(config, new TinyModel(config)))).Message);
        }
    }

    [Fact]
    public void Two_exports_are_the_same_bytes()
    {
        LlavaConfig config = TinyModel.Config(vocabulary: Tokenizer.PieceCount);
        HuggingFaceLlavaWriter.Write(_folder["a"], Export(config, new TinyModel(config)));
        HuggingFaceLlavaWriter.Write(_folder["b"], Export(config, new TinyModel(config)));
        string[] names = [.. Directory.GetFiles(_folder["a"]).Select(file => Path.GetFileName(file)).Order()];
        Assert.Equal(names, Directory.GetFiles(_folder["b"]).Select(file => Path.GetFileName(file)).Order());
        Assert.All(names, name => Assert.Equal(File.ReadAllBytes(_folder["a/" + name]), File.ReadAllBytes(_folder["b/" + name])));
    }

    [Fact]
    public void A_language_model_and_a_tower_are_written_alone_and_combined_again()
    {
        LlavaConfig config = TinyModel.Config(vocabulary: Tokenizer.PieceCount);
        HuggingFacePartsWriter.WriteLanguageModel(_folder["lm"], config.Text, new TinyModel(config), Tokenizer, TensorType.F16);
        HuggingFacePartsWriter.WriteVisionTower(_folder["clip"], config.Vision!, new TinyModel(config), ImageProcessorConfig.Clip(28));
        LlavaConfig read = LlavaConfig.Combine(_folder["lm"], _folder["clip"], imageAspectRatio: "pad");
        Assert.Equal(config with { Text = config.Text with { EosIds = read.Text.EosIds } }, read);
        using var lm = new CheckpointSource(CheckpointReader.Open(_folder["lm"]));
        using var clip = new CheckpointSource(CheckpointReader.Open(_folder["clip"]));
        Assert.Equal(ParameterTable.Decoder(config.Text).Select(p => p.Key).Order(), lm.Names.Order());
        Assert.Equal(ParameterTable.Vision(config.Vision!).Select(p => p.Key).Order(), clip.Names.Order());
        Assert.Equal(Tokenizer.PieceCount, LlavaTokenizer.Load(_folder["lm"]).PieceCount);
    }

    private static IEnumerable<(int Id, string Text)> Behind(ExportVocabulary plan) =>
        plan.Tokens.Where(t => t.Id >= Tokenizer.PieceCount).Select(t => (t.Id, t.Text));

    private LlavaConfig Write(LlavaConfig config) => HuggingFaceLlavaWriter.Write(_folder["out"], Export(config, new TinyModel(config)));

    private static ModelExport Export(LlavaConfig config, IParameterSource parameters) => new()
    {
        Config = config,
        Parameters = parameters,
        Tokenizer = Tokenizer,
        Processor = ImageProcessorConfig.Clip(28),
    };
}
