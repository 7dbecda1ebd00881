using System.CommandLine;
using System.CommandLine.Parsing;
using LlavaSharp.Training;

namespace LlavaSharp.Cli;

/// <summary>Options whose bad values are reported in our own words.</summary>
internal static class Flag
{
    /// <summary>A whole number.</summary>
    /// <param name="name">With its dashes.</param>
    /// <param name="value">The default.</param>
    /// <param name="minimum">Smallest value taken.</param>
    /// <returns>The option.</returns>
    public static Option<int> Whole(string name, int value, int minimum) => new(name)
    {
        DefaultValueFactory = _ => value,
        CustomParser = result => TrainFlag.Integer(name[2..], Text(name, result), minimum),
    };

    /// <summary>A number.</summary>
    /// <param name="name">With its dashes.</param>
    /// <param name="value">The default.</param>
    /// <param name="maximum">Largest value taken.</param>
    /// <returns>The option.</returns>
    public static Option<double> Number(string name, double value, double maximum = double.MaxValue) => new(name)
    {
        DefaultValueFactory = _ => value,
        CustomParser = result => TrainFlag.Number(name[2..], Text(name, result), 0, maximum),
    };

    private static string Text(string name, ArgumentResult result) =>
        result.Tokens is [var token] ? token.Value : throw new UserErrorException($"{name} needs a value");
}
