namespace LlavaSharp.Reporting;

/// <summary>The one style sheet of every report: system fonts, light and dark by the reader's setting, and ink on white in print.</summary>
internal static class HtmlStyle
{
    /// <summary>The sheet.</summary>
    public const string Css = """
        :root{color-scheme:light dark;--paper:#fbfbf9;--card:#fff;--ink:#1c2127;--soft:#667080;--line:#e3e5e8;--grid:#ebedf0;
        --s0:#2563eb;--s1:#d9541e;--s2:#15803d;--s3:#9333ea;--s4:#b7791f;--good:#15803d;--bad:#c22b2b}
        @media (prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1c2127;--ink:#e8eaed;--soft:#9aa4b2;--line:#2e353d;--grid:#2a3037;
        --s0:#6ea0ff;--s1:#ff8f5c;--s2:#5fd08a;--s3:#c792ff;--s4:#e5b95c;--good:#5fd08a;--bad:#ff7b7b}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
        main{max-width:1080px;margin:0 auto;padding:40px 24px 72px}
        header h1{font-size:28px;line-height:1.2;margin:0 0 4px;letter-spacing:-.015em}
        header p{margin:0 0 28px;color:var(--soft)}
        h2{font-size:18px;margin:40px 0 12px;letter-spacing:-.01em}
        p{max-width:72ch}
        .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:0 0 20px}
        .tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
        .tile b{display:block;font-size:22px;line-height:1.25;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
        .tile span{color:var(--soft);font-size:13px}
        .grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:16px}
        figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px 8px}
        figcaption{font-weight:600;font-size:14px;margin-bottom:6px;display:flex;flex-wrap:wrap;gap:4px 14px;align-items:baseline}
        .key{font-weight:400;color:var(--soft);font-size:13px}
        .key:before{content:"";display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle;background:var(--k)}
        .k0{--k:var(--s0)}.k1{--k:var(--s1)}.k2{--k:var(--s2)}.k3{--k:var(--s3)}.k4{--k:var(--s4)}
        svg.chart{display:block;width:100%;height:auto}
        svg.chart text{fill:var(--soft);font-size:11.5px;font-variant-numeric:tabular-nums}
        svg.chart line.grid{stroke:var(--grid)}
        svg.chart path{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
        svg.chart .raw{opacity:.28;stroke-width:1.2}
        path.s0{stroke:var(--s0)}path.s1{stroke:var(--s1)}path.s2{stroke:var(--s2)}path.s3{stroke:var(--s3)}path.s4{stroke:var(--s4)}
        circle.s0{fill:var(--s0)}circle.s1{fill:var(--s1)}circle.s2{fill:var(--s2)}circle.s3{fill:var(--s3)}circle.s4{fill:var(--s4)}
        .scroll{overflow-x:auto}
        table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
        th,td{text-align:left;padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
        th{color:var(--soft);font-weight:500}
        .n{text-align:right}
        .good{color:var(--good)}.bad{color:var(--bad)}
        .sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:14px}
        .sheet>div{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px;font-size:13px}
        .sheet img{width:100%;height:150px;object-fit:contain;image-rendering:auto;border-radius:6px;background:var(--grid)}
        @media print{:root{--paper:#fff}figure,.tile,.sheet>div{break-inside:avoid}}
        """;
}
