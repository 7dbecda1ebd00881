using System.Text.Json;

namespace LlavaSharp.Training;

/// <summary>
/// Writes log.jsonl: one JSON object a line, flushed at every line, so that a killed run keeps what it had logged.
/// A number that is not finite is written as null, for JSON has no other way.
/// </summary>
public sealed class RunLog : IRunLog, IDisposable
{
    private readonly FileStream _file;

    /// <summary>Starts a log, replacing an earlier one.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="UserErrorException">It cannot be written.</exception>
    public RunLog(string path)
    {
        try
        {
            _file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"cannot write '{path}': {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Write(StepRecord record)
    {
        WriteLine(_file, record);
        _file.Flush();
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
