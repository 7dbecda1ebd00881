using LlavaSharp.Interop;
using LlavaSharp.Training;
using LlavaSharp.Training.Resume;
using LlavaSharp.Zero;

namespace LlavaSharp.Tests.Training;

public sealed class CheckpointStoreTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_newest_are_kept_by_number_not_by_name()
    {
        var store = new CheckpointStore(_folder.Path, 2);
        foreach (var step in (int[])[2, 9, 10, 100])
        {
            Save(store, step);
        }

        Assert.Equal([100, 10], store.List().Select(c => c.Step));
    }

    [Fact]
    public void A_failed_write_loses_nothing()
    {
        var store = new CheckpointStore(_folder.Path, 1);
        Save(store, 1);
        var error = Assert.Throws<UserErrorException>(() => store.Save(2, _ => throw new IOException("no space left")));
        Assert.Equal($"cannot write '{_folder["checkpoint-2"]}': no space left", error.Message);
        Assert.Equal(["checkpoint-1"], RunFolder.Checkpoints(_folder.Path));
        Assert.Null(CheckpointManifest.FindDamage(_folder["checkpoint-1"]));
    }

    [Fact]
    public void Going_back_does_not_let_later_ones_push_out_what_is_new()
    {
        var store = new CheckpointStore(_folder.Path, 1);
        Save(store, 9);
        Save(store, 5);
        Assert.Equal([9, 5], store.List().Select(c => c.Step));
        Save(store, 9);
        Assert.Equal([9], store.List().Select(c => c.Step));
    }

    [Fact]
    public void Only_folders_with_a_number_are_checkpoints()
    {
        foreach (var name in (string[])["checkpoint-x", "checkpoint-", "checkpoint--1", $"tmp-checkpoint-3-4194305-{Guid.NewGuid():N}", "mine"])
        {
            Directory.CreateDirectory(Path.Combine(_folder.Path, name));
        }

        var store = new CheckpointStore(_folder.Path, 1);
        Assert.Empty(store.List());
        Save(store, 1);
        Assert.Equal(["checkpoint-", "checkpoint--1", "checkpoint-1", "checkpoint-x", "mine"], RunFolder.Checkpoints(_folder.Path));
    }

    [Fact]
    public void Checkpoints_of_other_programs_are_never_counted_moved_or_deleted()
    {
        _folder.Write("checkpoint-1/pytorch_model.bin", "weights");
        _folder.Write("checkpoint-500/trainer_state.json", "{}");
        _folder.Write("checkpoint-7/manifest.json", """{"name": "an extension of a browser"}""");
        _folder.Write("checkpoint-8/state.json", "[1]");
        _folder.Write("tmp-checkpoint-3/pytorch_model.bin", "weights");
        var before = Checkpoints.TinyFolders.Files(_folder.Path);
        var store = new CheckpointStore(_folder.Path, 1);
        Save(store, 2);
        Save(store, 3);
        Assert.Equal([3], store.List().Select(c => c.Step));
        Assert.Equal([500, 8, 7, 1], store.Foreign().Select(c => c.Step));
        var error = Assert.Throws<UserErrorException>(() => Save(store, 7));
        Assert.Equal(
            $"{_folder["checkpoint-7"]} was made by another program, and this run would write a checkpoint of that name; name another --output_dir",
            error.Message);
        Assert.Throws<UserErrorException>(() => store.CheckNames(7, 8));
        store.CheckNames(8, 499);
        store.RemoveAll();
        store.RemoveLeftovers();
        Assert.Equal(before, Checkpoints.TinyFolders.Files(_folder.Path));
    }

    [Theory]
    [InlineData("a.bin", "a.bin has another SHA-256 than when it was written")]
    [InlineData(null, "a.bin has 4 bytes, 3 were written")]
    public void Damage_is_found(string? flip, string expected)
    {
        var folder = Save(new CheckpointStore(_folder.Path), 1);
        Assert.Null(CheckpointManifest.FindDamage(folder));
        if (flip is null)
        {
            File.AppendAllText(Path.Combine(folder, "a.bin"), "x");
        }
        else
        {
            RunFolder.Damage(Path.Combine(folder, flip));
        }

        Assert.Equal(expected, CheckpointManifest.FindDamage(folder));
        File.Delete(Path.Combine(folder, "a.bin"));
        Assert.Equal("a.bin is missing", CheckpointManifest.FindDamage(folder));
        File.WriteAllText(Path.Combine(folder, "manifest.json"), "{");
        Assert.Equal("manifest.json is damaged", CheckpointManifest.FindDamage(folder));
        File.WriteAllText(Path.Combine(folder, "manifest.json"), "{}");
        Assert.Equal("manifest.json names no files", CheckpointManifest.FindDamage(folder));
    }

    /// <summary>Each file is hashed by one of the processes, and all of them hear of what any of them found.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(9)]
    public async Task Processes_share_the_checking(int world)
    {
        string[] names = [.. Enumerable.Range(0, 7).Select(i => $"{i}.bin")];
        var folder = new CheckpointStore(_folder.Path).Save(1, at => Array.ForEach(names, n => File.WriteAllText(Path.Combine(at, n), n)));
        Assert.All(await OnRanks(world, ranks => CheckpointManifest.FindDamage(folder, ranks)), Assert.Null);
        for (var place = names.Length - 1; place >= 0; place--)
        {
            // Also what has been damaged before, behind it: the first in the manifest is named.
            RunFolder.Damage(Path.Combine(folder, names[place]));
            var finders = Enumerable.Range(0, world).Where(r => CheckpointManifest.FindOwn(folder, r, world)?.Place == place);
            Assert.Equal([place % world], finders);
            Assert.All(
                await OnRanks(world, ranks => CheckpointManifest.FindDamage(folder, ranks)),
                damage => Assert.Equal($"{names[place]} has another SHA-256 than when it was written", damage));
        }

        File.Delete(Path.Combine(folder, "manifest.json"));
        Assert.All(await OnRanks(world, ranks => CheckpointManifest.FindDamage(folder, ranks)), damage => Assert.Equal("manifest.json is missing", damage));
    }

    [Fact]
    public async Task Processes_choose_the_same_checkpoint()
    {
        var store = new CheckpointStore(_folder.Path);
        var (first, second) = (Save(store, 1), Save(store, 2));
        RunFolder.Damage(Path.Combine(second, "a.bin"));
        Assert.All(
            await OnRanks(3, ranks =>
            {
                List<string> passed = [];
                return (store.FindNewest((path, damage) => passed.Add($"{path}: {damage}"), ranks), string.Join('\n', passed));
            }),
            found => Assert.Equal((first, $"{second}: a.bin has another SHA-256 than when it was written"), found));
    }

    private static Task<T[]> OnRanks<T>(int world, Func<Ranks, T> work)
    {
        var address = Guid.NewGuid().ToString();
        return Task.WhenAll(Enumerable.Range(0, world).Select(rank => Task.Factory.StartNew(
            () =>
            {
                using var ranks = world == 1 ? Ranks.Single : Ranks.Meet(
                    new(rank, world, rank, CommunicatorKind.Local, "the test") { Address = address }, TimeSpan.FromMinutes(2));
                return work(ranks);
            },
            TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
    }

    [Theory]
    [InlineData("steps", 3, 10, 3, true)]
    [InlineData("steps", 3, 10, 4, false)]
    [InlineData("steps", 0.25, 10, 3, true)] // ceil(2.5) is 3
    [InlineData("steps", 0.25, 10, 2, false)]
    [InlineData("no", 1, 10, 1, false)]
    [InlineData("epoch", 1, 10, 1, false)]
    [InlineData("epoch", 1, 10, 2, true)]
    public void A_policy_says_when(string strategy, double every, int total, int step, bool due) => Assert.Equal(
        due,
        new SavePolicy(new TrainOptions { SaveStrategy = strategy, SaveSteps = every }, total).IsDue(step, (step - 1) * 0.6, step * 0.6));

    private static string Save(CheckpointStore store, int step) =>
        store.Save(step, folder => File.WriteAllText(Path.Combine(folder, "a.bin"), "abc"));
}
