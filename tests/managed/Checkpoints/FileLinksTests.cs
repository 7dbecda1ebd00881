using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Tests.Cli;
using LlavaSharp.Tests.Lora;
using LlavaSharp.Tokenization;
using LlavaSharp.Training.Resume;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>Links are followed wherever a file is read, and a path that leads nowhere says which part of it does.</summary>
public sealed class FileLinksTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_checkpoint_whose_files_are_links_is_whole()
    {
        string path = _folder.Write("c/a.bin", [1, 2, 3]);
        CheckpointManifest.Write(_folder["c"]);
        File.Move(path, _folder["blob"]);
        File.CreateSymbolicLink(_folder["second"], "blob");
        File.CreateSymbolicLink(path, "../second");
        Assert.Null(CheckpointManifest.FindDamage(_folder["c"]));
        Assert.Equal(3, FileLinks.LengthOf(path));
        CheckpointManifest.Write(_folder["c"]);
        Assert.Contains("\"bytes\": 3", File.ReadAllText(_folder["c/manifest.json"]), StringComparison.Ordinal);
        File.AppendAllText(_folder["blob"], "x");
        Assert.Equal("a.bin has 4 bytes, 3 were written", CheckpointManifest.FindDamage(_folder["c"]));
        File.Delete(_folder["blob"]);
        Assert.Equal(
            $"'{path}' is a link to '../second', which does not exist; download the file again, or repair the link",
            CheckpointManifest.FindDamage(_folder["c"]));
        File.Delete(path);
        Assert.Equal("a.bin is missing", CheckpointManifest.FindDamage(_folder["c"]));
    }

    [Fact]
    public void A_tokenizer_is_read_and_capped_behind_its_link()
    {
        Directory.CreateDirectory(_folder["t"]);
        File.CreateSymbolicLink(_folder["t/tokenizer.model"], "../blob");
        Assert.Equal(
            $"'{_folder["t/tokenizer.model"]}' is a link to '../blob', which does not exist; download the file again, or repair the link",
            Assert.Throws<UserErrorException>(() => LlavaTokenizer.Load(_folder["t"])).Message);
        byte[] model = TinyTokenizer.Bytes();
        _folder.Write("blob", model);
        Assert.Equal(TinyFolders.Tokenizer.Encode("a picture"), LlavaTokenizer.Load(_folder["t"]).Encode("a picture"));
        Assert.Equal(
            $"{_folder["t/tokenizer.model"]}: {model.Length} bytes, more than the {model.Length - 1} such a file may have",
            Assert.Throws<UserErrorException>(() => TokenizerFile.Read(_folder["t/tokenizer.model"], model.Length - 1)).Message);
    }

    [Fact]
    public void An_adapter_of_links_in_a_linked_folder_is_the_adapter()
    {
        AdapterWriter.Write(_folder["a"], new TinyAdapter(TinyFolders.Config(), new() { Rank = 2 }).Export());
        Directory.CreateDirectory(_folder["links"]);
        foreach (string file in Directory.GetFiles(_folder["a"]))
        {
            File.CreateSymbolicLink(_folder[$"links/{Path.GetFileName(file)}"], file);
        }

        Directory.CreateSymbolicLink(_folder["folder"], "links");
        using var plain = AdapterReader.Open(_folder["a"]);
        using var linked = AdapterReader.Open(_folder["folder"]);
        Assert.Equal(plain.Modules, linked.Modules);
        Assert.Equal(plain.Replaced, linked.Replaced);
        Assert.True(plain.TryGet(plain.Replaced[0], out _, out _, out LongBytes expected));
        Assert.True(linked.TryGet(plain.Replaced[0], out _, out _, out LongBytes bytes));
        Assert.Equal(expected.ToArray(), bytes.ToArray());
    }

    [Fact]
    public void The_part_of_a_path_that_leads_nowhere_is_named()
    {
        Assert.Equal($"'{_folder["no/config.json"]}' does not exist", Mistake("no"));
        Directory.CreateSymbolicLink(_folder["link"], "gone");
        Assert.Equal(
            $"'{_folder["link/config.json"]}' does not exist: '{_folder["link"]}' is a link to 'gone', which does not exist; download the "
            + "file again, or repair the link",
            Mistake("link"));
        Assert.Equal(
            $"'{_folder["link"]}' is a link to 'gone', which does not exist; download the file again, or repair the link",
            Assert.Throws<UserErrorException>(() => CheckpointReader.Open(_folder["link"])).Message);
        Assert.Equal(
            $"'{_folder["link"]}' is a link to 'gone', which does not exist; download the file again, or repair the link",
            Host.Mistake("generate", "--model", _folder["link"], "--prompt", "p"));
        File.CreateSymbolicLink(_folder["round"], "about");
        File.CreateSymbolicLink(_folder["about"], "round");
        Assert.DoesNotContain('\n', Mistake("round"));
        Assert.StartsWith($"cannot read '{_folder["round"]}': ", Open("round"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(
        "GGUF\u0003", "is a GGUF file, which llama.cpp runs and nothing trains; name the folder of the model that it was made from")]
    [InlineData("PK", "is a file; name the folder that it lies in")]
    [InlineData("", "is a file; name the folder that it lies in")]
    public void A_file_given_as_a_model_is_named(string bytes, string what)
    {
        _folder.Write("m", bytes);
        Assert.Equal($"'{_folder["m/config.json"]}' does not exist: '{_folder["m"]}' {what}", Mistake("m"));
        Assert.Equal($"'{_folder["m"]}' {what}", Assert.Throws<UserErrorException>(() => CheckpointReader.Open(_folder["m"])).Message);
        Assert.Equal($"'{_folder["m"]}' {what}", Host.Mistake("generate", "--model", _folder["m"], "--prompt", "p"));
        Assert.Equal(
            $"'{_folder["m/adapter_config.json"]}' does not exist: '{_folder["m"]}' {what}",
            Assert.Throws<UserErrorException>(() => AdapterReader.Open(_folder["m"])).Message);
    }

    // The link's folder and its target are of two file systems on most machines; folders are not renamed from one to the other.
    [Fact]
    public void What_is_written_through_a_link_lies_in_its_target()
    {
        LlavaConfig config = TinyFolders.Config();
        string target = Directory.Exists("/dev/shm") ? $"/dev/shm/llavasharp-{Guid.NewGuid():N}" : _folder["target"];
        Directory.CreateDirectory(target);
        try
        {
            File.WriteAllText(Path.Combine(target, "mine.txt"), "mine");
            Directory.CreateSymbolicLink(_folder["out"], target);
            LlavaLayoutWriter.Write(_folder["out"], TinyFolders.Export(config));
            LlavaLayoutWriter.Write(_folder["out"], TinyFolders.Export(config));
            Assert.True(File.Exists(Path.Combine(target, "vision_tower", "config.json")));
            Assert.True(File.Exists(Path.Combine(target, "config.json")));
            Assert.True(File.Exists(Path.Combine(target, "mine.txt")));
            Assert.Equal(["out"], Directory.GetFileSystemEntries(_folder.Path).Select(Path.GetFileName));
        }
        finally
        {
            Directory.Delete(target, recursive: true);
        }
    }

    private string Mistake(string folder) => Assert.Throws<UserErrorException>(() => LlavaConfig.LayoutOf(_folder[folder])).Message;

    private string Open(string file) => Assert.Throws<UserErrorException>(() => CheckpointReader.OpenFile(_folder[file]).Dispose()).Message;
}
