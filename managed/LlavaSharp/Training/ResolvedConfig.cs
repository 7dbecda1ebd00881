using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Training;

/// <summary>Writes down what a run really used: every flag with its value, and what followed from them.</summary>
public static class ResolvedConfig
{
    /// <summary>File name in the output folder.</summary>
    public const string FileName = LlavaFields.RunFile;

    /// <summary>How the files of a run are indented; text stays readable, not escaped.</summary>
    internal static JsonSerializerOptions Readable { get; } = new()
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping
    };

    /// <summary>Flags and values, in the order of the table.</summary>
    /// <param name="options">The options.</param>
    /// <returns>Name and value; null where a flag was not given and has no default.</returns>
    public static IEnumerable<(string Name, object? Value)> Flags(TrainOptions options) =>
        TrainFlags.All.Where(f => f.Read is not null).Select(f => (f.Name, f.Read!(options)));

    /// <summary>Flags and values as an object of the file.</summary>
    /// <param name="options">The options.</param>
    /// <returns>JSON.</returns>
    public static JsonObject FlagsJson(TrainOptions options)
    {
        var flags = new JsonObject();
        foreach (var (name, value) in Flags(options))
        {
            flags[name] = value switch
            {
                null => null,
                bool b => JsonValue.Create(b),
                int i => JsonValue.Create(i),
                double d => JsonValue.Create(d),
                _ => JsonValue.Create(value.ToString()),
            };
        }

        return flags;
    }

    /// <summary>The file's text.</summary>
    /// <param name="setup">The checked run.</param>
    /// <param name="trainable">Parameters that are trained.</param>
    /// <returns>JSON.</returns>
    public static string ToJson(TrainSetup setup, long trainable)
    {
        var schedule = LearningRateSchedule.Of(setup.Options, setup.Plan.TotalSteps);
        return new JsonObject
        {
            ["flags"] = FlagsJson(setup.Options),
            ["resolved"] = new JsonObject
            {
                [LlavaFields.TemplateField] = setup.Template.FullName,
                ["mm_projector_type"] = setup.Config.Projector.Name,
                ["mm_vision_select_layer"] = setup.Config.FeatureLayer,
                ["samples"] = setup.Plan.SampleCount,
                ["updates"] = setup.Plan.TotalSteps,
                ["warmup_updates"] = schedule.WarmupSteps,
                ["trainable_parameters"] = trainable,
                ["dtype"] = "float32",
                ["stored_weights"] = setup.Options.Storage.ToString(),
            },
        }.ToJsonString(Readable) + "\n";
    }
}
