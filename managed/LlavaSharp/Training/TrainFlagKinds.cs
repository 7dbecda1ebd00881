using static LlavaSharp.Training.TrainFlag;

namespace LlavaSharp.Training;

/// <summary>The kinds of rows in the table of flags.</summary>
internal static class TrainFlagKinds
{
    public static TrainFlag Text(string name, string help, Func<TrainOptions, string, TrainOptions> apply,
        Func<TrainOptions, object?> read) =>
        new(name, false, help, (o, v) => v.Length > 0 ? apply(o, v) : throw new UserErrorException($"--{name} needs a value"), read);

    public static TrainFlag Switch(string name, string help, Func<TrainOptions, bool, TrainOptions> apply,
        Func<TrainOptions, object?> read) =>
        new(name, true, help, (o, v) => apply(o, Boolean(name, v)), read);

    public static TrainFlag Whole(string name, int minimum, string help, Func<TrainOptions, int,
        TrainOptions> apply, Func<TrainOptions, object?> read) =>
        new(name, false, help, (o, v) => apply(o, Integer(name, v, minimum)), read);

    public static TrainFlag Real(string name, double minimum, string help, Func<TrainOptions, double,
        TrainOptions> apply, Func<TrainOptions, object?> read) =>
        new(name, false, help, (o, v) => apply(o, Number(name, v, minimum)), read);

    public static TrainFlag Accepted(string name, bool isBoolean, string help, Func<string, string?> note) =>
        new(name, isBoolean, help, (o, v) => { note(v); return o; }, null) { Note = note };

    public static string ResumeValue(string value) => value.ToLowerInvariant() switch
    {
        "auto" or "true" => "auto",
        "no" or "none" or "false" => "no",
        _ => value,
    };

    public static double Steps(string name, string text) =>
        Number(name, text) is var value and > 0 && (value < 1 || (value == Math.Floor(value) && value <= int.MaxValue))
            ? value
            : throw new UserErrorException($"--{name} {text}: expected a whole number of at least 1, or a fraction above 0 and below 1");

    public static double Below1(string name, double value) =>
        value < 1 ? value : throw new UserErrorException($"--{name} {value}: expected a number from 0 to below 1");

    /// <summary>
    /// A flag whose value must be what this build does anyway, or is of no consequence here; <paramref name="check"/> throws for
    /// others.
    /// </summary>
    public static TrainFlag Ignored(string name, bool isBoolean, string what, Action<string>? check = null) =>
        Accepted(name, isBoolean, $"accepted: {what}", v =>
        {
            if (isBoolean)
            {
                Boolean(name, v);
            }

            check?.Invoke(v);
            return isBoolean && !Boolean(name, v) ? null : $"--{name} {v}: {what}";
        });
}
