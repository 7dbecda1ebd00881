using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using LlavaSharp.Data;
using LlavaSharp.Tokenization;
using LlavaSharp.Training;

namespace LlavaSharp.Cli.Commands;

/// <summary>Prints samples as the model will see them.</summary>
internal static class ShowSampleCommand
{
    private const string Help = """
        llavasharp show-sample --data_path FILE --model_name_or_path DIR --index I [--json] [flags]

        Prints a sample as the model will see it: the text that the conversation format makes of it,
        each token with its id, which of them are learned, where an image goes, and the image's size
        before and after. It takes the flags of llavasharp train: a training command shows its samples
        by changing the verb and adding --index. No weights are read.

          --index I | A..B            one sample, or all from A to B, from 0
          --json                      a JSON object a line: index, input_ids (-200 where an image goes),
                                      labels (-100 where nothing is learned), images
          --data_path FILE            the data
          --model_name_or_path DIR    its tokenizer
          --version, --template NAME  conversation format [v1, or plain in stage 1]
          --image_folder DIR          where image paths start; not needed with --json
          --vision_tower DIR          whose image processor says how large images become [336 pixels]
          --image_aspect_ratio MODE   square, pad or anyres [the model's, else square]

          $ llavasharp show-sample --data_path mix665k.json --image_folder data \
              --model_name_or_path vicuna-7b-v1.5 --index 0

        """;

    /// <summary>Makes the verb.</summary>
    /// <param name="shell">What it talks to.</param>
    /// <returns>The verb.</returns>
    public static Verb Create(Shell shell)
    {
        var command = new Command("show-sample", "show a sample") { TreatUnmatchedTokensAsErrors = false };
        command.SetAction(parsed => Run(shell, parsed.UnmatchedTokens));
        return new(
            command,
            "prints a sample as the model will see it: text, tokens, what is learned, images",
            "llavasharp show-sample --data_path d.json --model_name_or_path vicuna --index 0",
            Help);
    }

    private static int Run(Shell shell, IReadOnlyList<string> arguments)
    {
        var (options, own) = DataFlags.Parse(arguments, ["--json"], ["--index"]);
        var (first, last) = Range(own.GetValueOrDefault("--index") ?? throw new UserErrorException("--index is missing: a number, or A..B"));
        var json = own.ContainsKey("--json");
        using var session = DataSession.Open(options);
        for (var index = first; index <= last; index++)
        {
            shell.Cancellation.ThrowIfCancellationRequested();
            var preview = session.Preview(index, openImages: !json);
            shell.Out.Write(json ? Json(preview) : Text(preview, session.Tokenizer!));
        }

        return ExitCode.Ok;
    }

    private static (int First, int Last) Range(string text)
    {
        var parts = text.Split("..");
        return parts.Length <= 2
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var first)
            && int.TryParse(parts[^1], NumberStyles.None, CultureInfo.InvariantCulture, out var last)
            && first <= last
            ? (first, last)
            : throw new UserErrorException($"--index {text}: expected a number from 0, or a range such as 0..999");
    }

    private static string Json(SamplePreview preview) => JsonSerializer.Serialize(new
    {
        index = preview.Index,
        input_ids = preview.Tokens.InputIds,
        labels = preview.Tokens.Labels,
        images = preview.Images,
    }) + "\n";

    private static string Text(SamplePreview preview, LlavaTokenizer tokenizer)
    {
        var ids = preview.Tokens.InputIds;
        var learned = preview.Tokens.Labels.Count(l => l != TokenizedSample.IgnoredLabel);
        var rows = preview.Sizes.Sum(s => s?.Rows ?? 0);
        var lines = new List<string>
        {
            $"sample {preview.Index}{(preview.Id is null ? "" : $" (id \"{preview.Id}\")")}: {ids.Length} tokens, {learned} of them learned; "
                + $"{ids.Length - preview.Images.Count + rows} with the images' rows",
        };
        foreach (var (image, size) in preview.Images.Zip(preview.Sizes))
        {
            lines.Add($"  image {image}: {size!.Width} × {size.Height} -> {size.Side} × {size.Side} ({size.AspectRatio}), {size.Rows} rows");
        }

        lines.Add("");
        lines.AddRange(preview.Text.Split('\n').Select(l => "  | " + l));
        lines.Add("");
        var image2 = 0;
        for (var i = 0; i < ids.Length; i++)
        {
            var mark = preview.Tokens.Labels[i] == TokenizedSample.IgnoredLabel ? ' ' : '*';
            var spelling = ids[i] == LlavaTokenizer.ImageToken
                ? $"image {preview.Images[image2++]} goes here"
                : JsonSerializer.Serialize(tokenizer.Spelling(ids[i]) ?? "?", Readable);
            lines.Add(string.Create(CultureInfo.InvariantCulture, $"  {i,5} {mark} {ids[i],7}  {spelling}"));
        }

        lines.Add($"{Environment.NewLine}  * is learned{(preview.Tokens.RecipeMasks ? "; the recipe would have masked this sample whole" : "")}");
        return string.Join(Environment.NewLine, lines) + Environment.NewLine;
    }

    private static readonly JsonSerializerOptions Readable = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };
}
