using System.Text.Json;
using LlavaSharp.Cli;

namespace LlavaSharp.Field.Tests;

/// <summary>Every verb that opens a model, as a command line over a <see cref="FieldFolder"/>.</summary>
internal static class FieldVerbs
{
    public const string Generate = "generate", Train = "train", ToHuggingFace = "convert hf", ToLlava = "convert llava",
        ToGguf = "convert gguf", Merge = "merge-lora", CheckData = "check-data", ShowSample = "show-sample";

    /// <summary>All of them.</summary>
    public static readonly string[] All = [Generate, Train, ToHuggingFace, ToLlava, ToGguf, Merge, CheckData, ShowSample];

    // Written once from the unspoilt model, by this program: what merging it needs.
    private static readonly Lazy<string> Adapter = new(MakeAdapter);

    /// <summary>Runs a verb.</summary>
    /// <returns>The exit code, and what it printed.</returns>
    public static (int Code, string Out, string Error) Run(string verb, FieldFolder folder) => Run(verb switch
    {
        Generate =>
        [
            "generate", "--model", folder.Model, "--image", Path.Combine(FieldFolder.Images, "wide.png"), "--prompt", "What is this?",
            "--max_new_tokens", "8", "--json",
        ],
        Train => ["train", .. Training(folder), "--dry_run", "True"],
        Merge => ["merge-lora", "--model", folder.Model, "--adapter", Adapter.Value, "--output", folder["merged"]],
        CheckData => ["check-data", .. Training(folder)],
        ShowSample => ["show-sample", .. Training(folder), "--index", "0..1"],
        _ => ["convert", "--from", folder.Model, "--to", folder[verb], "--layout", verb["convert ".Length..]],
    });

    /// <summary>Runs a command line in this process.</summary>
    public static (int Code, string Out, string Error) Run(params string[] arguments)
    {
        using StringWriter output = new() { NewLine = "\n" }, error = new() { NewLine = "\n" };
        var code = App.Run(arguments, new Shell(output, error, _ => null, default));
        return (code, output.ToString(), error.ToString());
    }

    /// <summary>The ids of an answer.</summary>
    public static int[] Ids(string json) =>
        [.. JsonDocument.Parse(json).RootElement.GetProperty("output_ids").EnumerateArray().Select(id => id.GetInt32())];

    private static string[] Training(FieldFolder folder) =>
    [
        "--model_name_or_path", folder.Model, "--data_path", folder.Data, "--image_folder", FieldFolder.Images, "--version", "v1",
        "--per_device_train_batch_size", "1", "--model_max_length", "256", "--output_dir", folder["out"],
    ];

    private static string MakeAdapter()
    {
        using var plain = new FieldFolder();
        string[] lora = ["--lora_enable", "True", "--lora_r", "2", "--lora_alpha", "4", "--max_steps", "1", "--save_strategy", "no"];
        var (code, output, error) = Run(["train", .. Training(plain), .. lora]);
        Assert.True(code == 0, output + error);
        var kept = Directory.CreateTempSubdirectory("llavasharp-field-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(kept, recursive: true);
        foreach (var file in Directory.GetFiles(plain["out"]))
        {
            File.Copy(file, Path.Combine(kept, Path.GetFileName(file)));
        }

        return kept;
    }
}
