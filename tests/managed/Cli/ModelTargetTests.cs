using System.Diagnostics;
using LlavaSharp.Checkpoints;
using LlavaSharp.Lora;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tests.Lora;

namespace LlavaSharp.Tests.Cli;

/// <summary>convert and merge-lora lose no model: not the one they read, however its folder is named, and no other unasked.</summary>
public sealed class ModelTargetTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly string[] _parts;
    private readonly string[] _merge;

    public ModelTargetTests()
    {
        var config = TinyFolders.Config();
        TinyFolders.WriteParts(_folder["lm"], _folder["tower"], config);
        MmProjectorFile.Write(_folder["mm_projector.bin"], config, new TinyModel(config));
        AdapterWriter.Write(_folder["adapter"], new TinyAdapter(config, new AdapterOptions { Rank = 2, Alpha = 4 }).Export());
        HuggingFaceLlavaWriter.Write(_folder["model"], TinyFolders.Export(config));
        _parts = ["--from", _folder["lm"], "--vision_tower", _folder["tower"], "--projector", _folder["mm_projector.bin"]];
        _merge = ["merge-lora", "--model", _folder["model"], "--adapter", _folder["adapter"]];
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("hf")]
    [InlineData("llava")]
    public void Another_model_is_only_replaced_when_told(string layout)
    {
        _folder.Write("other/config.json", "{}");
        _folder.Write("other/model-00001-of-00002.safetensors", "weights");
        _folder.Write("other/notes.txt", "mine");
        var before = TinyFolders.Files(_folder["other"]);
        string message = $"{_folder["other"]} is not empty; choose another folder or pass --overwrite True";
        string[] convert = ["convert", "--from", _folder["model"], "--to", _folder["other"], "--layout", layout];
        string[] merge = [.. _merge, "--output", _folder["other"], "--layout", layout];
        Assert.Equal($"--to {message}", Host.Mistake(convert));
        Assert.Equal($"--output {message}", Host.Mistake(merge));
        Assert.Equal(before, TinyFolders.Files(_folder["other"]));
        Host.Succeed([.. convert, "--overwrite", "True"]);
        Host.Succeed([.. merge, "--overwrite"]);
        Assert.Equal("mine", File.ReadAllText(_folder["other/notes.txt"]));
        Assert.False(File.Exists(_folder["other/model-00001-of-00002.safetensors"]));
        Assert.True(LlavaConfig.IsLlavaFolder(_folder["other"]));
    }

    [Fact]
    public void Gguf_files_may_be_added_and_are_only_replaced_when_told()
    {
        string[] convert = ["convert", .. _parts, "--to", _folder["model"], "--layout", "gguf"];
        var before = TinyFolders.Files(_folder["model"]).Keys.Order();
        Host.Succeed(convert);
        Assert.Equal(
            $"--to {_folder["model"]} holds model-f32.gguf already; choose another folder or pass --overwrite True", Host.Mistake(convert));
        Host.Succeed([.. convert, "--overwrite"]);
        Assert.Equal(
            before.Concat(["mmproj-f32.gguf", "model-f32.gguf"]).Order(), TinyFolders.Files(_folder["model"]).Keys.Order());
    }

    [Theory]
    [InlineData("model/")]
    [InlineData("model/.")]
    [InlineData("lm/../model")]
    [InlineData("link")]
    [InlineData("link/")]
    [InlineData("chain")]
    [InlineData("above/model")]
    public void The_source_under_another_name_is_the_source(string name)
    {
        Directory.CreateSymbolicLink(_folder["link"], _folder["model"]);
        Directory.CreateSymbolicLink(_folder["chain"], "lm/../link");
        Directory.CreateSymbolicLink(_folder["above"], ".");
        var before = TinyFolders.Files(_folder["model"]);
        foreach (var (from, to) in (ReadOnlySpan<(string, string)>)[(_folder["model"], _folder[name]), (_folder[name], _folder["model"])])
        {
            Assert.Equal(
                $"--from {from} is also where the result would go; name another folder for that",
                Host.Mistake("convert", "--from", from, "--to", to, "--layout", "llava", "--overwrite"));
        }

        Assert.Equal(before, TinyFolders.Files(_folder["model"]));
    }

    [Fact]
    public void What_is_read_may_not_lie_in_the_target()
    {
        string[] hf = ["--layout", "hf", "--overwrite"];
        Directory.CreateDirectory(_folder["out"]);
        Directory.Move(_folder["tower"], _folder["out/vision_tower"]);
        File.Copy(_folder["mm_projector.bin"], _folder["out/mm_projector.bin"]);
        Inside("--vision_tower", "out/vision_tower", ["--from", _folder["lm"], "--vision_tower", _folder["out/vision_tower"]]);
        Inside("--projector", "out/mm_projector.bin", ["--from", _folder["lm"], "--projector", _folder["out/mm_projector.bin"]]);
        Directory.Move(_folder["model"], _folder["out/model"]);
        Inside("--from", "out/model", ["--from", _folder["out/model"]]);

        // The weights are a link into the target.
        _folder.Write("store/keep", "");
        File.Move(_folder["lm/model.safetensors"], _folder["store/model.safetensors"]);
        File.CreateSymbolicLink(_folder["lm/model.safetensors"], _folder["store/model.safetensors"]);
        Assert.Equal(
            $"--from {_folder["lm"]} lies inside --to {_folder["store"]}, where the result would go; name another folder for that",
            Host.Mistake(["convert", "--from", _folder["lm"], "--to", _folder["store"], .. hf]));

        void Inside(string flag, string source, string[] from)
        {
            var before = TinyFolders.Files(_folder["out"]);
            Assert.Equal(
                $"{flag} {_folder[source]} lies inside --to {_folder["out"]}, where the result would go; name another folder for that",
                Host.Mistake(["convert", .. from, "--to", _folder["out"], .. hf]));
            Assert.Equal(before, TinyFolders.Files(_folder["out"]));
        }
    }

    [Fact]
    public void A_tower_that_only_the_config_names_may_not_lie_in_the_target_either()
    {
        LlavaLayoutWriter.Write(_folder["llava"], TinyFolders.Export(TinyFolders.Config()), withTower: false);
        Directory.CreateDirectory(_folder["out"]);
        Directory.Move(_folder["llava/vision_tower"], _folder["out/vision_tower"]);
        var config = _folder["llava/config.json"];
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"vision_tower\"", $"\"{_folder["out/vision_tower"]}\""));
        var before = TinyFolders.Files(_folder["out"]);
        Assert.Equal(
            $"the model's part {_folder["out/vision_tower"]} lies inside --to {_folder["out"]}, where the result would go; name another folder for that",
            Host.Mistake("convert", "--from", _folder["llava"], "--to", _folder["out"], "--layout", "llava", "--overwrite"));
        Assert.Equal(before, TinyFolders.Files(_folder["out"]));
    }

    [Fact]
    public void The_target_may_be_a_new_folder_of_the_source_but_not_one_in_use()
    {
        Host.Succeed("convert", "--from", _folder["model"], "--to", _folder["model/f16"], "--layout", "hf", "--dtype", "f16");
        Assert.Equal(
            $"--output {_folder["model/f16"]} holds files of --model {_folder["model"]}; name another folder for the result",
            Host.Mistake([.. _merge, "--output", _folder["model/f16"], "--overwrite"]));
    }

    [Fact]
    public void Names_with_spaces_and_letters_of_other_scripts()
    {
        Directory.Move(_folder["model"], _folder["mo del ü"]);
        Host.Succeed("convert", "--from", _folder["mo del ü"], "--to", _folder["new/föl der/"], "--layout", "llava");
        Assert.True(File.Exists(_folder["new/föl der/config.json"]));
        Assert.Single(Directory.GetFileSystemEntries(_folder["new"]));
    }

    [Fact]
    public void A_dangling_link_is_a_new_folder()
    {
        Directory.CreateSymbolicLink(_folder["link"], _folder["elsewhere"]);
        Host.Succeed("convert", "--from", _folder["model"], "--to", _folder["link"], "--layout", "hf");
        Assert.True(File.Exists(_folder["elsewhere/config.json"]));
    }

    /// <summary>As root: a mounted folder in one that cannot be written, and a model under another mount.</summary>
    [Fact]
    public void Mount_points()
    {
        Assert.SkipUnless(Shell("unshare --mount true") == 0, "mounts may not be made here");
        Directory.CreateDirectory(_folder["parent/out"]);
        Directory.CreateDirectory(_folder["again"]);
        Directory.CreateDirectory(_folder["empty"]);
        var program = Path.Combine(AppContext.BaseDirectory, "LlavaSharp.Cli");
        var model = TinyFolders.Files(_folder["model"]);
        Assert.Equal(0, Shell($"""
            cd {_folder.Path}
            unshare --mount bash -c '
              mount --bind parent parent && mount -t tmpfs none parent/out && mount -o remount,ro,bind parent
              {program} convert --from model --to parent/out --layout llava || exit 3
              {program} convert --from model --to parent/out --layout llava --overwrite || exit 4
              test -f parent/out/vision_tower/config.json || exit 5
              test $(ls -A parent/out | grep -c tmp) = 0 || exit 6
              mount --bind model again
              {program} convert --from model --to again --layout llava --overwrite; test $? = 2 || exit 7
              {program} convert --from again --to model --layout llava --overwrite; test $? = 2 || exit 8
              {program} convert --from again --to {_folder.Path} --layout llava --overwrite; test $? = 2 || exit 9
            '
            """));
        Assert.Equal(model, TinyFolders.Files(_folder["model"]));
    }

    [Theory]
    [InlineData("99999999999999999999999GB")]
    [InlineData("79228162514264337593543950335")]
    [InlineData("9223372036854775808")]
    [InlineData("0")]
    [InlineData("0.5")]
    [InlineData("-5GB")]
    [InlineData("")]
    public void Sizes_that_are_none(string size) => Assert.Equal(
        $"--shard_size {size}: expected bytes, or a number with KB, MB, GB, KiB, MiB or GiB, such as 5GB",
        Host.Mistake("convert", "--from", _folder["model"], "--to", _folder["x"], "--layout", "hf", "--shard_size", size));

    [Fact]
    public void The_largest_size_is_one_file()
    {
        Host.Succeed("convert", "--from", _folder["model"], "--to", _folder["x"], "--layout", "hf", "--shard_size", "9223372036854775807");
        Assert.True(File.Exists(_folder["x/model.safetensors"]));
    }

    [Fact]
    public void A_script_with_the_line_ends_of_windows_is_named()
    {
        string[] train = ["train", "--data_path", "d.json", "--output_dir", "out\r"];
        const string Why = "ends in a carriage return: the script has Windows line ends; convert it with sed -i 's/\\r$//' SCRIPT";
        Assert.Equal($"'out' {Why}", Host.Mistake(train));
        Assert.Equal($"what follows '--to' {Why}", Host.Mistake("convert", "--from", "m", "--to", "\r"));
        Assert.Equal($"'--bf16' {Why}", Host.Mistake("train", "--bf16\r"));
    }

    [Fact]
    public void A_command_that_is_stopped_leaves_nothing()
    {
        var (code, _, error) = Host.RunWith(
            null, new CancellationToken(canceled: true), "convert", "--from", _folder["model"], "--to", _folder["x"], "--layout", "hf");
        Assert.Equal((130, "stopped\n"), (code, error));
        Assert.Equal(
            (130, "", "stopped\n"), Host.RunWith(null, new CancellationToken(canceled: true), [.. _merge, "--output", _folder["x"]]));
        Assert.False(Directory.Exists(_folder["x"]));
    }

    private static int Shell(string script)
    {
        var start = new ProcessStartInfo("bash", ["-c", script]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var shell = Process.Start(start)!;
        shell.OutputDataReceived += (_, _) => { };
        shell.ErrorDataReceived += (_, _) => { };
        shell.BeginOutputReadLine();
        shell.BeginErrorReadLine();
        shell.WaitForExit();
        return shell.ExitCode;
    }
}
