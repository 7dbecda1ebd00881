using System.Text.Json;
using LlavaSharp.Reporting;

namespace LlavaSharp.Training;

/// <summary>
/// Writes log.jsonl: one JSON object a line, written at every line, so that a killed run keeps what it had logged. A line that cannot be
/// written does not end the run (see <see cref="AppendedFile"/>). A number that is not finite is written as null: JSON has no other way.
/// </summary>
public sealed class RunLog : IRunLog, IDisposable
{
    private readonly AppendedFile _file;

    /// <summary>Starts a log, replacing an earlier one.</summary>
    /// <param name="path">The file.</param>
    /// <param name="warn">Receives a line when the log cannot be written for a while; null for none.</param>
    /// <exception cref="UserErrorException">It cannot be created.</exception>
    public RunLog(string path, Action<string>? warn = null) => _file = new AppendedFile(path, warn);

    /// <inheritdoc/>
    public void Write(StepRecord record)
    {
        using var line = new MemoryStream();
        WriteLine(line, record);
        _file.Append(line.ToArray());
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>Writes an update as an object on a line of its own.</summary>
    /// <param name="file">Where it goes.</param>
    /// <param name="record">The update.</param>
    internal static void WriteLine(Stream file, StepRecord record)
    {
        using (var json = new Utf8JsonWriter(file))
        {
            WriteObject(json, record);
        }

        file.Write("\n"u8);
    }

    /// <summary>Writes an update as an object, here and in trainer_state.json.</summary>
    /// <param name="json">The writer.</param>
    /// <param name="record">The update.</param>
    internal static void WriteObject(Utf8JsonWriter json, StepRecord record)
    {
        json.WriteStartObject();
        json.WriteNumber("step", record.Step);
        Number("epoch", record.Epoch);
        Number("loss", record.Loss);
        Number("learning_rate", record.LearningRate);
        Number("grad_norm", record.GradientNorm);
        json.WriteNumber("samples", record.Samples);
        json.WriteNumber("tokens", record.Tokens);
        json.WriteNumber("supervised_tokens", record.SupervisedTokens);
        json.WriteNumber("skipped_samples", record.SkippedSamples);
        json.WriteNumber("recipe_masked", record.RecipeMasked);
        Number("seconds", record.Seconds);
        Number("data_wait_seconds", record.DataWaitSeconds);
        Number("samples_per_second", record.SamplesPerSecond);
        Number("tokens_per_second", record.TokensPerSecond);
        Number("flops", record.Flops);
        json.WriteNumber("resident_bytes", record.ResidentBytes);
        json.WriteEndObject();

        void Number(string name, double value)
        {
            if (double.IsFinite(value))
            {
                json.WriteNumber(name, value);
            }
            else
            {
                json.WriteNull(name);
            }
        }
    }
}
