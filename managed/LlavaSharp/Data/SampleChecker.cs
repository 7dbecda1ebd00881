using LlavaSharp.Imaging;
using LlavaSharp.Templates;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Data;

/// <summary>
/// Finds what is wrong with a sample before training meets it: <c>check-data</c> reports it, and <c>--on_bad_sample skip</c>
/// leaves out exactly the samples that have a fault. Safe from several threads.
/// </summary>
public sealed class SampleChecker
{
    /// <summary>Where image paths start; null when there is no image folder.</summary>
    public string? ImageFolder { get; init; }

    /// <summary>The conversation format; null checks the rules that most have in common.</summary>
    public ConversationTemplate? Template { get; init; }

    /// <summary>The tokenizer; without it lengths are not checked.</summary>
    public LlavaTokenizer? Tokenizer { get; init; }

    /// <summary>What prompts depend on, with the longest sequence.</summary>
    public PromptRules Rules { get; init; } = PromptRules.Default;

    /// <summary>Tokens that one image becomes, where <see cref="Images"/> does not say.</summary>
    public int ImageRows { get; init; }

    /// <summary>How pictures become tokens; null: all of <see cref="ImageRows"/>.</summary>
    public ImagePlan? Images { get; init; }

    /// <summary>Caps on images.</summary>
    public ImageLimits Limits { get; init; } = ImageLimits.Default;

    /// <summary>
    /// Whether <c>&lt;image&gt;</c> within a line asks for a picture, too. It is text about HTML, but not where most samples of a file
    /// say it: <see cref="BlindSamples.AreMost"/>.
    /// </summary>
    public bool EveryMarkAsks { get; init; }

    /// <summary>Everything that can be seen without pixels: turns, marks, length.</summary>
    /// <param name="sample">The sample.</param>
    /// <param name="index">Its index in the file.</param>
    /// <returns>The first fault, or null.</returns>
    public SampleProblem? CheckText(Sample sample, int index) =>
        CheckTurns(sample, index) ?? CheckMarks(sample, index) ?? CheckPrompt(sample, index);

    /// <summary>The file of an image: that it exists, is what its name says, and decodes.</summary>
    /// <param name="image">The image's path as the sample has it.</param>
    /// <param name="index">The sample's index.</param>
    /// <param name="decode">Whether it is decoded, too; who decodes it anyway learns the same from that.</param>
    /// <returns>The fault, or a note, or null.</returns>
    public SampleProblem? CheckImage(string image, int index, bool decode = true)
    {
        try
        {
            var path = ImagePaths.Resolve(
                ImageFolder ?? throw NoFolder(image), image);
            var wrong = ImageFileName.Mismatch(path);
            if (decode)
            {
                ImageDecoder.Load(path, Limits);
            }

            return wrong is null ? null : new(index, SampleFault.WrongExtension, $"image {image} {wrong}");
        }
        catch (UserErrorException e)
        {
            return new(index, FaultOf(e), e.Message);
        }
    }

    /// <summary>Checks a whole sample.</summary>
    /// <param name="sample">The sample.</param>
    /// <param name="index">Its index in the file.</param>
    /// <returns>The first fault; where there is none the first note, or null.</returns>
    public SampleProblem? Check(Sample sample, int index) => CheckText(sample, index) ?? CheckImages(sample, index);

    /// <summary>The files of all images of a sample; the first fault, or else the first note.</summary>
    internal SampleProblem? CheckImages(Sample sample, int index, bool decode = true)
    {
        SampleProblem? note = null;
        foreach (var image in sample.Images)
        {
            var problem = CheckImage(image, index, decode);
            if (problem is { IsNote: false })
            {
                return problem;
            }

            note ??= problem;
        }

        return note;
    }

    /// <summary>What can be seen without a tokenizer: turns and marks.</summary>
    internal SampleProblem? CheckTurnsAndMarks(Sample sample, int index) => CheckTurns(sample, index) ?? CheckMarks(sample, index);

    /// <summary>
    /// Tokens up to and with the first one that a sample learns, its pictures' rows included; null where nothing of it can be trained.
    /// Needs template and tokenizer.
    /// </summary>
    internal long? TokensToLearn(Sample sample, int index)
    {
        try
        {
            var (text, image, at) = (PromptBuilder.Build(Template!, Tokenizer!, sample, index, Rules), 0, 0L);
            foreach (var (id, label) in text.InputIds.Zip(text.Labels))
            {
                // The first token of all has nothing before it that could predict it.
                if (label != TokenizedSample.IgnoredLabel && at > 0)
                {
                    return at + 1;
                }

                at += id == LlavaTokenizer.ImageToken ? TokensOf(sample.Images[image++]) : 1;
            }
        }
        catch (UserErrorException)
        {
            // What is wrong with the sample is said where it is read.
        }

        return null;
    }

    /// <summary>The error of a picture without a folder. A data file alone may not name files of this machine.</summary>
    internal static UserErrorException NoFolder(string image) => new(
        $"it has an image \"{image}\", but no --image_folder is given"
        + (Path.IsPathRooted(image) ? "; give the folder that holds the pictures (/ holds all)" : ""));

    /// <summary>The fault that an error describes.</summary>
    internal static SampleFault FaultOf(UserErrorException error) =>
        Fault.Of<SampleFault>(error) ?? Fault.Of<ImageFault>(error) switch
        {
            ImageFault.Empty => SampleFault.ImageEmpty,
            ImageFault.Damaged => SampleFault.ImageDamaged,
            ImageFault.NotAnImage => SampleFault.NotAnImage,
            ImageFault.Tiff => SampleFault.Tiff,
            ImageFault.TooLarge => SampleFault.TooManyPixels,
            _ => SampleFault.ImageMissing,
        };

    private SampleProblem? CheckTurns(Sample sample, int index)
    {
        var turns = sample.Conversations.Skip(sample.Conversations is [{ From: "system" }, ..] ? 1 : 0).ToList();
        if (turns.Find(t => t.From is not ("human" or "gpt")) is { } other)
        {
            return new(
                index,
                SampleFault.RoleOrder,
                other.From == "system"
                    ? "a turn from \"system\" stands behind others; it comes first"
                    : $"a turn is from \"{other.From}\"; {Turn.KnownSpeakers}");
        }

        // A first turn that is not the human's is dropped, as the recipe does.
        var first = turns is [{ From: "gpt" }, ..] ? 1 : 0;
        for (var i = first; Template?.Alternates != false && i < turns.Count; i++)
        {
            var expected = (i - first) % 2 == 0 ? "human" : "gpt";
            if (turns[i].From != expected)
            {
                return new(index, SampleFault.RoleOrder, $"turn {i} is from \"{turns[i].From}\" where \"{expected}\" must speak; turns alternate");
            }
        }

        return turns.Skip(Template?.Alternates != false ? first : 0).Any(t => t.From == "gpt" && t.Value.Length > 0)
            ? null
            : new(index, SampleFault.NoAnswer, "no answer from \"gpt\" has text; nothing would be learned");
    }

    /// <summary>With one image, the marks of a turn count as one; with several, each mark is an image.</summary>
    private SampleProblem? CheckMarks(Sample sample, int index)
    {
        if (PictureMarks.Missing(sample, EveryMarkAsks) is { } missing)
        {
            return new(index, SampleFault.MarkWithoutImage, missing);
        }

        if (sample.Images.Count == 0)
        {
            return null;
        }

        var marks = sample.Conversations.Sum(t => sample.Images.Count > 1
            ? t.Value.Split(PromptText.ImageMark).Length - 1
            : t.Value.Contains(PromptText.ImageMark, StringComparison.Ordinal) ? 1 : 0);
        return marks == sample.Images.Count ? null : new(
            index,
            marks > sample.Images.Count ? SampleFault.MarkWithoutImage : SampleFault.ImageWithoutMark,
            $"{sample.Images.Count} image{(sample.Images.Count == 1 ? "" : "s")}, but {marks} <image> in its turns");
    }

    private SampleProblem? CheckPrompt(Sample sample, int index)
    {
        if (Tokenizer is null || Template is null)
        {
            return null;
        }

        try
        {
            var ids = PromptBuilder.Build(Template, Tokenizer, sample, index, Rules).InputIds;
            var rows = sample.Images.Sum(TokensOf);
            var length = ids.Length - sample.Images.Count + rows;
            return length <= Rules.ModelMaxLength ? null : new(
                index,
                SampleFault.TooLong,
                $"{length} tokens with {rows} of images, more than {Rules.ModelMaxLength}"
                + (rows < Rules.ModelMaxLength ? "" : "; its pictures alone fill that: raise --model_max_length"));
        }
        catch (UserErrorException e)
        {
            var prefix = $"sample {index}: ";
            var message = e.Message.StartsWith(prefix, StringComparison.Ordinal) ? e.Message[prefix.Length..] : e.Message;
            return new(index, SampleFault.Malformed, message);
        }
    }

    private long TokensOf(string image)
    {
        if (Images?.IsAnyResolution != true || ImageFolder is null)
        {
            return ImageRows;
        }

        try
        {
            return Images.TokenCount(ImagePaths.Resolve(ImageFolder, image));
        }
        catch (UserErrorException)
        {
            return 0; // The picture's own check says what is wrong with it.
        }
    }
}
