using System.Globalization;
using System.Text.RegularExpressions;

namespace LlavaSharp.Checkpoints;

/// <summary>The recipe's <c>mm_projector_type</c>: <c>linear</c>, <c>mlpNx_gelu</c> (N linears with erf-GELU
/// between them) or <c>identity</c>.</summary>
public sealed partial record ProjectorType
{
    private const int DepthMax = 16;

    private ProjectorType(string name, int depth) => (Name, Depth) = (name, depth);

    /// <summary>Linears in it: 0 for identity, 1 for linear, N for mlpNx_gelu.</summary>
    public int Depth { get; }

    /// <summary>The name, such as <c>mlp2x_gelu</c>.</summary>
    public string Name { get; }

    /// <summary>Whether it is one of the <c>mlpNx_gelu</c>.</summary>
    public bool IsMlp => Name.StartsWith("mlp", StringComparison.Ordinal);

    /// <summary><c>mlp2x_gelu</c>, LLaVA-1.5's, and the only one that Hugging Face's layout holds.</summary>
    public static ProjectorType Mlp2 { get; } = new("mlp2x_gelu", 2);

    /// <summary>Reads a name.</summary>
    /// <exception cref="UserErrorException">It is none of the three kinds.</exception>
    public static ProjectorType Parse(string name)
    {
        if (name is "linear" or "identity")
        {
            return new(name, name == "linear" ? 1 : 0);
        }

        Match match = MlpName().Match(name);
        return match.Success
            && int.TryParse(match.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out int depth)
            && depth is >= 1 and <= DepthMax
            ? new($"mlp{depth}x_gelu", depth)
            : throw new UserErrorException($"unknown projector type {SafetensorsHeader.Quote(name)}; use linear, identity, or "
                + $"mlpNx_gelu with N from 1 to {DepthMax} (such as mlp2x_gelu)");
    }

    /// <inheritdoc/>
    public override string ToString() => Name;

    [GeneratedRegex(@"\Amlp(\d+)x_gelu\z", RegexOptions.CultureInvariant)]
    private static partial Regex MlpName();
}
