using System.Globalization;

namespace LlavaSharp.Parity;

/// <summary>One compared quantity.</summary>
/// <param name="Quantity">Which, such as "grad full".</param>
/// <param name="Error">‖ours − ref‖ / ‖ref‖, or the absolute error where ‖ref‖ &lt; 1e-12; a count for exact quantities.</param>
/// <param name="Bound">The largest error that passes.</param>
/// <param name="Detail">What was compared, or the worst of it.</param>
public sealed record ParityLine(string Quantity, double Error, double Bound, string Detail)
{
    /// <summary>Whether the error is within the bound; an error that is not a number is not.</summary>
    public bool Passed => Error <= Bound;

    /// <summary>The line as printed.</summary>
    /// <returns>At most 100 columns, unless a tensor's name is very long.</returns>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{(Passed ? "ok  " : "FAIL")} {Quantity,-22} error {Error,-9:0.00e+00} bound {Bound,-9:0.0e+00} {Detail}");
}
