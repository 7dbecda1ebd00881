using System.Text.Json;
using LlavaSharp.Demo;
using LlavaSharp.Training;

namespace LlavaSharp.Tests.Demo;

public sealed class DemoRunTests : IDisposable
{
    private readonly TempFolder _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void The_whole_recipe_runs_and_one_seed_gives_one_result()
    {
        string first = Run(seed: 3, "first");
        string second = Run(seed: 3, "second");
        string losses = Losses(first);
        Assert.Equal(losses, Losses(second));
        Assert.NotEqual(losses, Losses(Run(seed: 4, "other")));

        // A demo's own folder may be written over, with the same result.
        Run(seed: 3, "first");
        Assert.Equal(losses, Losses(first));

        foreach (string file in (string[])
            ["report.html", "data/stage1.json", "models/clip/model.safetensors", "models/llama/tokenizer.model", "stage1/mm_projector.bin", "stage2/config.json"])
        {
            Assert.True(File.Exists(Path.Combine(first, file)), file);
        }
    }

    [Fact]
    public void A_folder_with_files_is_left_alone()
    {
        string folder = _temp.Path;
        _temp.Write("mine.txt", "mine");
        UserErrorException error = Assert.Throws<UserErrorException>(
            () => DemoRun.Execute(new DemoOptions { Out = folder, Budget = DemoBudget.Smoke }, NullProgress.Instance));
        Assert.Equal($"--out {folder} is not empty; choose another folder or pass --overwrite", error.Message);
    }

    private string Run(int seed, string name)
    {
        string folder = _temp[name];
        DemoResult result = DemoRun.Execute(
            new DemoOptions { Out = folder, Seed = seed, Budget = DemoBudget.Smoke }, NullProgress.Instance);
        Assert.Equal(4, DemoReport.Summary(result).Count);
        Assert.All(result.Losses.Values.SelectMany(losses => losses), loss => Assert.True(double.IsFinite(loss)));
        return folder;
    }

    private static string Losses(string folder)
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "report.json")));
        return json.RootElement.GetProperty("losses").GetRawText();
    }
}
