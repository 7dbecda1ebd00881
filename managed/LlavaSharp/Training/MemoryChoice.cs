using System.Globalization;
using LlavaSharp.Interop;
using LlavaSharp.Lora;
using LlavaSharp.Zero;

namespace LlavaSharp.Training;

/// <summary>
/// How a run fits into memory. What is kept costs nothing, running samples one after another a little, and decoder layers that run
/// twice a forward pass of each: the cheapest that fits is chosen, for micro-batches as long as model_max_length allows. The
/// numbers are the same, to the order of sums.
/// </summary>
internal sealed record MemoryChoice
{
    // The engine's own choice where the decoder is frozen.
    private const int FrozenTokens = 1280;

    /// <summary>The engine's option of that name; 0: its own choice.</summary>
    public int TokensAtOnce { get; private init; }

    /// <summary>Decoder layers that run twice.</summary>
    public int RecomputeLayers { get; private init; }

    /// <summary>The model's.</summary>
    public int Layers { get; private init; }

    /// <summary>Bytes that the process holds at most.</summary>
    public long Peak { get; private init; }

    /// <summary>What the engine holds of that.</summary>
    public MemoryPlan Plan { get; private init; }

    /// <summary>Bytes that it may hold.</summary>
    public long Limit { get; private init; }

    /// <summary>Chooses.</summary>
    /// <param name="shape">The model.</param>
    /// <param name="options">model_max_length, batch size, workers, gradient_checkpointing, memory_limit, threads.</param>
    /// <param name="trained">What trains.</param>
    /// <param name="adapters">On every decoder linear; null: none.</param>
    /// <param name="held">Bytes that the process holds beside what the engine's plan counts.</param>
    /// <param name="warn">Receives a line when a step may take more than the machine has.</param>
    /// <param name="divided">With several processes, the units that they divide: a micro-batch then runs at once.</param>
    /// <exception cref="UserErrorException">memory_limit is given and nothing fits.</exception>
    public static MemoryChoice Make(
        ModelConfig shape, TrainOptions options, UnitKinds trained, AdapterOptions? adapters, long held, Action<string> warn,
        IReadOnlyList<ZeroUnit>? divided = null)
    {
        ZeroPlan? zero = divided is null ? null : ZeroPlan.Build(divided, options.Division);
        long longest = options.ModelMaxLength, batch = Math.Min(int.MaxValue, longest * options.PerDeviceTrainBatchSize);
        bool frozen = (trained & (UnitKinds.Vision | UnitKinds.Layer | UnitKinds.Lora | UnitKinds.Head)) == 0;
        long all = frozen && zero is null ? Math.Min(batch, Math.Max(longest, FrozenTokens)) : batch;
        long limit = options.MemoryLimit ?? (GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / options.Place.LocalWorld);
        held += Pictures(shape, options);
        MemoryChoice At(long tokens, int layers)
        {
            Workload work = Work(shape, options, trained, adapters, tokens, layers);
            MemoryPlan plan = zero is null ? MemoryPlan.Compute(shape, work)
                : MemoryPlan.Compute(shape, work, Sharding(options), zero.Division.World, zero.Steps);
            return new()
            {
                TokensAtOnce = tokens == all ? 0 : (int)tokens,
                RecomputeLayers = layers,
                Layers = shape.Layers,
                Peak = held + plan.Total - (options.OffloadOptimizer ? plan.Optimizer : 0),
                Plan = plan,
                Limit = limit,
            };
        }

        int kept = options.GradientCheckpointing == true ? shape.Layers : 0;
        MemoryChoice choice = At(all, kept);
        for (long tokens = all; zero is null && choice.Peak > limit && tokens > longest; choice = At(tokens, kept))
        {
            tokens = Math.Max(longest, tokens / 2);
        }

        // The last layer has nothing to run twice for.
        while (choice.Peak > limit && options.GradientCheckpointing is null && choice.RecomputeLayers < shape.Layers - 1)
        {
            choice = At(zero is null ? Math.Min(all, longest) : all, choice.RecomputeLayers + 1);
        }

        if (choice.Peak > limit)
        {
            string needs = $"a step with a sample of --model_max_length {longest} tokens holds {Bytes(choice.Peak)}, {choice.How}";
            if (options.MemoryLimit is not null)
            {
                throw new UserErrorException($"--memory_limit {Bytes(limit)}: {needs}; raise it, or shorten --model_max_length");
            }

            string each = options.Place.LocalWorld == 1
                ? "" : string.Create(CultureInfo.InvariantCulture, $" for each of its {options.Place.LocalWorld} processes");
            warn($"this machine has {Bytes(limit)}{each}: {needs}");
        }

        return choice;
    }

    /// <summary>The choice in a line.</summary>
    public override string ToString() => $"memory: up to {Bytes(Peak)} of {Bytes(Limit)}; {How}";

    private string How => (TokensAtOnce, RecomputeLayers) switch
    {
        (0, 0) => "no layer runs twice",
        (0, var layers) => $"{Math.Min(layers, Layers)} of {Layers} decoder layers run twice",
        (var tokens, 0) => $"samples run together up to {tokens} tokens, no layer runs twice",
        (var tokens, var layers) =>
            $"samples run together up to {tokens} tokens, {Math.Min(layers, Layers)} of {Layers} decoder layers run twice",
    };

    /// <summary>Reads 12G, 1.5GB, 800MiB or bytes; a K is 1024.</summary>
    /// <exception cref="UserErrorException">The text is none of these.</exception>
    public static long Parse(string flag, string text)
    {
        string number = text.TrimEnd('b', 'B').TrimEnd('i');
        int power = number.Length == 0 ? -1 : "kmgt".IndexOf(char.ToLowerInvariant(number[^1]), StringComparison.Ordinal);
        double unit = Math.Pow(1024, power + 1);
        string digits = power < 0 ? number : number[..^1];
        return double.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value)
            && value * unit is >= 1 and < long.MaxValue
            ? (long)(value * unit)
            : throw new UserErrorException($"--{flag} {text}: expected a size such as 12G, 1.5GB or 800M");
    }

    /// <summary>A size in words.</summary>
    public static string Bytes(long bytes) => bytes < 1L << 30
        ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:0} MiB")
        : string.Create(CultureInfo.InvariantCulture, $"{bytes / 1073741824.0:0.0} GiB");

    private static ShardingOptions Sharding(TrainOptions options) => new()
    {
        Stage = options.ZeroStage,
        Accumulation = options.GradientAccumulationSteps,
        ReduceBucket = options.ZeroBucket,
    };

    // So many tokens of samples as long as can be, an image in each, or tiles all over, every token supervised.
    private static Workload Work(
        ModelConfig shape, TrainOptions options, UnitKinds trained, AdapterOptions? adapters, long tokens, int layers)
    {
        long samples = Math.Max(1, tokens / options.ModelMaxLength);
        long pictures = options.ImageAspectRatio == "anyres" ? tokens : samples;
        return new()
        {
            Tokens = tokens,
            Samples = samples,
            Supervised = tokens,
            Images = shape.ImageRows == 0 ? 0 : Math.Min(pictures, tokens / shape.ImageRows),
            Units = trained,
            LoraRank = adapters?.Rank ?? 0,
            LoraDecomposed = adapters?.Dora ?? false,
            RecomputeLayers = layers,
            Threads = options.Threads > 0 ? options.Threads : Environment.ProcessorCount,
        };
    }

    // Of an update's micro-batches, the one being laid out, and the samples prepared ahead.
    private static long Pictures(ModelConfig shape, TrainOptions options)
    {
        long ahead = Math.Max(2 * options.PerDeviceTrainBatchSize, 2 * options.DataloaderNumWorkers);
        long held = (options.GradientAccumulationSteps + 1L) * options.PerDeviceTrainBatchSize;
        return (ahead + held) * 3 * shape.ImageSize * shape.ImageSize * sizeof(float);
    }
}
