using System.Globalization;
using LlavaSharp.Bench;

// bench torchsharp|check|peers [--stage S] [--size Z] [--batch N] [--steps N] [--threads N] [--runs N] [--out DIR]
try
{
    return args is [string verb, ..] ? Run(verb, Options(args[1..])) : throw new ArgumentException("name a verb: torchsharp, check, peers");
}
catch (Exception failure) when (failure is ArgumentException or InvalidOperationException or FormatException)
{
    Console.Error.WriteLine($"error: {failure.Message}");
    return 2;
}

static int Run(string verb, Dictionary<string, string> options)
{
    string Text(string name, string missing) => options.GetValueOrDefault(name, missing);
    int Number(string name, int missing) => int.Parse(Text(name, $"{missing}"), NumberStyles.None, CultureInfo.InvariantCulture);
    StepCase @case = new()
    {
        Stage = Known("--stage", Text("--stage", "pretrain"), StepCase.Stages),
        Size = Known("--size", Text("--size", "small"), StepCase.Sizes),
        Batch = Number("--batch", 4),
        Steps = Number("--steps", 4),
        Threads = Number("--threads", 0),
    };
    switch (verb)
    {
        case "torchsharp":
            Console.WriteLine(TorchStep.Time(@case).ToJson(@case));
            return 0;
        case "check":
            (double torch, double engine) = TorchStep.Losses(@case);
            bool agree = Math.Abs(torch - engine) <= 1e-5 * engine;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"loss: TorchSharp {torch:0.000000}, engine {engine:0.000000}: {(agree ? "equal" : "DIFFERENT")}"));
            return agree ? 0 : 1;
        case "peers":
            string[] stages = options.ContainsKey("--stage") ? [@case.Stage] : StepCase.Stages;
            // A step of the peers takes up to half a minute: two of them a turn.
            return new Peers(@case with { Steps = Number("--steps", 2) }, Number("--runs", 3), Text("--out", "artifacts/bench")).Run(stages);
        default:
            throw new ArgumentException($"'{verb}' is not torchsharp, check or peers");
    }
}

static Dictionary<string, string> Options(string[] words)
{
    string[] known = ["--stage", "--size", "--batch", "--steps", "--threads", "--runs", "--out"];
    Dictionary<string, string> options = [];
    for (int i = 0; i < words.Length; i += 2)
    {
        options[Known("flag", words[i], known)] = i + 1 < words.Length ? words[i + 1] : throw new ArgumentException($"{words[i]} needs a value");
    }

    return options;
}

static string Known(string name, string value, string[] known) =>
    known.Contains(value) ? value : throw new ArgumentException($"{name} {value} is not known: {string.Join(", ", known)}");
