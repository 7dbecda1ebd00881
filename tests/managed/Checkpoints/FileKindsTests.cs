using System.Text;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>Files that stand where weights or configs were meant, and links.</summary>
public sealed class FileKindsTests : IDisposable
{
    private const string Pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 13476\n";

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(Pointer, "is a Git LFS pointer in place of the file of 13476 bytes; run \"git lfs pull\" in its repository, or download the file")]
    [InlineData("version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer in place of the file; run")]
    [InlineData("<!DOCTYPE html><html>404</html>", "is a web page in place of the file")]
    [InlineData("\n  <HTML><body>log in", "is a web page in place of the file")]
    [InlineData("\u001f\u008b\u0008\u0000", "is compressed with gzip; unpack it")]
    [InlineData("BZh91AY", "is compressed with bzip2")]
    [InlineData("\u00fd7zXZ\u0000", "is compressed with xz")]
    [InlineData("(\u00b5/\u00fd", "is compressed with zstd")]
    [InlineData("7z\u00bc\u00af\u0027\u001c", "is a 7z archive")]
    [InlineData("GGUF\u0003\u0000", "is a GGUF file, which llama.cpp runs")]
    [InlineData("\u0089HDF\r\n", "is an HDF5 file")]
    [InlineData("PAR1", "is a Parquet file")]
    public void Weights_and_configs_say_what_the_file_is(string text, string kind)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(text);
        foreach (string name in (string[])["a.safetensors", "a.bin", "a.json"])
        {
            File.WriteAllBytes(_folder[name], bytes);
            string message = Assert.Throws<UserErrorException>(() => Read(_folder[name])).Message;
            Assert.StartsWith($"'{_folder[name]}' {kind}", message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', message);
            Assert.StartsWith(kind, FileKinds.RecogniseFile(_folder[name]), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_tar_archive_is_recognised_past_its_first_name()
    {
        byte[] tar = new byte[1024];
        "ustar"u8.CopyTo(tar.AsSpan(257));
        File.WriteAllBytes(_folder["a.bin"], tar);
        Assert.StartsWith($"'{_folder["a.bin"]}' is a tar archive", Assert.Throws<UserErrorException>(() => Read(_folder["a.bin"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_zip_is_no_safetensors_file()
    {
        File.WriteAllBytes(_folder["a.safetensors"], [.. "PK\x03\x04"u8, .. new byte[60]]);
        Assert.StartsWith($"'{_folder["a.safetensors"]}' is a zip file", Assert.Throws<UserErrorException>(() => Read(_folder["a.safetensors"])).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a.safetensors")]
    [InlineData("a.bin")]
    [InlineData("a.json")]
    public void Nothing_a_folder_and_an_empty_file_are_told_apart(string name)
    {
        Assert.Equal($"'{_folder[name]}' does not exist", Message());
        File.CreateSymbolicLink(_folder[name], "gone");
        Assert.Equal($"'{_folder[name]}' is a link to 'gone', which does not exist; download the file again, or repair the link", Message());
        File.Delete(_folder[name]);
        File.WriteAllText(_folder[name], "");
        Assert.Equal($"'{_folder[name]}' is empty; copy or download it again", Message());
        File.Delete(_folder[name]);
        Directory.CreateDirectory(_folder[name]);
        Assert.Equal($"cannot read '{_folder[name]}': it is a folder", Message());

        string Message() => Assert.Throws<UserErrorException>(() => Read(_folder[name])).Message;
    }

    /// <summary>huggingface_hub keeps files as blobs without an extension, and a snapshot of links to them.</summary>
    [Fact]
    public void A_folder_of_links_is_the_folder_they_lead_to()
    {
        LlavaConfig config = TinyFolders.Config();
        HuggingFaceLlavaWriter.Write(_folder["plain"], TinyFolders.Export(config));
        Directory.CreateDirectory(_folder["blobs"]);
        Directory.CreateDirectory(_folder["snapshots/1"]);
        int blob = 0;
        foreach (string file in Directory.GetFiles(_folder["plain"]))
        {
            File.Copy(file, _folder[$"blobs/{blob}"]);
            File.CreateSymbolicLink(_folder[$"snapshots/1/{Path.GetFileName(file)}"], $"../../blobs/{blob++}");
        }

        using var engine = new LlavaSharp.Interop.Engine(new() { Threads = 1 });
        Assert.Equal(
            TinyFolders.Logits(engine, new ModelParts { LanguageFolder = _folder["plain"] }),
            TinyFolders.Logits(engine, new ModelParts { LanguageFolder = _folder["snapshots/1"] }));
        MmProjectorFile.Write(_folder["p.bin"], config, new TinyModel(config));
        File.CreateSymbolicLink(_folder["link.bin"], "p.bin");
        Assert.Equal(TorchArchive.Read(_folder["p.bin"]).Keys, TorchArchive.Read(_folder["link.bin"]).Keys);
    }

    private static void Read(string path)
    {
        if (path.EndsWith(".json", StringComparison.Ordinal))
        {
            ConfigJson.Load(path);
        }
        else
        {
            CheckpointReader.OpenFile(path).Dispose();
        }
    }
}
