using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

public sealed class OutputFolderTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_new_or_empty_folder_is_taken_and_left_empty()
    {
        OutputFolder.Prepare(Path.Combine(_folder.Path, "a", "b"), overwrite: false);
        OutputFolder.Prepare(Path.Combine(_folder.Path, "a", "b"), overwrite: false);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_folder.Path, "a", "b")));
    }

    [Fact]
    public void A_folder_with_files_needs_a_word()
    {
        File.WriteAllText(_folder["x"], "");
        var error = Assert.Throws<UserErrorException>(() => OutputFolder.Prepare(_folder.Path, overwrite: false));
        Assert.Equal($"--output_dir {_folder.Path} is not empty; choose another folder or pass --overwrite_output_dir True", error.Message);
        OutputFolder.Prepare(_folder.Path, overwrite: true);
        Assert.True(File.Exists(_folder["x"]));
    }

    [Theory]
    [InlineData("bad_samples.jsonl", true)]
    [InlineData("bad_samples.rank-3.jsonl", true)]
    [InlineData("bad_samples.txt", false)]
    [InlineData("samples.jsonl", false)]
    public void What_a_stopped_run_left_out_is_its_own_file(string name, bool expected)
    {
        _folder.Write(name, "");
        _folder.Write("log.jsonl", "");
        Assert.Equal(expected, OutputFolder.HoldsOnlyAnEndedRun(_folder.Path));
    }

    [Fact]
    public void What_a_disk_and_a_killed_process_leave_does_not_count()
    {
        Directory.CreateDirectory(_folder["lost+found"]);
        var leftover = _folder.Write($"config.json.4194305-{Guid.NewGuid():N}.tmp", "half");
        OutputFolder.Check(_folder.Path, overwrite: false);
        Assert.True(File.Exists(leftover)); // a dry run deletes nothing
        OutputFolder.Prepare(_folder.Path, overwrite: false);
        Assert.Equal([_folder["lost+found"]], Directory.GetFileSystemEntries(_folder.Path));
    }

    [Theory]
    [InlineData("notes.4194305-x.tmp")]
    [InlineData("mine.tmp")]
    [InlineData("tmp-checkpoint-500")]
    public void Others_temporary_files_are_theirs(string name)
    {
        _folder.Write(name, "");
        Assert.Throws<UserErrorException>(() => OutputFolder.Check(_folder.Path, overwrite: false));
        OutputFolder.Prepare(_folder.Path, overwrite: true);
        Assert.True(File.Exists(_folder[name]));
    }

    [Fact]
    public void A_checkpoint_of_another_program_asks_for_another_folder()
    {
        _folder.Write("checkpoint-500/pytorch_model.bin", "weights");
        Assert.Equal(
            $"--output_dir {_folder.Path} holds checkpoint-500 of another program, which cannot be gone on from and is left alone; choose another folder",
            Assert.Throws<UserErrorException>(() => OutputFolder.Check(_folder.Path, overwrite: false)).Message);
    }

    [Fact]
    public void A_file_is_no_folder()
    {
        var file = _folder["x"];
        File.WriteAllText(file, "");
        Assert.Equal($"--output_dir {file} is a file; name a folder", Assert.Throws<UserErrorException>(() => OutputFolder.Prepare(file, false)).Message);
    }

    [Fact]
    public void A_place_where_nothing_can_be_written()
    {
        var file = _folder["x"];
        File.WriteAllText(file, "");
        var below = Path.Combine(file, "out");
        Assert.StartsWith($"cannot write into --output_dir {below}: ", Assert.Throws<UserErrorException>(() => OutputFolder.Prepare(below, false)).Message);
        Assert.StartsWith($"cannot write into --output_dir {below}: ", Assert.Throws<UserErrorException>(() => OutputFolder.Check(below, false)).Message);
    }
}
