namespace LlavaSharp.Tokenization;

/// <summary>
/// A tokenizer of a language model: SentencePiece BPE with byte fallback (LLaMA, Vicuna, Mistral), with the ids that SentencePiece
/// gives for a tokenizer.model and Hugging Face's tokenizers for a tokenizer.json alone, or byte-level BPE (Llama 3, Qwen).
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

    private readonly Dictionary<int, AddedToken> _byId;

    private readonly HashSet<string> _special;

    private LlavaTokenizer(
        ITextModel model, byte[] bytes, (int Bos, int Eos, int Unknown) ids, bool addBos, SpaceRule? space,
        IReadOnlyList<AddedToken> tokens, IEnumerable<AddedToken> added)
    {
        (_model, ModelBytes, Space, Tokens) = (model, bytes, space, tokens);
        (BosId, EosId, UnknownId) = ids;
        AddBos = addBos && BosId >= 0;
        Legacy = space is not (null or { Scope: SpaceScope.FirstRun });
        AddedTokens = added.ToDictionary(t => t.Text, t => t.Id, StringComparer.Ordinal);
        _byId = tokens.ToDictionary(t => t.Id);
        AddedToken[] matched = [.. tokens.Where(t => t.Text != ImageMark)];
        _matcher = new AddedTokenMatcher(matched, space);
        _special = [.. matched.Select(t => t.Text)];
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
    internal bool AddDummyPrefix => Space is { Adds: true };

    /// <summary>Whether this is a SentencePiece model that was read from tokenizer.json: it has no tokenizer.model.</summary>
    internal bool IsSpacedJson => _model is SpacedBpeEncoder;

    /// <summary>Whether each space begins a word that merges stay within: Metaspace's <c>split</c>.</summary>
    internal bool SplitsWords => _model is SpacedBpeEncoder { SplitsWords: true };

    /// <summary>Where a space is added; null for a byte-level model, which knows none.</summary>
    internal SpaceRule? Space { get; }

    /// <summary>All tokens that text is cut at, by id, and <c>&lt;image&gt;</c>; of tokenizer.model also the unknown piece and the
    /// marks of a text's begin and end.</summary>
    internal IReadOnlyList<AddedToken> Tokens { get; }

    /// <summary><c>add_bos_token</c> as tokenizer_config.json has it; null when absent.</summary>
    internal bool? AddBosSetting { get; private init; }

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
        return path.EndsWith(".json", StringComparison.OrdinalIgnoreCase) ? FromJson(bytes, path) : FromSentencePiece(bytes, path);
    }

    /// <summary>Makes a tokenizer from the bytes of a tokenizer.model, such as <see cref="SentencePieceTrainer"/> returns.</summary>
    /// <param name="modelBytes">A ModelProto.</param>
    /// <param name="legacy">See <see cref="Legacy"/>.</param>
    /// <exception cref="UserErrorException">The bytes are no model that is implemented.</exception>
    public static LlavaTokenizer FromBytes(byte[] modelBytes, bool legacy)
    {
        ArgumentNullException.ThrowIfNull(modelBytes);
        return FromSentencePiece([.. modelBytes], Parse(modelBytes, "tokenizer.model"), new TokenizerConfig { Legacy = legacy }, "tokenizer.model");
    }

    /// <summary>The same tokenizer with special tokens behind all others, as <c>--mm_use_im_start_end</c> adds them.</summary>
    /// <param name="tokens">Their texts; those that exist already are left as they are.</param>
    /// <returns>The tokenizer; new tokens have ids from <see cref="IdCount"/> on, in order.</returns>
    public LlavaTokenizer WithTokens(params IEnumerable<string> tokens)
    {
        var next = IdCount;
        AddedToken[] added = [.. tokens.Where(t => !AddedTokens.ContainsKey(t)).Select(t => new AddedToken(t, next++))];
        var old = AddedTokens.Select(t => new AddedToken(t.Key, t.Value));
        return new(_model, ModelBytes, (BosId, EosId, UnknownId), AddBos, Space, [.. Tokens, .. added], old.Concat(added))
        {
            AddBosSetting = AddBosSetting,
        };
    }

    /// <summary>
    /// The ids of a text: no begin mark, and special tokens spelled in the text stay text. Equal to SentencePiece's encode.
    /// </summary>
    /// <param name="text">Any text; may be empty (no ids).</param>
    public int[] Encode(string text) => string.IsNullOrEmpty(text) ? [] : EncodeRun(text, dummyPrefix: true);

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
    /// <param name="ids">Ids; special tokens and ids outside the model are skipped, other added tokens are text.</param>
    public string Decode(ReadOnlySpan<int> ids) =>
        _model.Decode(ids, id => !_byId.TryGetValue(id, out var token) ? null : token.Special ? "" : Shown(token));

    /// <summary>How a token is spelled: as an added token of that id says, or else the vocabulary.</summary>
    /// <param name="id">Its id.</param>
    /// <returns>The spelling; null when there is no such token.</returns>
    public string? Spelling(int id) => _byId.TryGetValue(id, out var token) ? token.Text : _model.Spelling(id);

    /// <summary>Whether a text is one special token.</summary>
    internal bool IsSpecial(string text) => _special.Contains(text);

    /// <summary>The token of an id that ends or begins a text or stands for nothing in it; null for pieces of text.</summary>
    internal AddedToken? SpecialToken(int id) => _byId.TryGetValue(id, out var token) && token.Special ? token : null;

    /// <summary>The pieces as a SentencePiece model has them: spelling, priority and kind of each id below
    /// <see cref="PieceCount"/>. Added tokens take the place of the pieces whose ids they have.</summary>
    /// <exception cref="UserErrorException">The tokenizer is none that SentencePiece's rule describes.</exception>
    internal IReadOnlyList<SentencePiece> SentencePieces()
    {
        var pieces = _model switch
        {
            SentencePieceEncoder sentencePiece => [.. sentencePiece.Model.Pieces],
            SpacedBpeEncoder spaced => FromMerges(spaced),
            _ => throw new UserErrorException("a byte-level BPE (tokenizer.json) has no SentencePiece pieces"),
        };
        foreach (var token in Tokens.Where(t => t.Id < pieces.Length && t.Id != UnknownId))
        {
            pieces[token.Id] = pieces[token.Id] with
            {
                Text = token.Text,
                Type = token.Special ? SentencePieceType.Control : SentencePieceType.UserDefined,
            };
        }

        return pieces;
    }

    /// <summary>
    /// Cuts a stretch of text at added tokens. Its first run begins like a text of its own, with the dummy space; after a
    /// token a legacy tokenizer begins anew, another one does not.
    /// </summary>
    internal IEnumerable<TextSegment> Segments(string text, int start, int end)
    {
        foreach (var match in _matcher.Split(text, start, end))
        {
            var prefix = match.Token is null && Space?.Scope switch
            {
                SpaceScope.EachRun => true,
                SpaceScope.EachSection => match.BeginsSection,
                _ => match.Start == start,
            };
            yield return new TextSegment(match.Start, match.End, match.Token?.Id ?? -1, prefix);
        }
    }

    /// <summary>Encodes one run of text.</summary>
    /// <param name="text">The run; empty gives no ids, save of a normalizer that puts a mark before it.</param>
    /// <param name="dummyPrefix">Whether a space is put in front.</param>
    internal int[] EncodeRun(string text, bool dummyPrefix)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.Length > 0 || (dummyPrefix && Space is { PrependsToTokens: true }) ? _model.EncodeRun(text, dummyPrefix) : [];
    }

    private static LlavaTokenizer FromSentencePiece(byte[] bytes, string path)
    {
        var model = Parse(bytes, path);
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        var json = Path.Combine(folder, "tokenizer.json");
        var beside = File.Exists(json) ? TokenizerJsonFile.ReadBeside(TokenizerFile.Read(json, MaxModelBytes), json, model.Pieces) : [];
        var config = TokenizerConfig.Load(
            folder, beside, text => model.Pieces.FindIndex(p => p.Text == text), model.Pieces.Count);
        return FromSentencePiece(bytes, model, config, path);
    }

    private static LlavaTokenizer FromSentencePiece(byte[] bytes, SentencePieceModel model, TokenizerConfig config, string name)
    {
        var added = config.AddedTokens;
        var encoder = new SentencePieceEncoder(model, name, added);
        foreach (var token in added)
        {
            var piece = model.Pieces.FindIndex(p => p.Text == token.Text);
            if (piece >= 0 && piece != token.Id)
            {
                throw new UserErrorException($"the token \"{token.Text}\" has the id {token.Id} in {token.File}, but is the piece {piece} of "
                    + $"{name}; remove the one that is wrong");
            }
        }

        var named = added.Select(t => t.Id).ToHashSet();
        var special = new[] { model.UnknownId, model.BosId, model.EosId }
            .Where(id => !named.Contains(id)).Distinct().Select(id => new AddedToken(model.Pieces[id].Text, id));
        var ids = (Named("bos_token") ?? model.BosId, Named("eos_token") ?? model.EosId, model.UnknownId);
        return new LlavaTokenizer(
            encoder, bytes, ids, config.AddBos ?? true, SpaceRule.SentencePiece(model.AddDummyPrefix, config.Legacy ?? true),
            [.. special.Concat(added).OrderBy(t => t.Id)], added)
        {
            AddBosSetting = config.AddBos,
        };

        int? Named(string role) => added.FirstOrDefault(t => t.Text == config.Role(role))?.Id;
    }

    private static SentencePieceModel Parse(byte[] bytes, string name)
    {
        try
        {
            return SentencePieceModel.Parse(bytes);
        }
        catch (Exception e) when (e is not UserErrorException and not OutOfMemoryException)
        {
            throw new UserErrorException(
                $"{name}: not a SentencePiece model, or damaged ({bytes.Length} bytes); fetch the file again", e);
        }
    }

    private static LlavaTokenizer FromJson(byte[] bytes, string path)
    {
        var file = TokenizerJsonFile.Read(bytes, path);
        var config = TokenizerConfig.Load(
            Path.GetDirectoryName(Path.GetFullPath(path))!, file.AddedTokens, file.PieceOf, file.Vocabulary.PieceCount);
        var added = config.AddedTokens;
        foreach (var token in added)
        {
            if (file.Vocabulary.Spelling(token.Id) is { } piece && piece != token.Text)
            {
                throw new UserErrorException($"the id {token.Id} is the token \"{token.Text}\" in {token.File}, but the piece \"{piece}\" in "
                    + $"{path}; remove the one that is wrong");
            }
        }

        var bos = file.BosId >= 0 ? file.BosId : added.FirstOrDefault(t => t.Text == config.Role("bos_token"))?.Id ?? -1;
        var spaced = file.Encoder as SpacedBpeEncoder;
        return new LlavaTokenizer(
            file.Encoder, bytes, (bos, file.FindEos(config), spaced?.UnknownId ?? -1), config.AddBos ?? file.BosId >= 0, spaced?.Space,
            added, added)
        {
            AddBosSetting = config.AddBos,
        };
    }

    /// <summary>What is decoded of a token: one that the normalizer put a mark before has it.</summary>
    private string Shown(AddedToken token) =>
        token.Normalized && Space is { PrependsToTokens: true } ? BpeWords.SpaceMark + token.Text : token.Text;

    private SentencePiece[] FromMerges(SpacedBpeEncoder spaced)
    {
        var vocabulary = spaced.Vocabulary;
        var scores = vocabulary.Scores(id => KindOf(spaced, id) == SentencePieceType.Normal)
            ?? throw new UserErrorException("this model's tokenizer.json merges pieces in an order that no SentencePiece model has");
        return [.. Enumerable.Range(0, PieceCount).Select(id =>
            new SentencePiece(vocabulary.Spelling(id) ?? $"[PAD{id}]", scores[id], KindOf(spaced, id)))];
    }

    private SentencePieceType KindOf(SpacedBpeEncoder spaced, int id) =>
        id == UnknownId ? SentencePieceType.Unknown
        : spaced.IsByte(id) ? SentencePieceType.Byte
        : spaced.Spelling(id) is null ? SentencePieceType.Unused
        : _byId.ContainsKey(id) ? SentencePieceType.Control
        : SentencePieceType.Normal;
}
