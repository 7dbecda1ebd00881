using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tests.Checkpoints;

public sealed class MmProjectorFileTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("mlp2x_gelu", "model.mm_projector.0.weight model.mm_projector.0.bias model.mm_projector.2.weight model.mm_projector.2.bias")]
    [InlineData("mlp1x_gelu", "model.mm_projector.0.weight model.mm_projector.0.bias")]
    [InlineData("linear", "model.mm_projector.weight model.mm_projector.bias")]
    [InlineData("identity", "")]
    public void Has_the_keys_of_the_original_code(string projector, string keys)
    {
        LlavaConfig config = TinyModel.Config(projector);
        MmProjectorFile.Write(_folder["mm_projector.bin"], config, new TinyModel(config), TensorType.BF16);
        using var archive = TorchArchive.Open(_folder["mm_projector.bin"]);
        Assert.Equal(keys.Split(' ', StringSplitOptions.RemoveEmptyEntries), archive.Names);
        if (projector == "identity")
        {
            Assert.Equal($"'{_folder["mm_projector.bin"]}' holds no projector: no key contains 'mm_projector.'",
                Assert.Throws<UserErrorException>(() => MmProjectorFile.Open(_folder["mm_projector.bin"])).Message);
            return;
        }

        using CheckpointSource source = MmProjectorFile.Open(_folder["mm_projector.bin"]);
        foreach ((string name, long[] shape) in ParameterTable.Projector(config))
        {
            Assert.True(source.TryGet(name, out TensorType type, out long[] stored, out _));
            Assert.Equal(TensorType.BF16, type);
            Assert.Equal(shape, stored);
        }
    }

    [Fact]
    public void Reads_safetensors_and_other_prefixes()
    {
        SafetensorsWriter.Write(_folder["p.safetensors"], [
            TensorSource.FromFloats("base_model.model.model.mm_projector.0.bias", [1], new float[] { 5 }),
            TensorSource.FromFloats("model.embed_tokens.weight", [1], new float[] { 6 })]);
        using CheckpointSource source = MmProjectorFile.Open(_folder["p.safetensors"]);
        Assert.True(source.TryGet("projector.0.bias", out _, out _, out _));
        Assert.Equal($"'{_folder["p.safetensors"]}': tensor 'base_model.model.model.mm_projector.0.bias'", source.Describe("projector.0.bias"));
    }

    [Fact]
    public void Two_spellings_of_one_parameter_are_refused()
    {
        SafetensorsWriter.Write(_folder["p.safetensors"], [
            TensorSource.FromFloats("model.mm_projector.0.bias", [1], new float[1]), TensorSource.FromFloats("mm_projector.0.bias", [1], new float[1])]);
        Assert.Equal($"'{_folder["p.safetensors"]}' holds projector.0.bias twice: as 'mm_projector.0.bias' and as 'model.mm_projector.0.bias'",
            Assert.Throws<UserErrorException>(() => MmProjectorFile.Open(_folder["p.safetensors"])).Message);
    }
}
