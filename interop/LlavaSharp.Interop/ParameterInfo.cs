namespace LlavaSharp.Interop;

/// <summary>One row of a model's parameter table.</summary>
/// <param name="Name">Canonical name, such as "layer.0.self_attn.q_proj.weight".</param>
/// <param name="Kind">Kind of its unit: one bit.</param>
/// <param name="Unit">Index of its unit: 0 vision, 1 projector, 2 embed, 3+i layer i, last head.</param>
/// <param name="Shape">Row-major.</param>
/// <param name="Count">Elements.</param>
/// <param name="Decay">False for the weight of a norm and for biases: the recipe's weight-decay rule.</param>
/// <param name="Trainable">As <see cref="Model.SetTrainable"/> left it.</param>
/// <param name="Offset">Floats from the start of its unit, as <see cref="ShardInfo"/> counts them.</param>
public sealed record ParameterInfo(
    string Name, UnitKinds Kind, int Unit, long[] Shape, long Count, bool Decay, bool Trainable, long Offset = 0);
