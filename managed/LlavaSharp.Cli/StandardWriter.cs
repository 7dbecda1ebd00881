using System.Text;

namespace LlavaSharp.Cli;

/// <summary>Standard output or standard error, in UTF-8, every write at once.</summary>
/// <param name="stream">The stream; null when it was closed before the program began.</param>
/// <param name="failed">Told when something could not be written: throws, or lets it be lost.</param>
internal sealed class StandardWriter(Stream? stream, Action<string> failed) : TextWriter
{
    private readonly Encoder _encoder = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false).GetEncoder();

    /// <inheritdoc/>
    public override Encoding Encoding => Encoding.UTF8;

    /// <inheritdoc/>
    public override void Write(char value) => Write([value]);

    /// <inheritdoc/>
    public override void Write(string? value) => Write(value.AsSpan());

    /// <inheritdoc/>
    public override void Write(char[] buffer, int index, int count) => Write(buffer.AsSpan(index, count));

    /// <inheritdoc/>
    public override void WriteLine(string? value) => Write($"{value}{NewLine}");

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<char> buffer)
    {
        // Half of a surrogate pair waits in the encoder for its other half.
        var bytes = new byte[_encoder.GetByteCount(buffer, flush: false)];
        var count = _encoder.GetBytes(buffer, bytes, flush: false);
        if (stream is null)
        {
            failed("it is closed");
            return;
        }

        try
        {
            stream.Write(bytes, 0, count);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            failed(e.Message);
        }
    }
}
