using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Tests.Checkpoints;

public sealed class SafetensorsWriterTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Lays_tensors_out_as_the_reference_does()
    {
        string path = _folder["a.safetensors"];
        SafetensorsWriter.Write(path, [
            TensorSource.FromBytes("z", TensorType.U8, [3], new byte[] { 1, 2, 3 }),
            TensorSource.FromFloats("b.weight", [1, 2], new float[] { 1, 2 }),
            TensorSource.FromFloats("a\"é", [1], new float[] { 3 }, TensorType.BF16),
            TensorSource.FromFloats("a", [], new float[] { 4 })]);
        byte[] bytes = File.ReadAllBytes(path);
        int header = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes);
        Assert.Equal(0, header % 8);
        Assert.Equal(
            """{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"b.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]},"a\"é":{"dtype":"BF16","shape":[1],"data_offsets":[12,14]},"z":{"dtype":"U8","shape":[3],"data_offsets":[14,17]}}""",
            Encoding.UTF8.GetString(bytes, 8, header).TrimEnd(' '));
        using var file = SafetensorsFile.Open(path);
        Assert.Equal([4f], file.Floats("a"));
        Assert.Equal([1f, 2f], file.Floats("b.weight"));
        Assert.Equal([3f], file.Floats("a\"é"));
        Assert.Equal([1, 2, 3], file.Bytes("z").ToArray());
    }

    [Fact]
    public void Same_tensors_give_the_same_bytes_in_any_order()
    {
        TensorSource[] tensors = [.. Enumerable.Range(0, 9).Select(
            i => TensorSource.FromFloats($"t{i}", [i], new float[i], i % 2 == 0 ? TensorType.F32 : TensorType.F16))];
        SafetensorsWriter.Write(_folder["1"], tensors);
        SafetensorsWriter.Write(_folder["2"], [.. tensors.Reverse()]);
        Assert.Equal(File.ReadAllBytes(_folder["1"]), File.ReadAllBytes(_folder["2"]));
    }

    [Fact]
    public void Writes_an_empty_file_and_one_tensor_larger_than_a_piece()
    {
        SafetensorsWriter.Write(_folder["empty"], []);
        using (var empty = SafetensorsFile.Open(_folder["empty"]))
        {
            Assert.Empty(empty.Names);
        }

        float[] values = [.. Enumerable.Range(0, 200_001).Select(i => (float)i)];
        SafetensorsWriter.Write(_folder["big"], [TensorSource.FromFloats("x", [200_001], values)]);
        using var big = SafetensorsFile.Open(_folder["big"]);
        Assert.Equal(values, big.Floats("x"));
    }

    [Fact]
    public void Shards_by_size_and_indexes_them()
    {
        TensorSource[] tensors = [.. Enumerable.Range(0, 5).Select(i => TensorSource.FromFloats($"t{i}", [4], new float[] { i, i, i, i }))];
        Assert.Equal(["model.safetensors"], SafetensorsWriter.WriteSharded(_folder.Path, tensors, 80));
        File.Delete(_folder["model.safetensors"]);
        IReadOnlyList<string> files = SafetensorsWriter.WriteSharded(_folder.Path, tensors, 32);
        Assert.Equal(["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors", "model.safetensors.index.json"], files);
        JsonNode index = JsonNode.Parse(File.ReadAllText(_folder["model.safetensors.index.json"]))!;
        Assert.Equal(80, (long)index["metadata"]!["total_size"]!);
        Assert.Equal("model-00003-of-00003.safetensors", (string)index["weight_map"]!["t4"]!);
        using var reader = CheckpointReader.Open(_folder.Path);
        Assert.Equal(["t0", "t1", "t2", "t3", "t4"], reader.Names);
        Assert.True(reader.TryGet("t4", out TensorType type, out long[] shape, out LongBytes bytes));
        Assert.Equal((TensorType.F32, 4L, 16L), (type, shape[0], bytes.Length));
    }

    [Fact]
    public void A_tensor_larger_than_a_shard_has_one_of_its_own()
    {
        TensorSource[] tensors = [.. Enumerable.Range(0, 3).Select(i => TensorSource.FromFloats($"t{i}", [4], new float[4]))];
        Assert.Equal(4, SafetensorsWriter.WriteSharded(_folder.Path, tensors, 1).Count);
    }

    [Fact]
    public void Nothing_is_left_when_a_tensor_fails()
    {
        File.WriteAllText(_folder["x"], "old");
        var half = new TensorSource("t", TensorType.U8, [9], s => { s.WriteByte(1); throw new IOException("No space left on device"); });
        UserErrorException e = Assert.Throws<UserErrorException>(() => SafetensorsWriter.Write(_folder["x"], [half]));
        Assert.Equal($"cannot write '{_folder["x"]}': No space left on device", e.Message);
        Assert.Equal("old", File.ReadAllText(_folder["x"]));
        Assert.Single(Directory.GetFiles(_folder.Path));

        var shortOne = new TensorSource("t", TensorType.U8, [9], s => s.WriteByte(1));
        Assert.Throws<InvalidOperationException>(() => SafetensorsWriter.Write(_folder["x"], [shortOne]));
        Assert.Single(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void Refuses_a_missing_folder_a_folder_as_a_file_and_a_full_disk()
    {
        Assert.StartsWith($"cannot write '{_folder["no/x"]}': ",
            Assert.Throws<UserErrorException>(() => SafetensorsWriter.Write(_folder["no/x"], [])).Message);
        Directory.CreateDirectory(_folder["d"]);
        Assert.StartsWith($"cannot write '{_folder["d"]}': ",
            Assert.Throws<UserErrorException>(() => SafetensorsWriter.Write(_folder["d"], [])).Message);
        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void Refuses_two_tensors_of_one_name() => Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(
        _folder["x"], [TensorSource.FromFloats("a", [], new float[1]), TensorSource.FromFloats("a", [], new float[1])]));

    [Fact]
    public void Refuses_a_shape_that_cannot_be() => Assert.Throws<ArgumentException>(
        () => TensorSource.FromFloats("a", [long.MaxValue, 2], default));
}
