namespace LlavaSharp.Tokenization;

/// <summary>
/// A tokenizer of a language model: SentencePiece BPE with byte fallback (tokenizer.model: LLaMA, Vicuna, Mistral), with
/// the ids that SentencePiece gives, or byte-level BPE (tokenizer.json: Llama 3, Qwen), with those of Hugging Face's tokenizers.
/// Instances do not change and may be used from several threads.
/// </summary>
public sealed class LlavaTokenizer
{
    /// <summary>The id that stands for an image's features until they are spliced in; no piece has it.</summary>
    public const int ImageToken = -200;

    /// <summary>The text that marks an image's place; as a token it is never made from text.</summary>
    private const string ImageMark = "<image>";

    private const long MaxModelBytes = 64 << 20;

    private readonly ITextModel _model;

    private readonly AddedTokenMatcher _matcher;

    private readonly IReadOnlyList<AddedToken> _matched;

    private LlavaTokenizer(
        ITextModel model, byte[] bytes, (int Bos, int Eos, int Unknown) ids, TokenizerConfig config, IReadOnlyList<AddedToken> special)
    {
        _model = model;
        ModelBytes = bytes;
        (BosId, EosId, UnknownId) = ids;
        Legacy = config.Legacy;
        AddBos = config.AddBos && BosId >= 0;
        AddedTokens = config.AddedTokens.ToDictionary(t => t.Text, t => t.Id, StringComparer.Ordinal);
        _matched = [.. special.Concat(config.AddedTokens).DistinctBy(t => t.Text).Where(t => t.Text != ImageMark)];
        _matcher = new AddedTokenMatcher(_matched);
        SpecialPieces = [.. special.Select(t => (t.Text, t.Id))];
    }

    private LlavaTokenizer(LlavaTokenizer other, IReadOnlyList<AddedToken> added)
    {
        _model = other._model;
        ModelBytes = other.ModelBytes;
        (BosId, EosId, UnknownId, Legacy, AddBos) = (other.BosId, other.EosId, other.UnknownId, other.Legacy, other.AddBos);
        AddedTokens = other.AddedTokens.Concat(added.Select(t => KeyValuePair.Create(t.Text, t.Id)))
            .ToDictionary(p => p.Key, p => p.Value, StringComparer.Ordinal);
        _matched = [.. other._matched, .. added];
        _matcher = new AddedTokenMatcher(_matched);
        SpecialPieces = other.SpecialPieces;
    }

    /// <summary>Id of the begin-of-sentence piece, 1 in LLaMA; -1 when there is none (Qwen).</summary>
    public int BosId { get; }

    /// <summary>Id of the end-of-sentence piece, 2 in LLaMA.</summary>
    public int EosId { get; }

    /// <summary>Id of the unknown piece, 0 in LLaMA, with which the recipe also pads; -1 when there is none (byte-level models).</summary>
    public int UnknownId { get; }

    /// <summary>Number of pieces in the model. Added tokens have ids from here on.</summary>
    public int PieceCount => _model.PieceCount;

    /// <summary>Number of ids: the model's pieces and the added tokens behind them.</summary>
    public int IdCount => Math.Max(PieceCount, AddedTokens.Values.DefaultIfEmpty(-1).Max() + 1);

    /// <summary>Whether this is a byte-level model, which has a tokenizer.json and no tokenizer.model.</summary>
    public bool IsByteLevel => _model is ByteLevelEncoder;

    /// <summary>
    /// <c>legacy</c> of tokenizer_config.json (true when absent): whether text after a special piece gets a
    /// dummy space in front, as old versions of transformers did. Byte-level models know no such space.
    /// </summary>
    public bool Legacy { get; }

    /// <summary>Whether a prompt begins with the begin mark: <c>add_bos_token</c> of tokenizer_config.json (true when absent),
    /// or the post-processor of tokenizer.json.</summary>
    public bool AddBos { get; }

    /// <summary>
    /// Tokens that the folder adds to the model, by text. In a prompt they become their ids; <c>&lt;image&gt;</c> never does, for it
    /// marks an image's place.
    /// </summary>
    public IReadOnlyDictionary<string, int> AddedTokens { get; }

    /// <summary>The tokenizer.model or tokenizer.json file, for export. The caller must not change it.</summary>
    public byte[] ModelBytes { get; }

    /// <summary>Text of the end-of-sentence piece, <c>&lt;/s&gt;</c> in LLaMA.</summary>
    public string EosPiece => Spelling(EosId) ?? "";

    /// <summary>Whether a space is put before a text.</summary>
    internal bool AddDummyPrefix => _model is SentencePieceEncoder { Model.AddDummyPrefix: true };

    /// <summary>The pieces that a slow Hugging Face tokenizer recognises inside text: unknown, begin and end of sentence.</summary>
    internal IReadOnlyList<(string Text, int Id)> SpecialPieces { get; }

    /// <summary>A SentencePiece model's pieces; a piece's id is its index.</summary>
    internal IReadOnlyList<SentencePiece> Pieces => ((SentencePieceEncoder)_model).Model.Pieces;

    /// <summary>Loads a tokenizer from a model folder, or from a file and its neighbours.</summary>
    /// <param name="folderOrFile">A folder that holds tokenizer.model or tokenizer.json (the first is preferred), or the file.</param>
    /// <exception cref="UserErrorException">The file is missing, damaged, or of a kind that is not implemented.</exception>
    public static LlavaTokenizer Load(string folderOrFile)
    {
        ArgumentException.ThrowIfNullOrEmpty(folderOrFile);
        var path = folderOrFile;
        if (Directory.Exists(path))
        {
            path = Path.Combine(folderOrFile, "tokenizer.model");
            var json = Path.Combine(folderOrFile, "tokenizer.json");
            path = !File.Exists(path) && File.Exists(json) ? json : path;
        }

        if (!File.Exists(path))
        {
            throw new UserErrorException($"{path}: no such file; give a model folder that holds tokenizer.model or tokenizer.json");
        }

        var bytes = TokenizerFile.Read(path, MaxModelBytes);
        var config = TokenizerConfig.Load(Path.GetDirectoryName(Path.GetFullPath(path))!);
        return path.EndsWith(".json", StringComparison.OrdinalIgnoreCase)
            ? FromJson(bytes, config, path)
            : FromSentencePiece(bytes, config, path);
    }

    /// <summary>Makes a tokenizer from the bytes of a tokenizer.model, such as <see cref="SentencePieceTrainer"/> returns.</summary>
    /// <param name="modelBytes">A ModelProto.</param>
    /// <param name="legacy">See <see cref="Legacy"/>.</param>
    /// <exception cref="UserErrorException">The bytes are no model that is implemented.</exception>
    public static LlavaTokenizer FromBytes(byte[] modelBytes, bool legacy)
    {
        ArgumentNullException.ThrowIfNull(modelBytes);
        return FromSentencePiece([.. modelBytes], new TokenizerConfig { Legacy = legacy }, "tokenizer.model");
    }

    /// <summary>The same tokenizer with special tokens behind all others, as <c>--mm_use_im_start_end</c> adds them.</summary>
    /// <param name="tokens">Their texts; those that exist already are left as they are.</param>
    /// <returns>The tokenizer; new tokens have ids from <see cref="IdCount"/> on, in order.</returns>
    public LlavaTokenizer WithTokens(params IEnumerable<string> tokens)
    {
        var next = IdCount;
        return new(this, [.. tokens.Where(t => !AddedTokens.ContainsKey(t)).Select(t => new AddedToken(t, next++))]);
    }

    /// <summary>
    /// The ids of a text: no begin mark, and special tokens spelled in the text stay text. Equal to SentencePiece's encode.
    /// </summary>
    /// <param name="text">Any text; may be empty (no ids).</param>
    public int[] Encode(string text) => EncodeRun(text, dummyPrefix: true);

    /// <summary>The ids of a text in which special tokens are recognised; no begin mark.</summary>
    /// <param name="text">Any text; may be empty (no ids).</param>
    public int[] EncodeWithSpecial(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var ids = new List<int>();
        foreach (var segment in Segments(text, 0, text.Length))
        {
            ids.AddRange(segment.Id >= 0 ? [segment.Id] : EncodeRun(text[segment.Start..segment.End], segment.DummyPrefix));
        }

        return [.. ids];
    }

    /// <summary>The text of ids: bytes are joined to UTF-8 and the dummy space is dropped.</summary>
    /// <param name="ids">Ids; special tokens and ids outside the model are skipped.</param>
    public string Decode(ReadOnlySpan<int> ids) => _model.Decode(ids);

    /// <summary>How a token is spelled in the vocabulary.</summary>
    /// <param name="id">Its id.</param>
    /// <returns>The spelling; null when there is no such token.</returns>
    public string? Spelling(int id) => _model.Spelling(id) ?? _matched.FirstOrDefault(t => t.Id == id)?.Text;

    /// <summary>Whether a text is one special token.</summary>
    internal bool IsSpecial(string text) => _matched.Any(t => t.Text == text);

    /// <summary>
    /// Cuts a stretch of text at special tokens. Its first run begins like a text of its own, with the dummy space; after a
    /// special token a legacy tokenizer begins anew, another one does not.
    /// </summary>
    internal IEnumerable<TextSegment> Segments(string text, int start, int end)
    {
        foreach (var (from, to, token) in _matcher.Split(text, start, end))
        {
            yield return new TextSegment(from, to, token?.Id ?? -1, from == start || Legacy);
        }
    }

    /// <summary>Encodes one run of text.</summary>
    /// <param name="text">The run; empty gives no ids.</param>
    /// <param name="dummyPrefix">Whether a space is put in front.</param>
    internal int[] EncodeRun(string text, bool dummyPrefix)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.Length == 0 ? [] : _model.EncodeRun(text, dummyPrefix);
    }

    private static LlavaTokenizer FromSentencePiece(byte[] bytes, TokenizerConfig config, string name)
    {
        try
        {
            var model = SentencePieceModel.Parse(bytes);
            var encoder = new SentencePieceEncoder(model, name);
            var ids = (model.BosId, model.EosId, model.UnknownId);
            AddedToken[] special = [.. new[] { model.UnknownId, model.BosId, model.EosId }
                .Select(id => new AddedToken(model.Pieces[id].Text, id))];
            return new LlavaTokenizer(encoder, bytes, ids, config, special);
        }
        catch (Exception e) when (e is not UserErrorException and not OutOfMemoryException)
        {
            throw new UserErrorException(
                $"{name}: not a SentencePiece model, or damaged ({bytes.Length} bytes); fetch the file again", e);
        }
    }

    private static LlavaTokenizer FromJson(byte[] bytes, TokenizerConfig config, string name)
    {
        var file = TokenizerJsonFile.Read(bytes, name);
        return new LlavaTokenizer(
            file.Encoder,
            bytes,
            (file.BosId, file.FindEos(config, name), -1),
            config with { Legacy = false, AddBos = file.BosId >= 0, AddedTokens = file.AddedTokens },
            []);
    }
}
