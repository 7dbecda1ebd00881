using System.Text.Json;
using LlavaSharp.Demo;

namespace LlavaSharp.Tests.Demo;

public sealed class DemoReportTests
{
    [Fact]
    public void The_figures_have_the_names_that_programs_look_for()
    {
        using JsonDocument json = JsonDocument.Parse(DemoReport.ToJson(Result(["circle"])));
        JsonElement root = json.RootElement;
        foreach (string name in (string[])["initial", "stage1", "stage2", "swapped", "majority"])
        {
            Assert.Equal(JsonValueKind.Number, root.GetProperty("accuracy").GetProperty(name).ValueKind);
            Assert.Equal(JsonValueKind.Number, root.GetProperty("accuracy_by_kind").GetProperty("shape").GetProperty(name).ValueKind);
        }

        Assert.Equal(0.5, root.GetProperty("accuracy").GetProperty("stage2").GetDouble());
        Assert.Equal(2.5, root.GetProperty("caption_loss").GetProperty("before").GetDouble());
        Assert.Equal(0.5, root.GetProperty("caption_loss").GetProperty("stage1").GetDouble());
        Assert.Equal(1.5, root.GetProperty("caption_loss").GetProperty("stage1_swapped").GetDouble());
        Assert.Equal(3.25, root.GetProperty("seconds").GetProperty("stage_1").GetDouble());
        Assert.Equal(123.4, root.GetProperty("peak_rss_mib").GetDouble());
        Assert.Equal(2, root.GetProperty("losses").GetProperty("stage1").GetArrayLength());
    }

    [Fact]
    public void The_page_escapes_what_a_model_says_and_loads_nothing()
    {
        using TempFolder folder = new();
        DemoDataset data = DemoDataset.Write(folder.Path, 0, DemoBudget.Smoke with { HeldOutScenes = 2 });
        string[][] answers = [.. data.HeldOutQuestions.Select(scene => scene.Turns.Select(_ => "<script>alert(1)</script>").ToArray())];

        string page = DemoReport.ToHtml(Result(answers), data);

        Assert.DoesNotContain("<script", page);
        Assert.Contains("&lt;script&gt;", page);
        Assert.Contains("src=\"data:image/png;base64,", page);
        Assert.Contains("src=\"data:image/jpeg;base64,", page);
        Assert.DoesNotContain("://", page);
        Assert.DoesNotContain("url(", page);
    }

    [Fact]
    public void The_summary_has_four_lines()
    {
        Assert.Equal(
            [
                "stage 1  caption loss 2.50 → 0.50 nats a token (1.50 with another picture)",
                "stage 2  50.0 % of 2 held-out questions right (0.0 % before, 0.0 % after stage 1)",
                "control  0.0 % with another picture, 100.0 % by the commonest answer",
                "cost     3 seconds, 123 MiB",
            ],
            DemoReport.Summary(Result(["circle"])));
    }

    private static DemoResult Result(params string[][] answers)
    {
        static DemoScore Score(params bool[] right)
        {
            DemoScore score = new();
            Array.ForEach(right, r => score.Add("shape", r));
            return score;
        }

        return new DemoResult
        {
            Seed = 0,
            Initial = Score(false),
            Stage1 = Score(false),
            Stage2 = Score(true, false),
            Swapped = Score(false),
            Majority = Score(true),
            CaptionLossBefore = 2.5,
            CaptionLossStage1 = 0.5,
            CaptionLossSwapped = 1.5,
            Losses = new Dictionary<string, IReadOnlyList<double>> { ["warm_up"] = [1], ["stage1"] = [2, 1], ["stage2"] = [1] },
            Seconds = [("stage 1", 3.25)],
            PeakRssMib = 123.4,
            Answers = answers,
            Paths = new DemoPaths("out"),
        };
    }
}
