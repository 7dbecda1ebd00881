namespace LlavaSharp.Parity;

/// <summary>
/// Spoils one quantity on purpose, so that the check itself can be tested: a comparison that cannot fail proves nothing.
/// </summary>
/// <param name="Quantity">One of <see cref="Names"/>; null spoils nothing.</param>
public sealed record ParityBreak(string? Quantity)
{
    /// <summary>The environment variable that names the quantity.</summary>
    public const string Variable = "PARITY_BREAK";

    /// <summary>What can be spoiled.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["pixels", "image_features", "projected", "logits", "loss", "encode", "grad", "losses", "grad_norm", "after", "greedy"];

    /// <summary>Reads a name.</summary>
    /// <param name="name">The variable's value; null or empty spoils nothing.</param>
    /// <returns>What to spoil.</returns>
    /// <exception cref="UserErrorException">There is no such quantity.</exception>
    public static ParityBreak Parse(string? name) =>
        string.IsNullOrEmpty(name) ? new((string?)null)
        : Names.Contains(name) ? new(name)
        : throw new UserErrorException($"{Variable}={name}: expected one of {string.Join(", ", Names)}");

    /// <summary>Spoils values by one percent and a little, if this is their quantity.</summary>
    internal void Apply(string quantity, Span<float> values)
    {
        if (quantity == Quantity)
        {
            for (var i = 0; i < values.Length; i++)
            {
                values[i] = (values[i] * 1.01f) + 1e-3f;
            }
        }
    }

    /// <summary>Spoils a value, if this is its quantity.</summary>
    internal double Apply(string quantity, double value) => quantity == Quantity ? value * 1.01 : value;

    /// <summary>Spoils the last id, if this is their quantity.</summary>
    internal int[] Apply(string quantity, int[] ids) => quantity == Quantity && ids.Length > 0 ? [.. ids[..^1], ids[^1] + 1] : ids;
}
