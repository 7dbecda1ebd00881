namespace LlavaSharp.Imaging;

/// <summary>
/// The filter of one axis in Pillow's fixed point: for every output position the source positions it reads
/// and their integer weights. The source may lie inside a larger canvas of one colour; the weights that
/// fall outside it are summed, so that padding costs nothing and still rounds as if it were there.
/// </summary>
internal sealed class ResampleAxis
{
    /// <summary>Fraction bits of a weight: 32, less 8 of a pixel, less 2 for overshoot.</summary>
    public const int PrecisionBits = 32 - 8 - 2;

    /// <summary>One half in that fraction: added before the fraction is cut off.</summary>
    public const int Half = 1 << (PrecisionBits - 1);

    // Pictures of a data set come in few sizes, so filters are remembered: one a slot, the newest wins.
    private const int Slots = 64;
    private const int RememberedWeights = 1 << 16;

    private const double Support = 2.0; // half-width of the bicubic kernel, in source pixels

    private static readonly ResampleAxis?[] Remembered = new ResampleAxis?[Slots];

    private readonly int[] _first;
    private readonly int[] _start;
    private readonly int[] _outside;
    private readonly int[] _weights;
    private readonly int[] _packedStart;
    private readonly (int, int, int, int, int, int) _key;

    private ResampleAxis(int[] first, int[] start, int[] outside, int[] weights, (int, int, int, int, int, int) key)
    {
        _first = first;
        _start = start;
        _outside = outside;
        _weights = weights;
        _key = key;
        MostWeights = Enumerable.Range(0, first.Length).Max(i => start[i + 1] - start[i]);
        _packedStart = new int[start.Length];
        for (int i = 0; i < first.Length; i++)
        {
            _packedStart[i + 1] = _packedStart[i] + (2 * ((start[i + 1] - start[i] + 3) / 4));
        }

        Packed = new ulong[_packedStart[^1]];
        for (int i = 0; i < first.Length; i++)
        {
            Pack(Weights(i), Packed.AsSpan(_packedStart[i]));
        }
    }

    /// <summary>Output positions.</summary>
    public int Count => _first.Length;

    /// <summary>The most weights that an output has.</summary>
    public int MostWeights { get; }

    /// <summary>
    /// The weights in fours, the last four filled up with zeros: the low parts of four weights as 16-bit numbers in one
    /// element, their high parts in the next (<see cref="Avx2Kernel"/>).
    /// </summary>
    public ulong[] Packed { get; }

    /// <summary>First element of <see cref="Packed"/> of output <paramref name="i"/>; for <see cref="Count"/>, one past the last.</summary>
    public int PackedStart(int i) => _packedStart[i];

    /// <summary>Lowest source position any output reads (0 when none does).</summary>
    public int SourceBegin { get; private init; }

    /// <summary>One past the highest source position any output reads.</summary>
    public int SourceEnd { get; private init; }

    /// <summary>First source position that output <paramref name="i"/> reads.</summary>
    public int First(int i) => _first[i];

    /// <summary>Weights of output <paramref name="i"/>, for consecutive source positions.</summary>
    public ReadOnlySpan<int> Weights(int i) => _weights.AsSpan(_start[i].._start[i + 1]);

    /// <summary>Sum of the weights of output <paramref name="i"/> that fall on the canvas around the source.</summary>
    public int Outside(int i) => _outside[i];

    /// <summary>Weights for outputs [begin, begin + count) of a resize from <paramref name="canvas"/> to
    /// <paramref name="target"/> positions.</summary>
    /// <param name="canvas">Canvas positions.</param>
    /// <param name="target">Output positions of the whole resize.</param>
    /// <param name="begin">First output wanted.</param>
    /// <param name="count">Outputs wanted.</param>
    /// <param name="offset">Where the source begins on the canvas.</param>
    /// <param name="size">Source positions.</param>
    public static ResampleAxis Bicubic(int canvas, int target, int begin, int count, int offset, int size)
    {
        (int, int, int, int, int, int) key = (canvas, target, begin, count, offset, size);
        ref ResampleAxis? slot = ref Remembered[(uint)key.GetHashCode() % Slots];
        ResampleAxis? axis = Volatile.Read(ref slot);
        if (axis is null || axis._key != key)
        {
            axis = Make(canvas, target, begin, count, offset, size, key);
            if (axis._weights.Length <= RememberedWeights)
            {
                Volatile.Write(ref slot, axis);
            }
        }

        return axis;
    }

    private static ResampleAxis Make(
        int canvas, int target, int begin, int count, int offset, int size, (int, int, int, int, int, int) key)
    {
        double scale = (double)canvas / target;
        double stretch = Math.Max(scale, 1.0); // antialias: the kernel widens when shrinking, never narrows
        double support = Support * stretch;
        double inverse = 1.0 / stretch;
        double[] raw = new double[((int)Math.Ceiling(support) * 2) + 1];
        int[] first = new int[count];
        int[] start = new int[count + 1];
        int[] outside = new int[count];
        List<int> weights = new(count * Math.Min(raw.Length, size));
        int lowest = size;
        int highest = 0;
        for (int i = 0; i < count; i++)
        {
            double center = (begin + i + 0.5) * scale;
            int low = Math.Max((int)(center - support + 0.5), 0);
            int high = Math.Min((int)(center + support + 0.5), canvas);
            double total = 0;
            for (int at = low; at < high; at++)
            {
                double weight = Kernel((at - center + 0.5) * inverse);
                raw[at - low] = weight;
                total += weight;
            }

            int from = Math.Clamp(low - offset, 0, size);
            int to = Math.Clamp(high - offset, from, size);
            for (int at = low; at < high; at++)
            {
                int weight = Fixed(total != 0 ? raw[at - low] / total : raw[at - low]);
                if (at - offset >= from && at - offset < to)
                {
                    weights.Add(weight);
                }
                else
                {
                    outside[i] += weight;
                }
            }

            first[i] = from;
            start[i + 1] = weights.Count;
            if (to > from)
            {
                lowest = Math.Min(lowest, from);
                highest = Math.Max(highest, to);
            }
        }

        return new ResampleAxis(first, start, outside, [.. weights], key)
        {
            SourceBegin = Math.Min(lowest, highest),
            SourceEnd = highest,
        };
    }

    private static void Pack(ReadOnlySpan<int> weights, Span<ulong> packed)
    {
        for (int i = 0; i < weights.Length; i++)
        {
            int bits = 16 * (i % 4);
            packed[i / 4 * 2] |= (ulong)(ushort)Avx2Kernel.Low(weights[i]) << bits;
            packed[(i / 4 * 2) + 1] |= (ulong)(ushort)Avx2Kernel.High(weights[i]) << bits;
        }
    }

    // Keys' cubic convolution with a = -1/2, in the operation order Pillow uses: the last bit matters.
    private static double Kernel(double x)
    {
        const double A = -0.5;
        x = Math.Abs(x);
        if (x < 1.0)
        {
            return ((((A + 2.0) * x) - (A + 3.0)) * x * x) + 1;
        }

        return x < 2.0 ? ((((x - 5) * x) + 8) * x - 4) * A : 0.0;
    }

    private static int Fixed(double weight) =>
        (int)((weight < 0 ? -0.5 : 0.5) + (weight * (1 << PrecisionBits)));
}
