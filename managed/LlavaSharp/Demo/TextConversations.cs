namespace LlavaSharp.Demo;

/// <summary>Conversations without a picture, which stage 2 of the recipe mixes in.</summary>
public static class TextConversations
{
    private static readonly (string Question, string Answer)[] Facts =
    [
        ("How many sides does a triangle have?", "three"),
        ("What do you get when you mix red and blue?", "purple"),
        ("What do you get when you mix blue and yellow?", "green"),
        ("What comes after one?", "two"),
        ("What comes after two?", "three"),
        ("What comes before one?", "zero"),
        ("What is the opposite of left?", "right"),
        ("What is the opposite of right?", "left"),
        ("What is the opposite of above?", "below"),
        ("What is the opposite of below?", "above"),
        ("What is the opposite of yes?", "no"),
        ("Does a circle have corners?", "no"),
        ("Does a square have corners?", "yes"),
        ("What is one and one?", "two"),
        ("What is one and two?", "three"),
    ];

    /// <summary>Every question and answer, for the tokenizer's text.</summary>
    public static IEnumerable<(string Question, string Answer)> All => Facts;

    /// <summary>Draws a conversation of a few different facts.</summary>
    /// <param name="random">The lot.</param>
    /// <param name="turns">Questions asked.</param>
    public static List<(string Question, string Answer)> Next(Random random, int turns)
    {
        (string Question, string Answer)[] facts = [.. Facts];
        random.Shuffle(facts);
        return [.. facts.Take(turns)];
    }
}
