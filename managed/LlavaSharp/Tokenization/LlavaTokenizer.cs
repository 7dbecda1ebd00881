using System.Buffers;
using System.Globalization;
using System.Text;

namespace LlavaSharp.Tokenization;

/// <summary>
/// A SentencePiece BPE tokenizer with byte fallback (LLaMA, Vicuna, Mistral): the same ids as SentencePiece itself,
/// for every text. Instances do not change and may be used from several threads.
/// </summary>
public sealed class LlavaTokenizer
{
    /// <summary>The id that stands for an image's features until they are spliced in; no piece has it.</summary>
    public const int ImageToken = -200;

    private const long MaxModelBytes = 64 << 20;

    private const int BpeModel = 2;

    /// <summary>U+2581, the visible space of SentencePiece.</summary>
    private const char SpaceMark = '\u2581';

    private readonly SentencePieceModel _model;

    private readonly BpeMerger _merger;

    /// <summary>Id of the first byte piece, <c>&lt;0x00&gt;</c>; the 256 lie in order.</summary>
    private readonly int _firstByteId;

    private LlavaTokenizer(SentencePieceModel model, byte[] bytes, int firstByteId, TokenizerConfig config)
    {
        _model = model;
        _merger = new BpeMerger(model.Pieces, firstByteId);
        _firstByteId = firstByteId;
        ModelBytes = bytes;
        Legacy = config.Legacy;
        AddBos = config.AddBos;
        AddedTokens = config.AddedTokens;
        SpecialPieces = [.. new[] { UnknownId, BosId, EosId }.Select(id => (model.Pieces[id].Text, id))];
    }

    /// <summary>Id of the begin-of-sentence piece, 1 in LLaMA.</summary>
    public int BosId => _model.BosId;

    /// <summary>Id of the end-of-sentence piece, 2 in LLaMA.</summary>
    public int EosId => _model.EosId;

    /// <summary>Id of the unknown piece, 0 in LLaMA; the recipe also pads with it.</summary>
    public int UnknownId => _model.UnknownId;

    /// <summary>Number of pieces in the model. Added tokens have ids from here on.</summary>
    public int PieceCount => _model.Pieces.Count;

    /// <summary>
    /// <c>legacy</c> of tokenizer_config.json (true when absent): whether text after a special piece gets a
    /// dummy space in front, as old versions of transformers did.
    /// </summary>
    public bool Legacy { get; }

    /// <summary><c>add_bos_token</c> of tokenizer_config.json (true when absent).</summary>
    public bool AddBos { get; }

    /// <summary>Tokens that the folder adds to the model (such as <c>&lt;image&gt;</c>), by text. Encoding never produces them.</summary>
    public IReadOnlyDictionary<string, int> AddedTokens { get; }

    /// <summary>The tokenizer.model file, for export. The caller must not change it.</summary>
    public byte[] ModelBytes { get; }

    /// <summary>Text of the end-of-sentence piece, <c>&lt;/s&gt;</c> in LLaMA.</summary>
    public string EosPiece => _model.Pieces[EosId].Text;

    /// <summary>The pieces that a slow Hugging Face tokenizer recognises inside text: unknown, begin and end of sentence.</summary>
    internal IReadOnlyList<(string Text, int Id)> SpecialPieces { get; }

    /// <summary>The model's pieces; a piece's id is its index.</summary>
    internal IReadOnlyList<SentencePiece> Pieces => _model.Pieces;

    /// <summary>Loads a tokenizer from a model folder, or from a tokenizer.model file and its neighbours.</summary>
    /// <param name="folderOrFile">A folder that holds tokenizer.model, or the file.</param>
    /// <exception cref="UserErrorException">The file is missing, damaged, or of a kind that is not implemented.</exception>
    public static LlavaTokenizer Load(string folderOrFile)
    {
        ArgumentException.ThrowIfNullOrEmpty(folderOrFile);
        var path = Directory.Exists(folderOrFile) ? Path.Combine(folderOrFile, "tokenizer.model") : folderOrFile;
        if (!File.Exists(path))
        {
            var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
            var hint = File.Exists(Path.Combine(folder, "tokenizer.json"))
                ? "; tokenizer.json alone is not enough, take tokenizer.model from the original model's folder"
                : "; give a model folder that holds tokenizer.model";
            throw new UserErrorException($"{path}: no such file{hint}");
        }

        var bytes = TokenizerFile.Read(path, MaxModelBytes);
        return Create(bytes, TokenizerConfig.Load(Path.GetDirectoryName(Path.GetFullPath(path))!), path);
    }

    /// <summary>Makes a tokenizer from the bytes of a tokenizer.model, such as <see cref="SentencePieceTrainer"/> returns.</summary>
    /// <param name="modelBytes">A ModelProto.</param>
    /// <param name="legacy">See <see cref="Legacy"/>.</param>
    /// <exception cref="UserErrorException">The bytes are no model that is implemented.</exception>
    public static LlavaTokenizer FromBytes(byte[] modelBytes, bool legacy)
    {
        ArgumentNullException.ThrowIfNull(modelBytes);
        return Create([.. modelBytes], new TokenizerConfig(legacy, AddBos: true, new Dictionary<string, int>()), "tokenizer.model");
    }

    /// <summary>
    /// The ids of a text: no begin mark, and special pieces spelled in the text stay text. Equal to SentencePiece's encode.
    /// </summary>
    /// <param name="text">Any text; may be empty (no ids).</param>
    public int[] Encode(string text) => EncodeRun(text, _model.AddDummyPrefix);

    /// <summary>The text of ids: byte pieces are joined to UTF-8 and the dummy space is dropped.</summary>
    /// <param name="ids">Ids; control pieces, the unknown piece and ids outside the model are skipped.</param>
    public string Decode(ReadOnlySpan<int> ids)
    {
        var bytes = new ArrayBufferWriter<byte>();
        var text = new StringBuilder();
        foreach (var id in ids)
        {
            var piece = (uint)id < (uint)PieceCount ? _model.Pieces[id] : default;
            switch (piece.Type)
            {
                case SentencePieceType.Byte:
                    bytes.Write([(byte)(id - _firstByteId)]);
                    break;
                case SentencePieceType.Normal:
                    FlushBytes(bytes, text);
                    text.Append(piece.Text);
                    break;
                default:
                    break;
            }
        }

        FlushBytes(bytes, text);
        text.Replace(SpaceMark, ' ');
        return _model.AddDummyPrefix && text is [' ', ..] ? text.ToString(1, text.Length - 1) : text.ToString();
    }

    /// <summary>Encodes one run of text.</summary>
    /// <param name="text">The run; empty gives no ids.</param>
    /// <param name="dummyPrefix">Whether a space is put in front.</param>
    internal int[] EncodeRun(string text, bool dummyPrefix)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length == 0)
        {
            return [];
        }

        var marked = text.Replace(' ', SpaceMark);
        return _merger.Encode(dummyPrefix ? SpaceMark + marked : marked);
    }

    private static LlavaTokenizer Create(byte[] bytes, TokenizerConfig config, string name)
    {
        try
        {
            var model = SentencePieceModel.Parse(bytes);
            var firstByteId = Check(model, name);
            return new LlavaTokenizer(model, bytes, firstByteId, config);
        }
        catch (Exception e) when (e is not UserErrorException and not OutOfMemoryException)
        {
            throw new UserErrorException(
                $"{name}: not a SentencePiece model, or damaged ({bytes.Length} bytes); fetch the file again", e);
        }
    }

    /// <summary>Refuses what would give other ids than SentencePiece. Returns the id of <c>&lt;0x00&gt;</c>.</summary>
    private static int Check(SentencePieceModel model, string name)
    {
        var pieces = model.Pieces;
        Require(pieces.Count > 0, "has no pieces; the file is empty or cut short");
        Require(model.ModelType == BpeModel, $"has model_type {model.ModelType}; only BPE (2) is implemented");
        Require(model.ByteFallback, "has no byte fallback; LLaMA-style models have it");
        Require(model.CharsMapBytes == 0, $"normalises by \"{model.NormalizerName}\"; only identity is implemented");
        Require(!model.RemoveExtraWhitespaces, "removes extra spaces, which is not implemented");
        Require(model.EscapeWhitespaces, "does not escape spaces, which is not implemented");
        Require(!model.WhitespaceAsSuffix, "puts spaces after words, which is not implemented");
        CheckSpecial(model.UnknownId, "unk_id", SentencePieceType.Unknown);
        CheckSpecial(model.BosId, "bos_id", SentencePieceType.Control);
        CheckSpecial(model.EosId, "eos_id", SentencePieceType.Control);
        var other = pieces.FindIndex(p => p.Type is SentencePieceType.UserDefined or SentencePieceType.Unused);
        Require(other < 0, $"has a user-defined or unused piece (id {other}), which is not implemented");
        var known = new HashSet<string>(pieces.Count, StringComparer.Ordinal);
        for (var id = 0; id < pieces.Count; id++)
        {
            Require(pieces[id].Type is > SentencePieceType.None and <= SentencePieceType.Byte, $"has piece {id} of no known type");
            Require(pieces[id].Text.Length > 0 && known.Add(pieces[id].Text), $"has piece {id} empty or twice");
            Require(float.IsFinite(pieces[id].Score), $"has piece {id} with score {pieces[id].Score}");
        }

        var first = pieces.FindIndex(p => p.Type == SentencePieceType.Byte);
        Require(first >= 0 && first + 256 <= pieces.Count, "lacks the 256 byte pieces");
        for (var b = 0; b < 256; b++)
        {
            var expected = string.Create(CultureInfo.InvariantCulture, $"<0x{b:X2}>");
            Require(pieces[first + b] is { Type: SentencePieceType.Byte } p && p.Text == expected, $"lacks {expected} at id {first + b}");
        }

        return first;

        void Require(bool condition, string problem)
        {
            if (!condition)
            {
                throw new UserErrorException($"{name}: this SentencePiece model {problem}");
            }
        }

        void CheckSpecial(int id, string field, SentencePieceType type) => Require(
            (uint)id < (uint)pieces.Count && pieces[id].Type == type,
            $"has {field} {id}, which is no such piece of its {pieces.Count}");
    }

    /// <summary>
    /// Appends pending bytes as text; a byte that starts no valid sequence becomes U+FFFD by itself, as in SentencePiece.
    /// </summary>
    private static void FlushBytes(ArrayBufferWriter<byte> bytes, StringBuilder text)
    {
        for (var rest = bytes.WrittenSpan; rest.Length > 0;)
        {
            var valid = Rune.DecodeFromUtf8(rest, out var rune, out var consumed) == OperationStatus.Done;
            text.Append((valid ? rune : Rune.ReplacementChar).ToString());
            rest = rest[(valid ? consumed : 1)..];
        }

        bytes.Clear();
    }
}
