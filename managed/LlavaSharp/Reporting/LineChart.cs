using System.Globalization;
using System.Text;

namespace LlavaSharp.Reporting;

/// <summary>
/// Draws curves as inline SVG: no script, no font, no address. Colours come from the page's CSS variables (--s0 … --s4, --grid, --ink),
/// so one drawing serves light and dark.
/// </summary>
public static class LineChart
{
    private const double Width = 640, Height = 260, Left = 58, Right = 14, Top = 14, Bottom = 34;
    private const int PointsMax = 600;

    /// <summary>Draws a chart.</summary>
    /// <param name="title">Read aloud by screen readers; the page prints its own heading.</param>
    /// <param name="xLabel">Under the horizontal axis.</param>
    /// <param name="series">One to five curves. A faint raw line lies under a smoothed one where there are many points.</param>
    /// <param name="fromZero">Whether the vertical axis starts at zero.</param>
    /// <returns>An svg element.</returns>
    public static string ToSvg(string title, string xLabel, IReadOnlyList<ChartSeries> series, bool fromZero = false)
    {
        var svg = new StringBuilder();
        Append(svg, $"<svg class=\"chart\" viewBox=\"0 0 {Width:0} {Height:0}\" role=\"img\" aria-label=\"{HtmlText.Escape(title)}\">");
        var xs = series.SelectMany(s => s.X).Where(double.IsFinite).DefaultIfEmpty(0).ToArray();
        var ys = series.SelectMany(s => s.Y).Where(double.IsFinite).DefaultIfEmpty(0).ToArray();
        var x = new Axis(xs.Min(), xs.Max(), 6, Left, Width - Right, nice: false);
        var y = new Axis(fromZero ? Math.Min(0, ys.Min()) : ys.Min(), ys.Max(), 5, Height - Bottom, Top, nice: true);
        foreach (var tick in y.Ticks)
        {
            Append(svg, $"<line class=\"grid\" x1=\"{Left:0}\" x2=\"{Width - Right:0}\" y1=\"{y.At(tick):0.0}\" y2=\"{y.At(tick):0.0}\"/>");
            Append(svg, $"<text x=\"{Left - 8:0}\" y=\"{y.At(tick) + 4:0.0}\" text-anchor=\"end\">{Label(tick, y.Step)}</text>");
        }

        foreach (var tick in x.Ticks)
        {
            Append(svg, $"<text x=\"{x.At(tick):0.0}\" y=\"{Height - Bottom + 18:0}\" text-anchor=\"middle\">{Label(tick, x.Step)}</text>");
        }

        Append(svg, $"<text x=\"{Width - Right:0}\" y=\"{Height - 3:0}\" text-anchor=\"end\">{HtmlText.Escape(xLabel)}</text>");
        for (var i = 0; i < series.Count; i++)
        {
            Curve(svg, series[i], i % 5, x, y);
        }

        return svg.Append("</svg>").ToString();
    }

    private static void Curve(StringBuilder svg, ChartSeries series, int colour, Axis x, Axis y)
    {
        var smooth = !series.IsExact && series.Y.Count >= 40;
        Path(svg, series.X, series.Y.Count, i => series.Y[i], $"s{colour}{(smooth ? " raw" : "")}", x, y);
        if (smooth)
        {
            Path(svg, series.X, series.Y.Count, i => Smooth(series.Y, i), $"s{colour}", x, y);
        }
    }

    // A value is asked for only where a point is drawn.
    private static void Path(
        StringBuilder svg, IReadOnlyList<double> xs, int count, Func<int, double> value, string style, Axis x, Axis y)
    {
        var stride = Math.Max(1, (count + PointsMax - 1) / PointsMax);
        var d = new StringBuilder();
        var pen = 'M';
        int drawn = 0, last = -1;
        for (var i = 0; i < count; i = i == count - 1 ? count : Math.Min(i + stride, count - 1))
        {
            var height = value(i);
            if (!double.IsFinite(height))
            {
                pen = 'M';
                continue;
            }

            Append(d, $"{pen}{x.At(xs[i]):0.0} {y.At(height):0.0}");
            (pen, last) = ('L', i);
            drawn++;
        }

        if (drawn == 1)
        {
            Append(svg, $"<circle class=\"{style}\" cx=\"{x.At(xs[last]):0.0}\" cy=\"{y.At(value(last)):0.0}\" r=\"3\"/>");
        }
        else if (drawn > 1)
        {
            Append(svg, $"<path class=\"{style}\" d=\"{d}\"/>");
        }
    }

    // A centred mean over about a twentieth of the run: it does not lag behind what it smooths, as a running one would.
    private static double Smooth(IReadOnlyList<double> values, int at)
    {
        var side = Math.Min(Math.Max(2, values.Count / 40), Math.Min(at, values.Count - 1 - at));
        return Enumerable.Range(at - side, (2 * side) + 1)
            .Select(i => values[i]).Where(double.IsFinite).DefaultIfEmpty(double.NaN).Average();
    }

    // As many decimals as the step between ticks needs, so that no two ticks read the same.
    private static string Label(double value, double step) =>
        Math.Abs(value) < step * 1e-6 ? "0"
        : step is >= 1e-4 and < 1e6 ? value.ToString($"F{Math.Max(0, -(int)Math.Floor(Math.Log10(step) + 1e-9))}", CultureInfo.InvariantCulture)
        : value.ToString("0.##e0", CultureInfo.InvariantCulture);

    private static void Append(StringBuilder to, FormattableString text) => to.Append(FormattableString.Invariant(text));

    /// <summary>Maps values to pixels and chooses round ticks (steps of 1, 2 or 5 times a power of ten).</summary>
    private sealed class Axis
    {
        private readonly double _low, _high, _from, _to;

        public Axis(double low, double high, int ticks, double from, double to, bool nice)
        {
            if (high - low <= Math.Abs(high) * 1e-9)
            {
                var margin = high == 0 ? 1 : Math.Abs(high) * 0.5;
                (low, high) = (low - margin, high + margin);
            }

            var step = RoundStep((high - low) / ticks);
            Step = step;
            var first = Math.Floor((low / step) + 1e-9);
            var end = Math.Ceiling((high / step) - 1e-9);
            (_low, _high, _from, _to) = nice ? (first * step, end * step, from, to) : (low, high, from, to);
            Ticks = [.. Enumerable.Range(0, (int)(end - first) + 1).Select(i => (first + i) * step)
                .Where(t => t >= _low - (step * 1e-6) && t <= _high + (step * 1e-6))];
        }

        public double[] Ticks { get; }

        public double Step { get; }

        public double At(double value) => _from + ((value - _low) / (_high - _low) * (_to - _from));

        private static double RoundStep(double rough)
        {
            var power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
            return (rough / power) switch { <= 1 => power, <= 2 => 2 * power, <= 5 => 5 * power, _ => 10 * power };
        }
    }
}
