using LlavaSharp.Checkpoints;
using LlavaSharp.Templates;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Gguf;

/// <summary>Writes the decoder and its tokenizer as llama.cpp loads a LLaMA; a Mistral is one there, too.</summary>
public static class GgufLanguageModel
{
    private static readonly (string Canonical, string Stored)[] Parts =
    [
        ("input_layernorm", "attn_norm"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"), ("post_attention_layernorm", "ffn_norm"), ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"),
    ];

    /// <summary>Writes the file, whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="export">The model; its precision is not used.</param>
    /// <param name="type">Encoding of the matrices; vectors are F32.</param>
    /// <param name="name">What programs call the model.</param>
    /// <param name="template">The conversation format that it was trained with; null leaves it out.</param>
    /// <exception cref="UserErrorException">A parameter is missing, or the path cannot be written.</exception>
    public static void Write(string path, ModelExport export, GgufType type, string name, ConversationTemplate? template = null)
    {
        TextConfig text = export.Config.Text;
        Func<int, int> rotary = GgufRows.Rotary(text.HeadDim);
        GgufTensor[] tensors = [.. ParameterTable.Decoder(text).Select(p => GgufRows.Tensor(
            NameOf(p.Key), p.Key, p.Value, export.Parameters, p.Value.Length == 1 ? GgufType.F32 : type,
            p.Key.EndsWith(".q_proj.weight", StringComparison.Ordinal) || p.Key.EndsWith(".k_proj.weight", StringComparison.Ordinal)
                ? rotary : null))];
        GgufMetadata metadata = Metadata(export, type, name, template);

        GgufWriter.Write(path, metadata, tensors);
    }

    /// <summary>The name of a decoder's parameter in the file.</summary>
    internal static string NameOf(string canonical)
    {
        if (canonical is "embed.weight" or "head.norm.weight" or "head.weight")
        {
            return canonical switch
            {
                "embed.weight" => "token_embd.weight",
                "head.norm.weight" => "output_norm.weight",
                _ => "output.weight",
            };
        }

        string[] split = canonical.Split('.', 3);
        return $"blk.{split[1]}.{Parts.Single(p => split[2] == p.Canonical + ".weight").Stored}.weight";
    }

    private static GgufMetadata Metadata(ModelExport export, GgufType type, string name, ConversationTemplate? template)
    {
        TextConfig text = export.Config.Text;
        LlavaTokenizer tokenizer = export.Tokenizer;
        (string[] pieces, float[] scores, int[] kinds) = Vocabulary(export);
        GgufMetadata metadata = new GgufMetadata()
            .Add("general.architecture", "llama")
            .Add("general.type", "model")
            .Add("general.name", name)
            .Add("general.file_type", type switch { GgufType.F32 => 0, GgufType.F16 => 1, GgufType.Q8Zero => 7, _ => 32 })
            .Add("general.quantization_version", 2)
            .Add("llama.vocab_size", text.VocabularySize)
            .Add("llama.context_length", text.WindowInUse ?? text.MaxPositions)
            .Add("llama.embedding_length", text.HiddenSize)
            .Add("llama.block_count", text.LayerCount)
            .Add("llama.feed_forward_length", text.IntermediateSize)
            .Add("llama.attention.head_count", text.HeadCount)
            .Add("llama.attention.head_count_kv", text.KeyValueHeadCount)
            .Add("llama.attention.key_length", text.HeadDim)
            .Add("llama.attention.value_length", text.HeadDim)
            .Add("llama.attention.layer_norm_rms_epsilon", text.RmsNormEpsilon)
            .Add("llama.rope.dimension_count", text.HeadDim)
            .Add("llama.rope.freq_base", text.RopeTheta)
            .Add("tokenizer.ggml.model", "llama")
            .Add("tokenizer.ggml.pre", "default")
            .Add("tokenizer.ggml.tokens", pieces)
            .Add("tokenizer.ggml.scores", scores)
            .Add("tokenizer.ggml.token_type", kinds)
            .AddToken("tokenizer.ggml.bos_token_id", tokenizer.BosId)
            .AddToken("tokenizer.ggml.eos_token_id", text.EosIds[0])
            .AddToken("tokenizer.ggml.unknown_token_id", tokenizer.UnknownId)
            .AddToken("tokenizer.ggml.padding_token_id", export.Config.PadTokenId ?? tokenizer.UnknownId)
            .Add("tokenizer.ggml.add_bos_token", tokenizer.AddBos && template?.KeepsBos != false)
            .Add("tokenizer.ggml.add_eos_token", false)
            .Add("tokenizer.ggml.add_space_prefix", tokenizer.AddDummyPrefix);
        if (EndOfTurn(export, template) is int end)
        {
            metadata.Add("tokenizer.ggml.eot_token_id", end);
        }

        return template is not null && GgufChatTemplate.Of(PromptBuilder.Fit(template, tokenizer)) is { } chat
            ? metadata.Add("tokenizer.chat_template", chat) : metadata;
    }

    // The second token that ends an answer, besides the end of sentence: the template's mark, where it is one token, else the next
    // of the config's.
    private static int? EndOfTurn(ModelExport export, ConversationTemplate? template)
    {
        IReadOnlyList<int> ends = export.Config.Text.EosIds;
        string? mark = template is null ? null : PromptBuilder.Fit(template, export.Tokenizer).StopText;
        int[] marks = mark is not null && export.Tokenizer.IsSpecial(mark) ? export.Tokenizer.EncodeWithSpecial(mark) : [];
        return marks.Concat(ends).Where(id => id != ends[0]).Select(id => (int?)id).FirstOrDefault();
    }

    /// <summary>One entry a row of the embedding: the pieces, the added tokens, and names for rows that no token has.</summary>
    private static (string[] Pieces, float[] Scores, int[] Kinds) Vocabulary(ModelExport export)
    {
        int rows = export.Config.Text.VocabularySize, count = export.Tokenizer.PieceCount;
        string[] pieces = new string[rows];
        float[] scores = new float[rows];
        int[] kinds = new int[rows];
        IReadOnlyList<SentencePiece> own = export.Tokenizer.SentencePieces();
        Dictionary<int, AddedToken> added = export.Tokenizer.Tokens.ToDictionary(t => t.Id);
        for (int id = 0; id < rows; id++)
        {
            SentencePiece piece = id < count ? own[id]
                : added.TryGetValue(id, out AddedToken? token)
                    ? new(token.Text, -1000, token.Special ? SentencePieceType.Control : SentencePieceType.UserDefined)
                    : new($"[PAD{id}]", -1000, SentencePieceType.Unused);
            (pieces[id], scores[id], kinds[id]) = (piece.Text, piece.Score, (int)piece.Type);
        }

        return (pieces, scores, kinds);
    }
}
