using System.IO.Compression;
using System.Text;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tests.Checkpoints;

public sealed class TorchArchiveTests : IDisposable
{
    // What torch.save of {"w": tensor of 6 floats viewed as [2, 3]} pickles, in pieces that a test can replace.
    private const string Global = "ctorch._utils\n_rebuild_tensor_v2\n";
    private const string Hooks = "\u0089ccollections\nOrderedDict\n)R";
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>With Zip64 fields from 4 GiB on, or, as here, from sizes that a test can write.</summary>
    [Theory]
    [InlineData(uint.MaxValue)]
    [InlineData(200)]
    [InlineData(0)]
    public void What_is_written_reads_back(long end32)
    {
        TensorSource[] tensors =
        [
            TensorSource.FromFloats("model.mm_projector.0.weight", [2, 3], new float[] { 1, 2, 3, 4, 5, 6 }),
            TensorSource.FromFloats("b", [300], new float[300], TensorType.BF16),
            TensorSource.FromFloats("scalar é", [], new float[] { 7 }, TensorType.F16),
            TensorSource.FromFloats("empty", [0, 4], default),
            TensorSource.FromBytes("ids", TensorType.I64, [1], new byte[8]),
        ];
        TorchArchiveWriter.Write(_folder["a.bin"], tensors, end32);
        using var file = TorchArchive.Open(_folder["a.bin"]);
        Assert.Equal(tensors.Select(t => t.Name), file.Names);
        IReadOnlyDictionary<string, StoredTensor> read = TorchArchive.Read(_folder["a.bin"]);
        Assert.Equal(TensorType.BF16, read["b"].Type);
        Assert.Equal([2, 3], read["model.mm_projector.0.weight"].Shape);
        Assert.Equal(new byte[] { 0, 0, 0xc0, 0x40 }, read["model.mm_projector.0.weight"].Bytes[20..]);
        Assert.Empty(read["scalar é"].Shape);
        Assert.Empty(read["empty"].Bytes);
        Assert.Equal(8, read["ids"].Bytes.Length);
        Assert.False(file.TryGet("none", out _, out _, out _));
        using ZipArchive zip = ZipFile.OpenRead(_folder["a.bin"]); // an independent reader agrees, and checks each CRC
        Assert.Equal(["a/data.pkl", "a/.format_version", "a/.storage_alignment", "a/byteorder", "a/data/0", "a/data/1", "a/data/2", "a/data/3", "a/data/4", "a/version"],
            zip.Entries.Select(e => e.FullName));
        foreach (ZipArchiveEntry entry in zip.Entries)
        {
            using Stream stream = entry.Open();
            stream.CopyTo(Stream.Null);
        }
    }

    [Fact]
    public void Records_are_aligned_and_bytes_repeat()
    {
        TensorSource[] tensors =
            [TensorSource.FromFloats("x", [3], new float[] { 1, 2, 3 }), TensorSource.FromFloats("y", [1], new float[] { 9 })];
        TorchArchive.Write(_folder["a.bin"], tensors);
        byte[] first = File.ReadAllBytes(_folder["a.bin"]);
        TorchArchive.Write(_folder["a.bin"], tensors);
        Assert.Equal(first, File.ReadAllBytes(_folder["a.bin"]));
        Assert.Equal(0, first.AsSpan().IndexOf(new byte[] { 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40 }) % 64);
        Assert.Equal(0, first.AsSpan().IndexOf(new byte[] { 0, 0, 0x10, 0x41 }) % 64);
    }

    [Fact]
    public void Refuses_two_tensors_of_one_name_and_leaves_nothing_on_failure()
    {
        TensorSource one = TensorSource.FromFloats("x", [1], new float[1]);
        Assert.Throws<ArgumentException>(() => TorchArchive.Write(_folder["a"], [one, one]));
        Assert.Throws<InvalidOperationException>(() => TorchArchive.Write(_folder["a"], [one with { WriteTo = s => s.WriteByte(1) }]));
        Assert.StartsWith($"cannot write '{_folder["no/a"]}': ", Assert.Throws<UserErrorException>(() => TorchArchive.Write(_folder["no/a"], [one])).Message);
        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void Reads_a_parameter_a_transposed_view_and_a_shared_storage()
    {
        string storage = Storage("0", 6);
        string pickle = "\u0080\u0002}(" // three names over one storage
            + Text("t") + Global + "(" + storage + "K\u0000K\u0003K\u0002\u0086K\u0001K\u0003\u0086" + Hooks + "tR"
            + Text("p") + "ctorch._utils\n_rebuild_parameter\n(" + Global + "(" + storage + "K\u0002K\u0002\u0085K\u0001\u0085" + Hooks + "tR\u0088ccollections\nOrderedDict\n)RtR"
            + Text("m") + Global + "(" + storage + "M\u0001\u0000J\u0001\u0000\u0000\u0000K\u0001\u0086\u008a\u0001\u0005K\u0001\u0086" + Hooks + "tR"
            + "u}" + Text("_metadata") + "Nsb.";
        IReadOnlyDictionary<string, StoredTensor> read = TorchArchive.Read(Zip(pickle));
        Assert.Equal([0, 3, 1, 4, 2, 5], Floats(read["t"]));
        Assert.Equal([2, 3], Floats(read["p"]));
        Assert.Equal([1], Floats(read["m"]));
    }

    [Fact]
    public void Runs_nothing_that_a_pickle_asks_for()
    {
        string marker = _folder["ran"];
        foreach ((string pickle, string name) in new (string, string)[]
        {
            ($"\u0080\u0002cos\nsystem\n({Text($"touch {marker}")}tR.", "os.system"),
            ($"\u0080\u0002cbuiltins\nexec\n({Text("1")}tR.", "builtins.exec"),
            ("\u0080\u0004\u008c\u0005posix\u008c\u0006system\u0093.", "posix.system"),
            ("\u0080\u0002ctorch\nload\n.", "torch.load"),
            ("\u0080\u0002ctorch\nhub.loadStorage\n.", "torch.hub.loadStorage"),
            ("\u0080\u0002ctorch.nn.modules.linear\nLinear\n.", "torch.nn.modules.linear.Linear"),
        })
        {
            string path = Zip(pickle);
            Assert.Equal($"'{path}': its pickle asks for '{name}'; only tensors are read from such a file, and nothing in it is ever run",
                Assert.Throws<UserErrorException>(() => TorchArchive.Open(path)).Message);
        }

        Assert.False(File.Exists(marker));
    }

    [Theory]
    [InlineData("\u0080\u0001.", "has protocol 1; 2 to 5 are read")]
    [InlineData("\u0080\u0002", "ends in the middle, at byte 2")]
    [InlineData("\u0080\u0002X\u00ff\u00ff\u00ff\u00ff", "ends in the middle, at byte 7")]
    [InlineData("\u0080\u0002X\u00ff\u00ff\u00ff\u007f", "ends in the middle, at byte 7")]
    [InlineData("\u0080\u0002ctorch", "ends in the middle, at byte 8")]
    [InlineData("\u0080\u0002h\u0007.", "recalls the value 7, which it did not remember")]
    [InlineData("\u0080\u0002\u008a\u0009000000000", "has an integer of 9 bytes")]
    [InlineData("\u0080\u0002\u0081.", "has the opcode 0x81, which no dictionary of tensors needs")]
    [InlineData("\u0080\u0002i", "has the opcode 0x69, which no dictionary of tensors needs")]
    [InlineData("\u0080\u0002(.", "is malformed")]
    [InlineData("\u0080\u0002.", "is malformed")]
    [InlineData("\u0080\u0002t.", "is malformed")]
    [InlineData("\u0080\u0002q\u0000.", "is malformed")]
    [InlineData("\u0080\u0002}(Nu.", "is malformed")]
    [InlineData("\u0080\u0002NNNs.", "is malformed")]
    [InlineData("\u0080\u0002NR.", "is malformed")]
    [InlineData("\u0080\u0002NNR.", "is malformed")]
    [InlineData("\u0080\u0002)Q.", "is malformed")]
    [InlineData("\u0080\u0002NQ.", "is malformed")]
    [InlineData("\u0080\u0002Nb.", "is malformed")]
    [InlineData("\u0080\u0002NNb.", "is malformed")]
    [InlineData("\u0080\u0002ccollections\nOrderedDict\nN\u0085R.", "calls OrderedDict with 1 arguments")]
    [InlineData("\u0080\u0002ctorch._utils\n_rebuild_tensor_v2\n)R.", "calls _rebuild_tensor_v2 with 0 arguments")]
    public void A_damaged_pickle_is_one_line(string pickle, string message)
    {
        string path = Zip(pickle);
        UserErrorException e = Assert.Throws<UserErrorException>(() => TorchArchive.Open(path));
        Assert.StartsWith($"'{path}': its pickle {message} (near byte ", e.Message);
    }

    [Theory]
    [InlineData("\u0080\u0002N.", "' does not hold a dictionary of tensors")]
    [InlineData("\u0080\u0002}X\u0001\u0000\u0000\u0000aK\u0001s.", "' does not hold a dictionary of tensors: the value of 'a' is not a tensor")]
    [InlineData("\u0080\u0002}K\u0001K\u0001s.", "' does not hold a dictionary of tensors: one of its keys is not text")]
    [InlineData("\u0080\u0002}X\u0001\u0000\u0000\u0000a}s.", "': tensor 'a' is a dictionary of its own; save that one, as in torch.save(checkpoint[key], path)")]
    public void Anything_but_tensors_is_refused(string pickle, string message) =>
        Assert.EndsWith(message, Assert.Throws<UserErrorException>(() => TorchArchive.Open(Zip(pickle))).Message);

    [Theory]
    [InlineData("9", "K\u0000", "K\u0006\u0085", "K\u0001\u0085", "lies in the record 'data/9', which is missing")]
    [InlineData("0", "K\u0000", "K\u0007\u0085", "K\u0001\u0085", "of shape [7], strides [1] and offset 0 does not fit its record of 6 elements")]
    [InlineData("0", "K\u0001", "K\u0006\u0085", "K\u0001\u0085", "of shape [6], strides [1] and offset 1 does not fit its record of 6 elements")]
    [InlineData("0", "K\u0000", "K\u0003\u0085", "K\u0003\u0085", "of shape [3], strides [3] and offset 0 does not fit its record of 6 elements")]
    [InlineData("0", "K\u0000", "M\u0000\u0001\u0085", "K\u0000\u0085", "of shape [256], strides [0] and offset 0 does not fit its record of 6 elements")]
    [InlineData("0", "J\u00ff\u00ff\u00ff\u00ff", "K\u0001\u0085", "K\u0001\u0085", "of shape [1], strides [1] and offset -1 does not fit its record of 6 elements")]
    [InlineData("0", "K\u0000", "J\u00ff\u00ff\u00ff\u00ff\u0085", "K\u0001\u0085", "of shape [-1], strides [1] and offset 0 does not fit its record of 6 elements")]
    [InlineData("0", "K\u0005", "K\u0002\u0085", "J\u00ff\u00ff\u00ff\u00ff\u0085", "of shape [2], strides [-1] and offset 5 does not fit its record of 6 elements")]
    [InlineData("0", "K\u0000", "K\u0002\u0085", ")", "of shape [2], strides [] and offset 0 does not fit its record of 6 elements")]
    [InlineData("0", "K\u0000", "K\u0002\u008a\u0008\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f\u0086", "K\u0001K\u0001\u0086",
        "of shape [2, 9223372036854775807], strides [1, 1] and offset 0 does not fit its record of 6 elements")]
    public void A_view_outside_its_storage_is_refused(string key, string offset, string shape, string strides, string message)
    {
        string path = Zip($"\u0080\u0002}}{Text("w")}{Global}({Storage(key, 6)}{offset}{shape}{strides}{Hooks}tRs.");
        Assert.Equal($"'{path}': tensor 'w' {message}", Assert.Throws<UserErrorException>(() => TorchArchive.Open(path)).Message);
    }

    // A number, a text, a tensor of another type and a view outside its storage stand beside the one that is asked for.
    [Fact]
    public void What_nobody_asks_for_does_not_matter()
    {
        string complex = $"({Text("storage")}ctorch\nComplexFloatStorage\n{Text("0")}{Text("cpu")}K\u0003tQ";
        string path = Zip("\u0080\u0002}"
            + $"{Text("step")}K\u0007s{Text("name")}{Text("x")}s"
            + $"{Text("c")}{Global}({complex}K\u0000K\u0003\u0085K\u0001\u0085{Hooks}tRs"
            + $"{Text("v")}{Global}({Storage("0", 6)}K\u0000K\u0002\u0085J\u00ff\u00ff\u00ff\u00ff\u0085{Hooks}tRs"
            + $"{Text("q")}ctorch._utils\n_rebuild_qtensor\n)Rs"
            + $"{Text("p")}ctorch._utils\n_rebuild_parameter\n(ctorch._utils\n_rebuild_qtensor\n)R\u0088tRs"
            + $"{Text("n")}ccollections\nCounter\n)RNbs{Text("l")}ctorch.serialization\n_get_layout\n{Text("torch.strided")}\u0085Rs"
            + $"{Text("z")}cbuiltins\ncomplex\nK\u0001K\u0002\u0086Rs{Text("e")}c_codecs\nencode\n{Text("x")}{Text("latin1")}\u0086Rs"
            + $"{Text("w")}{Global}({Storage("0", 6)}K\u0000K\u0006\u0085K\u0001\u0085{Hooks}tRs.");
        using var archive = TorchArchive.Open(path);
        Assert.True(archive.TryGet("w", out _, out long[] shape, out _));
        Assert.Equal([6], shape);
        Assert.Equal(["c", "e", "l", "n", "p", "q", "v", "w", "z"], archive.Names.Order());
        Assert.Equal($"'{path}': tensor 'c' is a ComplexFloat tensor, which is not read; save the weights in float32, float16 or bfloat16", Ask("c"));
        Assert.Equal($"'{path}': tensor 'v' of shape [2], strides [-1] and offset 0 does not fit its record of 6 elements", Ask("v"));
        Assert.Equal($"'{path}': tensor 'q' is made by torch._utils._rebuild_qtensor, which is not read; save plain tensors", Ask("q"));

        string Ask(string name) => Assert.Throws<UserErrorException>(() => archive.TryGet(name, out _, out _, out _)).Message;
    }

    [Fact]
    public void Other_files_are_named_for_what_they_are()
    {
        string old = _folder["old.bin"];
        File.WriteAllBytes(old, [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e]);
        Assert.Equal($"'{old}' is not a file that torch.save writes since PyTorch 1.6 (a zip); save it again with a newer PyTorch, or as safetensors",
            Message(old));
        Assert.Equal($"'{Zip("", prefix: "deep/er/")}' holds no data.pkl: it is a zip, but not one that torch.save wrote", Message(_folder["z.bin"]));
        Assert.Equal($"'{Zip("\u0080\u0002}.", order: "big")}' was written on a big-endian machine, which is not supported", Message(_folder["z.bin"]));
        Assert.Equal($"'{Zip("\u0080\u0002}.", level: CompressionLevel.SmallestSize)}': the entry 'z/data.pkl' is compressed or encrypted; torch.save stores plainly",
            Message(_folder["z.bin"]));
        Assert.Equal($"'{_folder["none.bin"]}' does not exist", Message(_folder["none.bin"]));
        using var empty = TorchArchive.Open(Zip("\u0080\u0002}."));
        Assert.Empty(empty.Names);
    }

    [Fact]
    public void Truncation_and_flipped_bytes_are_errors_and_never_crashes()
    {
        TorchArchive.Write(_folder["a.bin"], [TensorSource.FromFloats("x", [2, 2], new float[] { 1, 2, 3, 4 })]);
        byte[] bytes = File.ReadAllBytes(_folder["a.bin"]);
        for (int length = 0; length < bytes.Length; length++)
        {
            File.WriteAllBytes(_folder["cut"], bytes[..length]);
            Assert.Throws<UserErrorException>(() => TorchArchive.Open(_folder["cut"]));
        }

        File.WriteAllBytes(_folder["cut"], bytes[..^1]);
        Assert.Equal($"'{_folder["cut"]}' is truncated: its list of entries is missing; copy or download it again", Message(_folder["cut"]));
        var random = new Random(1);
        for (int trial = 0; trial < 800; trial++)
        {
            byte[] broken = [.. bytes];
            broken[random.Next(broken.Length)] = (byte)random.Next(256);
            File.WriteAllBytes(_folder["flipped"], broken);
            try
            {
                Assert.NotNull(TorchArchive.Read(_folder["flipped"]));
            }
            catch (UserErrorException e)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
        }
    }

    [Fact]
    public void Entries_past_4_gib_are_found_through_their_zip64_fields()
    {
        TorchArchive.Write(_folder["a.bin"], [TensorSource.FromFloats("x", [2], new float[] { 1, 2 })]);
        byte[] bytes = File.ReadAllBytes(_folder["a.bin"]);
        int directory = BitConverter.ToInt32(bytes, bytes.Length - 6);
        int name = BitConverter.ToUInt16(bytes, directory + 28);
        byte[] entry = bytes[directory..(directory + 46 + name)];
        byte[] Wide(int at) => BitConverter.GetBytes((long)BitConverter.ToUInt32(entry, at));
        byte[] extra = [1, 0, 24, 0, .. Wide(24), .. Wide(20), .. Wide(42)];
        entry.AsSpan(20, 8).Fill(0xff);
        entry.AsSpan(42, 4).Fill(0xff);
        entry[30] = (byte)extra.Length;
        byte[] end = bytes[^22..];
        BitConverter.TryWriteBytes(end.AsSpan(12), BitConverter.ToInt32(end, 12) + extra.Length);
        byte[] others = bytes[(directory + 46 + name)..^22];
        File.WriteAllBytes(_folder["b.bin"], [.. bytes[..directory], .. entry, .. extra, .. others, .. end]);
        Assert.Equal([1, 2], Floats(TorchArchive.Read(_folder["b.bin"])["x"]));
    }

    private static string Message(string path) => Assert.Throws<UserErrorException>(() => TorchArchive.Open(path)).Message;

    private static float[] Floats(StoredTensor tensor)
    {
        float[] values = new float[tensor.Bytes.Length / 4];
        TensorConvert.ToFloats(tensor.Type, tensor.Bytes, values);
        return values;
    }

    private static string Text(string text) => $"X{(char)text.Length}\0\0\0{text}";

    private static string Storage(string key, int count) => $"({Text("storage")}ctorch\nFloatStorage\n{Text(key)}{Text("cpu")}K{(char)count}tQ";

    /// <summary>A zip by the framework's own writer, whose data.pkl has these characters as bytes, over six floats 0 … 5.</summary>
    private string Zip(string pickle, string prefix = "z/", string order = "little", CompressionLevel level = CompressionLevel.NoCompression)
    {
        string path = _folder["z.bin"];
        File.Delete(path);
        using ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Create);
        void Add(string name, byte[] bytes)
        {
            using Stream stream = zip.CreateEntry(prefix + name, level).Open();
            stream.Write(bytes);
        }

        Add("data.pkl", Encoding.Latin1.GetBytes(pickle));
        Add("byteorder", Encoding.ASCII.GetBytes(order));
        Add("data/0", [.. Enumerable.Range(0, 6).SelectMany(i => BitConverter.GetBytes((float)i))]);
        return path;
    }
}
