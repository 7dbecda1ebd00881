using LlavaSharp.Interop;

namespace LlavaSharp.Zero;

/// <summary>
/// Writes a plan's steps. The passes over the model are one row of uses; at each use, the divided blocks of the window that begins there
/// are whole or on their way, and those outside it are given back.
/// </summary>
internal sealed class ZeroSteps
{
    private readonly ZeroOptions _options;
    private readonly ILookup<int, ZeroUnit> _blocks;
    private readonly List<ZeroUnit> _trained;
    private readonly List<(ZeroUnit Unit, ZeroOp Op)> _uses = [];
    private readonly List<ZeroStep> _steps = [];
    private readonly List<int> _open = [], _travelling = [];
    private ZeroPhase _phase;
    private long _filled;
    private int _bucket;

    private ZeroSteps(IReadOnlyList<ZeroUnit> units, ZeroOptions options)
    {
        _options = options;
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
    public static IReadOnlyList<ZeroStep> Of(IReadOnlyList<ZeroUnit> units, ZeroOptions options)
    {
        var writer = new ZeroSteps(units, options);
        writer.Pass(ZeroPhase.Micro, reduces: options.Stage >= 2);
        writer.Pass(ZeroPhase.Last, reduces: true);
        writer.Update();
        return writer._steps;
    }

    private void Pass(ZeroPhase phase, bool reduces)
    {
        (_phase, _bucket, _filled) = (phase, 0, 0);
        HashSet<int> whole = [], ready = [];
        for (var at = 0; at < _uses.Count; at++)
        {
            var (unit, op) = _uses[at];
            foreach (var block in Window(at).Where(whole.Add))
            {
                Each(block, ZeroOp.Gather);
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

        CloseBucket();
        Settle();
    }

    // The divided blocks of the uses from `at` on: the current one's, then as many others as are fetched ahead.
    private List<int> Window(int at)
    {
        var blocks = new List<int>();
        if (_options.Stage < 3 || at >= _uses.Count)
        {
            return blocks;
        }

        var limit = (_options.Overlap ? _options.Prefetch : 0) + (_uses[at].Unit.IsDivisible ? 1 : 0);
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

    private void Reduce(int block)
    {
        foreach (var unit in _blocks[block].Where(_trained.Contains))
        {
            Add(ZeroOp.Reduce, unit.Index, _bucket);
            _open.Add(unit.Index);
            _filled += unit.Elements;
            if (_filled >= _options.BucketElements)
            {
                CloseBucket();
            }
        }
    }

    // The bucket before this one has had the time of a whole bucket's backward: it is settled now, so that no more than two are
    // on their way.
    private void CloseBucket()
    {
        if (_open.Count == 0)
        {
            return;
        }

        Settle();
        _travelling.AddRange(_open);
        _open.Clear();
        if (!_options.Overlap)
        {
            Settle(_bucket);
        }

        (_filled, _bucket) = (0, _bucket + 1);
    }

    private void Settle(int? bucket = null)
    {
        foreach (var unit in _travelling)
        {
            Add(ZeroOp.Settle, unit, bucket ?? _bucket - 1);
        }

        _travelling.Clear();
    }

    private void Update()
    {
        _phase = ZeroPhase.Update;
        Add(ZeroOp.Norm, -1);
        var published = new List<int>();
        foreach (var unit in _trained)
        {
            Add(ZeroOp.Update, unit.Index);
            if (_options.Stage is 1 or 2 || (_options.Stage == 3 && !unit.IsDivisible))
            {
                Add(ZeroOp.Publish, unit.Index);
                published.Add(unit.Index);
            }
        }

        published.ForEach(unit => Add(ZeroOp.Wait, unit));
    }

    private void Each(int block, ZeroOp op)
    {
        foreach (var unit in _blocks[block].Where(u => u.Elements > 0))
        {
            Add(op, unit.Index);
        }
    }

    private void Add(ZeroOp op, int unit, int bucket = -1) => _steps.Add(new(_phase, op, unit, bucket));
}
