namespace LlavaSharp.Zero;

/// <summary>Which part of an update a step belongs to; the values are those that cross to the engine.</summary>
public enum ZeroPhase
{
    /// <summary>Each micro-batch of an update but its last.</summary>
    Micro = 0,

    /// <summary>An update's last micro-batch.</summary>
    Last = 1,

    /// <summary>What follows the last micro-batch: norm, AdamW, the new weights handed round.</summary>
    Update = 2,
}
