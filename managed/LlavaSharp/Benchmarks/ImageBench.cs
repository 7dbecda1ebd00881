using LlavaSharp.Imaging;

namespace LlavaSharp.Benchmarks;

/// <summary>Times the picture pipeline of training: JPEG, padded to a square, resized to 336, normalised; one thread.</summary>
public static class ImageBench
{
    /// <summary>Checks the pixels, then times.</summary>
    /// <param name="picture">What to read.</param>
    /// <param name="seconds">About how long to measure.</param>
    /// <param name="cancellation">Stops.</param>
    /// <returns>Medians.</returns>
    public static ImageBenchResult Run(BenchPicture picture, double seconds, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(picture);
        ImageProcessor processor = new(ImageProcessorConfig.Clip(336));
        float[] pixels = new float[3 * 336 * 336];

        void Decode()
        {
            using DecodedImage image = ImageDecoder.Open(picture.Jpeg.Span, "the benchmark's picture");
        }

        void Process()
        {
            using DecodedImage image = ImageDecoder.Open(picture.Jpeg.Span, "the benchmark's picture");
            processor.Process(image.Rows, ImageAspectRatio.Pad, pixels);
        }

        Process();
        bool? same = picture.Peer is null ? null : BenchPicture.Hash(pixels) == picture.Peer.Sha256;
        double whole = Stopwatches.Median(Process, seconds * 2 / 3, cancellation);
        double decode = Stopwatches.Median(Decode, seconds / 3, cancellation);
        return new(picture.Width, picture.Height, picture.Jpeg.Length, decode, whole, picture.Peer, same);
    }
}
