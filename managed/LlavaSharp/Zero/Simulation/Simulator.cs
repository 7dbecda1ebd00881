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
    private readonly HashSet<int> _gathered = [], _wholeGradients = [];
    private double _computed, _waited, _free, _exchanged;
    private DeviceMemory _peak;

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
        run.Note();
        for (var micro = 0; micro < work.Accumulation; micro++)
        {
            run.Play(phases[micro + 1 < work.Accumulation ? ZeroPhase.Micro : ZeroPhase.Last]);
        }

        // The update ends when its weights have gone round.
        run.Play(phases[ZeroPhase.Update]);
        run._waited += Math.Max(0, run._free - run.Now);
        var operations = work.ModelOperations(plan) * work.Accumulation;
        return new(
            run.Now, run._computed, run._exchanged, run._peak,
            (double)work.Samples * work.Accumulation * plan.Division.World / run.Now, operations / run.Now / machine.Flops);
    }

    private void Play(IEnumerable<ShardingStep> steps)
    {
        foreach (var step in steps)
        {
            Play(step);
            Note();
        }
    }

    private void Play(ShardingStep step)
    {
        var unit = _units[step.Unit];
        switch (step.Op)
        {
            case ZeroOp.Gather or ZeroOp.Publish:
                Exchange(unit, 1);
                if (step.Op == ZeroOp.Gather)
                {
                    _gathered.Add(step.Unit);
                }

                break;
            case ZeroOp.Reduce:
                Exchange(unit, _plan.Division.Stage == 0 ? 2 : 1);
                break;
            case ZeroOp.Wait or ZeroOp.Settle:
                _waited += Math.Max(0, _ready[step.Unit] - Now);
                if (step.Op == ZeroOp.Settle && _plan.Division.Stage >= 2)
                {
                    _wholeGradients.Remove(step.Unit);
                }

                break;
            case ZeroOp.Forward:
                Compute(_blocks[step.Unit].Sum(_work.Forward));
                break;
            case ZeroOp.Backward:
                _wholeGradients.UnionWith(_blocks[step.Unit].Where(u => u.Trainable).Select(u => u.Index));
                Compute(_blocks[step.Unit].Sum(_work.Backward));
                break;
            case ZeroOp.Release:
                _gathered.Remove(step.Unit);
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

    private void Exchange(ZeroUnit unit, int times)
    {
        var seconds = times * _machine.GatherSeconds((double)unit.Elements * _machine.ElementBytes, World);
        _free = Math.Max(_free, Now) + seconds;
        _exchanged += seconds;
        _ready[unit.Index] = _free;
        if (!_plan.Division.Overlap)
        {
            _waited += Math.Max(0, _free - Now);
        }
    }

    // Elements of a unit that this device keeps.
    private double Owned(ZeroUnit unit, bool divided) => divided && World > 1 ? ZeroPlan.ShardOf(unit.Elements, World) : unit.Elements;

    private void Note()
    {
        double bytes = _machine.ElementBytes, master = bytes < 4 ? 4 : 0;
        var stage = _plan.Division.Stage;
        double weights = 0, gathered = 0, gradients = 0, optimizer = 0;
        foreach (var unit in _plan.Units)
        {
            var divides = _plan.Divides(unit);
            weights += bytes * Owned(unit, divides);
            gathered += _gathered.Contains(unit.Index) && World > 1 ? bytes * unit.Elements : 0;
            if (!unit.Trainable)
            {
                continue;
            }

            optimizer += (8 + master) * Owned(unit, stage >= 1);

            // From stage 2 on a device keeps the sum of its shard, in float32, and the whole gradient only until it is exchanged.
            gradients += stage < 2 || World == 1 ? bytes * unit.Elements
                : (4 * Owned(unit, true)) + (_wholeGradients.Contains(unit.Index) ? bytes * unit.Elements : 0);
        }

        var now = new DeviceMemory(weights, gathered, gradients, optimizer, _work.ActivationBytes(_machine.ElementBytes));
        _peak = now.Total > _peak.Total ? now : _peak;
    }
}
