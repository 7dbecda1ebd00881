using LlavaSharp.Data;
using LlavaSharp.Demo;
using LlavaSharp.Imaging;

namespace LlavaSharp.Tests.Demo;

public sealed class DemoDatasetTests
{
    [Fact]
    public void What_is_written_is_LLaVAs_own_layout()
    {
        using TempFolder folder = new();
        DemoDataset data = DemoDataset.Write(folder.Path, seed: 1, DemoBudget.Smoke);

        using SampleDataset captions = SampleDataset.Open(data.CaptionsPath);
        Assert.Equal(DemoBudget.Smoke.CaptionScenes, captions.Count);
        HashSet<string> extensions = [];
        HashSet<int> aspects = [];
        for (int i = 0; i < captions.Count; i++)
        {
            Sample sample = captions[i];
            Assert.Equal(["human", "gpt"], sample.Conversations.Select(turn => turn.From));
            Assert.Contains("<image>", sample.Conversations[0].Value);
            RgbImage picture = ImageDecoder.Load(Path.Combine(data.ImageFolder, sample.Images[0]));
            aspects.Add(picture.Width * 10 / picture.Height);
            extensions.Add(Path.GetExtension(sample.Images[0]));
        }

        Assert.Equal([".jpg", ".png"], extensions.Order(StringComparer.Ordinal));
        Assert.True(aspects.Count >= 5, "pictures have several aspect ratios");

        using SampleDataset conversations = SampleDataset.Open(data.ConversationsPath);
        Assert.Equal(DemoBudget.Smoke.ConversationScenes + DemoBudget.Smoke.TextConversations, conversations.Count);
        int text = 0;
        bool several = false;
        for (int i = 0; i < conversations.Count; i++)
        {
            Sample sample = conversations[i];
            several |= sample.Conversations.Count > 2;
            text += sample.Images.Count == 0 ? 1 : 0;
            Assert.Equal(sample.Images.Count == 0 ? 0 : 1, sample.Conversations.Count(turn => turn.Value.Contains("<image>")));
        }

        Assert.Equal(DemoBudget.Smoke.TextConversations, text);
        Assert.True(several, "conversations have several turns");
    }

    [Fact]
    public void One_seed_writes_the_same_bytes()
    {
        using TempFolder first = new();
        using TempFolder second = new();
        DemoDataset.Write(first.Path, 4, DemoBudget.Smoke);
        DemoDataset.Write(second.Path, 4, DemoBudget.Smoke);
        string[] files = Directory.GetFiles(first.Path, "*", SearchOption.AllDirectories);
        Assert.True(files.Length > 100);
        Assert.All(files, file => Assert.Equal(
            File.ReadAllBytes(file), File.ReadAllBytes(second[Path.GetRelativePath(first.Path, file)])));
    }
}
