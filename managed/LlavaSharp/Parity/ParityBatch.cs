using LlavaSharp.Interop;

namespace LlavaSharp.Parity;

/// <summary>A case's samples as a packed batch: its ids hold one image token a row already.</summary>
/// <param name="Packed">The batch.</param>
/// <param name="ImageCount">Images in it.</param>
internal sealed record ParityBatch(PackedBatch Packed, int ImageCount)
{
    public static ParityBatch Build(ParityCase parity, int imageRows, Func<string, float[]> pixels) =>
        Pack(parity, [.. parity.TokenIds], [.. parity.Labels], imageRows, pixels);

    public static ParityBatch BuildPrompt(ParityCase parity, int length, int imageRows, Func<string, float[]> pixels) =>
        Pack(parity, [parity.TokenIds[0][..length]], [parity.Labels[0][..length]], imageRows, pixels);

    private static ParityBatch Pack(ParityCase parity, int[][] ids, int[][] labels, int imageRows, Func<string, float[]> pixels)
    {
        List<int> tokens = [], positions = [], starts = [0], slots = [];
        var images = new List<float[]>();
        for (var b = 0; b < ids.Length; b++)
        {
            var rows = ids[b].Count(id => id == parity.ImageToken);
            if (rows != (parity.Images[b] is null ? 0 : imageRows))
            {
                throw new UserErrorException(
                    $"{parity.Folder}: sample {b} has {rows} image tokens; {(parity.Images[b] is null ? "it has no image" : $"an image has {imageRows}")}");
            }

            if (parity.Images[b] is { } name)
            {
                images.Add(pixels(name));
            }

            for (var t = 0; t < ids[b].Length; t++)
            {
                if (ids[b][t] == parity.ImageToken)
                {
                    slots.Add(tokens.Count);
                }

                tokens.Add(ids[b][t]);
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
                Pixels = images.SelectMany(i => i).ToArray(),
            },
            images.Count);
    }
}
