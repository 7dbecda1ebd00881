using System.Xml.Linq;
using LlavaSharp.Reporting;

namespace LlavaSharp.Tests.Reporting;

public sealed class HtmlReportTests
{
    private const string Hostile = "<script>alert(1)</script>\"'&\u0001";

    [Fact]
    public void Every_text_is_escaped()
    {
        var page = new HtmlReport(Hostile, Hostile).Heading(Hostile).Paragraph(Hostile).Tiles([(Hostile, Hostile)])
            .Table([Hostile], [[Hostile]]).Chart(Hostile, Hostile, [ChartSeries.OverSteps(Hostile, [1, 2]),
                ChartSeries.OverSteps(Hostile, [2, 1])])
            .ToString();
        Assert.DoesNotContain("<script", page);
        Assert.DoesNotContain('\u0001', page);
        Assert.Contains("&lt;script&gt;", page);
    }

    [Fact]
    public void The_page_loads_nothing()
    {
        var page = new HtmlReport("t", "s").Chart("loss", "update", [ChartSeries.OverSteps("loss", [3, 2, 1])]).ToString();
        Assert.DoesNotContain("http:", page);
        Assert.DoesNotContain("https:", page);
        Assert.DoesNotContain("url(", page);
        Assert.DoesNotContain("<link", page);
        Assert.Contains("default-src 'none'", page);
    }

    [Theory]
    [InlineData(new double[0])]
    [InlineData(new[] { 1.0 })]
    [InlineData(new[] { 2.0, 2.0, 2.0 })]
    [InlineData(new[] { double.NaN, 1.0, double.PositiveInfinity, 2.0 })]
    [InlineData(new[] { 1e-9, 1e9 })]
    [InlineData(new[] { 0.0, 0.0 })]
    [InlineData(new[] { -5.0, 3.0 })]
    public void A_chart_of_anything_is_well_formed_and_finite(double[] values)
    {
        var svg = LineChart.ToSvg("t", "x", [ChartSeries.OverSteps("y", values)]);
        XElement.Parse(svg);
        Assert.DoesNotContain("NaN", svg);
        Assert.DoesNotContain("Infinity", svg);
        Assert.DoesNotContain("∞", svg);
    }

    [Fact]
    public void Ticks_read_differently_from_each_other()
    {
        var svg = XElement.Parse(LineChart.ToSvg("t", "update", [ChartSeries.OverSteps("rate", [0, 0.0005, 0.001, 0.0015, 0.002])]));
        var labels = svg.Descendants("text").Where(t => (string?)t.Attribute("text-anchor") == "end").Select(t => t.Value).ToArray();
        Assert.Equal(labels.Length, labels.Distinct().Count());
        Assert.Contains("0.0005", labels);
    }

    [Fact]
    public void Only_noisy_curves_are_smoothed()
    {
        var series = ChartSeries.OverSteps("y", [.. Enumerable.Range(0, 100).Select(i => Math.Sin(i))]);
        Assert.Equal(2, Count(series));
        Assert.Equal(1, Count(series with { IsExact = true }));

        static int Count(ChartSeries series) => XElement.Parse(LineChart.ToSvg("t", "x", [series])).Descendants("path").Count();
    }

    [Fact]
    public void Long_curves_are_thinned_and_end_where_they_end()
    {
        var svg = LineChart.ToSvg("t", "x", [ChartSeries.OverSteps("y", [.. Enumerable.Range(0, 100_000).Select(i => 1.0 / (i + 1))])]);
        Assert.InRange(svg.Length, 1_000, 60_000);
        Assert.Contains("L626.0 ", svg);
    }
}
