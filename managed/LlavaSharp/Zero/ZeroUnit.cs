using System.Globalization;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;
using LlavaSharp.Lora;

namespace LlavaSharp.Zero;

/// <summary>A unit as a plan sees it: what is gathered, released, reduced and updated as a whole.</summary>
/// <param name="Index">Its index in the parameter table.</param>
/// <param name="Name">vision, projector, embed, layer.i, head, layer.i.lora.</param>
/// <param name="Kind">One kind.</param>
/// <param name="Elements">Parameters.</param>
/// <param name="Trainable">Whether it has a gradient and optimizer state.</param>
/// <param name="Host">The unit that computes it: itself, or for adapters their layer.</param>
public sealed record ZeroUnit(int Index, string Name, UnitKinds Kind, long Elements, bool Trainable, int Host)
{
    /// <summary>Whether stage 3 divides its weights: what belongs to the decoder. Tower and projector are small, and what they do
    /// depends on the batch, so every rank keeps them whole.</summary>
    public bool IsDivisible => Kind is not (UnitKinds.Vision or UnitKinds.Projector or UnitKinds.Newline);

    /// <summary>The units of a model, in the table's order.</summary>
    /// <param name="parameters">The engine's table, with what is trained already chosen.</param>
    /// <returns>One for each unit that has parameters.</returns>
    public static IReadOnlyList<ZeroUnit> Of(IReadOnlyList<ParameterInfo> parameters)
    {
        var hosts = parameters.Where(p => p.Kind == UnitKinds.Layer)
            .GroupBy(p => p.Unit).ToDictionary(g => NameOf(g.First()), g => g.Key, StringComparer.Ordinal);
        return
        [
            .. parameters.GroupBy(p => p.Unit).OrderBy(g => g.Key).Select(g =>
            {
                var name = NameOf(g.First());
                var kind = g.First().Kind;
                var host = kind == UnitKinds.Lora ? hosts[name[..^".lora".Length]] : g.Key;
                return new ZeroUnit(g.Key, name, kind, g.Sum(p => p.Count), g.First().Trainable, host);
            }),
        ];
    }

    /// <summary>The units of a model that nobody has made yet.</summary>
    /// <param name="config">Its shape.</param>
    /// <param name="trained">What is trained.</param>
    /// <param name="adapters">Adapters on every linear of the decoder; null for none.</param>
    /// <returns>As <see cref="Of(IReadOnlyList{ParameterInfo})"/> of the made model.</returns>
    public static IReadOnlyList<ZeroUnit> Of(LlavaConfig config, UnitKinds trained, AdapterOptions? adapters = null)
    {
        var (layers, first) = (config.Text.LayerCount, 4 + config.Text.LayerCount + (config.HasNewline ? 1 : 0));
        var own = ParameterTable.Shapes(config).Select(p => (p.Key, p.Value, Kind: ModelSource.KindOf(p.Key)));
        var more = adapters is null ? [] : LoraTargets.Parameters(config, adapters).Select(p => (p.Key, p.Value, Kind: UnitKinds.Lora));
        return Of([.. own.Concat(more).Select(p => new ParameterInfo(
            p.Key, p.Kind, IndexOf(p.Key, p.Kind, layers, first), p.Value, p.Value.Aggregate(1L, (a, b) => a * b),
            Decay: true, Trainable: (trained & p.Kind) != 0))]);
    }

    private static int IndexOf(string name, UnitKinds kind, int layers, int adapters) => kind switch
    {
        UnitKinds.Vision => 0,
        UnitKinds.Projector => 1,
        UnitKinds.Embed => 2,
        UnitKinds.Layer => 3 + LayerOf(name),
        UnitKinds.Head => 3 + layers,
        UnitKinds.Newline => 4 + layers,
        _ => adapters + LayerOf(name),
    };

    private static int LayerOf(string name) => int.Parse(name.Split('.')[1], CultureInfo.InvariantCulture);

    internal static string NameOf(ParameterInfo parameter)
    {
        var parts = parameter.Name.Split('.');
        return parameter.Kind switch
        {
            UnitKinds.Layer => $"layer.{parts[1]}",
            UnitKinds.Lora => $"layer.{parts[1]}.lora",
            _ => parts[0],
        };
    }
}
