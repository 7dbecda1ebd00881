using LlavaSharp.Interop;
using LlavaSharp.Zero;

namespace LlavaSharp.Tests.Zero;

/// <summary>Walks a phase of a plan as an engine would, and fails at the first step that an engine could not carry out.</summary>
internal sealed class PlanWalk(ZeroPlan plan, ZeroPhase phase)
{
    private enum Weights
    {
        Shard,
        Coming,
        Whole,
    }

    private enum Gradient
    {
        None,
        Made,
        Travelling,
        Settled,
    }

    private readonly Dictionary<int, Weights> _weights =
        plan.Units.ToDictionary(u => u.Index, u => plan.Divides(u) ? Weights.Shard : Weights.Whole);
    private readonly Dictionary<int, Gradient> _gradients = plan.Units.ToDictionary(u => u.Index, _ => Gradient.None);
    private readonly List<int> _forward = [], _backward = [], _updated = [];
    private readonly Dictionary<ZeroOp, List<ZeroUnit>> _open = [];
    private bool _normed;

    public void Check()
    {
        foreach (var step in plan.Steps.Where(s => s.Phase == phase))
        {
            Step(step);
            Join(step);
            ZeroUnit[] live = [.. plan.Units.Where(u => plan.Divides(u) && u.Host == u.Index && _weights[u.Index] != Weights.Shard)];
            var travelling = plan.Units.Where(u => _gradients[u.Index] == Gradient.Travelling).Select(u => u.Elements).ToArray();
            Assert.True(travelling.Sum() < (2 * plan.Division.BucketElements) + (2 * travelling.DefaultIfEmpty().Max()));
            Assert.True(live.Length <= plan.Division.Prefetch + 1, $"{live.Length} blocks at {step}");
        }

        Assert.All(_open.Values, Assert.Empty);
        Assert.All(plan.Units, u => Assert.Equal(plan.Divides(u) ? Weights.Shard : Weights.Whole, _weights[u.Index]));
        ZeroUnit[] trained = [.. plan.Units.Where(u => u.Trainable && u.Elements > 0)];
        ZeroUnit[] chain = [.. plan.Units.Where(u => u.Host == u.Index && u.Elements > 0)];
        if (phase == ZeroPhase.Update)
        {
            Assert.True(_normed);
            Assert.Equal(trained.Select(u => u.Index), _updated);
            return;
        }

        Assert.Equal(chain.Select(u => u.Index), _forward);
        var reduces = phase == ZeroPhase.Last || plan.Division.Stage >= 2;
        Assert.All(trained, u => Assert.Equal(reduces ? Gradient.Settled : Gradient.Made, _gradients[u.Index]));
    }

    private void Step(ShardingStep step)
    {
        switch (step.Op)
        {
            case ZeroOp.Gather:
                Assert.Equal(Weights.Shard, _weights[step.Unit]);
                _weights[step.Unit] = Weights.Coming;
                break;
            case ZeroOp.Wait:
                Assert.Equal(Weights.Coming, _weights[step.Unit]);
                _weights[step.Unit] = Weights.Whole;
                break;
            case ZeroOp.Release:
                Assert.True(plan.Divides(plan.Units[step.Unit]));
                Assert.Equal(Weights.Whole, _weights[step.Unit]);
                _weights[step.Unit] = Weights.Shard;
                break;
            case ZeroOp.Forward or ZeroOp.Backward:
                Compute(step);
                break;
            case ZeroOp.Reduce:
                Assert.Equal(Gradient.Made, _gradients[step.Unit]);
                _gradients[step.Unit] = Gradient.Travelling;
                break;
            case ZeroOp.Settle:
                Assert.Equal(Gradient.Travelling, _gradients[step.Unit]);
                _gradients[step.Unit] = Gradient.Settled;
                break;
            default:
                UpdateStep(step);
                break;
        }
    }

    // What shares an exchange fits its bucket, and nothing waits for it before its last part.
    private void Join(ShardingStep step)
    {
        var began = step.Op switch
        {
            ZeroOp.Wait => ZeroOp.Gather,
            ZeroOp.Settle => ZeroOp.Reduce,
            _ => step.Op,
        };
        if (!_open.TryGetValue(began, out var open))
        {
            _open[began] = open = [];
        }

        Assert.True(began == step.Op || open.All(u => u.Index != step.Unit), $"{step} has not begun");
        if (began == step.Op && (step.Joined || open.Count > 0))
        {
            open.Add(plan.Units[step.Unit]);
            var limit = step.Op == ZeroOp.Reduce ? plan.Division.BucketElements : plan.Division.GatherElements;
            Assert.True(step.Op is ZeroOp.Gather or ZeroOp.Reduce or ZeroOp.Publish && open.Sum(u => u.Elements) <= limit, $"{step}");
            if (!step.Joined)
            {
                open.Clear();
            }
        }
    }

    private void Compute(ShardingStep step)
    {
        // What computes is whole, its adapters too; the embedding's backward scatters rows and needs no weights.
        var unit = plan.Units[step.Unit];
        var needsNone = step.Op == ZeroOp.Backward && unit.Kind == UnitKinds.Embed;
        var block = plan.Units.Where(u => u.Host == step.Unit && u.Elements > 0).ToArray();
        Assert.Equal(unit.Index, unit.Host);
        Assert.All(block, u => Assert.True(needsNone || _weights[u.Index] == Weights.Whole, $"{u.Name} at {step}"));
        if (step.Op == ZeroOp.Forward)
        {
            Assert.True(_forward.Count == 0 || _forward[^1] < step.Unit);
            Assert.Empty(_backward);
            _forward.Add(step.Unit);
            return;
        }

        Assert.True(_backward.Count == 0 || _backward[^1] > step.Unit);
        _backward.Add(step.Unit);
        foreach (var u in block.Where(u => u.Trainable))
        {
            Assert.Equal(Gradient.None, _gradients[u.Index]);
            _gradients[u.Index] = Gradient.Made;
        }
    }

    private void UpdateStep(ShardingStep step)
    {
        Assert.Equal(ZeroPhase.Update, step.Phase);
        switch (step.Op)
        {
            case ZeroOp.Norm:
                Assert.Empty(_updated);
                _normed = true;
                break;
            case ZeroOp.Adamw:
                Assert.True(_normed);
                _updated.Add(step.Unit);
                break;
            default:
                Assert.Equal(ZeroOp.Publish, step.Op);
                Assert.Equal(step.Unit, _updated[^1]);
                Assert.True(plan.Division.Stage > 0 && !plan.Divides(plan.Units[step.Unit]));
                break;
        }
    }
}
