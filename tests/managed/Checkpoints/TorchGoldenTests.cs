using System.Runtime.CompilerServices;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>Files that PyTorch 2.14's torch.save made: an OrderedDict with _metadata, views and one storage shared by
/// three tensors; a dictionary with a number in it; a pickled module; the format of before PyTorch 1.6.</summary>
public sealed class TorchGoldenTests
{
    [Fact]
    public void Reads_what_torch_wrote()
    {
        IReadOnlyDictionary<string, StoredTensor> read = TorchArchive.Read(Golden("torch_save.bin"));
        Assert.Equal(["w", "transposed", "row", "parameter", "scalar", "empty", "mask"], read.Keys);
        Assert.Equal([0, 1, 2, 3, 4, 5], Floats(read["w"]));
        Assert.Equal([3, 2], read["transposed"].Shape);
        Assert.Equal([0, 3, 1, 4, 2, 5], Floats(read["transposed"]));
        Assert.Equal([3, 4, 5], Floats(read["row"]));
        Assert.Equal(TensorType.BF16, read["parameter"].Type);
        Assert.Equal([1.5f, -2], Floats(read["parameter"]));
        Assert.Equal((TensorType.I64, 7), (read["scalar"].Type, BitConverter.ToInt64(read["scalar"].Bytes)));
        Assert.Equal((0, 0, 4), (read["empty"].Bytes.Length, read["empty"].Shape[0], read["empty"].Shape[1]));
        Assert.Equal((TensorType.Bool, 1, 0), (read["mask"].Type, read["mask"].Bytes[0], read["mask"].Bytes[1]));
    }

    [Fact]
    public void A_folder_of_bin_files_is_a_checkpoint()
    {
        using var folder = new TempFolder();
        File.Copy(Golden("torch_save.bin"), folder["pytorch_model-00001-of-00001.bin"]);
        folder.Write("pytorch_model.bin.index.json", """{"weight_map":{"w":"pytorch_model-00001-of-00001.bin","mask":"pytorch_model-00001-of-00001.bin"}}""");
        using (var reader = CheckpointReader.Open(folder.Path))
        {
            // What a shard holds and its index forgets is there too, as transformers loads it.
            Assert.Equal(["empty", "mask", "parameter", "row", "scalar", "transposed", "w"], reader.Names);
        }

        File.Copy(Golden("torch_save.bin"), folder["pytorch_model.bin"]);
        using var single = CheckpointReader.Open(folder.Path);
        Assert.Equal(7, single.Names.Count);
    }

    [Fact]
    public void Reads_the_tensors_beside_what_are_none() => Assert.NotEmpty(TorchArchive.Read(Golden("mixed.bin")));

    [Theory]
    [InlineData("module.bin", "only tensors are read from such a file, and nothing in it is ever run")]
    [InlineData("old.bin", "' is not a file that torch.save writes since PyTorch 1.6 (a zip); save it again with a newer PyTorch, or as safetensors")]
    public void Refuses_the_rest(string file, string message) =>
        Assert.EndsWith(message, Assert.Throws<UserErrorException>(() => TorchArchive.Open(Golden(file))).Message);

    private static float[] Floats(StoredTensor tensor)
    {
        float[] values = new float[tensor.Bytes.Length / tensor.Type.ByteSize()];
        TensorConvert.ToFloats(tensor.Type, tensor.Bytes, values);
        return values;
    }

    private static string Golden(string file, [CallerFilePath] string path = "") =>
        Path.Combine(Path.GetDirectoryName(path)!, "Golden", file);
}
