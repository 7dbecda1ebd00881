using System.Runtime.CompilerServices;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>Folders that transformers 5.12 wrote: one file in float32, and shards in bfloat16.</summary>
public sealed class ReferenceFolderTests
{
    [Theory]
    [InlineData("mha", TensorType.F32)]
    [InlineData("gqa-sharded-bf16", TensorType.BF16)]
    public void Every_tensor_has_its_place(string name, TensorType type)
    {
        string folder = Folder(name);
        LlavaConfig config = LlavaConfig.Load(folder);
        using var reader = CheckpointReader.Open(folder);
        Assert.All(reader.Names, stored => Assert.True(ParameterNames.TryToCanonical(stored, out _)));
        using var engine = new Engine();
        using LoadedModel loaded = ModelLoader.Load(engine, folder);
        Assert.Equal(ParameterTable.Shapes(config).Count(), reader.Names.Count);
        using var source = new CheckpointSource(CheckpointReader.Open(folder));
        foreach (ParameterInfo parameter in loaded.Model.Parameters)
        {
            Assert.True(source.TryGet(parameter.Name, out TensorType stored, out _, out LongBytes bytes));
            Assert.Equal(type, stored);
            float[] values = new float[parameter.Count];
            TensorConvert.ToFloats(stored, bytes, 0, values);
            Assert.Equal(values, loaded.Model.Read(parameter.Name));
        }
    }

    private static string Folder(string name, [CallerFilePath] string path = "") =>
        Path.Combine(Path.GetDirectoryName(path)!, "../../golden/parity", name, "model");
}
