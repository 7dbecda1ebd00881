using LlavaSharp.Checkpoints;
using LlavaSharp.Sampling;
using LlavaSharp.Tests.Training;
using LlavaSharp.Training;

namespace LlavaSharp.Trials;

/// <summary>A tiny model, samples with and without pictures, and the command lines that train it over ranks.</summary>
internal sealed class RankData : IDisposable
{
    /// <summary>What is trained.</summary>
    public static readonly string[] Kinds = ["projector", "LoRA", "all"];

    /// <summary>Samples of a micro-batch.</summary>
    private const int Batch = 2;

    // Whole updates of 12 micro-batches make an epoch, so that no order of processes pads it.
    private const int Samples = 96;

    private readonly int _textEvery;

    /// <summary>Writes model and samples.</summary>
    /// <param name="textEvery">Every how manieth sample has no picture.</param>
    /// <param name="shape">The model's; null is tiny.</param>
    public RankData(int textEvery = 3, LlavaConfig? shape = null)
    {
        (_textEvery, Tiny) = (textEvery, new(shape));
        Data = Tiny.Write("mixed.json", Enumerable.Range(0, Samples).Select(Sample));
    }

    /// <summary>The folder.</summary>
    public TinyRun Tiny { get; }

    /// <summary>The samples' file.</summary>
    public string Data { get; }

    /// <summary>
    /// A file that one process reads in the order in which several go through the samples: a sampler of several processes draws from a
    /// generator of its own (as accelerate's does), so the same file would come in another order.
    /// </summary>
    /// <param name="microBatches">How many are wanted, over all epochs.</param>
    public string InOrder(int microBatches)
    {
        var file = new object[microBatches * Batch];
        foreach (var (place, sample) in Order(1, file.Length, 0).Zip(Wanted(microBatches)))
        {
            file[place] = Sample(sample);
        }

        return Tiny.Write($"order{microBatches}.json", file);
    }

    /// <summary>Of what sort the micro-batches are that the ranks go through in turn: t of text, p of pictures, b of both.</summary>
    /// <param name="microBatches">How many are wanted.</param>
    public IEnumerable<char> Sorts(int microBatches) => Wanted(microBatches).Chunk(Batch)
        .Select(batch => batch.Count(HasPicture) switch { 0 => 't', Batch => 'p', _ => 'b' });

    /// <summary>Arguments of <c>train</c>.</summary>
    /// <param name="trains">One of <see cref="Kinds"/>.</param>
    /// <param name="output">Where the result goes.</param>
    /// <param name="stage">ZeRO's.</param>
    /// <param name="accumulation">Micro-batches of a process in an update.</param>
    /// <param name="updates">How many.</param>
    /// <param name="more">What is added or overridden.</param>
    public string[] Train(string trains, string output, int stage, int accumulation, int updates, params string[] more) =>
    [
        .. trains == "projector" ? Tiny.Stage1(output, "--version", "v1") : Tiny.Stage2(output),
        .. trains == "LoRA" ? (string[])["--lora_enable", "True", "--lora_r", "4", "--lora_alpha", "8", "--lora_dropout", "0.05"] : [],
        "--data_path", Data, "--group_by_modality_length", "False", "--per_device_train_batch_size", $"{Batch}",
        "--gradient_accumulation_steps", $"{accumulation}", "--max_steps", $"{updates}", "--zero", $"{stage}", "--threads", "1",
        "--learning_rate", "1e-3", "--dataloader_num_workers", "1", "--save_strategy", "no", .. more,
    ];

    /// <summary>The same over several processes of this machine.</summary>
    public static string[] Launch(int world, string[] train) => ["launch", "--nproc", $"{world}", .. train];

    /// <inheritdoc/>
    public void Dispose() => Tiny.Dispose();

    private static int[] Order(int world, int count, int epoch) => SampleOrder.ForEpoch(
        new() { PerDeviceBatch = Batch, WorldSize = world, Seed = (ulong)new TrainOptions().Seed }, new int[count], epoch);

    // The samples as several processes go through them, epoch after epoch.
    private static IEnumerable<int> Wanted(int microBatches) => Enumerable.Range(0, (microBatches * Batch / Samples) + 1)
        .SelectMany(epoch => Order(2, Samples, epoch)).Take(microBatches * Batch);

    private bool HasPicture(int i) => i % _textEvery != 0;

    // Answers of several lengths, so that micro-batches weigh unequally.
    private object Sample(int i) => !HasPicture(i)
        ? TinyRun.Sample($"t{i}", null, "Say it", new string('a', 1 + (i % 7)), "And", "a red car")
        : i % 3 == 1
            ? TinyRun.Sample($"p{i}", $"{i % 2}.png", "<image>\nColour?", "red", "And?", $"a car {i}")
            : TinyRun.Sample($"p{i}", "2.png", "<image>\nWhat?", $"abcd {i}");
}
