using System.Collections;
using LlavaSharp.Reporting;

namespace LlavaSharp.Tests.Reporting;

public sealed class LineChartTests
{
    [Fact]
    public void A_long_curve_is_smoothed_where_it_is_drawn_and_nowhere_else()
    {
        // Points in a mean grow with the curve, so a mean for each point would be quadratic: 139,000 updates would take a billion.
        const int Count = 139_000;
        var values = new Counted(Count);
        var svg = LineChart.ToSvg("loss", "update", [ChartSeries.OverSteps("loss", values)]);
        Assert.Contains("class=\"s0 raw\"", svg, StringComparison.Ordinal);
        Assert.Contains("class=\"s0\"", svg, StringComparison.Ordinal);
        Assert.InRange(values.Reads, Count, 40L * Count);
    }

    [Fact]
    public void The_mean_is_centred_and_passes_over_gaps()
    {
        // A ramp's centred mean is the ramp, and a gap in it changes only its own point.
        double[] ramp = [.. Enumerable.Range(0, 80).Select(i => (double)i)];
        string Smooth(double[] y) => LineChart.ToSvg("t", "x", [ChartSeries.OverSteps("n", y)]).Split("class=\"s0\" d=\"")[1].Split('"')[0];
        string Raw(double[] y) => LineChart.ToSvg("t", "x", [ChartSeries.OverSteps("n", y)]).Split("class=\"s0 raw\" d=\"")[1].Split('"')[0];
        Assert.Equal(Raw(ramp), Smooth(ramp));
        double[] gap = [.. ramp];
        gap[0] = double.NaN;
        Assert.StartsWith("M", Smooth(gap), StringComparison.Ordinal);
        Assert.DoesNotContain("NaN", Smooth(gap), StringComparison.Ordinal);
    }

    private sealed class Counted(int count) : IReadOnlyList<double>
    {
        public long Reads { get; private set; }

        public int Count => count;

        public double this[int index]
        {
            get
            {
                Reads++;
                return index % 7;
            }
        }

        public IEnumerator<double> GetEnumerator()
        {
            for (var i = 0; i < count; i++)
            {
                yield return this[i];
            }
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
