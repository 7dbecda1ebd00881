using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

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

    // transformers loads every tensor of every shard, and so shows what the model has no place for.
    [Fact]
    public void A_shards_tensors_that_the_index_forgets_are_there_and_the_index_decides_between_two()
    {
        SafetensorsWriter.Write(_folder["s1.safetensors"], [Tensor("a", 1), Tensor("forgotten", 3)]);
        SafetensorsWriter.Write(_folder["s2.safetensors"], [Tensor("a", 9), Tensor("b", 2)]);
        WriteIndex("""{"b":"s2.safetensors","a":"s1.safetensors"}""");
        using var reader = CheckpointReader.Open(_folder.Path);
        Assert.Equal(["a", "b", "forgotten"], reader.Names);
        Assert.Equal([_folder["s1.safetensors"], _folder["s2.safetensors"], _folder["s1.safetensors"]], reader.Names.Select(reader.Location));
    }

    [Fact]
    public void Shards_and_their_index_may_be_links()
    {
        WriteShard("blob1", "a", 1);
        File.CreateSymbolicLink(_folder["s1.safetensors"], "blob1");
        WriteIndex("""{"a":"s1.safetensors"}""");
        File.Move(_folder["model.safetensors.index.json"], _folder["blob2"]);
        File.CreateSymbolicLink(_folder["model.safetensors.index.json"], "blob2");
        using (var reader = CheckpointReader.Open(_folder.Path))
        {
            Assert.True(reader.TryGet("a", out _, out _, out LongBytes bytes));
            Assert.Equal(4, bytes.Length);
        }

        File.Delete(_folder["blob1"]);
        Assert.Equal(
            $"'{_folder["s1.safetensors"]}' is a link to 'blob1', which does not exist; download the file again, or repair the link",
            Assert.Throws<UserErrorException>(() => CheckpointReader.Open(_folder.Path)).Message);
    }

    // As transformers does: what is converted beside its original is meant.
    [Fact]
    public void Safetensors_go_before_torch_files_of_the_same_folder()
    {
        WriteShard("model.safetensors", "new", 1);
        TorchArchive.Write(_folder["pytorch_model.bin"], [Tensor("old", 2)]);
        using var reader = CheckpointReader.Open(_folder.Path);
        Assert.Equal(["new"], reader.Names);
    }

    [Fact]
    public void Says_what_a_folder_lacks()
    {
        Assert.Equal($"'{_folder.Path}' holds no weights: neither model.safetensors, pytorch_model.bin, nor an index of shards of them is there",
            Assert.Throws<UserErrorException>(() => CheckpointReader.Open(_folder.Path)).Message);
        Assert.Equal($"the checkpoint folder '{_folder["no"]}' does not exist",
            Assert.Throws<UserErrorException>(() => CheckpointReader.Open(_folder["no"])).Message);
        Assert.Equal($"'{_folder.Write("f", "")}' is a file; name the folder that it lies in",
            Assert.Throws<UserErrorException>(() => CheckpointReader.Open(_folder["f"])).Message);
    }

    private void WriteShard(string file, string tensor, float value) => SafetensorsWriter.Write(_folder[file], [Tensor(tensor, value)]);

    private static TensorSource Tensor(string name, float value) => TensorSource.FromFloats(name, [1], new[] { value });

    private void WriteIndex(string map) => _folder.Write("model.safetensors.index.json", $$"""{"metadata":{},"weight_map":{{map}}}""");
}
