using System.Globalization;
using LlavaSharp.Interop;

namespace LlavaSharp.Zero;

/// <summary>
/// A fault to inject, to see what a job does then: <c>KIND:rank=R,step=S</c>, as <c>LLAVASHARP_FAULT</c> holds it. KIND is kill, stall,
/// wrong_size, nan, or none with <c>delay_us=D</c>, which makes every exchange as much longer.
/// </summary>
public static class FaultSwitch
{
    /// <summary>The environment variable that holds one.</summary>
    public const string Variable = "LLAVASHARP_FAULT";

    /// <summary>Reads a fault.</summary>
    /// <param name="text">As above; null or empty for none.</param>
    /// <returns>Options with the fault alone.</returns>
    /// <exception cref="UserErrorException">It is not such a text.</exception>
    public static ShardingOptions Parse(string? text)
    {
        if (string.IsNullOrEmpty(text))
        {
            return new();
        }

        var parts = text.Split(':', 2);
        var fault = new ShardingOptions
        {
            Fault = parts[0] switch
            {
                "none" => FaultKind.None,
                "kill" => FaultKind.Kill,
                "stall" => FaultKind.Stall,
                "wrong_size" => FaultKind.WrongSize,
                "nan" => FaultKind.Nan,
                _ => throw Wrong(text),
            },
        };
        foreach (var pair in parts.Length < 2 ? [] : parts[1].Split(','))
        {
            var (name, value) = pair.Split('=', 2) is [var n, var v]
                && int.TryParse(v, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? (n, number) : throw Wrong(text);
            fault = name switch
            {
                "rank" => fault with { FaultRank = value },
                "step" => fault with { FaultStep = value },
                "delay_us" => fault with { Delay = TimeSpan.FromMicroseconds(value) },
                _ => throw Wrong(text),
            };
        }

        return fault;
    }

    private static UserErrorException Wrong(string text) =>
        new($"{Variable} is '{text}': expected kill, stall, wrong_size or nan with :rank=R,step=S, or none:delay_us=D");
}
