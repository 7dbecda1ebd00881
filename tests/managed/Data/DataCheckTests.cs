using System.Text;
using System.Text.Json;
using LlavaSharp.Data;
using LlavaSharp.Imaging;
using LlavaSharp.Templates;
using LlavaSharp.Tests.Imaging;
using LlavaSharp.Tests.Tokenization;
using LlavaSharp.Training;

namespace LlavaSharp.Tests.Data;

/// <summary>Planted faults: the check finds each of them and nothing else, and a run that skips trains on exactly the rest.</summary>
public sealed class DataCheckTests : IDisposable
{
    private const int Samples = 10_000, Planted = 50, Pictures = 20, Longest = 400, Rows = 16;

    private readonly TempFolder _folder = new();

    public DataCheckTests()
    {
        for (var i = 0; i < Pictures; i++)
        {
            _folder.Write($"images/{i}.png", ImageEncoder.Png(Imaging.Pictures.Noise(6 + i, 9, i)));
        }

        var png = ImageEncoder.Png(Imaging.Pictures.Noise(40, 40, 5));
        _folder.Write("images/empty.png", []);
        _folder.Write("images/cut.png", png[..(png.Length / 2)]);
        _folder.Write("images/text.png", "not a picture");
        _folder.Write("images/scan.tif", "II*\0 and so on");
        _folder.Write("images/wrong.jpg", png);
        var huge = png.ToArray();
        Png.Resize(huge, 100_000, 100_000);
        _folder.Write("images/huge.png", huge);
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Ten_thousand_samples_with_fifty_faults()
    {
        var (path, expected) = Write();
        using var data = SampleDataset.OpenTolerant(path);
        Assert.Equal(Samples, data.Count);
        var checker = Checker();
        var (calls, most) = (0, 0);
        var problems = DataCheck.Run(data, checker, 2, (_, bad) => { Interlocked.Increment(ref calls); most = Math.Max(most, bad); });
        Assert.Equal(expected.Select(p => (p.Key, p.Value)), problems.Select(p => (p.Index, p.Fault)));
        Assert.Equal((Samples, expected.Count(p => !IsNote(p.Value))), (calls, most));
        Assert.All(problems, p => Assert.DoesNotContain('\n', p.Message));

        var source = new LlavaTrainingSource(
            data, path, checker.ImageFolder, checker.Tokenizer!, checker.Template!,
            new ImagePlan { Processor = new ImageProcessor(ImageProcessorConfig.Clip(14)), TileRows = 1, Mode = ImageAspectRatio.Pad },
            checker.Rules)
        {
            Skip = checker,
        };
        var skipped = new SortedDictionary<int, SampleFault>();
        Parallel.For(0, Samples, i =>
        {
            var sample = source.Load(i);
            if (sample.Problem is { } problem)
            {
                lock (skipped)
                {
                    skipped.Add(i, problem.Fault);
                }
            }
            else
            {
                Assert.Contains(sample.Text.Labels, l => l != -100);
            }
        });
        Assert.Equal(expected.Where(p => !IsNote(p.Value)), skipped);
        Assert.All(expected.Keys, i => Assert.NotEqual(0, data.ModalityLength(i)));
    }

    [Fact]
    public void Without_a_tokenizer_everything_but_lengths_is_checked()
    {
        var (path, expected) = Write();
        using var data = SampleDataset.OpenTolerant(path);
        var checker = new SampleChecker { ImageFolder = Path.Combine(_folder.Path, "images") };
        var problems = DataCheck.Run(data, checker, 2);
        Assert.Equal(
            expected.Where(p => p.Value != SampleFault.TooLong).Select(p => (p.Key, p.Value)), problems.Select(p => (p.Index, p.Fault)));
    }

    [Fact]
    public void A_tolerant_file_still_names_what_cannot_be_read()
    {
        var path = _folder.Write("bad.jsonl", """
            {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
            {"conversations": 3}
            """);
        using var data = SampleDataset.OpenTolerant(path);
        Assert.Equal(SampleFault.Malformed, data.Problem(1)!.Fault);
        var error = Assert.Throws<UserErrorException>(() => data[1]);
        Assert.Equal($"{path}: sample 1: its \"conversations\" is a number, not a list", error.Message);
        Assert.Throws<UserErrorException>(() => SampleDataset.Open(path));
        Assert.Throws<UserErrorException>(() => SampleDataset.OpenTolerant(_folder.Write("no.json", "[{]")));
    }

    [Fact]
    public void Roles_marks_and_names_have_their_rules()
    {
        var checker = new SampleChecker { ImageFolder = Path.Combine(_folder.Path, "images") };
        Assert.Null(Fault(null, "gpt:hello", "human:a", "gpt:b"));
        Assert.Null(Fault(null, "system:x", "human:a", "gpt:b"));
        Assert.Equal(SampleFault.RoleOrder, Fault(null, "human:a", "system:x", "gpt:b"));
        Assert.Equal(SampleFault.NoAnswer, Fault(null, "human:a", "gpt:"));
        Assert.Null(Fault(null, "human:a", "gpt: \n")); // its tokens and the end are learned, as show-sample prints
        Assert.Equal(SampleFault.NoAnswer, Fault(null, "gpt:dropped", "human:a"));
        Assert.Null(Fault("0.png", "human:<image> and <image>", "gpt:b"));
        Assert.Equal(SampleFault.MarkWithoutImage, Fault("0.png", "human:<image>", "gpt:b", "human:<image>", "gpt:b"));
        Assert.Equal(SampleFault.MarkWithoutImage, Fault(null, "human:<image>", "gpt:b"));
        Assert.Equal(SampleFault.ImageWithoutMark, Fault("0.png", "human:a", "gpt:b"));
        Assert.Equal(SampleFault.ImageMissing, Fault("../0.png", "human:<image>", "gpt:b"));
        Assert.Equal(SampleFault.ImageMissing, Fault("none.png", "human:<image>", "gpt:b"));
        Assert.Equal(
            "image wrong.jpg is named .jpg, but is a PNG file; it is read as what it is",
            checker.CheckImage("wrong.jpg", 0)!.Message);
        var bothBad = new Sample(null, ["wrong.jpg", "cut.png"], [new("human", "<image> or <image>?"), new("gpt", "b")]);
        Assert.Equal(SampleFault.ImageDamaged, checker.Check(bothBad, 0)!.Fault);
        Assert.Equal(SampleFault.WrongExtension, checker.Check(bothBad with { Images = ["wrong.jpg", "0.png"] }, 0)!.Fault);
        var several = new Sample(null, ["0.png", "1.png"], [new("human", "<image> or <image>?"), new("gpt", "b")]);
        Assert.Null(checker.Check(several, 0));
        Assert.Equal(SampleFault.ImageWithoutMark, checker.Check(several with { Images = ["0.png", "1.png", "2.png"] }, 0)!.Fault);
        var anyOrder = new SampleChecker { Template = ConversationTemplates.Get("llava_v0") };
        Assert.Null(anyOrder.Check(new Sample(null, (string?)null, [new("gpt", "a"), new("gpt", "b")]), 0));

        SampleFault? Fault(string? image, params string[] turns) => checker.Check(
            new Sample(null, image, [.. turns.Select(t => new Turn(t.Split(':')[0], t.Split(':')[1]))]), 0)?.Fault;
    }

    [Fact]
    public void Any_name_is_taken_that_holds_a_picture_and_a_wrong_one_is_a_note()
    {
        var png = ImageEncoder.Png(Imaging.Pictures.Noise(8, 8, 1));
        var checker = new SampleChecker { ImageFolder = Path.Combine(_folder.Path, "images") };
        foreach (var (name, note) in ((string, bool)[])
            [("a.v2", false), ("a.php", false), ("a", false), ("a.jpeg_large", false), ("a.PNG", false), ("a.gif", true), ("a.webp", true), ("a.bmp", true)])
        {
            _folder.Write($"images/{name}", png);
            var found = checker.CheckImage(name, 0);
            Assert.Equal(note ? SampleFault.WrongExtension : null, found?.Fault);
            Assert.True(found is null or { IsNote: true });
        }
    }

    [Fact]
    public void A_file_that_changes_during_the_check_is_one_line()
    {
        var path = _folder.Write("d.jsonl", string.Join('\n', Enumerable.Range(0, 40).Select(i => Json(i, null, ("human", $"q {i}"), ("gpt", "b")))));
        using var data = SampleDataset.OpenTolerant(path);
        File.WriteAllText(path, "");
        var error = Assert.Throws<UserErrorException>(() => DataCheck.Run(data, new SampleChecker(), 4));
        Assert.Contains("cannot be read any more; the file must not change during a run", error.Message, StringComparison.Ordinal);
    }

    private static bool IsNote(SampleFault fault) => fault is SampleFault.Duplicate or SampleFault.WrongExtension;

    private SampleChecker Checker() => new()
    {
        ImageFolder = Path.Combine(_folder.Path, "images"),
        Template = ConversationTemplates.Get("mistral_instruct"),
        Tokenizer = TokenizerGolden.Load("small"),
        Rules = new PromptRules { ModelMaxLength = Longest },
        ImageRows = Rows,
    };

    /// <summary>A file of good samples, some at random places made bad.</summary>
    private (string Path, SortedDictionary<int, SampleFault> Expected) Write()
    {
        SampleFault[] kinds = [.. Enum.GetValues<SampleFault>()];
        var random = new Random(7);
        var expected = new SortedDictionary<int, SampleFault>();
        while (expected.Count < Planted)
        {
            // Not the first: a repetition repeats something.
            expected.TryAdd(random.Next(1, Samples), kinds[expected.Count % kinds.Length]);
        }

        using var file = new MemoryStream();
        file.Write("[\n"u8);
        for (var i = 0; i < Samples; i++)
        {
            var line = expected.TryGetValue(i, out var fault) ? Bad(i, fault) : Good(i);
            file.Write(Encoding.Latin1.GetBytes(line));
            file.Write(i + 1 < Samples ? ",\n"u8 : "\n]"u8);
        }

        return (_folder.Write("data.json", file.ToArray()), expected);
    }

    private static string Good(int i) => i % 4 == 3
        ? Json(i, null, ("human", $"question {i}"), ("gpt", "an answer"))
        : Json(i, $"{i % Pictures}.png", ("human", "<image>\nWhat is it?"), ("gpt", $"answer {i}"));

    private static string Bad(int i, SampleFault fault) => fault switch
    {
        SampleFault.Malformed => $$"""{"id": {{i}}, "conversations": [{"from": "human"}]}""",
        SampleFault.BadText => Json(i, null, ("human", "caf" + "XX"), ("gpt", "b")).Replace("XX", "\u00ff\u00fe", StringComparison.Ordinal),
        SampleFault.RoleOrder => Json(i, null, ("human", $"a {i}"), ("human", "b"), ("gpt", "c")),
        SampleFault.NoAnswer => Json(i, null, ("human", $"a {i}"), ("gpt", "")),
        SampleFault.MarkWithoutImage => Json(i, null, ("human", $"<image>\n{i}"), ("gpt", "b")),
        SampleFault.ImageWithoutMark => Json(i, "0.png", ("human", $"a {i}"), ("gpt", "b")),
        SampleFault.TooLong => Json(i, "0.png", ("human", $"<image>\n{i}"), ("gpt", string.Concat(Enumerable.Repeat("long ", Longest)))),
        SampleFault.Duplicate => Good(0),
        SampleFault.ImageMissing => Picture(i, "missing.png"),
        SampleFault.ImageEmpty => Picture(i, "empty.png"),
        SampleFault.ImageDamaged => Picture(i, "cut.png"),
        SampleFault.NotAnImage => Picture(i, "text.png"),
        SampleFault.Tiff => Picture(i, "scan.tif"),
        SampleFault.TooManyPixels => Picture(i, "huge.png"),
        _ => Picture(i, "wrong.jpg"),
    };

    private static string Picture(int i, string image) => Json(i, image, ("human", "<image>\nWhat is it?"), ("gpt", $"answer {i}"));

    private static string Json(int id, string? image, params (string From, string Value)[] turns)
    {
        var conversations = JsonSerializer.Serialize(turns.Select(t => new Dictionary<string, string> { ["from"] = t.From, ["value"] = t.Value }));
        var part = image is null ? "" : $"\"image\": {JsonSerializer.Serialize(image)}, ";
        return $$"""{"id": {{id}}, {{part}}"conversations": {{conversations}}}""";
    }
}
