using System.Buffers.Binary;
using System.Text;
using LlavaSharp.Reporting;

namespace LlavaSharp.Tests.Reporting;

public sealed class EventFileTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Theory]
    [InlineData("123456789", 0xE3069283)] // the check value of CRC-32C
    [InlineData("", 0x00000000)]
    [InlineData("a", 0xC1D04330)]
    public void Checksums_are_crc_32c_masked(string text, uint crc) =>
        Assert.Equal(((crc >> 15) | (crc << 17)) + 0xA282EAD8, EventFile.MaskedCrc(Encoding.ASCII.GetBytes(text)));

    [Fact]
    public void Records_hold_version_steps_and_scalars()
    {
        using (var file = new EventFile(_path, 1.5))
        {
            file.Write(2.5, 300, [("a", 0.5), ("nan", double.NaN), ("b", -1)]);
        }

        var bytes = File.ReadAllBytes(_path);
        var first = Record(ref bytes);
        Assert.Equal([0x09, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F, 0x1A, 13, .. "brain.Event:2"u8], first);
        byte[] scalarA = [0x0A, 1, (byte)'a', 0x15, 0, 0, 0, 0x3F], scalarB = [0x0A, 1, (byte)'b', 0x15, 0, 0, 0x80, 0xBF];
        Assert.Equal(
            [0x09, 0, 0, 0, 0, 0, 0, 4, 0x40, 0x10, 0xAC, 0x02, 0x2A, 20, 0x0A, 8, .. scalarA, 0x0A, 8, .. scalarB],
            Record(ref bytes));
        Assert.Empty(bytes);
    }

    [Fact]
    public void A_path_that_cannot_be_written_is_named() => Assert.StartsWith(
        $"cannot write '{_path}/x': ", Assert.Throws<UserErrorException>(() => new EventFile(_path + "/x", 0)).Message);

    private static byte[] Record(ref byte[] bytes)
    {
        var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        Assert.Equal(EventFile.MaskedCrc(bytes.AsSpan(0, 8)), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(8)));
        var message = bytes[12..(12 + length)];
        Assert.Equal(EventFile.MaskedCrc(message), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(12 + length)));
        bytes = bytes[(16 + length)..];
        return message;
    }
}
