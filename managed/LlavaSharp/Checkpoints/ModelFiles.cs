using System.Text.RegularExpressions;

namespace LlavaSharp.Checkpoints;

/// <summary>Names of the files that make up a model or an adapter folder as this library writes them. Only files of these names are
/// replaced when such a folder is written again; every other file stays.</summary>
internal static partial class ModelFiles
{
    /// <summary>The file without which no program takes a folder for a model.</summary>
    internal const string Config = "config.json";

    private static readonly string[] Adapter =
    [
        Lora.AdapterConfig.FileName, Lora.AdapterReader.WeightsFile, Lora.AdapterReader.TrainablesFile,
    ];

    private static readonly string[] BesideWeights =
    [
        "generation_config.json", "tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "processor_config.json", Imaging.ImageProcessorConfig.FileName,
    ];

    /// <summary>Whether a file of the old folder would be read as part of the new one.</summary>
    /// <param name="name">The old file.</param>
    /// <param name="written">Names of the new files.</param>
    /// <returns>True for what has to go: names that are written again, weights of another division, and, where a model is written, an
    /// adapter and the tokenizer and processor files that the new model does not have.</returns>
    internal static bool IsReplaced(string name, IReadOnlyCollection<string> written) =>
        written.Contains(name) || name == Config || IsWeights(name) || Adapter.Contains(name)
        || (written.Any(IsWeights) && BesideWeights.Contains(name));

    private static bool IsWeights(string name) => WeightsPattern().IsMatch(name);

    [GeneratedRegex(@"^model(-[0-9]+-of-[0-9]+)?\.safetensors(\.index\.json)?$", RegexOptions.ExplicitCapture)]
    private static partial Regex WeightsPattern();
}
