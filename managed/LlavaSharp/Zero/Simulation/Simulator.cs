using LlavaSharp.Interop;

namespace LlavaSharp.Zero.Simulation;

/// <summary>
/// Runs a plan without running it: two clocks, one of computing and one of exchanges, which go in the plan's order, one after the other.
/// Ranks are taken to be equal, so there is no waiting for a slower one.
/// </summary>
public sealed class Simulator
{
    // AdamW reads gradient, both moments and the master copy, and writes three of them and the weight.
    private const double AdamWBytes = 28;

    private readonly ZeroPlan _plan;
    private readonly Machine _machine;
    private readonly Work _work;
    private readonly Dictionary<int, ZeroUnit> _units;
    private readonly ILookup<int, ZeroUnit> _blocks;
    private readonly Dictionary<int, double> _ready = [];
    private readonly Dictionary<ZeroOp, List<ZeroUnit>> _joined = [];
    private double _computed, _waited, _free, _exchanged;

    private Simulator(ZeroPlan plan, Machine machine, Work work)
    {
        (_plan, _machine, _work) = (plan, machine, work);
        _units = plan.Units.ToDictionary(u => u.Index);
        _blocks = plan.Units.ToLookup(u => u.Host);
    }

    private double Now => _computed + _waited;

    private int World => _plan.Division.World;

    /// <summary>Simulates one update.</summary>
    /// <param name="plan">What every device does.</param>
    /// <param name="machine">The devices and their links.</param>
    /// <param name="work">What a micro-batch holds.</param>
    /// <returns>Time and memory.</returns>
    public static SimulatedUpdate Run(ZeroPlan plan, Machine machine, Work work)
    {
        var run = new Simulator(plan, machine, work);
        var phases = plan.Steps.ToLookup(s => s.Phase);
        for (var micro = 0; micro < work.Accumulation; micro++)
        {
            run.Play(phases[micro + 1 < work.Accumulation ? ZeroPhase.Micro : ZeroPhase.Last]);
        }

        // The update ends when its weights have gone round.
        run.Play(phases[ZeroPhase.Update]);
        run._waited += Math.Max(0, run._free - run.Now);
        var operations = work.ModelOperations(plan) * work.Accumulation;
        return new(
            run.Now, run._computed, run._exchanged, work.Memory(plan, machine.ElementBytes),
            (double)work.Samples * work.Accumulation * plan.Division.World / run.Now, operations / run.Now / machine.Flops);
    }

    private void Play(IEnumerable<ShardingStep> steps)
    {
        foreach (var step in steps)
        {
            Play(step);
        }
    }

    private void Play(ShardingStep step)
    {
        var unit = _units[step.Unit];
        switch (step.Op)
        {
            case ZeroOp.Gather or ZeroOp.Reduce or ZeroOp.Publish:
                Exchange(step, unit);
                break;
            case ZeroOp.Wait or ZeroOp.Settle:
                _waited += Math.Max(0, _ready[step.Unit] - Now);
                break;
            case ZeroOp.Forward:
                Compute(_blocks[step.Unit].Sum(_work.Forward));
                break;
            case ZeroOp.Backward:
                Compute(_blocks[step.Unit].Sum(_work.Backward));
                break;
            case ZeroOp.Release:
                break;
            case ZeroOp.Norm:
                _waited += Math.Max(0, _free - Now) + _machine.MeetSeconds(World);
                break;
            default:
                _computed += AdamWBytes * Owned(unit, _plan.Division.Stage >= 1) / _machine.MemoryBytesPerSecond;
                break;
        }
    }

    private void Compute(double operations) => _computed += operations / (_machine.Flops * _machine.Efficiency);

    // Once all that share it have come. A unit that is larger than a bucket is reduced in pieces, each with a latency of its own; at
    // stage 0 the sums go round as well.
    private void Exchange(ShardingStep step, ZeroUnit unit)
    {
        if (!_joined.TryGetValue(step.Op, out var joined))
        {
            _joined[step.Op] = joined = [];
        }

        joined.Add(unit);
        if (step.Joined)
        {
            return;
        }

        var elements = joined.Sum(u => u.Elements);
        var reduces = step.Op == ZeroOp.Reduce;
        var pieces = reduces && joined.Count == 1 ? Math.Ceiling((double)elements / _plan.Division.BucketElements) : 1;
        var (rounds, latencies) = reduces && _plan.Division.Stage == 0 ? (2, pieces + 1) : (1, pieces);
        var moving = _machine.MoveSeconds((double)elements * _machine.ElementBytes, World);
        var seconds = (rounds * moving) + (latencies * _machine.LatencySeconds(World));
        _free = Math.Max(_free, Now) + seconds;
        _exchanged += seconds;
        joined.ForEach(u => _ready[u.Index] = _free);
        joined.Clear();
        if (!_plan.Division.Overlap)
        {
            _waited += Math.Max(0, _free - Now);
        }
    }

    // Elements of a unit that this device keeps.
    private double Owned(ZeroUnit unit, bool divided) => divided && World > 1 ? ZeroPlan.ShardOf(unit.Elements, World) : unit.Elements;
}
