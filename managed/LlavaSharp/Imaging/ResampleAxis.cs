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

    private const double Support = 2.0; // half-width of the bicubic kernel, in source pixels

    private readonly int[] _first;
    private readonly int[] _start;
    private readonly int[] _outside;
    private readonly int[] _weights;

    private ResampleAxis(int[] first, int[] start, int[] outside, int[] weights)
    {
        _first = first;
        _start = start;
        _outside = outside;
        _weights = weights;
    }

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

        return new ResampleAxis(first, start, outside, [.. weights])
        {
            SourceBegin = Math.Min(lowest, highest),
            SourceEnd = highest,
        };
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
