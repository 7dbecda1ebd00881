using System.Globalization;
using System.Text;
using System.Text.Json;

namespace LlavaSharp.Bench;

/// <summary>Runs every side in turn, several times, so that a machine that drifts drifts for all, and compares medians.</summary>
internal sealed class Peers(StepCase model, int runs, string folder)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    private readonly List<(string Stage, StepFigures Figures)> _all = [];
    private readonly HashSet<(string Side, string Stage)> _absent = [];

    /// <summary>Measures, prints the table, writes peers.json and peers.md, or peers-STAGE of one stage, after each side's turn.</summary>
    /// <returns>0; 1 when our own step did not run.</returns>
    public int Run(string[] stages)
    {
        for (int run = 1; run <= runs; run++)
        {
            foreach (string stage in stages)
            {
                foreach (Side side in Side.All.Where(side => !_absent.Contains((side.Name, stage))))
                {
                    Measure(side, model with { Stage = stage }, run);
                    Keep(stages);
                }
            }
        }

        Console.Write(Table(stages));
        return stages.Any(stage => _absent.Contains(("llavasharp", stage))) ? 1 : 0;
    }

    // What there is so far, so that a run which is stopped leaves it.
    private void Keep(string[] stages)
    {
        Directory.CreateDirectory(folder);
        string name = stages.Length == 1 ? $"peers-{stages[0]}" : "peers";
        Write(name + ".md", Table(stages));
        Write(name + ".json", JsonSerializer.Serialize(
            _all.Select(entry => new
            {
                stage = entry.Stage,
                size = model.Size,
                batch = model.Batch,
                side = entry.Figures.Side,
                sec = entry.Figures.Seconds,
                samples_s = entry.Figures.SamplesPerSecond,
                tokens_s = entry.Figures.TokensPerSecond,
                rss_mib = entry.Figures.PeakMib,
                fraction_of_floor = double.IsNaN(entry.Figures.FloorFraction) ? (double?)null : entry.Figures.FloorFraction,
            }),
            Indented));
    }

    private void Measure(Side side, StepCase @case, int run)
    {
        StepFigures? figures = side.Run(@case, out string failure);
        if (figures is null)
        {
            _absent.Add((side.Name, @case.Stage));
            Console.Error.WriteLine($"{side.Name}, {@case.Stage}: left out, it gave no figures: {failure}"
                + (side.Script is null ? "" : " (LLAVASHARP_PEER names the Python to use)"));
            return;
        }

        _all.Add((@case.Stage, figures));
        Console.Error.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"run {run} of {runs}, {@case.Size} {@case.Stage}, {side.Name}: {figures.Seconds:0.000} s a step, {figures.PeakMib:0} MiB"));
    }

    private string Table(string[] stages)
    {
        StringBuilder text = new();
        CultureInfo invariant = CultureInfo.InvariantCulture;
        text.Append(invariant, $"{model.Size}, batch {model.Batch}, medians of {runs} runs in turn (spread: slowest over fastest)\n\n");
        text.Append("| stage | side | s a step | spread | samples/s | ours is faster by | peak MiB | ours needs | of the floor |\n");
        text.Append("|---|---|---:|---:|---:|---:|---:|---:|---:|\n");
        foreach (string stage in stages)
        {
            StepFigures[][] sides = [.. _all.Where(entry => entry.Stage == stage).Select(entry => entry.Figures)
                .GroupBy(figures => figures.Side).Select(group => group.ToArray())];
            StepFigures[]? ours = sides.FirstOrDefault(side => side[0].Side == "llavasharp");
            foreach (StepFigures[] side in sides)
            {
                double seconds = Median(side, figures => figures.Seconds), memory = Median(side, figures => figures.PeakMib);
                double spread = side.Max(figures => figures.Seconds) / side.Min(figures => figures.Seconds);
                bool other = ours is not null && side != ours;
                string faster = other ? string.Create(invariant, $"{seconds / Median(ours!, figures => figures.Seconds):0.00} ×") : "";
                string less = other ? string.Create(invariant, $"{Median(ours!, figures => figures.PeakMib) / memory:0.00} of it") : "";
                double floor = Median(side, figures => figures.FloorFraction);
                text.Append(invariant, $"| {stage} | {side[0].Side} | {seconds:0.000} | {spread:0.00} | {model.Batch / seconds:0.000} ");
                text.Append(invariant, $"| {faster} | {memory:0} | {less} | {(double.IsNaN(floor) ? "" : floor.ToString("0.00", invariant))} |\n");
            }
        }

        return text.ToString();
    }

    private static double Median(StepFigures[] figures, Func<StepFigures, double> value)
    {
        double[] values = [.. figures.Select(value).Order()];
        return (values[values.Length / 2] + values[(values.Length - 1) / 2]) / 2;
    }

    private void Write(string name, string text)
    {
        string path = Path.Combine(folder, name);
        File.WriteAllText(path + ".new", text);
        File.Move(path + ".new", path, overwrite: true);
    }
}
