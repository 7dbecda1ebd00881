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
    }
}
