using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tests.Checkpoints;

public sealed class CheckpointReaderTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Reads_shards_through_their_index()
    {
        WriteShard("s1.safetensors", "a", 1);
        WriteShard("s2.safetensors", "b", 2);
        WriteIndex("""{"a":"s1.safetensors","b":"s2.safetensors"}""");
        using var reader = CheckpointReader.Open(_folder.Path);
        Assert.Equal(["a", "b"], reader.Names);
        Assert.Equal(_folder["s2.safetensors"], reader.Location("b"));
        Assert.Equal(_folder.Path, reader.Location("c"));
        Assert.False(reader.TryGet("c", out _, out _, out _));
    }

    [Theory]
    [InlineData("""{"weight_map":{"a":"s1.safetensors","b":"s9.safetensors"}}""", "'INDEX' names the shard 's9.safetensors', which is missing; copy or download it")]
    [InlineData("""{"weight_map":{"b":"s1.safetensors"}}""", "'INDEX' says that tensor 'b' is in 's1.safetensors', but that shard does not hold it")]
    [InlineData("""{"weight_map":{"a":"../s1.safetensors"}}""", "'INDEX' names a shard '../s1.safetensors' outside its folder")]
    [InlineData("""{"weight_map":{"a":"/etc/passwd"}}""", "'INDEX' names a shard '/etc/passwd' outside its folder")]
    [InlineData("""{"weight_map":{"a":".."}}""", "'INDEX' names a shard '..' outside its folder")]
    [InlineData("""{"weight_map":{"a":7}}""", "'INDEX': weight_map.a = 7 should be a string")]
    [InlineData("""{"weight_map":[]}""", "'INDEX': weight_map = [] should be an object")]
    [InlineData("""{}""", "'INDEX' has no weight_map")]
    [InlineData("""[]""", "'INDEX' is not a JSON object")]
    public void Refuses_a_broken_index(string index, string message)
    {
        WriteShard("s1.safetensors", "a", 1);
        string path = _folder.Write("model.safetensors.index.json", index);
        UserErrorException e = Assert.Throws<UserErrorException>(() => CheckpointReader.Open(_folder.Path));
        Assert.Equal(message, e.Message.Replace(path, "INDEX"));
    }

    [Fact]
    public void Says_what_a_folder_lacks()
    {
        Assert.Equal($"'{_folder.Path}' holds no weights: neither model.safetensors, pytorch_model.bin, nor an index of shards of them is there",
            Assert.Throws<UserErrorException>(() => CheckpointReader.Open(_folder.Path)).Message);
        Assert.Equal($"the checkpoint folder '{_folder["no"]}' does not exist",
            Assert.Throws<UserErrorException>(() => CheckpointReader.Open(_folder["no"])).Message);
        Assert.Equal($"'{_folder.Write("f", "")}' is a file; a checkpoint folder is needed",
            Assert.Throws<UserErrorException>(() => CheckpointReader.Open(_folder["f"])).Message);
    }

    private void WriteShard(string file, string tensor, float value) =>
        SafetensorsWriter.Write(_folder[file], [TensorSource.FromFloats(tensor, [1], new[] { value })]);

    private void WriteIndex(string map) => _folder.Write("model.safetensors.index.json", $$"""{"metadata":{},"weight_map":{{map}}}""");
}
