using System.Text;

namespace LlavaSharp.Reporting;

/// <summary>
/// Builds one self-contained page: styles and drawings are inside it and nothing is loaded from elsewhere
/// (a content security policy says so to the browser). Every text argument is escaped here; only parameters named
/// "markup" are written as they are.
/// </summary>
public sealed class HtmlReport
{
    private readonly StringBuilder _body = new();
    private readonly string _title;

    /// <summary>Starts a page.</summary>
    /// <param name="title">Its title and first heading.</param>
    /// <param name="subtitle">A line under it.</param>
    public HtmlReport(string title, string subtitle)
    {
        _title = title;
        _body.Append("<header><h1>").Append(HtmlText.Escape(title)).Append("</h1><p>")
            .Append(HtmlText.Escape(subtitle)).Append("</p></header>\n");
    }

    /// <summary>Adds a section heading.</summary>
    /// <param name="text">The heading.</param>
    /// <returns>This report.</returns>
    public HtmlReport Heading(string text)
    {
        _body.Append("<h2>").Append(HtmlText.Escape(text)).Append("</h2>\n");
        return this;
    }

    /// <summary>Adds a paragraph.</summary>
    /// <param name="text">The paragraph.</param>
    /// <returns>This report.</returns>
    public HtmlReport Paragraph(string text)
    {
        _body.Append("<p>").Append(HtmlText.Escape(text)).Append("</p>\n");
        return this;
    }

    /// <summary>Adds a row of large figures.</summary>
    /// <param name="tiles">What each figure is, and the figure.</param>
    /// <returns>This report.</returns>
    public HtmlReport Tiles(IEnumerable<(string Label, string Value)> tiles)
    {
        _body.Append("<div class=\"tiles\">");
        foreach (var (label, value) in tiles)
        {
            _body.Append("<div class=\"tile\"><b>").Append(HtmlText.Escape(value)).Append("</b><span>")
                .Append(HtmlText.Escape(label)).Append("</span></div>");
        }

        _body.Append("</div>\n");
        return this;
    }

    /// <summary>Adds a table.</summary>
    /// <param name="header">Column headings.</param>
    /// <param name="rows">Cells, row by row.</param>
    /// <param name="numericFrom">First column that is aligned to the right.</param>
    /// <returns>This report.</returns>
    public HtmlReport Table(IReadOnlyList<string> header, IEnumerable<IReadOnlyList<string>> rows, int numericFrom = int.MaxValue)
    {
        _body.Append("<div class=\"scroll\"><table><thead>");
        Row(header, "th", numericFrom);
        _body.Append("</thead><tbody>");
        foreach (var row in rows)
        {
            Row(row, "td", numericFrom);
        }

        _body.Append("</tbody></table></div>\n");
        return this;
    }

    /// <summary>Adds a chart under its own heading, with a legend where there is more than one curve.</summary>
    /// <param name="title">The heading.</param>
    /// <param name="xLabel">Under the horizontal axis.</param>
    /// <param name="series">One to five curves.</param>
    /// <param name="fromZero">Whether the vertical axis starts at zero.</param>
    /// <returns>This report.</returns>
    public HtmlReport Chart(string title, string xLabel, IReadOnlyList<ChartSeries> series, bool fromZero = false)
    {
        _body.Append("<figure><figcaption>").Append(HtmlText.Escape(title));
        for (var i = 0; series.Count > 1 && i < series.Count; i++)
        {
            _body.Append("<span class=\"key k").Append(i % 5).Append("\">").Append(HtmlText.Escape(series[i].Name)).Append("</span>");
        }

        _body.Append("</figcaption>").Append(LineChart.ToSvg(title, xLabel, series, fromZero)).Append("</figure>\n");
        return this;
    }

    /// <summary>Opens a grid of figures; <see cref="EndGrid"/> closes it.</summary>
    /// <returns>This report.</returns>
    public HtmlReport BeginGrid()
    {
        _body.Append("<div class=\"grid2\">\n");
        return this;
    }

    /// <summary>Closes a grid of figures.</summary>
    /// <returns>This report.</returns>
    public HtmlReport EndGrid()
    {
        _body.Append("</div>\n");
        return this;
    }

    /// <summary>Adds markup as it is. The caller escapes what came from outside with <see cref="HtmlText.Escape"/>.</summary>
    /// <param name="markup">HTML.</param>
    /// <returns>This report.</returns>
    public HtmlReport Raw(string markup)
    {
        _body.Append(markup).Append('\n');
        return this;
    }

    /// <summary>The whole page.</summary>
    /// <returns>HTML text.</returns>
    public override string ToString() =>
        $"""
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
        <title>{HtmlText.Escape(_title)}</title>
        <style>
        {HtmlStyle.Css}
        </style>
        </head>
        <body><main>
        {_body}</main></body>
        </html>

        """;

    private void Row(IReadOnlyList<string> cells, string tag, int numericFrom)
    {
        _body.Append("<tr>");
        for (var i = 0; i < cells.Count; i++)
        {
            _body.Append('<').Append(tag).Append(i >= numericFrom ? " class=\"n\">" : ">")
                .Append(HtmlText.Escape(cells[i])).Append("</").Append(tag).Append('>');
        }

        _body.Append("</tr>");
    }
}
