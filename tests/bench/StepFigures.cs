using System.Globalization;
using System.Text.Json;

namespace LlavaSharp.Bench;

/// <summary>What a side measured of a case.</summary>
/// <param name="Side">Whose step it was.</param>
/// <param name="Seconds">A step; the median.</param>
/// <param name="SamplesPerSecond">Samples a second.</param>
/// <param name="TokensPerSecond">Tokens a second, padding not counted.</param>
/// <param name="PeakMib">Most memory that the process held, after loading, in MiB.</param>
/// <param name="Loss">The last step's.</param>
/// <param name="FloorFraction">The floor's time over the step's; NaN where it was not measured.</param>
internal sealed record StepFigures(
    string Side,
    double Seconds,
    double SamplesPerSecond,
    double TokensPerSecond,
    double PeakMib,
    double Loss,
    double FloorFraction = double.NaN)
{
    /// <summary>Reads the line that every side prints; null when it is not one.</summary>
    public static StepFigures? Parse(string side, string line)
    {
        if (!line.StartsWith('{'))
        {
            return null;
        }

        JsonElement json = JsonDocument.Parse(line).RootElement;
        double Number(string name) => json.TryGetProperty(name, out JsonElement value) ? value.GetDouble() : double.NaN;
        return new(side, Number("sec"), Number("samples_s"), Number("tokens_s"), Number("rss_mib"), Number("loss"), Number("fraction_of_floor"));
    }

    /// <summary>That line.</summary>
    public string ToJson(StepCase @case) => string.Create(
        CultureInfo.InvariantCulture,
        $$"""{"peer": "{{Side}}", "stage": "{{@case.Stage}}", "size": "{{@case.Size}}", "batch": {{@case.Batch}}, "sec": {{Seconds:0.0000}}, "samples_s": {{SamplesPerSecond:0.000}}, "tokens_s": {{TokensPerSecond:0.0}}, "loss": {{Loss:0.0000}}, "rss_mib": {{PeakMib:0}}}""");
}
