using System.Diagnostics;
using System.Globalization;
using LlavaSharp.Tests.Cli;

namespace LlavaSharp.Tests.Training;

/// <summary>
/// The recipe's scripts, ported, on stand-ins of their checkpoints and data: each checks itself with --dry_run and then trains a few
/// updates, with its own flags but for paths and sizes.
/// </summary>
public sealed class RunScriptTests : IDisposable
{
    private static readonly string Runs = Path.Combine(Repository(), "runs");

    private readonly TinyRun _tiny = new();

    public static IEnumerable<TheoryDataRow<string>> Scripts() => Files().Select(file => new TheoryDataRow<string>(file));

    public void Dispose() => _tiny.Dispose();

    [Theory]
    [MemberData(nameof(Scripts))]
    public void A_script_passes_its_dry_run_and_trains(string script)
    {
        var stage1 = script.Contains("pretrain", StringComparison.Ordinal);
        var task = script.Contains("_task", StringComparison.Ordinal);
        List<string> flags =
        [
            "--model_name_or_path", task ? Trained() : _tiny.Llama, "--data_path", stage1 ? _tiny.Captions : _tiny.Talks, "--image_folder", _tiny.Images,
            "--output_dir", _tiny["out"], "--per_device_train_batch_size", "1", "--gradient_accumulation_steps", "2", "--lora_r", "2", "--threads", "1",
        ];
        flags.AddRange(task ? [] : ["--vision_tower", _tiny.Clip]);
        if (!stage1 && !task)
        {
            flags.AddRange(["--pretrain_mm_mlp_adapter", Projector()]);
        }

        if (script.Contains("llava_next", StringComparison.Ordinal))
        {
            // The stand-in's tower reads 28 pixels, not 336.
            flags.AddRange(["--image_grid_pinpoints", "[[28,28], [56,56], [28,112], [112,28]]"]);
        }

        var dry = Run(script, [.. flags, "--dry_run"], 0);
        Assert.Contains("updates     3 of 1 × 2 samples", dry, StringComparison.Ordinal);
        Assert.EndsWith("dry run: nothing was trained or written\n", dry, StringComparison.Ordinal);
        Assert.Equal(script.StartsWith("itrex", StringComparison.Ordinal), dry.Contains("warning: --use_habana True: ", StringComparison.Ordinal));
        Assert.False(Directory.Exists(_tiny["out"]));

        Run(script, [.. flags, "--use_habana", "False"], 0);
        Assert.Equal(3, RunFolder.Log(_tiny["out"]).Length);
        var lora = script.Contains("lora", StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(_tiny["out"], stage1 ? "mm_projector.bin" : lora ? "adapter_model.safetensors" : "model.safetensors")));
    }

    [Fact]
    public void There_is_a_port_of_every_script_of_the_recipe() => Assert.Equal(
        [
            "itrex/finetune.sh", "itrex/finetune_lora.sh", "itrex/llava_next/pretrain_llava_next.sh", "itrex/llava_next/pretrain_mistral.sh",
            "itrex/pretrain.sh", "v1_5/finetune.sh", "v1_5/finetune_lora.sh", "v1_5/finetune_task.sh", "v1_5/finetune_task_lora.sh",
            "v1_5/pretrain.sh",
        ],
        Files());

    private static IEnumerable<string> Files() => Directory.GetFiles(Runs, "*.sh", SearchOption.AllDirectories)
        .Select(file => Path.GetRelativePath(Runs, file)).Order(StringComparer.Ordinal);

    private string Projector()
    {
        Host.Succeed(_tiny.Stage1(_tiny["pretrained"], "--max_steps", "1"));
        return Path.Combine(_tiny["pretrained"], "mm_projector.bin");
    }

    // A whole LLaVA model, as the task scripts start from.
    private string Trained()
    {
        Host.Succeed(_tiny.Stage2(_tiny["trained"], "--max_steps", "1"));
        return _tiny["trained"];
    }

    private static string Run(string script, string[] flags, int code)
    {
        var start = new ProcessStartInfo("bash", [Path.Combine(Runs, script), .. flags])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        };
        start.Environment["LLAVASHARP"] = Path.Combine(AppContext.BaseDirectory, "LlavaSharp.Cli");
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == code, string.Create(CultureInfo.InvariantCulture, $"{script}: {process.ExitCode}\n{error.Result}{output}"));
        return error.Result + output;
    }

    private static string Repository()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "LlavaSharp.slnx")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException("the tests do not lie in their repository");
    }
}
