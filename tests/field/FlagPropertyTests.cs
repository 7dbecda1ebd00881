using FsCheck;
using FsCheck.Fluent;
using LlavaSharp.Training;

namespace LlavaSharp.Field.Tests;

/// <summary>Any list of flags gives options or a mistake of one line; nothing else comes out of the parser.</summary>
public sealed class FlagPropertyTests : IDisposable
{
    // What people, scripts and sweeps write: numbers of every kind, words of every kind, and nothing.
    private static readonly string[] Words =
    [
        "", "0", "1", "-1", "1.0", "1e3", "2e-5", "1e400", "-0", "NaN", "Infinity", "9223372036854775808", "True", "false", "no", "none",
        "auto", "steps", "[[336, 672]]", "[[", "{}", "a b", "ü", "\ud83d", "\0", "12G", "1e30G", "-5M", "null", "cosine", "--seed", "=",
        "/dev/null", ".",
    ];

    private static readonly Gen<string> Value = Gen.OneOf(Gen.Elements(Words), ArbMap.Default.GeneratorFor<string>().Select(s => s ?? ""));

    private static readonly Gen<string> Name = Gen.OneOf(
        Gen.Elements(TrainFlags.All.Select(f => f.Name).ToArray()),
        Gen.Elements(TrainFlags.All.Select(f => "no_" + f.Name).ToArray()),
        ArbMap.Default.GeneratorFor<string>().Select(s => s ?? ""));

    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    [Fact]
    public void Arguments()
    {
        var argument = Gen.OneOf(
            Name.Select(n => new[] { $"--{n}" }),
            Name.SelectMany(n => Value.Select(v => new[] { $"--{n}={v}" })),
            Name.SelectMany(n => Value.Select(v => new[] { $"--{n}", v })),
            Value.Select(v => new[] { v }));
        Check(argument.ArrayOf(6).Select(a => a.SelectMany(x => x).ToArray()), arguments => TrainOptionsParser.Parse(arguments));
    }

    [Fact]
    public void Flag_files() => Check(Json(2).Select(v => "{\"flags\": " + v + "}"), text => Parse("--config", text));

    [Fact]
    public void Flag_files_of_known_flags() => Check(
        Name.SelectMany(n => Json(1).Select(v => $"{{{Quote(n)}: {v}}}")), text => Parse("--config", text));

    [Fact]
    public void DeepSpeed_files()
    {
        string[] keys =
        [
            "fp16", "bf16", "enabled", "zero_optimization", "stage", "overlap_comm", "reduce_bucket_size", "allgather_bucket_size",
            "stage3_prefetch_bucket_size", "offload_optimizer", "offload_param", "device", "nvme_path", "optimizer", "scheduler", "type",
            "params", "lr", "betas", "eps", "weight_decay", "train_batch_size", "train_micro_batch_size_per_gpu",
            "gradient_accumulation_steps",
            "gradient_clipping", "steps_per_print", "stage3_gather_16bit_weights_on_model_save",
        ];
        var key = Gen.Elements(keys);
        Check(Object(key, Object(key, Object(key, Json(1)))), text => Parse("--deepspeed", text));
    }

    private void Parse(string flag, string text)
    {
        File.WriteAllText(_file, text);
        TrainOptionsParser.Parse([flag, _file]);
    }

    private static Gen<string> Object(Gen<string> key, Gen<string> value) => key
        .SelectMany(k => Gen.OneOf(value, Json(1)).Select(v => (k, v)))
        .ArrayOf(4).Select(pairs => "{" + string.Join(", ", pairs.Select(p => $"{Quote(p.k)}: {p.v}")) + "}");

    private static Gen<string> Json(int depth)
    {
        var leaf = Gen.OneOf(
            Gen.Elements("null", "true", "false", "0", "1", "-1", "2", "3", "1.5", "1e3", "1e400", "5e8"),
            Gen.Elements("\"auto\"", "\"\\ud800\"", "{}", "[]", "[0.9, 0.999]", "x"),
            Value.Select(Quote));
        return depth == 0 ? leaf
            : Gen.OneOf(leaf, Json(depth - 1).ArrayOf(2).Select(v => $"[{string.Join(",", v)}]"), Object(Name, Json(depth - 1)));
    }

    private static string Quote(string text) => System.Text.Json.JsonSerializer.Serialize(text);

    private static void Check<T>(Gen<T> cases, Action<T> parse) => Prop.ForAll(cases.ToArbitrary(), input =>
    {
        try
        {
            parse(input);
        }
        catch (UserErrorException e)
        {
            Assert.NotEmpty(e.Message);
        }
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000).WithReplay(1, 1));
}
