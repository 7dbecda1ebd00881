namespace LlavaSharp.Templates;

/// <summary>How a template joins turns to a prompt.</summary>
public enum SeparatorStyle
{
    /// <summary>The turns' texts with a separator after each: captions, stage 1.</summary>
    Plain,

    /// <summary><c>role: text</c> with one separator after the user's turns and another after the assistant's.</summary>
    Two,

    /// <summary>The oldest form: asked with <c>role: text###</c>, trained with <c>### role: text</c> on lines of their own.</summary>
    Single,

    /// <summary><c>[INST] question [/INST] answer</c>, the system text inside the first question.</summary>
    Llama2,

    /// <summary>ChatML: the role's opening, the text, and one separator after each.</summary>
    Mpt,
}
