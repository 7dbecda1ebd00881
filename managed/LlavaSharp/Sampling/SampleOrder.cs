namespace LlavaSharp.Sampling;

/// <summary>
/// In which order samples are seen: LLaVA's LengthGroupedSampler, Hugging Face's RandomSampler, and accelerate's
/// sharding over processes, drawn from PyTorch's generators. Everything is a pure function of its arguments: a run
/// that resumes computes the order again and goes on at its place.
/// </summary>
public static class SampleOrder
{
    /// <summary>The order of one epoch.</summary>
    /// <param name="options">Batches, processes, seed.</param>
    /// <param name="modalityLengths">
    /// A sample's word count, negative when it has no image; not zero when grouping. Only its length counts otherwise.
    /// </param>
    /// <param name="epoch">From 0. Earlier epochs are drawn too, since they advance the generators.</param>
    /// <returns>Sample indices, <see cref="EpochLength"/> of them: each once, and where that is more, a few twice.</returns>
    /// <exception cref="UserErrorException">A length is zero and is needed.</exception>
    public static int[] ForEpoch(SampleOrderOptions options, ReadOnlySpan<int> modalityLengths, int epoch)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(epoch);
        var global = new TorchRandom(options.Seed);

        // With several processes, accelerate gives the sampler a generator of its own, with PyTorch's default seed.
        var shared = options.WorldSize > 1 ? new TorchRandom(TorchRandom.DefaultSeed) : null;
        for (var e = 0; ; e++)
        {
            // The data loader draws the workers' base seed before the sampler starts.
            global.NextSeed();
            var order = Draw(options, modalityLengths, shared, global);
            if (e == epoch)
            {
                return order;
            }
        }
    }

    /// <summary>Samples in an epoch's order.</summary>
    /// <param name="options">As for <see cref="ForEpoch"/>.</param>
    /// <param name="modalityLengths">As for <see cref="ForEpoch"/>.</param>
    public static int EpochLength(SampleOrderOptions options, ReadOnlySpan<int> modalityLengths) =>
        options is { GroupByModalityLength: true, Balanced: true } ? BalancedOrder.Length(options, modalityLengths)
        : options is { GroupByModalityLength: false, GroupByLength: false, FillsLastBatch: true, WorldSize: 1 }
            ? (modalityLengths.Length + options.PerDeviceBatch - 1) / options.PerDeviceBatch * options.PerDeviceBatch
        : modalityLengths.Length;

    /// <summary>RandomSampler: a permutation from the given generator, or from one seeded by the global generator.</summary>
    /// <param name="count">Number of samples.</param>
    /// <param name="shared">The sampler's generator, or null when it has none.</param>
    /// <param name="global">The global generator.</param>
    /// <param name="wanted">How many indices; more than there are samples begin a second permutation. Null for each once.</param>
    public static int[] Shuffled(int count, TorchRandom? shared, TorchRandom global, int? wanted = null)
    {
        var random = shared ?? new TorchRandom(global.NextSeed());
        var order = random.Randperm(count);

        // RandomSampler draws a second permutation also when it takes nothing of it; a shared generator moves on by it.
        var second = random.Randperm(count);
        return wanted is { } length && length > count ? [.. order, .. second[..(length - count)]] : order;
    }

    /// <summary>
    /// Hugging Face's LengthGroupedSampler (<c>--group_by_length</c>): chunks of up to fifty steps, each sorted by length, and
    /// the longest sample of all first, so that memory runs out at once or never.
    /// </summary>
    /// <param name="lengths">Words, signed by modality; an image counts as 128 more.</param>
    /// <param name="step">Samples in an optimizer step of one process.</param>
    /// <param name="random">What permutes.</param>
    public static int[] HuggingFaceGrouped(ReadOnlySpan<int> lengths, int step, TorchRandom random)
    {
        const int ImageWords = 128;
        var words = new int[lengths.Length];
        for (var i = 0; i < words.Length; i++)
        {
            words[i] = Math.Abs(lengths[i]) + (lengths[i] > 0 ? ImageWords : 0);
        }

        var chunk = Math.Max(1, Math.Min(words.Length / (step * 4), 50)) * step;
        int[][] chunks = [.. random.Randperm(words.Length).Chunk(chunk).Select(c => c.OrderByDescending(i => words[i]).ToArray())];
        var longest = 0;
        for (var c = 1; c < chunks.Length; c++)
        {
            longest = words[chunks[c][0]] > words[chunks[longest][0]] ? c : longest;
        }

        if (chunks.Length > 0)
        {
            (chunks[0][0], chunks[longest][0]) = (chunks[longest][0], chunks[0][0]);
        }

        return [.. chunks.SelectMany(c => c)];
    }

    /// <summary>
    /// Groups samples of like modality and length: every optimizer step but the last ones sees only images or only
    /// text, in chunks of about equal length.
    /// </summary>
    /// <param name="lengths">Positive with image, negative without, never zero.</param>
    /// <param name="batch">Samples in a micro-batch.</param>
    /// <param name="chunks">Processes times gradient accumulation: micro-batches in a step.</param>
    /// <param name="sampler">The sampler's generator: permutes the steps (or the samples, if all are of one modality).</param>
    /// <param name="global">The global generator: permutes within each modality.</param>
    /// <exception cref="UserErrorException">A length is zero.</exception>
    public static int[] ModalityGrouped(ReadOnlySpan<int> lengths, int batch, int chunks, TorchRandom sampler, TorchRandom global)
    {
        ThrowIfEmpty(lengths);
        var images = new List<int>();
        var texts = new List<int>();
        for (var i = 0; i < lengths.Length; i++)
        {
            (lengths[i] > 0 ? images : texts).Add(i);
        }

        if (images.Count == 0 || texts.Count == 0)
        {
            return LengthGrouped(lengths, batch, chunks, sampler);
        }

        var step = checked(batch * chunks);
        var imageSteps = Grouped(images, lengths, batch, chunks, global);
        var textSteps = Grouped(texts, lengths, batch, chunks, global);

        // The last step of each modality, even a full one, goes to a mixed tail in order of index.
        int[] tail = [.. imageSteps[^1], .. textSteps[^1]];
        Array.Sort(tail);
        List<int[]> steps = [.. imageSteps[..^1], .. textSteps[..^1]];
        return [.. sampler.Randperm(steps.Count).SelectMany(i => steps[i]), .. tail];

        List<int[]> Grouped(List<int> indices, ReadOnlySpan<int> all, int b, int w, TorchRandom random)
        {
            var own = new int[indices.Count];
            for (var i = 0; i < own.Length; i++)
            {
                own[i] = Math.Abs(all[indices[i]]);
            }

            return [.. LengthGrouped(own, b, w, random).Select(i => indices[i]).Chunk(step)];
        }
    }

    /// <summary>Permutes, cuts into steps, sorts each by length (longest first, stable) and splits it into even chunks.</summary>
    /// <param name="lengths">Lengths; all-negative ones sort shortest first, as in the original.</param>
    /// <param name="batch">Samples in a micro-batch.</param>
    /// <param name="chunks">Micro-batches in a step.</param>
    /// <param name="random">What permutes.</param>
    public static int[] LengthGrouped(ReadOnlySpan<int> lengths, int batch, int chunks, TorchRandom random)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(chunks);
        int[] own = [.. lengths];
        var order = new List<int>(own.Length);
        foreach (var step in random.Randperm(own.Length).Chunk(checked(batch * chunks)))
        {
            int[] sorted = [.. step.OrderByDescending(i => own[i])];
            foreach (var chunk in SplitEven(sorted, own, chunks))
            {
                order.AddRange(chunk);
            }
        }

        return [.. order];
    }

    /// <summary>
    /// Splits a step into chunks of equal count and about equal total length: each index goes to the chunk that is
    /// shortest so far and not full. A step that does not divide is dealt out in turn instead.
    /// </summary>
    /// <param name="indices">The step, longest first.</param>
    /// <param name="lengths">Length by index.</param>
    /// <param name="chunks">How many chunks.</param>
    public static int[][] SplitEven(ReadOnlySpan<int> indices, ReadOnlySpan<int> lengths, int chunks)
    {
        var result = new List<int>[chunks];
        for (var k = 0; k < chunks; k++)
        {
            result[k] = [];
        }

        var deal = indices.Length % chunks != 0;
        var capacity = indices.Length / chunks;
        var totals = new double[chunks];
        for (var i = 0; i < indices.Length; i++)
        {
            var k = deal ? i % chunks : Array.IndexOf(totals, totals.Min());
            result[k].Add(indices[i]);
            totals[k] = result[k].Count == capacity ? double.PositiveInfinity : totals[k] + lengths[indices[i]];
        }

        return [.. result.Select(chunk => chunk.ToArray())];
    }

    /// <summary>
    /// The micro-batches of one process. Batches are cut from the order and dealt to the processes in turn; with
    /// several processes the last round is completed with samples from the order's start, so that all have as many.
    /// </summary>
    /// <param name="order">The order of an epoch.</param>
    /// <param name="batch">Samples in a micro-batch.</param>
    /// <param name="worldSize">Processes.</param>
    /// <param name="rank">This process, from 0.</param>
    /// <returns>ceil(ceil(N / batch) / worldSize) micro-batches; the last is short only with a single process.</returns>
    public static int[][] Shard(ReadOnlySpan<int> order, int batch, int worldSize, int rank)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)rank, (uint)worldSize, nameof(rank));
        var steps = StepsPerRank(order.Length, batch, worldSize);
        var result = new int[steps][];
        for (var s = 0; s < steps; s++)
        {
            var start = ((s * (long)worldSize) + rank) * batch;
            var size = worldSize == 1 ? (int)Math.Min(batch, order.Length - start) : batch;
            result[s] = new int[size];
            for (var i = 0; i < size; i++)
            {
                result[s][i] = order[(int)((start + i) % order.Length)];
            }
        }

        return result;
    }

    /// <summary>Micro-batches that each process has in an epoch.</summary>
    /// <param name="count">Samples.</param>
    /// <param name="batch">Samples in a micro-batch.</param>
    /// <param name="worldSize">Processes.</param>
    public static int StepsPerRank(int count, int batch, int worldSize)
    {
        var batches = (count + (long)batch - 1) / batch;
        return (int)((batches + worldSize - 1) / worldSize);
    }

    private static int[] Draw(SampleOrderOptions options, ReadOnlySpan<int> lengths, TorchRandom? shared, TorchRandom global)
    {
        if (options.GroupByModalityLength)
        {
            ThrowIfEmpty(lengths);
            var chunks = options.WorldSize * options.GradientAccumulation;
            return options.Balanced
                ? BalancedOrder.ForEpoch(options, lengths, shared ?? global, global)
                : ModalityGrouped(lengths, options.PerDeviceBatch, chunks, shared ?? global, global);
        }

        return options.GroupByLength
            ? HuggingFaceGrouped(lengths, options.PerDeviceBatch * options.GradientAccumulation, shared ?? global)
            : Shuffled(lengths.Length, shared, global, EpochLength(options, lengths));
    }

    private static void ThrowIfEmpty(ReadOnlySpan<int> lengths)
    {
        var empty = lengths.IndexOf(0);
        if (empty >= 0)
        {
            throw new UserErrorException(
                $"sample {empty}: it has no words, and grouping by length needs some; remove it, or set --group_by_modality_length False");
        }
    }
}
