using LlavaSharp.Imaging;
using LlavaSharp.Interop;

namespace LlavaSharp.Parity;

/// <summary>A case's samples as a packed batch: its ids hold one image token a row already.</summary>
/// <param name="Packed">The batch.</param>
/// <param name="TileCount">Squares that the tower sees: one an image, unless images are cut into tiles.</param>
internal sealed record ParityBatch(PackedBatch Packed, int TileCount)
{
    public static ParityBatch Build(ParityCase parity, int imageRows, Func<string, PreparedImage> images) =>
        Pack(parity, [.. parity.TokenIds], [.. parity.Labels], imageRows, images);

    public static ParityBatch BuildPrompt(ParityCase parity, int length, int imageRows, Func<string, PreparedImage> images) =>
        Pack(parity, [parity.TokenIds[0][..length]], [parity.Labels[0][..length]], imageRows, images);

    private static ParityBatch Pack(ParityCase parity, int[][] ids, int[][] labels, int imageRows, Func<string, PreparedImage> load)
    {
        List<int> tokens = [], positions = [], starts = [0], slots = [];
        var images = new List<PreparedImage>();
        for (var b = 0; b < ids.Length; b++)
        {
            var found = ids[b].Count(id => id == parity.ImageToken);
            var image = parity.Images[b] is { } name ? load(name) : null;
            int[] rows = image is null ? [] : image.Rows ?? [.. Enumerable.Range(0, imageRows)];
            if (found != rows.Length)
            {
                throw new UserErrorException(
                    $"{parity.Folder}: sample {b} has {found} image tokens; {(image is null ? "it has no image" : $"its image has {rows.Length}")}");
            }

            var (first, next) = (slots.Count, 0);
            if (image is not null)
            {
                images.Add(image);
                slots.AddRange(Enumerable.Repeat(-1, image.Tiles * imageRows));
            }

            for (var t = 0; t < ids[b].Length; t++)
            {
                var row = ids[b][t] == parity.ImageToken ? rows[next++] : (int?)null;
                if (row >= 0)
                {
                    slots[first + row.Value] = tokens.Count;
                }

                tokens.Add(row == AnyResolutionLayout.Newline ? PackedBatch.ImageNewline : ids[b][t]);
                positions.Add(t);
            }

            starts.Add(tokens.Count);
        }

        return new(
            new PackedBatch
            {
                Tokens = tokens.ToArray(),
                Labels = labels.SelectMany(l => l).ToArray(),
                Positions = positions.ToArray(),
                CuSeqlens = starts.ToArray(),
                ImageSlots = slots.ToArray(),
                Pixels = images.SelectMany(i => i.Pixels).ToArray(),
            },
            images.Sum(i => i.Tiles));
    }
}
