using System.Globalization;
using System.Text;

namespace LlavaSharp.Benchmarks;

/// <summary>The measurements of sharded training as Markdown, for docs/scaling.</summary>
public static class ZeroTables
{
    /// <summary>Memory of a rank.</summary>
    /// <param name="results">In the table's order.</param>
    /// <returns>Markdown.</returns>
    public static string Memory(IEnumerable<ZeroMemoryResult> results)
    {
        var text = new StringBuilder("""
            # Memory of a rank, measured

            Written by `llavasharp bench zero --out docs/scaling`: processes under mpirun, float32 on the CPU, two updates of a decoder of 8 layers of
            width 512, prefetch 1, buckets of 262,144 elements. MiB of the rank that holds most. "transient": what is whole for a
            while, and what exchanges need. "simulated" is `plan`'s figure for the sum before it. "process": its highest resident memory
            less what it was before the model; beside it the simulated sum with the threads' scratch. (4+4+8)Ψ and (2+2+12)Ψ: weights, gradients,
            state by formula, in this build's float32 and as Rajbhandari et al. 2020 count them.

            | train | stage | ranks | weights | gradients | moments | transient | activations | sum | simulated | off | process | simulated | off | (4+4+8)Ψ | (2+2+12)Ψ |
            |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|

            """);
        foreach (var r in results)
        {
            var (m, p) = (r.Measured, r.Predicted);
            var stage = r.World == 1 ? "any" : r.Stage.ToString(CultureInfo.InvariantCulture);
            text.Append(CultureInfo.InvariantCulture, $"| {r.Train} | {stage} | {r.World} | {M(m.Weights)} | {M(m.Gradients)} | {M(m.Optimizer)} | ");
            text.Append(CultureInfo.InvariantCulture, $"{M(m.Transient)} | {M(m.Activations)} | {M(m.Total)} | {M(p.Total)} | {Off(p.Total, m.Total)} | ");
            text.Append(CultureInfo.InvariantCulture, $"{M(r.Grown)} | {M(p.Total + r.Scratch)} | {Off(p.Total + r.Scratch, r.Grown)} | {M(r.Formula)} | {M(r.Published)} |\n");
        }

        return text.ToString();

        static string M(double bytes) => (bytes / 1048576).ToString("0.0", CultureInfo.InvariantCulture);
        static string Off(double said, double was) => ((said / was) - 1).ToString("+0.0%;-0.0%;0.0%", CultureInfo.InvariantCulture);
    }

    /// <summary>Waiting for exchanges.</summary>
    /// <param name="results">In the table's order.</param>
    /// <returns>Markdown.</returns>
    public static string Overlap(IEnumerable<ZeroOverlapResult> results)
    {
        var text = new StringBuilder("""
            # Exchanges that take longer, measured

            Written by `llavasharp bench overlap --out docs/scaling`: two processes under mpirun, a thread each, the model of `bench zero`. Each exchange is
            made to take longer by a delay. Milliseconds of an update, and how much of it was waiting; beside them what the simulation
            says of a machine with that latency, whose rates of computing and of exchange are those of the first row of each way of training.

            | case | delay | exchanges | update | waiting | simulated: update | waiting |
            |---|---:|---:|---:|---:|---:|---:|

            """);
        foreach (var r in results)
        {
            text.Append(CultureInfo.InvariantCulture, $"| {r.Case} | {1e3 * r.Delay:0} | {r.Exchanges} | {1e3 * r.Seconds:0} | {1e3 * r.Exposed:0} | ");
            text.Append(CultureInfo.InvariantCulture, $"{1e3 * r.PredictedSeconds:0} | {1e3 * r.PredictedExposed:0} |\n");
        }

        return text.ToString();
    }
}
