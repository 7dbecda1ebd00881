using System.Buffers.Binary;
using System.Text;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>Tensors longer than a span: in files with holes, which take no space, and into sinks that count.</summary>
public sealed class LongBytesTests : IDisposable
{
    // Floats of more than 2 GiB.
    private const long Rows = (1L << 19) + 1, Width = 1024, Bytes = 4 * Rows * Width;

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_tensor_of_over_2_GiB_is_read_in_slices()
    {
        using var file = SafetensorsFile.Open(Sparse("x", 7.5f));
        var bytes = file.Bytes("x");
        Assert.Equal(Bytes, bytes.Length);
        float[] last = new float[3];
        TensorConvert.ToFloats(TensorType.F32, bytes, (Rows * Width) - 3, last);
        Assert.Equal([0, 0, 7.5f], last);
        Assert.True(Refused(file, Bytes - 3) && Refused(file, -1) && Refused(file, long.MaxValue));
        using var source = new Counting();
        bytes.WriteTo(source);
        Assert.Equal(Bytes, source.Length);

        static bool Refused(SafetensorsFile file, long begin)
        {
            try
            {
                return file.Bytes("x").Slice(begin, 4).IsEmpty;
            }
            catch (ArgumentOutOfRangeException)
            {
                return true;
            }
        }
    }

    [Theory]
    [InlineData(TensorType.F32)]
    [InlineData(TensorType.BF16)]
    public void A_parameter_of_over_2_GiB_is_written_in_pieces_and_checked(TensorType type)
    {
        using var source = new CheckpointSource(CheckpointReader.OpenFile(Sparse("lm_head.weight", 7.5f)));
        using var sink = new Counting();
        ParameterExport.Source("w", "head.weight", [Rows, Width], source, type).WriteTo(sink);
        Assert.Equal(Rows * Width * type.ByteSize(), sink.Length);
        Assert.Equal([0, 0, 0xF0, 0x40], sink.Last);
        using var more = new Counting();
        ParameterExport.WithMeanRows("w", "head.weight", [Rows, Width], 2, source, type).WriteTo(more);
        Assert.Equal((Rows + 2) * Width * type.ByteSize(), more.Length);
    }

    [Fact]
    public void A_value_far_behind_2_GiB_that_is_not_finite_is_named_by_its_place()
    {
        using var source = new CheckpointSource(CheckpointReader.OpenFile(Sparse("lm_head.weight", float.NaN)));
        using var sink = new Counting();
        var tensor = ParameterExport.Source("w", "head.weight", [Rows, Width], source, TensorType.F32);
        Assert.Contains($"NaN at [{Rows - 1}, {Width - 1}]", Assert.Throws<UserErrorException>(() => tensor.WriteTo(sink)).Message);
        Assert.Equal(0, sink.Length);
    }

    [Fact]
    public void Short_runs_are_what_they_were_made_of()
    {
        byte[] bytes = [1, 2, 3, 4, 5];
        Assert.Equal(bytes, LongBytes.Of(bytes).ToArray());
        Assert.Equal([2, 3], LongBytes.Of(bytes).Slice(1, 2).ToArray());
        Assert.Equal(0, LongBytes.Of(ReadOnlySpan<byte>.Empty).Length);
        Assert.Empty(LongBytes.Of(ReadOnlySpan<float>.Empty).ToArray());
        Assert.Equal(BitConverter.GetBytes(1.5f), LongBytes.Of((float[])[1.5f]).ToArray());
        Assert.Equal(0, default(LongBytes).Length);
    }

    // A safetensors file of one tensor [Rows, Width], all zero but its last value; what is zero is a hole.
    private string Sparse(string name, float last)
    {
        var path = _folder["sparse.safetensors"];
        var text = $$$"""{"{{{name}}}":{"dtype":"F32","shape":[{{{Rows}}},{{{Width}}}],"data_offsets":[0,{{{Bytes}}}]}}""";
        byte[] header = Encoding.UTF8.GetBytes(text.PadRight((text.Length + 7) / 8 * 8)), length = new byte[8], value = new byte[4];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        BinaryPrimitives.WriteSingleLittleEndian(value, last);
        using var file = File.Create(path);
        file.Write(length);
        file.Write(header);
        file.Position = 8 + header.Length + Bytes - 4;
        file.Write(value);
        return path;
    }

    /// <summary>Counts bytes, and keeps the last four.</summary>
    private sealed class Counting : Stream
    {
        private long _length;

        public byte[] Last { get; } = new byte[4];

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => _length;

        public override long Position { get => _length; set => throw new NotSupportedException(); }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            _length += buffer.Length;
            if (buffer.Length >= 4)
            {
                buffer[^4..].CopyTo(Last);
            }
        }
    }
}
