namespace LlavaSharp.Parity;

/// <summary>The one measure of difference: ‖ours − ref‖ / ‖ref‖ over all elements, summed in float64.</summary>
internal static class ParityMath
{
    private const double TinyNorm = 1e-12;

    public static double RelativeError(ReadOnlySpan<float> ours, ReadOnlySpan<float> reference)
    {
        double difference = 0, norm = 0;
        for (var i = 0; i < reference.Length; i++)
        {
            var d = (double)ours[i] - reference[i];
            difference += d * d;
            norm += (double)reference[i] * reference[i];
        }

        return Ratio(Math.Sqrt(difference), Math.Sqrt(norm));
    }

    public static double RelativeError(double ours, double reference) => Ratio(Math.Abs(ours - reference), Math.Abs(reference));

    /// <summary>The error of a change: ‖ours − ref‖ / ‖ref − start‖.</summary>
    public static double ChangeError(ReadOnlySpan<float> ours, ReadOnlySpan<float> reference, ReadOnlySpan<float> start)
    {
        double difference = 0, norm = 0;
        for (var i = 0; i < reference.Length; i++)
        {
            var d = (double)ours[i] - reference[i];
            var change = (double)reference[i] - start[i];
            difference += d * d;
            norm += change * change;
        }

        return Ratio(Math.Sqrt(difference), Math.Sqrt(norm));
    }

    /// <summary>The larger of two errors, where "not a number" is the largest.</summary>
    public static bool Worse(double error, double than) => double.IsNaN(error) || error > than;


    private static double Ratio(double difference, double norm) => norm < TinyNorm ? difference : difference / norm;
}
