using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tests.Training;
using LlavaSharp.Trials;

namespace LlavaSharp.Distributed.Tests;

/// <summary>What real ranks hold while a model is loaded.</summary>
public sealed class MemoryTests : IDisposable
{
    private const int Layers = 24;

    // 24 layers of a million weights.
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

    public void Dispose() => _tiny.Dispose();

    [Fact]
    public async Task No_rank_of_stage_3_ever_holds_the_model_whole()
    {
        var (whole, part) = (await Peak("0"), await Peak("3"));
        TestContext.Current.SendDiagnosticMessage($"{Weights} bytes of weights; stage 0 {whole}, stage 3 {part}");

        // Three quarters are with the others, of the weights and of the file's pages as they are read; two layers are whole at a time.
        Assert.InRange(whole - part, Weights, Weights * 2);
    }

    private async Task<long> Peak(string stage)
    {
        var output = _tiny["out" + stage];
        var peaks = await Job.Peaks(output, ["launch", "--nproc", "4", .. _tiny.Stage1(output), "--zero", stage, "--max_steps", "1",
            "--per_device_train_batch_size", "1", "--gradient_accumulation_steps", "1", "--threads", "1"]);
        Assert.Equal(4, peaks.Length);
        return peaks.Max();
    }
}
