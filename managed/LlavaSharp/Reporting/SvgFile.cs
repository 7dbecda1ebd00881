using System.Globalization;
using System.Text;

namespace LlavaSharp.Reporting;

/// <summary>A chart as a file of its own, with title and legend inside, for documents that can only name a picture.</summary>
public static class SvgFile
{
    /// <summary>Draws it.</summary>
    /// <param name="title">Above the chart.</param>
    /// <param name="xLabel">Under the horizontal axis.</param>
    /// <param name="series">One to five curves, named in the legend.</param>
    /// <returns>An SVG document; light and dark by the reader's setting.</returns>
    public static string Of(string title, string xLabel, IReadOnlyList<ChartSeries> series)
    {
        var svg = new StringBuilder();
        svg.Append("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 660 330\" font-family=\"system-ui,sans-serif\">\n<style>");
        svg.Append(HtmlStyle.Css).Append("</style>\n<rect width=\"660\" height=\"330\" rx=\"10\" style=\"fill:var(--card)\"/>\n");
        Text(12, 24, "font-weight=\"600\" font-size=\"15\" style=\"fill:var(--ink)\"", title);
        var x = 12.0;
        for (var i = 0; i < series.Count; i++)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{x:0}\" y=\"41\" width=\"14\" height=\"3\" rx=\"1.5\" style=\"fill:var(--s{i})\"/>");
            Text(x + 20, 46, "font-size=\"13\" style=\"fill:var(--soft)\"", series[i].Name);
            x += 44 + (7.2 * series[i].Name.Length);
        }

        svg.Append("<svg x=\"10\" y=\"60\" width=\"640\" height=\"260\">").Append(LineChart.ToSvg(title, xLabel, series, fromZero: true));
        return svg.Append("</svg>\n</svg>\n").ToString();

        void Text(double at, int y, string style, string text) =>
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{at:0}\" y=\"{y}\" {style}>{HtmlText.Escape(text)}</text>\n");
    }
}
