namespace LlavaSharp.Checkpoints;

/// <summary>Judges the tensors of a file that no parameter is read from. What may be left out is a closed list: anything else would
/// make the model that is computed another one than the file's.</summary>
internal static class UnusedTensors
{
    private const int NamesShown = 3;
    private const string Remedy = "; remove what the model does not need, or use the model that config.json describes";

    // Computed again from the config, or of CLIP's text half, which no picture passes.
    private static readonly string[] IgnoredEnds =
        [
        ".rotary_emb.inv_freq", ".rotary_emb.cos_cached", ".rotary_emb.sin_cached", "rope.freqs", "freqs_cis", "embeddings.position_ids",
    ];

    private static readonly string[] IgnoredStarts = ["text_model.", "text_projection.", "visual_projection."];

    // What a part of a name says of the model that the tensor belongs to.
    private static readonly (string Part, string Meaning)[] Meanings =
    [
        (".lora_", "an adapter that was not merged: save the merged model (PEFT: merge_and_unload)"),
        (".base_layer.", "an adapter that was not merged: save the merged model (PEFT: merge_and_unload)"),
        ("resampler", "a resampler between tower and decoder (mm_resampler_type), which is not computed here"),
        ("multi_modal_projector", "a projector of another shape than linear or mlpNx_gelu"),
        ("mm_projector", "a projector of another shape than linear or mlpNx_gelu"),
        (".qweight", "weights quantised by another program: save the model in bfloat16 or float16"),
        (".quant_", "weights quantised by another program: save the model in bfloat16 or float16"),
        (".absmax", "weights quantised by another program: save the model in bfloat16 or float16"),
        (".SCB", "weights quantised by another program: save the model in bfloat16 or float16"),
        ("_proj.bias", "biases that the decoder's linears do not have here (Qwen2 has them): the model is of another architecture"),
    ];

    // Where a model keeps its parameters, in any spelling.
    private static readonly string[] Places =
    [
        "model.", "language_model.", "lm_head.", "layers.", "vision_tower.", "vision_model.", "multi_modal_projector.", "base_model.",
    ];

    /// <summary>Whether a tensor has no part in the arithmetic.</summary>
    internal static bool Ignored(string name) =>
        Array.Exists(IgnoredEnds, end => name.EndsWith(end, StringComparison.Ordinal))
        || Array.Exists(IgnoredStarts, start => name.StartsWith(start, StringComparison.Ordinal))
        || name is "logit_scale" or "position_ids";

    /// <summary>Refuses tensors that would be left out though they change what the model computes.</summary>
    /// <param name="names">Names of no known parameter.</param>
    /// <param name="typeOf">A tensor's element type. Whole numbers and booleans are counters, masks and indices: a weight that was
    /// quantised to them is missed under its own name. A type that is not read is refused where a model keeps its parameters.</param>
    /// <param name="location">The file that holds a tensor.</param>
    /// <exception cref="UserErrorException">One is not in the closed list; the line names up to three, and what they are of.</exception>
    internal static void Refuse(IEnumerable<string> names, Func<string, TensorType> typeOf, Func<string, string> location)
    {
        string[] left = [.. names.Where(name => !Ignored(name) && Counts(name, typeOf(name))).Order(StringComparer.Ordinal)];
        if (left is [var first, ..])
        {
            string more = left.Length > NamesShown ? $" and {left.Length - NamesShown} more" : "";
            string shown = string.Join(", ", left.Take(NamesShown).Select(SafetensorsHeader.Quote));
            (string have, string them) = left.Length == 1 ? ("has", "it") : ("have", "them");
            throw new UserErrorException($"'{location(first)}': {shown}{more} {have} no place in the model, and without {them} the answers "
                + $"would be another model's{left.Select(Meaning).FirstOrDefault(m => m is not null) ?? Remedy}");
        }
    }

    private static bool Counts(string name, TensorType type) => type.IsFloat() || Meaning(name) is not null
        || (type == TensorType.Other && Array.Exists(Places, place => name.StartsWith(place, StringComparison.Ordinal)));

    private static string? Meaning(string name) =>
        Array.Find(Meanings, m => name.Contains(m.Part, StringComparison.Ordinal)).Meaning is { } meaning ? $". It is of {meaning}" : null;
}
