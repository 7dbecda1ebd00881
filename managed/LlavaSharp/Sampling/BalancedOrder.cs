namespace LlavaSharp.Sampling;

/// <summary>
/// Groups samples by modality as LLaVA's sampler does, without its two flaws: no micro-batch, and no round of micro-batches over
/// the processes, holds both modalities (the recipe's last step of each is mixed), and the micro-batches of an update are
/// as long as each other to within a fraction of a sample.
/// </summary>
internal static class BalancedOrder
{
    /// <summary>Exchanges tried for each micro-batch of an update; few are needed.</summary>
    private const int ExchangesPerChunk = 8;

    /// <summary>Samples in an epoch: each once, and a few again to complete the last round of each modality.</summary>
    public static int Length(SampleOrderOptions options, ReadOnlySpan<int> lengths)
    {
        var images = 0;
        foreach (var length in lengths)
        {
            images += length > 0 ? 1 : 0;
        }

        return lengths.Length + Fill(options, images, lengths.Length, true) + Fill(options, lengths.Length - images, lengths.Length, false);
    }

    /// <summary>The order of one epoch.</summary>
    /// <param name="options">Batches and processes.</param>
    /// <param name="lengths">Positive with image, negative without, never zero.</param>
    /// <param name="steps">Permutes the updates.</param>
    /// <param name="samples">Permutes within each modality.</param>
    public static int[] ForEpoch(SampleOrderOptions options, ReadOnlySpan<int> lengths, TorchRandom steps, TorchRandom samples)
    {
        int[] all = [.. lengths];
        var updates = new List<int[]>();
        var tails = new List<int[]>();
        foreach (var image in (bool[])[true, false])
        {
            int[] own = [.. Enumerable.Range(0, all.Length).Where(i => all[i] > 0 == image)];
            own = [.. samples.Randperm(own.Length).Select(i => own[i])];
            var step = checked(options.PerDeviceBatch * options.GradientAccumulation * options.WorldSize);
            var whole = own.Length / step * step;
            foreach (var update in own.AsSpan(0, whole).ToArray().Chunk(step))
            {
                updates.Add(Even(update, all, options.PerDeviceBatch));
            }

            int[] rest = own[whole..];
            var fill = Fill(options, own.Length, all.Length, image);
            tails.Add(Even([.. rest, .. Enumerable.Range(0, fill).Select(i => own[i % own.Length])], all, options.PerDeviceBatch));
        }

        return [.. steps.Randperm(updates.Count).SelectMany(i => updates[i]), .. tails.SelectMany(t => t)];
    }

    /// <summary>Deals samples out to micro-batches of equal count and about equal length, longest first, then exchanges pairs between
    /// the longest and the shortest micro-batch while that brings them closer. Micro-batches come in no order of length.</summary>
    internal static int[] Even(int[] samples, int[] lengths, int batch)
    {
        if (samples.Length % batch != 0 || samples.Length <= batch)
        {
            // An incomplete round: only full micro-batches can be evened out, so the samples keep their random order.
            return samples;
        }

        // Places in the update, not in the data: the work must not grow with the whole file for every update of it.
        int[] size = [.. samples.Select(i => Math.Abs(lengths[i]))];
        int[] sorted = [.. Enumerable.Range(0, samples.Length).OrderByDescending(place => size[place])];
        var chunks = SampleOrder.SplitEven(sorted, size, samples.Length / batch);
        long[] totals = [.. chunks.Select(chunk => chunk.Sum(i => (long)size[i]))];
        for (var tries = ExchangesPerChunk * chunks.Length; tries > 0; tries--)
        {
            var (most, least) = (Array.IndexOf(totals, totals.Max()), Array.IndexOf(totals, totals.Min()));
            if (!Exchange(chunks[most], chunks[least], size, totals[most] - totals[least], out var moved))
            {
                break;
            }

            totals[most] -= moved;
            totals[least] += moved;
        }

        return [.. chunks.SelectMany(chunk => chunk).Select(place => samples[place])];
    }

    /// <summary>Exchanges the pair that moves closest to half of the gap. False when none makes it smaller.</summary>
    private static bool Exchange(int[] more, int[] less, int[] size, long gap, out long moved)
    {
        var (a, b, best) = (-1, -1, gap);
        for (var i = 0; i < more.Length; i++)
        {
            for (var k = 0; k < less.Length; k++)
            {
                var after = Math.Abs(gap - (2L * (size[more[i]] - size[less[k]])));
                if (after < best)
                {
                    (a, b, best) = (i, k, after);
                }
            }
        }

        moved = a < 0 ? 0 : size[more[a]] - size[less[b]];
        if (a >= 0)
        {
            (more[a], less[b]) = (less[b], more[a]);
        }

        return a >= 0;
    }

    /// <summary>
    /// Samples that complete a modality's last round. Nothing is to be kept apart when there is one modality alone; and in one process
    /// the last micro-batch of the epoch, which is text, may be short.
    /// </summary>
    private static int Fill(SampleOrderOptions options, int count, int all, bool image)
    {
        var round = checked(options.PerDeviceBatch * options.WorldSize);
        return count == 0 || count == all || (!image && options.WorldSize == 1) ? 0 : (round - (count % round)) % round;
    }
}
