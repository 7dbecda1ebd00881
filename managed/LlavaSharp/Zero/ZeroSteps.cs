using LlavaSharp.Interop;

namespace LlavaSharp.Zero;

/// <summary>
/// Writes a plan's steps. The passes over the model are one row of uses; at each use, the divided blocks of the window that begins there
/// are whole or on their way, and those outside it are given back.
/// </summary>
internal sealed class ZeroSteps
{
    private readonly ZeroDivision _division;
    private readonly ILookup<int, ZeroUnit> _blocks;
    private readonly List<ZeroUnit> _trained;
    private readonly List<(ZeroUnit Unit, ZeroOp Op)> _uses = [];
    private readonly List<ShardingStep> _steps = [];
    private readonly List<ZeroUnit> _filling = [], _travelling = [];
    private readonly Dictionary<ZeroOp, (int Last, long Elements)> _shared = [];
    private ZeroPhase _phase;

    private ZeroSteps(IReadOnlyList<ZeroUnit> units, ZeroDivision division)
    {
        _division = division;
        _blocks = units.ToLookup(u => u.Host);
        _trained = [.. units.Where(u => u.Trainable && u.Elements > 0)];

        // image_newline ends the table, and is used where the projector is.
        ZeroUnit[] chain =
            [.. units.Where(u => u.Host == u.Index && u.Elements > 0).OrderBy(u => u.Kind == UnitKinds.Newline ? 1 : u.Index)];
        _uses.AddRange(chain.Select(u => (u, ZeroOp.Forward)));

        // Backward: head, layers, embedding, projector, a tower that trains; no further down than to the lowest block that trains.
        ZeroUnit[] back = [.. chain.Where(u => u.Kind != UnitKinds.Vision || u.Trainable).Reverse()];
        var reach = Array.FindLastIndex(back, u => _blocks[u.Index].Any(b => b.Trainable));
        _uses.AddRange(back[..(reach + 1)].Select(u => (u, ZeroOp.Backward)));
    }

    /// <summary>All steps.</summary>
    public static ShardingStep[] Of(IReadOnlyList<ZeroUnit> units, ZeroDivision division)
    {
        var writer = new ZeroSteps(units, division);
        writer.Pass(ZeroPhase.Micro, reduces: division.Stage >= 2);
        writer.Pass(ZeroPhase.Last, reduces: true);
        writer.Update();
        return [.. writer._steps];
    }

    private void Pass(ZeroPhase phase, bool reduces)
    {
        _phase = phase;
        _shared.Clear();
        HashSet<int> whole = [], ready = [];
        for (var at = 0; at < _uses.Count; at++)
        {
            var (unit, op) = _uses[at];
            foreach (var block in Window(at).Where(whole.Add))
            {
                // What is needed first is not held up by what is needed later.
                _shared.Remove(ZeroOp.Gather);
                foreach (var part in Parts(block))
                {
                    Share(ZeroOp.Gather, part, _division.GatherElements);
                }
            }

            if (whole.Contains(unit.Index) && ready.Add(unit.Index))
            {
                Each(unit.Index, ZeroOp.Wait);
            }

            Add(op, unit.Index);

            // Before the reduction, so that a whole gradient and whole weights that nobody needs are never held together.
            var kept = Window(at + 1);
            foreach (var block in whole.Except(kept).Order().ToArray())
            {
                Each(block, ZeroOp.Release);
                whole.Remove(block);
                ready.Remove(block);
            }

            if (reduces && op == ZeroOp.Backward)
            {
                Reduce(unit.Index);
            }
        }

        Settle(_travelling);
        Settle(_filling);
    }

    // The divided blocks of the uses from `at` on: the current one's, then as many others as are fetched ahead.
    private List<int> Window(int at)
    {
        var blocks = new List<int>();
        if (_division.Stage < 3 || at >= _uses.Count)
        {
            return blocks;
        }

        var limit = (_division.Overlap ? _division.Prefetch : 0) + (_uses[at].Unit.IsDivisible ? 1 : 0);
        for (var i = at; i < _uses.Count && blocks.Count < limit; i++)
        {
            var unit = _uses[i].Unit;

            // The embedding's backward scatters rows: it needs no weights.
            var needs = unit.IsDivisible && (unit.Kind != UnitKinds.Embed || _uses[i].Op == ZeroOp.Forward);
            if (needs && !blocks.Contains(unit.Index))
            {
                blocks.Add(unit.Index);
            }
        }

        return blocks;
    }

    // A bucket that is full has had the time of a whole bucket's backward when the next one is full: it is settled then, so that no
    // more than two are on their way.
    private void Reduce(int block)
    {
        foreach (var unit in _blocks[block].Where(_trained.Contains))
        {
            var filled = _filling.Sum(u => u.Elements);
            if (_filling.Count > 0 && filled + unit.Elements > _division.BucketElements)
            {
                CloseBucket();
            }

            Share(ZeroOp.Reduce, unit, _division.BucketElements);
            _filling.Add(unit);
            if (_filling.Sum(u => u.Elements) >= _division.BucketElements)
            {
                CloseBucket();
            }
        }
    }

    private void CloseBucket()
    {
        Settle(_travelling);
        _travelling.AddRange(_filling);
        _filling.Clear();
        _shared.Remove(ZeroOp.Reduce);
        if (!_division.Overlap)
        {
            Settle(_travelling);
        }
    }

    // Adds a step that shares the exchange of the one of its op before it, as long as both fit.
    private void Share(ZeroOp op, ZeroUnit unit, long limit)
    {
        var (last, elements) = _shared.GetValueOrDefault(op, (-1, 0));
        var fits = last >= 0 && elements + unit.Elements <= limit;
        if (fits)
        {
            _steps[last] = _steps[last] with { Joined = true };
        }

        _shared[op] = (_steps.Count, (fits ? elements : 0) + unit.Elements);
        Add(op, unit.Index);
    }

    private void Settle(List<ZeroUnit> units)
    {
        units.ForEach(u => Add(ZeroOp.Settle, u.Index));
        units.Clear();
    }

    private void Update()
    {
        _phase = ZeroPhase.Update;
        _shared.Clear();
        Add(ZeroOp.Norm, 0);
        foreach (var unit in _trained)
        {
            Add(ZeroOp.Adamw, unit.Index);
            if (_division.Stage is 1 or 2 || (_division.Stage == 3 && !unit.IsDivisible))
            {
                Share(ZeroOp.Publish, unit, _division.GatherElements);
            }
        }
    }

    private void Each(int block, ZeroOp op)
    {
        foreach (var unit in Parts(block))
        {
            Add(op, unit.Index);
        }
    }

    private IEnumerable<ZeroUnit> Parts(int block) => _blocks[block].Where(u => u.Elements > 0);

    private void Add(ZeroOp op, int unit) => _steps.Add(new(_phase, op, unit));
}
