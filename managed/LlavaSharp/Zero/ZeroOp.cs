namespace LlavaSharp.Zero;

/// <summary>
/// What a step does to a unit; the values are those that cross to the engine. Gather, Reduce and Publish only start an exchange,
/// which runs beside the computing, in the plan's order; Wait and Settle make its result visible.
/// </summary>
public enum ZeroOp
{
    /// <summary>Starts the all-gather of a divided unit's weights.</summary>
    Gather = 0,

    /// <summary>Waits until a unit's weights are whole: after a Gather, or after a Publish.</summary>
    Wait = 1,

    /// <summary>The unit's forward pass; nothing where the batch has no work for it.</summary>
    Forward = 2,

    /// <summary>The unit's backward pass.</summary>
    Backward = 3,

    /// <summary>Gives the whole weights back; the rank's shard stays.</summary>
    Release = 4,

    /// <summary>Starts the exchange of a unit's gradient: its sum over the ranks, whole at stage 0, else each rank's shard of it.</summary>
    Reduce = 5,

    /// <summary>Waits for that exchange; at stages 2 and 3 the whole gradient is then given back.</summary>
    Settle = 6,

    /// <summary>The norm of the whole gradient: each rank's sum of squares, added up in rank order.</summary>
    Norm = 7,

    /// <summary>AdamW on the part of the unit that the rank owns.</summary>
    Update = 8,

    /// <summary>Starts the all-gather of updated weights that every rank keeps whole.</summary>
    Publish = 9,
}
