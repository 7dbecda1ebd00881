using System.Buffers;

namespace LlavaSharp.Imaging;

/// <summary>A decoded picture in borrowed memory, as the decoder leaves it: four bytes a pixel, the last of no meaning.</summary>
internal sealed class DecodedImage : IDisposable
{
    private byte[]? _bytes;

    /// <summary>Borrows memory, with what was in it.</summary>
    /// <param name="width">Columns.</param>
    /// <param name="height">Rows.</param>
    public DecodedImage(int width, int height)
    {
        (Width, Height) = (width, height);
        _bytes = ArrayPool<byte>.Shared.Rent(checked((width * height * 4) + PixelRows.Slack));
    }

    /// <summary>Columns.</summary>
    public int Width { get; }

    /// <summary>Rows.</summary>
    public int Height { get; }

    /// <summary>[height, width, 4], red first.</summary>
    public Span<byte> Bytes => Whole.AsSpan(0, Width * Height * 4);

    /// <summary>What the resampler reads.</summary>
    public PixelRows Rows => new(Whole, Width, Height, 4);

    private byte[] Whole => _bytes ?? throw new ObjectDisposedException(nameof(DecodedImage));

    /// <summary>A copy that stays.</summary>
    public RgbImage ToRgb()
    {
        byte[] rgb = GC.AllocateUninitializedArray<byte>(checked(Width * Height * 3));
        HorizontalPass.DropFourth(Bytes, rgb);
        return new RgbImage(Width, Height, rgb);
    }

    /// <summary>Gives the memory back.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _bytes, null) is { } bytes)
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }
}
