using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>What writing a model over another leaves: when it succeeds, when it fails half-way, and when the process is killed.</summary>
public sealed class FolderSwapTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Another_model_goes_and_files_of_others_stay()
    {
        Old();
        Write();
        Assert.Equal(["config.json", "model.safetensors", "notes.txt", "pytorch_model.bin", "vision_tower/config.json", "vision_tower/mine"], Files());
        Assert.Equal("new", File.ReadAllText(_folder["out/config.json"]));
        Assert.Equal("new", File.ReadAllText(_folder["out/vision_tower/config.json"]));
        Assert.Equal("mine", File.ReadAllText(_folder["out/notes.txt"]));
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("model.safetensors")]
    [InlineData("vision_tower/config.json")]
    public void A_file_that_cannot_be_put_in_place_leaves_the_old_model(string name)
    {
        Old();
        File.Delete(_folder[$"out/{name}"]);
        _folder.Write($"out/{name}/in the way", "");
        var before = TinyFolders.Files(_folder["out"]);
        Assert.StartsWith($"cannot write '{_folder["out"]}': ", Assert.Throws<UserErrorException>(Write).Message);
        Assert.Equal(before, TinyFolders.Files(_folder["out"]));
    }

    [Fact]
    public void A_failure_while_writing_leaves_the_old_model()
    {
        Old();
        var before = TinyFolders.Files(_folder["out"]);
        Assert.Throws<UserErrorException>(() => AtomicFolder.Write(_folder["out"], _ => throw new IOException("no space left")));
        Assert.Throws<InvalidOperationException>(() => AtomicFolder.Write(_folder["new"], _ => throw new InvalidOperationException()));
        Assert.Equal(before, TinyFolders.Files(_folder["out"]));
        Assert.Equal([_folder["out"]], Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void A_link_in_the_place_of_the_tower_is_replaced_not_written_through()
    {
        _folder.Write("clip/config.json", "another");
        _folder.Write("out/config.json", "old");
        Directory.CreateSymbolicLink(_folder["out/vision_tower"], _folder["clip"]);
        Write();
        Assert.Equal("another", File.ReadAllText(_folder["clip/config.json"]));
        Assert.Equal("new", File.ReadAllText(_folder["out/vision_tower/config.json"]));
        Assert.Null(new DirectoryInfo(_folder["out/vision_tower"]).LinkTarget);
    }

    [Fact]
    public void A_process_killed_while_old_files_were_moved_aside_leaves_the_old_model()
    {
        Old();
        var before = TinyFolders.Files(_folder["out"]);
        var temporary = Killed();
        Directory.CreateDirectory($"{temporary}/.leaving");
        File.Move(_folder["out/config.json"], $"{temporary}/.leaving/config.json");
        Temporaries.RemoveLeftovers(_folder["out"]);
        Assert.Equal(before, TinyFolders.Files(_folder["out"]));
    }

    [Fact]
    public void A_process_killed_while_new_files_were_moved_in_leaves_the_new_model()
    {
        _folder.Write("out/notes.txt", "mine");
        var temporary = Killed();
        _folder.Write($"{temporary}/.gone/config.json", "old");
        Directory.Move($"{temporary}/vision_tower", _folder["out/vision_tower"]);
        Temporaries.RemoveLeftovers(_folder["out"]);
        Assert.Equal(["config.json", "model.safetensors", "notes.txt", "vision_tower/config.json"], Files());
        Assert.Equal("new", File.ReadAllText(_folder["out/config.json"]));
    }

    [Fact]
    public void What_a_killed_process_left_beside_a_new_folder_goes_when_it_is_written_again()
    {
        var (left, others) = ($"out.4194305-{Guid.NewGuid():N}.tmp", $"out2.4194305-{Guid.NewGuid():N}.tmp");
        _folder.Write($"{left}/model.safetensors", "half");
        _folder.Write($"{others}/model.safetensors", "half");
        Write();
        Assert.Equal(new[] { _folder["out"], _folder[others] }.Order(), Directory.GetFileSystemEntries(_folder.Path).Order());
    }

    [Fact]
    public void What_a_living_process_writes_stays()
    {
        var own = Temporaries.Begin(_folder["out"]);
        var other = _folder[$"out.1-{Guid.NewGuid():N}.tmp"];
        _folder.Write($"{own}/x", "");
        _folder.Write($"{other}/x", "");
        Write();
        Assert.True(Directory.Exists(own));
        Assert.True(Directory.Exists(other));
        Temporaries.End(own);
        Assert.False(Directory.Exists(own));
    }

    private void Old()
    {
        foreach (var name in (string[])["config.json", "model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json", "adapter_config.json", "vision_tower/config.json", "vision_tower/model.safetensors"])
        {
            _folder.Write($"out/{name}", "old");
        }

        _folder.Write("out/notes.txt", "mine");
        _folder.Write("out/pytorch_model.bin", "mine");
        _folder.Write("out/vision_tower/mine", "mine");
    }

    private string Killed()
    {
        var temporary = _folder[$"out/model.4194305-{Guid.NewGuid():N}.tmp"];
        Fill(temporary);
        return temporary;
    }

    private void Write() => AtomicFolder.Write(_folder["out"], Fill);

    private void Fill(string temporary)
    {
        foreach (var name in (string[])["config.json", "model.safetensors", "vision_tower/config.json"])
        {
            _folder.Write($"{temporary}/{name}", "new");
        }
    }

    private IEnumerable<string> Files() => TinyFolders.Files(_folder["out"]).Keys.Order(StringComparer.Ordinal);
}
