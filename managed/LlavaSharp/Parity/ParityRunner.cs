using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Parity;

/// <summary>
/// Runs the engine on a case and compares every quantity with Hugging Face's. Everything is taken from the case's own files;
/// pixels, features and ids that go into a later quantity are ours, never the reference's.
/// </summary>
/// <param name="parity">The case.</param>
/// <param name="spoil">What to spoil on purpose.</param>
/// <param name="report">Receives each line as it is known.</param>
public sealed class ParityRunner(ParityCase parity, ParityBreak spoil, Action<ParityLine> report)
{
    private const double ForwardBound = 1e-5;

    private readonly Dictionary<(string Name, string Mode), PreparedImage> _pixels = [];
    private bool _passed = true;

    /// <summary>Runs and compares everything.</summary>
    /// <param name="cancellation">Stops between quantities.</param>
    /// <returns>Whether every line passed.</returns>
    /// <exception cref="UserErrorException">The case or its checkpoint cannot be read.</exception>
    public bool Run(CancellationToken cancellation = default)
    {
        var config = LlavaConfig.Load(parity.ModelFolder);
        var tokenizer = LlavaTokenizer.Load(parity.ModelFolder);
        using var engine = new Engine();
        using var model = new Model(engine, parity.Storage.Apply(ModelLoader.ToModelConfig(config) with { RopeType = parity.CastType }));
        using (var source = new CheckpointSource(CheckpointReader.Open(parity.ModelFolder)))
        {
            ModelLoader.Fill(model, source, UnitKinds.Vision | UnitKinds.Projector | UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head
                | UnitKinds.Newline, cancellation);
        }

        var images = config.PlanImages(ImageProcessorConfig.Load(parity.ModelFolder));
        Pixels(images);
        Encode(tokenizer);
        var batch = ParityBatch.Build(parity, config.ImageRowCount, Image(images));
        cancellation.ThrowIfCancellationRequested();
        Forward(model, config, batch);
        var training = new ParityTraining(parity, spoil, model, batch, Line);
        foreach (var stage in parity.Losses.Keys)
        {
            cancellation.ThrowIfCancellationRequested();
            training.Run(stage);
        }

        Greedy(model, config, Image(images));
        return _passed;
    }

    private void Line(string quantity, double error, double bound, string detail)
    {
        var line = new ParityLine(quantity, error, bound, detail);
        _passed &= line.Passed;
        report(line);
    }

    private void Pixels(ImagePlan plan)
    {
        const string prefix = "pixel_values/";
        var keys = parity.Expected.Where(k => k.StartsWith(prefix, StringComparison.Ordinal)).ToArray();
        long differing = 0, count = 0;
        var worst = "";
        foreach (var key in keys)
        {
            var slash = key.LastIndexOf('/');
            var mode = key[(slash + 1)..];
            var prepared = mode switch
            {
                "pad" => plan with { Mode = ImageAspectRatio.Pad, Canvases = [] },
                "crop" => plan with { Mode = ImageAspectRatio.Square, Canvases = [] },
                "anyres" => plan,
                _ => throw new UserErrorException($"{parity.Folder}: '{key}': image mode '{mode}' is not known; pad, crop and anyres are"),
            };
            var name = key[prefix.Length..slash];
            var image = prepared.Load(Path.Combine(parity.Folder, "images", name));
            var ours = image.Pixels;
            spoil.Apply("pixels", ours);
            _pixels[(name, mode)] = image;
            var different = Different(ours, parity.Floats(key));
            (differing, count) = (differing + different, count + ours.Length);
            worst = different > 0 && worst.Length == 0 ? $", first in {key}" : worst;
        }

        Line("pixels", keys.Length == 0 ? double.NaN : differing, 0, $"{differing} of {count} values differ, {keys.Length} images and modes{worst}");
    }

    private static long Different(float[] ours, float[] reference)
    {
        if (ours.Length != reference.Length)
        {
            return Math.Max(ours.Length, reference.Length);
        }

        long count = 0;
        for (var i = 0; i < ours.Length; i++)
        {
            count += BitConverter.SingleToInt32Bits(ours[i]) == BitConverter.SingleToInt32Bits(reference[i]) ? 0 : 1;
        }

        return count;
    }

    private void Encode(LlavaTokenizer tokenizer)
    {
        var wrong = new List<string>();
        foreach (var (text, ids) in parity.Encode)
        {
            if (!spoil.Apply("encode", tokenizer.Encode(text)).AsSpan().SequenceEqual(ids))
            {
                wrong.Add(text);
            }
        }

        var first = wrong.Count == 0 ? "" : $", first \"{wrong[0].ReplaceLineEndings("\\n")}\"";
        Line("encode", wrong.Count, 0, $"{wrong.Count} of {parity.Encode.Count} texts differ{first}");
    }

    private Func<string, PreparedImage> Image(ImagePlan plan)
    {
        var mode = plan.IsAnyResolution ? "anyres" : "pad";
        return name => _pixels.TryGetValue((name, mode), out var image)
            ? image
            : throw new UserErrorException($"{parity.Folder}: sample image '{name}' has no expected pixels 'pixel_values/{name}/{mode}'");
    }

    private void Forward(Model model, LlavaConfig config, ParityBatch batch)
    {
        var pixels = batch.Packed.Pixels.Span;
        if (batch.TileCount > 0)
        {
            var features = new float[batch.TileCount * config.ImageRowCount * config.Vision!.HiddenSize];
            model.RunVision(pixels, features);
            Compare("image_features", features);
            var projected = new float[batch.TileCount * config.ImageRowCount * config.Text.HiddenSize];
            model.RunProjected(pixels, projected);
            Compare("projected", projected);
        }

        Logits(model, batch);
        var sums = new double[batch.Packed.SampleCount];
        var tokens = new long[batch.Packed.SampleCount];
        model.RunLoss(batch.Packed, sums, tokens);
        var loss = spoil.Apply("loss", sums.Sum() / tokens.Sum());
        Line("loss", ParityMath.RelativeError(loss, parity.Loss), ForwardBound, FormattableString.Invariant($"{loss:0.000000}"));
    }

    private void Compare(string quantity, float[] ours)
    {
        spoil.Apply(quantity, ours);
        var reference = parity.Floats(quantity);
        Line(
            quantity,
            ours.Length == reference.Length ? ParityMath.RelativeError(ours, reference) : double.NaN,
            ForwardBound,
            $"[{string.Join(", ", parity.Shape(quantity))}]");
    }

    // The reference is padded to the longest sample: rows past a sample's end are not compared.
    private void Logits(Model model, ParityBatch batch)
    {
        var shape = parity.Shape("logits");
        var rows = Enumerable.Range(0, batch.Packed.TokenCount).ToArray();
        var vocabulary = model.Config.Vocabulary;
        var ours = new float[rows.Length * vocabulary];
        model.RunLogits(batch.Packed, rows, ours);
        spoil.Apply("logits", ours);
        var all = parity.Floats("logits");
        if (shape is not [var samples, var width, var last] || samples != parity.TokenIds.Length || last != vocabulary
            || parity.TokenIds.Any(t => t.Length > width))
        {
            Line("logits", double.NaN, ForwardBound, $"reference is [{string.Join(", ", shape)}], ours has {vocabulary} columns");
            return;
        }

        var reference = new float[ours.Length];
        for (int b = 0, at = 0; b < parity.TokenIds.Length; b++)
        {
            var length = parity.TokenIds[b].Length * vocabulary;
            all.AsSpan((int)(b * width * vocabulary), length).CopyTo(reference.AsSpan(at));
            at += length;
        }

        Line("logits", ParityMath.RelativeError(ours, reference), ForwardBound, $"{rows.Length} real tokens of {vocabulary}");
    }

    private void Greedy(Model model, LlavaConfig config, Func<string, PreparedImage> images)
    {
        var prompt = parity.Labels[0].TakeWhile(l => l == PackedBatch.IgnoreLabel).Count();
        var batch = ParityBatch.BuildPrompt(parity, prompt, config.ImageRowCount, images);
        using var generator = new Generator(model);
        var ours = generator.Run(batch.Packed, new SamplingOptions { MaxNewTokens = parity.Greedy.Length }, []).Tokens[0];
        ours = spoil.Apply("greedy", ours);
        var wrong = Math.Abs(ours.Length - parity.Greedy.Length)
            + ours.Zip(parity.Greedy).Count(pair => pair.First != pair.Second);
        Line("greedy", wrong, 0, $"{wrong} of {parity.Greedy.Length} tokens differ");
    }
}
