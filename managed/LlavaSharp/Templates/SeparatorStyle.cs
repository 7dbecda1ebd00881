namespace LlavaSharp.Templates;

/// <summary>How a template joins turns to a prompt.</summary>
public enum SeparatorStyle
{
    /// <summary>The turns' texts with a separator after each: captions, stage 1.</summary>
    Plain,

    /// <summary><c>role: text</c> with one separator after the user's turns and another after the assistant's.</summary>
    Two,
}
