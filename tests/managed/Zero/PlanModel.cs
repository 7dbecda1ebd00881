using LlavaSharp.Interop;
using LlavaSharp.Zero;

namespace LlavaSharp.Tests.Zero;

/// <summary>Units as a small decoder has them, and random ones.</summary>
internal static class PlanModel
{
    public static IReadOnlyList<ZeroUnit> Units(
        int layers, UnitKinds trained, Func<int, bool>? adapted = null, bool vision = true, long scale = 100)
    {
        var units = new List<ZeroUnit>();
        void Add(string name, UnitKinds kind, long elements, int? host = null) =>
            units.Add(new(units.Count, name, kind, elements, (trained & kind) != 0, host ?? units.Count));
        Add("vision", UnitKinds.Vision, vision ? 7 * scale : 0);
        Add("projector", UnitKinds.Projector, vision ? scale : 0);
        Add("embed", UnitKinds.Embed, 5 * scale);
        for (var i = 0; i < layers; i++)
        {
            Add($"layer.{i}", UnitKinds.Layer, 3 * scale);
        }

        Add("head", UnitKinds.Head, (5 * scale) + 1);
        foreach (var i in Enumerable.Range(0, layers).Where(i => adapted?.Invoke(i) == true))
        {
            Add($"layer.{i}.lora", UnitKinds.Lora, scale / 2, 3 + i);
        }

        return units;
    }

    public static (IReadOnlyList<ZeroUnit> Units, ZeroDivision Options) Random(Random random)
    {
        var adapters = random.Next(2) == 0;
        UnitKinds[] some =
        [
            UnitKinds.Projector, UnitKinds.Projector | UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head, UnitKinds.Head,
            UnitKinds.Projector | UnitKinds.Head, UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head,
            UnitKinds.Lora | UnitKinds.Projector, UnitKinds.Lora,
        ];
        var trained = some[random.Next(adapters ? some.Length : some.Length - 2)];
        var every = random.Next(1, 4);
        var text = random.Next(5) == 0 && trained is not UnitKinds.Projector;
        var units = Units(random.Next(1, 12), trained, adapters ? i => i % every == 0 : null, vision: !text, scale: random.Next(2, 1000));
        return (units, new()
        {
            Stage = random.Next(4),
            World = random.Next(1, 17),
            Prefetch = random.Next(5),
            BucketElements = 1L << random.Next(16),
            GatherElements = 1L << random.Next(16),
            Overlap = random.Next(3) > 0,
        });
    }
}
