using LlavaSharp.Training;

namespace LlavaSharp.Cli.Commands;

/// <summary>Verbs about data take <c>train</c>'s flags, so that its command line serves by changing the verb; theirs come on top.</summary>
internal static class DataFlags
{
    /// <summary>Takes a verb's own flags out of the arguments and reads the rest as <c>train</c> does.</summary>
    /// <param name="arguments">What follows the verb.</param>
    /// <param name="switches">Own flags without a value.</param>
    /// <param name="values">Own flags with a value.</param>
    /// <returns>The options, and the own flags that were given; a switch has the value "".</returns>
    public static (TrainOptions Options, Dictionary<string, string> Own) Parse(
        IReadOnlyList<string> arguments, ReadOnlySpan<string> switches, ReadOnlySpan<string> values)
    {
        var own = new Dictionary<string, string>(StringComparer.Ordinal);
        var rest = new List<string>();
        for (var i = 0; i < arguments.Count; i++)
        {
            var equals = arguments[i].IndexOf('=', StringComparison.Ordinal);
            var name = equals < 0 ? arguments[i] : arguments[i][..equals];
            if (switches.Contains(arguments[i]))
            {
                own[name] = "";
            }
            else if (values.Contains(name))
            {
                own[name] = equals >= 0 ? arguments[i][(equals + 1)..]
                    : ++i < arguments.Count ? arguments[i]
                    : throw new UserErrorException($"{name} needs a value");
            }
            else
            {
                rest.Add(arguments[i]);
            }
        }

        return (TrainOptionsParser.Parse(rest).Options, own);
    }
}
