namespace LlavaSharp.Templates;

/// <summary>What a training prompt depends on, besides template and tokenizer.</summary>
public sealed record PromptRules
{
    /// <summary>The recipe's own settings.</summary>
    public static PromptRules Default { get; } = new();

    /// <summary><c>--mm_use_im_start_end</c>: whether images stand between <c>&lt;im_start&gt;</c> and <c>&lt;im_end&gt;</c>.</summary>
    public bool ImageStartEnd { get; init; }

    /// <summary><c>--model_max_length</c>: samples at least as long are not checked by the recipe for a mismatch.</summary>
    public int ModelMaxLength { get; init; } = int.MaxValue;
}
