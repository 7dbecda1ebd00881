using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tests.Training;

namespace LlavaSharp.Trials;

/// <summary>
/// Resident memory of real ranks while a model is loaded: no rank of stage 3 ever holds the model whole. It measures processes, whose
/// memory depends on the machine's libraries, so the suite does not run it.
/// </summary>
internal sealed class Loading : IDisposable
{
    private const int Layers = 24, World = 4;

    // 24 layers of a million float32 weights.
    private const long Weights = 4L * Layers * ((4 * 256 * 256) + (3 * 256 * 1024));

    private readonly TinyRun _tiny = new(TinyModel.Config() with
    {
        Text = TinyModel.Config().Text with
        {
            HiddenSize = 256,
            IntermediateSize = 1024,
            LayerCount = Layers,
            HeadCount = 4,
            KeyValueHeadCount = 4,
            HeadDim = 64,
        },
    });

    /// <summary>Loads at stage 0 and at stage 3, and trains one update.</summary>
    public async Task<Result> Run() => new(Weights, await Peak("0"), await Peak("3"));

    /// <inheritdoc/>
    public void Dispose() => _tiny.Dispose();

    private async Task<long> Peak(string stage)
    {
        var output = _tiny["out" + stage];
        var peaks = await Job.Peaks(output, ["launch", "--nproc", $"{World}", .. _tiny.Stage1(output), "--zero", stage, "--max_steps", "1",
            "--per_device_train_batch_size", "1", "--gradient_accumulation_steps", "1", "--threads", "1"]);
        return peaks.Length == World ? peaks.Max() : throw new TrialException($"stage {stage}: {peaks.Length} of {World} ranks were seen");
    }

    /// <summary>Bytes: of all weights, and the largest rank's resident peak at either stage.</summary>
    public sealed record Result(long Weights, long Whole, long Part)
    {
        /// <summary>
        /// Whether it is as it must be. Three quarters are with the others, of the weights and of the file's pages as they are read; two
        /// layers are whole at a time.
        /// </summary>
        public bool Holds => Whole - Part >= Weights && Whole - Part <= Weights * 2;

        /// <summary>As Markdown.</summary>
        public IEnumerable<string> Lines =>
        [
            "## Loading at stage 3",
            "",
            $"{World} processes load a model of {Mebibytes(Weights)} MiB and train one update. The largest rank's resident peak is {Mebibytes(Whole)} MiB at",
            $"stage 0 and {Mebibytes(Part)} MiB at stage 3: {Mebibytes(Whole - Part)} MiB less, where one to two times the weights are expected (three quarters",
            "of the weights and of the file's pages lie with the others).",
        ];

        private static long Mebibytes(long bytes) => bytes >> 20;
    }
}
