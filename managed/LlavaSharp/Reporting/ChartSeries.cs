namespace LlavaSharp.Reporting;

/// <summary>One curve.</summary>
/// <param name="Name">What the legend says.</param>
/// <param name="X">Abscissae, rising.</param>
/// <param name="Y">Ordinates, as many; a value that is not finite breaks the line.</param>
public sealed record ChartSeries(string Name, IReadOnlyList<double> X, IReadOnlyList<double> Y)
{
    /// <summary>Whether the curve has no noise to look through, such as a learning rate: it is then never smoothed.</summary>
    public bool IsExact { get; init; }

    /// <summary>Makes a series over 1, 2, 3, ….</summary>
    /// <param name="name">What the legend says.</param>
    /// <param name="y">Ordinates.</param>
    /// <returns>The series.</returns>
    public static ChartSeries OverSteps(string name, IReadOnlyList<double> y) =>
        new(name, [.. Enumerable.Range(1, y.Count).Select(i => (double)i)], y);
}
