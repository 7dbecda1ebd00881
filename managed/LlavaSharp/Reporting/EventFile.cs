using System.Buffers.Binary;
using System.Numerics;
using Google.Protobuf;

namespace LlavaSharp.Reporting;

/// <summary>
/// Writes scalars for TensorBoard: a TFRecord file of Event messages. A record is its length, a masked CRC-32C of the length, the
/// message, a masked CRC-32C of the message. An event that cannot be written does not end the run (see <see cref="AppendedFile"/>).
/// </summary>
/// <remarks>Format: TensorFlow's record_writer and event.proto (wall_time 1, step 2, file_version 3, summary 5; a summary's
/// value 1, whose tag is 1 and simple_value 2).</remarks>
public sealed class EventFile : IDisposable
{
    /// <summary>File name: TensorBoard looks for "tfevents".</summary>
    public const string FileName = "events.out.tfevents.0.llavasharp";

    private readonly AppendedFile _file;

    /// <summary>Starts a file, replacing an earlier one.</summary>
    /// <param name="path">The file.</param>
    /// <param name="wallTime">Seconds since 1970.</param>
    /// <param name="warn">Receives a line when the file cannot be written for a while; null for none.</param>
    /// <exception cref="UserErrorException">It cannot be created.</exception>
    public EventFile(string path, double wallTime, Action<string>? warn = null)
    {
        _file = new AppendedFile(path, warn);
        Append(Message(output =>
        {
            output.WriteTag(1, WireFormat.WireType.Fixed64);
            output.WriteDouble(wallTime);
            output.WriteTag(3, WireFormat.WireType.LengthDelimited);
            output.WriteString("brain.Event:2");
        }));
    }

    /// <summary>Appends an event with some scalars.</summary>
    /// <param name="wallTime">Seconds since 1970.</param>
    /// <param name="step">The update.</param>
    /// <param name="scalars">Tag and value; a value that is not finite is left out.</param>
    public void Write(double wallTime, long step, IEnumerable<(string Tag, double Value)> scalars)
    {
        var summary = Message(output =>
        {
            foreach (var (tag, value) in scalars.Where(s => double.IsFinite(s.Value)))
            {
                Nested(output, 1, Message(scalar =>
                {
                    scalar.WriteTag(1, WireFormat.WireType.LengthDelimited);
                    scalar.WriteString(tag);
                    scalar.WriteTag(2, WireFormat.WireType.Fixed32);
                    scalar.WriteFloat((float)value);
                }));
            }
        });
        Append(Message(output =>
        {
            output.WriteTag(1, WireFormat.WireType.Fixed64);
            output.WriteDouble(wallTime);
            output.WriteTag(2, WireFormat.WireType.Varint);
            output.WriteInt64(step);
            Nested(output, 5, summary);
        }));
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>The checksum of a record: CRC-32C, turned right by 15 bits, plus a constant.</summary>
    /// <param name="bytes">What it is of.</param>
    /// <returns>The masked checksum.</returns>
    internal static uint MaskedCrc(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        for (; bytes.Length >= 8; bytes = bytes[8..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }

        foreach (var b in bytes)
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        return BitOperations.RotateRight(~crc, 15) + 0xA282EAD8;
    }

    private void Append(byte[] message)
    {
        var record = new byte[8 + 4 + message.Length + 4];
        BinaryPrimitives.WriteUInt64LittleEndian(record, (ulong)message.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(8), MaskedCrc(record.AsSpan(0, 8)));
        message.CopyTo(record, 12);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(12 + message.Length), MaskedCrc(message));
        _file.Append(record);
    }

    private static void Nested(CodedOutputStream output, int field, byte[] message)
    {
        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteBytes(ByteString.CopyFrom(message));
    }

    private static byte[] Message(Action<CodedOutputStream> write)
    {
        using var buffer = new MemoryStream();
        using (var output = new CodedOutputStream(buffer, leaveOpen: true))
        {
            write(output);
        }

        return buffer.ToArray();
    }
}
