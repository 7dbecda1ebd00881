using System.Text;
using System.Text.Json;

namespace LlavaSharp.Training;

/// <summary>Writes trainer_state.json, the summary that Hugging Face's trainer leaves and that plotting scripts read.</summary>
public static class TrainerState
{
    /// <summary>File name in the output folder.</summary>
    public const string FileName = "trainer_state.json";

    /// <summary>The file's text.</summary>
    /// <param name="result">The run.</param>
    /// <param name="options">Its options.</param>
    /// <returns>JSON.</returns>
    public static string ToJson(TrainingResult result, TrainOptions options)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteNumber("epoch", result.Steps.Count == 0 ? 0 : result.Steps[^1].Epoch);
            json.WriteNumber("global_step", result.Steps.Count);
            json.WriteNumber("max_steps", result.Steps.Count);
            json.WriteNumber("num_train_epochs", options.NumTrainEpochs);
            json.WriteNumber("train_batch_size", options.PerDeviceTrainBatchSize);
            json.WriteNumber("logging_steps", options.LoggingSteps);
            json.WriteBoolean("is_world_process_zero", true);
            json.WriteNumber("train_runtime", result.Seconds);
            if (double.IsFinite(result.MeanLoss))
            {
                json.WriteNumber("train_loss", result.MeanLoss);
            }

            json.WriteStartArray("log_history");
            foreach (var step in result.Steps)
            {
                RunLog.WriteObject(json, step);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length) + "\n";
    }
}
