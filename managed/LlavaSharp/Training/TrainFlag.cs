using System.Globalization;

namespace LlavaSharp.Training;

/// <summary>One flag of <c>train</c>.</summary>
/// <param name="Name">Spelling without the dashes.</param>
/// <param name="IsBoolean">Whether it may stand without a value, as Hugging Face's parser allows.</param>
/// <param name="Help">One line.</param>
/// <param name="Apply">Puts a value's text into the options; throws <see cref="UserErrorException"/> for a value it does not take.</param>
/// <param name="Read">The value that options hold, for help and for the resolved configuration; null for
/// flags that are only accepted.</param>
public sealed record TrainFlag(
    string Name,
    bool IsBoolean,
    string Help,
    Func<TrainOptions, string, TrainOptions> Apply,
    Func<TrainOptions, object?>? Read)
{
    /// <summary>What is printed once when the flag is given: how this build treats it. Null when there is nothing to say.</summary>
    public Func<string, string?>? Note { get; init; }

    /// <summary>Reads a boolean as Hugging Face does: yes, true, t, y, 1 or no, false, f, n, 0 in any case.</summary>
    /// <param name="flag">The flag, for the error.</param>
    /// <param name="text">The value.</param>
    /// <returns>The boolean.</returns>
    /// <exception cref="UserErrorException">The text is neither.</exception>
    public static bool Boolean(string flag, string text) => text.ToLowerInvariant() switch
    {
        "yes" or "true" or "t" or "y" or "1" => true,
        "no" or "false" or "f" or "n" or "0" => false,
        _ => throw new UserErrorException($"--{flag} {text}: expected True or False"),
    };

    /// <summary>Reads a whole number within bounds.</summary>
    /// <param name="flag">The flag, for the error.</param>
    /// <param name="text">The value.</param>
    /// <param name="minimum">Smallest value taken.</param>
    /// <returns>The number.</returns>
    /// <exception cref="UserErrorException">The text is not such a number.</exception>
    public static int Integer(string flag, string text, int minimum) =>
        int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= minimum
            ? value
            : throw new UserErrorException(
                minimum == int.MinValue ? $"--{flag} {text}: expected a whole number" : $"--{flag} {text}: expected a whole number of at least {minimum}");

    /// <summary>Reads a number within bounds.</summary>
    /// <param name="flag">The flag, for the error.</param>
    /// <param name="text">The value.</param>
    /// <param name="minimum">Smallest value taken.</param>
    /// <param name="maximum">Largest value taken.</param>
    /// <returns>The number.</returns>
    /// <exception cref="UserErrorException">The text is not such a number.</exception>
    public static double Number(string flag, string text, double minimum = 0, double maximum = double.MaxValue) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value >= minimum && value <= maximum
            ? value
            : throw new UserErrorException(
                maximum == double.MaxValue ? $"--{flag} {text}: expected a number of at least {minimum}" : $"--{flag} {text}: expected a number from {minimum} to {maximum}");

    /// <summary>Reads one of a few words.</summary>
    /// <param name="flag">The flag, for the error.</param>
    /// <param name="text">The value.</param>
    /// <param name="choices">The words.</param>
    /// <returns>The word.</returns>
    /// <exception cref="UserErrorException">The text is none of them.</exception>
    public static string Choice(string flag, string text, params ReadOnlySpan<string> choices)
    {
        foreach (var choice in choices)
        {
            if (choice == text)
            {
                return text;
            }
        }

        throw new UserErrorException($"--{flag} {text}: expected {string.Join(" or ", choices.ToArray())}");
    }
}
