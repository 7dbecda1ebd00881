using System.Globalization;
using System.Text;
using System.Text.Json;
using LlavaSharp.Reporting;

namespace LlavaSharp.Demo;

/// <summary>The demo's results, for programs and for people.</summary>
public static class DemoReport
{
    private const int SheetScenes = 18;

    /// <summary>report.json.</summary>
    /// <param name="result">What was found.</param>
    public static string ToJson(DemoResult result)
    {
        using MemoryStream buffer = new();
        using (Utf8JsonWriter json = new(buffer, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteNumber("seed", result.Seed);
            json.WriteStartObject("accuracy");
            foreach ((string name, DemoScore score) in result.Scores)
            {
                json.WriteNumber(name, score.Overall);
            }

            json.WriteEndObject();
            json.WriteStartObject("accuracy_by_kind");
            foreach (string kind in SceneWords.Kinds)
            {
                json.WriteStartObject(kind);
                foreach ((string name, DemoScore score) in result.Scores)
                {
                    json.WriteNumber(name, score.Of(kind));
                }

                json.WriteEndObject();
            }

            json.WriteEndObject();
            json.WriteStartObject("caption_loss");
            json.WriteNumber("before", result.CaptionLossBefore);
            json.WriteNumber("stage1", result.CaptionLossStage1);
            json.WriteNumber("stage1_swapped", result.CaptionLossSwapped);
            json.WriteEndObject();
            json.WriteStartObject("seconds");
            foreach ((string part, double seconds) in result.Seconds)
            {
                json.WriteNumber(part.Replace(' ', '_'), Math.Round(seconds, 3));
            }

            json.WriteEndObject();
            json.WriteNumber("peak_rss_mib", Math.Round(result.PeakRssMib, 1));
            json.WriteNumber("questions", result.Stage2.Asked);
            json.WriteStartObject("losses");
            foreach ((string stage, IReadOnlyList<double> losses) in result.Losses)
            {
                json.WriteStartArray(stage);
                foreach (double loss in losses)
                {
                    json.WriteNumberValue(loss);
                }

                json.WriteEndArray();
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.ToArray()) + "\n";
    }

    /// <summary>report.html: one page that loads nothing from outside.</summary>
    /// <param name="result">What was found.</param>
    /// <param name="data">The held-out pictures.</param>
    public static string ToHtml(DemoResult result, DemoDataset data)
    {
        double seconds = result.Seconds.Sum(part => part.Seconds);
        HtmlReport report = new HtmlReport(
            "LlavaSharp demo",
            Text($"A tiny LLaVA trained from nothing in {seconds:0} seconds, seed {result.Seed}: data, tokenizer, vision tower, language model, two stages."));
        report.Tiles(
        [
            ("of held-out questions answered right", Percent(result.Stage2.Overall)),
            ("with another picture: what words alone give", Percent(result.Swapped.Overall)),
            ("for always giving the commonest answer", Percent(result.Majority.Overall)),
            ("caption loss before stage 1, nats a token", Text($"{result.CaptionLossBefore:0.00}")),
            ("after stage 1", Text($"{result.CaptionLossStage1:0.00}")),
            ("after stage 1, with another picture", Text($"{result.CaptionLossSwapped:0.00}")),
        ]);
        report.Paragraph(
            "Held-out scenes pair shapes and colours that never met in training, so no answer can be remembered. "
            + "Stage 1 trains the projector alone and is judged by its caption loss: with a frozen language model, "
            + "which never saw a question about a picture, question accuracy hardly moves. Stage 2 trains the language model too.");
        report.Heading("Loss").BeginGrid();
        foreach ((string stage, string title) in (ReadOnlySpan<(string, string)>)
            [("warm_up", "Warm-up: captions as text"), ("stage1", "Stage 1: projector only"), ("stage2", "Stage 2: all but the tower")])
        {
            report.Chart(title, "update", [ChartSeries.OverSteps("loss", result.Losses[stage])]);
        }

        report.EndGrid().Heading(Text($"Right answers to {result.Stage2.Asked} held-out questions"));
        report.Table(
            ["question about", "before", "stage 1", "stage 2", "other picture", "commonest answer"],
            SceneWords.Kinds.Select(kind => Row(kind, result.Scores.Select(s => s.Score.Of(kind))))
                .Append(Row("all", result.Scores.Select(s => s.Score.Overall))),
            numericFrom: 1);
        report.Heading("Held-out pictures").Raw(Sheet(result, data));
        report.Heading("Time").Table(
            ["part", "seconds"], result.Seconds.Select(part => (string[])[part.Part, Text($"{part.Seconds:0.0}")]), numericFrom: 1);
        report.Paragraph(Text($"Highest resident memory: {result.PeakRssMib:0} MiB."));
        return report.ToString();
    }

    /// <summary>The four lines that the demo ends with; the report's path follows them.</summary>
    /// <param name="result">What was found.</param>
    public static IReadOnlyList<string> Summary(DemoResult result) =>
    [
        Text($"stage 1  caption loss {result.CaptionLossBefore:0.00} → {result.CaptionLossStage1:0.00} nats a token ({result.CaptionLossSwapped:0.00} with another picture)"),
        Text($"stage 2  {Percent(result.Stage2.Overall)} of {result.Stage2.Asked} held-out questions right ({Percent(result.Initial.Overall)} before, {Percent(result.Stage1.Overall)} after stage 1)"),
        Text($"control  {Percent(result.Swapped.Overall)} with another picture, {Percent(result.Majority.Overall)} by the commonest answer"),
        Text($"cost     {result.Seconds.Sum(part => part.Seconds):0} seconds, {result.PeakRssMib:0} MiB"),
    ];

    private static string Sheet(DemoResult result, DemoDataset data)
    {
        StringBuilder html = new(
            """
            <style>
            .sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:1rem}
            .sheet figure{margin:0;padding:.75rem;border:1px solid var(--grid);border-radius:.5rem}
            .sheet img{display:block;height:9rem;max-width:100%;object-fit:contain;margin:0 auto .5rem}
            .sheet ul{list-style:none;margin:0;padding:0;font-size:.85rem}.sheet li{padding:.15rem 0}
            .sheet .wrong{font-weight:700}
            </style><div class="sheet">
            """);
        for (int i = 0; i < Math.Min(SheetScenes, data.HeldOutQuestions.Count); i++)
        {
            DemoConversation scene = data.HeldOutQuestions[i];
            string type = scene.Image!.EndsWith(".png", StringComparison.Ordinal) ? "png" : "jpeg";
            string picture = Convert.ToBase64String(File.ReadAllBytes(Path.Combine(data.ImageFolder, scene.Image)));
            html.Append("<figure><img alt=\"held-out scene ").Append(i.ToString(CultureInfo.InvariantCulture))
                .Append("\" src=\"data:image/").Append(type).Append(";base64,").Append(picture).Append("\"><ul>");
            for (int turn = 0; turn < scene.Turns.Count; turn++)
            {
                Answer(html, scene.Turns[turn].Question, result.Answers[i][turn], scene.Turns[turn].Answer);
            }

            html.Append("</ul></figure>");
        }

        return html.Append("</div>").ToString();
    }

    private static void Answer(StringBuilder html, string question, string answer, string truth)
    {
        bool right = answer == truth;
        html.Append(right ? "<li>" : "<li class=\"wrong\">").Append(right ? "✓ " : "✗ ").Append(HtmlText.Escape(question))
            .Append("<br><b>").Append(HtmlText.Escape(answer)).Append("</b> <small>truth: ").Append(HtmlText.Escape(truth)).Append("</small></li>");
    }

    private static string[] Row(string name, IEnumerable<double> values) => [name, .. values.Select(Percent)];

    private static string Percent(double share) => Text($"{100 * share:0.0} %");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
