using LlavaSharp.Reporting;

namespace LlavaSharp.Training;

/// <summary>Writes updates as TensorBoard scalars, under the tags that Hugging Face's trainer gives them.</summary>
public sealed class EventLog : IRunLog, IDisposable
{
    private readonly EventFile _file;
    private double _time;

    /// <summary>Starts a file in the output folder, replacing an earlier one.</summary>
    /// <param name="folder">The output folder.</param>
    /// <param name="startTime">When the run began, earlier parts of it included: seconds since 1970.</param>
    /// <param name="warn">Receives a line when the file cannot be written for a while; null for none.</param>
    public EventLog(string folder, double startTime, Action<string>? warn = null)
    {
        _time = startTime;
        _file = new EventFile(Path.Combine(folder, EventFile.FileName), startTime, warn);
    }

    /// <inheritdoc/>
    public void Write(StepRecord record) => _file.Write(
        _time += record.Seconds,
        record.Step,
        [
            ("train/loss", record.Loss),
            ("train/learning_rate", record.LearningRate),
            ("train/grad_norm", record.GradientNorm),
            ("train/epoch", record.Epoch),
            ("train/samples_per_second", record.SamplesPerSecond),
            ("train/tokens_per_second", record.TokensPerSecond),
            ("train/tflops", record.FlopsPerSecond / 1e12),
            ("train/resident_mib", record.ResidentBytes / 1048576.0),
        ]);

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
