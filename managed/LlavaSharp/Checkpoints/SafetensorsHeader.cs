using System.Text;
using System.Text.Json;

namespace LlavaSharp.Checkpoints;

/// <summary>Parses and checks the header of a safetensors file. A header comes from strangers: every number in it
/// is compared with the file before it is used, and nothing is allocated by what it claims.</summary>
/// <remarks>Format: https://huggingface.co/docs/safetensors: 8 bytes little-endian header length n, n bytes of
/// JSON (padded with spaces), then the tensors back to back.</remarks>
internal sealed class SafetensorsHeader
{
    /// <summary>The longest header read, as in the reference implementation.</summary>
    internal const long ByteCountMax = 100_000_000;

    private const int DepthMax = 8;
    private readonly string _path;
    private readonly Dictionary<string, TensorEntry> _entries = [];
    private readonly Dictionary<string, string> _metadata = [];

    private SafetensorsHeader(string path) => _path = path;

    /// <summary>Tensors in the order of the file's bytes.</summary>
    internal List<TensorEntry> Ordered { get; private set; } = [];

    internal IReadOnlyDictionary<string, TensorEntry> Entries => _entries;

    internal IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>Reads the header length from a file's first eight bytes and compares it with the file's size.</summary>
    internal static long CheckLength(string path, ReadOnlySpan<byte> prefix, long fileBytes)
    {
        if (fileBytes < 8)
        {
            throw new UserErrorException($"'{path}' is not a safetensors file: it has {fileBytes} bytes, and its "
                + "header length alone takes 8");
        }

        ulong length = System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (prefix.StartsWith("PK\x03\x04"u8))
        {
            throw new UserErrorException($"'{path}' is a zip file, not a safetensors file; a file of torch.save is called .bin here, and "
                + "an archive has to be unpacked");
        }

        if (length > ByteCountMax)
        {
            throw new UserErrorException($"'{path}' is not a safetensors file, or it is damaged: its header would "
                + $"have {length} bytes, and at most {ByteCountMax} are read");
        }

        if ((long)length > fileBytes - 8)
        {
            throw new UserErrorException($"'{path}' is truncated: its header has {length} bytes, and only "
                + $"{fileBytes - 8} follow; copy or download it again");
        }

        return (long)length;
    }

    /// <summary>Parses <paramref name="json"/> and checks it against <paramref name="dataBytes"/>, the bytes that
    /// follow it.</summary>
    internal static SafetensorsHeader Parse(string path, ReadOnlySpan<byte> json, long dataBytes)
    {
        var header = new SafetensorsHeader(path);
        try
        {
            header.Read(json);
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"'{path}': the safetensors header is not valid JSON: {OneLine(e.Message)}", e);
        }
        catch (InvalidOperationException e)
        {
            // Utf8JsonReader.GetString on bytes that are not UTF-8.
            throw new UserErrorException($"'{path}': the safetensors header holds text that is not UTF-8", e);
        }

        header.CheckLayout(dataBytes);
        return header;
    }

    /// <summary>A name from a file, made safe for a one-line message.</summary>
    internal static string Quote(string name)
    {
        var text = new StringBuilder("'");
        foreach (char c in name.Length > 120 ? string.Concat(name.AsSpan(0, 120), "…") : name)
        {
            text.Append(char.IsControl(c) ? '?' : c);
        }

        return text.Append('\'').ToString();
    }

    /// <summary>A library's message on one line.</summary>
    internal static string OneLine(string message) =>
        message.ReplaceLineEndings(" ").TrimEnd();

    private void Read(ReadOnlySpan<byte> json)
    {
        if (json.IsEmpty || json[0] != (byte)'{')
        {
            throw new UserErrorException($"'{_path}' is not a safetensors file: its header does not begin with '{{'");
        }

        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = DepthMax });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            reader.Read();
            if (name == "__metadata__")
            {
                ReadMetadata(ref reader);
                continue;
            }

            TensorEntry entry = ReadEntry(name, ref reader);
            if (!_entries.TryAdd(name, entry))
            {
                throw Broken(name, "is listed twice");
            }
        }

        // Only white space may follow; anything else makes this throw.
        while (reader.Read())
        {
        }
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.Null)
        {
            return;
        }

        if (reader.TokenType != JsonTokenType.StartObject || _metadata.Count > 0)
        {
            throw new UserErrorException($"'{_path}': '__metadata__' must be one object of strings");
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
            {
                throw new UserErrorException($"'{_path}': '__metadata__' must be one object of strings; the value of "
                    + $"{Quote(key)} is not a string");
            }

            _metadata[key] = reader.GetString()!;
        }
    }

    private TensorEntry ReadEntry(string name, ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw Broken(name, "is not an object with dtype, shape and data_offsets");
        }

        string? typeName = null;
        long[]? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string field = reader.GetString()!;
            reader.Read();
            bool again = false;
            switch (field)
            {
                case "dtype":
                    again = typeName is not null;
                    typeName = reader.TokenType == JsonTokenType.String
                        ? reader.GetString() : throw Broken(name, "has a dtype that is not a string");
                    break;
                case "shape":
                    again = shape is not null;
                    shape = ReadNumbers(name, field, ref reader);
                    break;
                case "data_offsets":
                    again = offsets is not null;
                    offsets = ReadNumbers(name, field, ref reader);
                    break;
                default:
                    reader.Skip(); // As the reference implementation does.
                    break;
            }

            if (again)
            {
                throw Broken(name, $"has {field} twice");
            }
        }

        if (typeName is null || shape is null || offsets is null)
        {
            throw Broken(name, $"has no {(typeName is null ? "dtype" : shape is null ? "shape" : "data_offsets")}");
        }

        return Check(name, typeName, shape, offsets);
    }

    private TensorEntry Check(string name, string typeName, long[] shape, long[] offsets)
    {
        if (offsets.Length != 2 || offsets[0] > offsets[1])
        {
            throw Broken(name, $"has data_offsets {TensorTypes.Format(offsets)}; two rising numbers are needed");
        }

        // What nobody asks for may be of any type; its size is then taken as stated, within the file.
        if (!TensorTypes.TryParseSafetensors(typeName, out TensorType type))
        {
            return new TensorEntry(name, TensorType.Other, shape, offsets[0], offsets[1]) { TypeName = typeName };
        }

        if (!TensorTypes.TryCount(shape, out long count) || count > long.MaxValue / 8
            || count * type.ByteSize() != offsets[1] - offsets[0])
        {
            throw Broken(name, $"has {offsets[1] - offsets[0]} bytes of data, but {typeName} of shape "
                + $"{TensorTypes.Format(shape)} needs {ByteCount(shape, type)}");
        }

        return new TensorEntry(name, type, shape, offsets[0], offsets[1]);
    }

    private static System.Numerics.BigInteger ByteCount(long[] shape, TensorType type) =>
        shape.Aggregate(new System.Numerics.BigInteger(type.ByteSize()), (product, axis) => product * axis);

    private long[] ReadNumbers(string name, string field, ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            throw Broken(name, $"has a {field} that is not an array of numbers");
        }

        var numbers = new List<long>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long value) || value < 0)
            {
                throw Broken(name, $"has a {field} with an entry that is not a whole number from 0 to 2^63-1");
            }

            numbers.Add(value);
            if (numbers.Count > 32)
            {
                throw Broken(name, $"has a {field} of more than 32 entries");
            }
        }

        return [.. numbers];
    }

    /// <summary>The tensors must tile the data: no overlap, no hole, nothing left over.</summary>
    private void CheckLayout(long dataBytes)
    {
        Ordered = [.. _entries.Values.OrderBy(e => e.Begin).ThenBy(e => e.End)];
        long end = 0;
        foreach (TensorEntry entry in Ordered)
        {
            if (entry.End > dataBytes)
            {
                throw Broken(entry.Name, $"has data_offsets {TensorTypes.Format([entry.Begin, entry.End])}, but the "
                    + $"file has only {dataBytes} bytes of data; it is truncated: copy or download it again");
            }

            if (entry.Begin != end)
            {
                throw Broken(entry.Name, entry.Begin < end
                    ? $"overlaps another: it begins at {entry.Begin}, and the one before it ends at {end}"
                    : $"begins at {entry.Begin}, and the one before it ends at {end}: bytes between them belong to none");
            }

            end = entry.End;
        }

        if (end != dataBytes)
        {
            throw new UserErrorException($"'{_path}': the tensors end at byte {end} of the data, but {dataBytes} bytes "
                + "are there; the file is damaged");
        }
    }

    private UserErrorException Broken(string tensor, string what) =>
        new($"'{_path}': tensor {Quote(tensor)} {what}");
}
