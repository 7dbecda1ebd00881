using System.Text.Json;

namespace LlavaSharp.Data;

/// <summary>
/// Walks through a data file once, with one buffer that holds the sample at hand, and reports where each sample lies.
/// A file that starts with <c>[</c> is one JSON array; any other is a sequence of objects (JSON Lines).
/// </summary>
internal sealed class SampleScanner(Stream stream, string path)
{
    /// <summary>A sample larger than this is a mistake in the file, such as a missing bracket.</summary>
    public const int MaxSampleBytes = 64 << 20;

    private byte[] _buffer = new byte[1 << 20];

    /// <summary>The bytes of <see cref="_buffer"/> that are read and not yet consumed.</summary>
    private int _start, _end;

    /// <summary>Offset in the file of the first such byte.</summary>
    private long _offset;

    /// <summary>Zero-based line of that byte, and its place in the line.</summary>
    private long _line, _column;

    /// <summary>The same where the JSON begins: the reader counts from there.</summary>
    private long _firstLine, _firstColumn;

    private bool _ended;

    /// <summary>What is called for each sample: its offset in the file, and its bytes.</summary>
    public delegate void SampleAction(long offset, ReadOnlySpan<byte> json);

    /// <summary>Scans the whole file.</summary>
    /// <param name="action">Called in file order. A FormatException it throws is reported with the line.</param>
    /// <exception cref="UserErrorException">The file is no list of objects; the message has file, line and byte.</exception>
    public void Scan(SampleAction action)
    {
        Fill();
        SkipMark();
        var first = SkipSpaces();
        var array = first == '[';
        if (!array && first != '{' && JsonComplaints.OtherText(Rest) is { } text)
        {
            throw Error(0, text);
        }

        (_firstLine, _firstColumn) = (_line, _column);
        var options = new JsonReaderOptions { MaxDepth = SampleReader.MaxDepth, AllowMultipleValues = !array };
        var state = new JsonReaderState(options);
        for (var index = 0; ;)
        {
            // One step: from where the last sample ended to the end of the next one.
            var reader = new Utf8JsonReader(Rest, _ended, state);
            if (Step(ref reader, array, out var start))
            {
                var end = (int)reader.BytesConsumed;
                if (start >= 0)
                {
                    Report(action, index++, start, end);
                }

                state = reader.CurrentState;
                Consume(end);
            }
            else if (_ended)
            {
                return;
            }
            else
            {
                ReadMore();
            }
        }
    }

    /// <summary>
    /// Reads the next sample (start is set), or the array's bracket (start is -1). False: more bytes are needed, or
    /// the file has ended; the reader's state is then not used.
    /// </summary>
    private bool Step(ref Utf8JsonReader reader, bool array, out int start)
    {
        start = -1;
        try
        {
            if (!reader.Read())
            {
                return false;
            }

            if (array && reader.CurrentDepth == 0 && reader.TokenType is JsonTokenType.StartArray or JsonTokenType.EndArray)
            {
                return true;
            }

            start = (int)reader.TokenStartIndex;
            return reader.TokenType == JsonTokenType.StartObject
                ? reader.TrySkip()
                : throw Error(
                    start,
                    $"a sample must be an object, but here is {SampleReader.Kind(reader.TokenType)}; the file holds one list of objects, "
                    + "or an object a line");
        }
        catch (JsonException e)
        {
            var (line, column) = (e.LineNumber ?? 0, e.BytePositionInLine ?? 0);
            var why = JsonComplaints.Explain(e.Message, Rest[(int)reader.BytesConsumed..], array);
            throw new UserErrorException(
                $"{path}: line {_firstLine + line + 1}, byte {(line == 0 ? _firstColumn : 0) + column + 1}: {why}", e);
        }
    }

    private void Report(SampleAction action, int index, int start, int end)
    {
        try
        {
            action(_offset + start, Rest[start..end]);
        }
        catch (FormatException e)
        {
            throw Error(start, $"sample {index}: {e.Message}", e);
        }
    }

    private ReadOnlySpan<byte> Rest => _buffer.AsSpan(_start, _end - _start);

    /// <summary>Skips a UTF-8 byte order mark; refuses what is known to be no JSON text.</summary>
    private void SkipMark()
    {
        if (JsonComplaints.OtherKind(Rest) is { } kind)
        {
            throw new UserErrorException($"{path}: {kind}");
        }

        if (Rest is [0xEF, 0xBB, 0xBF, ..])
        {
            Consume(3);
            _column = 0;
        }
    }

    /// <summary>The first byte that is no white space.</summary>
    private byte SkipSpaces()
    {
        while (true)
        {
            var at = Rest.IndexOfAnyExcept(" \t\r\n"u8);
            Consume(at < 0 ? Rest.Length : at);
            if (at >= 0)
            {
                return Rest[0];
            }

            if (_ended)
            {
                throw new UserErrorException($"{path}: the file is empty; it must hold a list of samples");
            }

            ReadMore();
        }
    }

    /// <summary>Drops bytes from the front, counting lines.</summary>
    private void Consume(int count)
    {
        var gone = Rest[..count];
        _line += gone.Count((byte)'\n');
        _column = gone.LastIndexOf((byte)'\n') is var last and >= 0 ? count - 1 - last : _column + count;
        _offset += count;
        _start += count;
    }

    /// <summary>Makes room behind the bytes at hand, in a larger buffer if need be, and reads on.</summary>
    private void ReadMore()
    {
        if (_start > 0)
        {
            Rest.CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
        }
        else if (_end == _buffer.Length)
        {
            if (_end >= MaxSampleBytes)
            {
                throw Error(0, $"a sample of more than {MaxSampleBytes} bytes; is a bracket or a quote missing, or does an object wrap the list?");
            }

            Array.Resize(ref _buffer, _buffer.Length * 2);
        }

        Fill();
    }

    private void Fill()
    {
        var read = stream.ReadAtLeast(_buffer.AsSpan(_end), _buffer.Length - _end, throwOnEndOfStream: false);
        _end += read;
        _ended = _end < _buffer.Length;
    }

    private UserErrorException Error(int at, string problem, Exception? inner = null)
    {
        var before = Rest[..at];
        var line = _line + before.Count((byte)'\n') + 1;
        var column = before.LastIndexOf((byte)'\n') is var last and >= 0 ? at - last : _column + at + 1;
        return new UserErrorException($"{path}: line {line}, byte {column}: {problem}", inner!);
    }
}
