using Google.Protobuf;

namespace LlavaSharp.Tokenization;

/// <summary>
/// The part of SentencePiece's <c>ModelProto</c> (tokenizer.model) that decides ids. Field numbers are those of
/// sentencepiece_model.proto. The bytes are read with bounds checked: a hostile file ends in an exception, never in memory use.
/// </summary>
internal sealed class SentencePieceModel
{
    /// <summary>Numbers of <c>ModelProto</c>, its <c>SentencePiece</c>, <c>TrainerSpec</c> and <c>NormalizerSpec</c>.</summary>
    private const int PiecesField = 1, TrainerField = 2, NormalizerField = 3, DenormalizerField = 5;

    private const int PieceField = 1, ScoreField = 2, TypeField = 3;

    private const int ModelTypeField = 3, VocabularySizeField = 4, CharacterCoverageField = 10, MaxPieceLengthField = 16,
        SplitByScriptField = 21, SplitByWhitespaceField = 22, SplitByNumberField = 23, WhitespaceSuffixField = 24,
        SplitDigitsField = 25, WhitespaceOnlyField = 26, ByteFallbackField = 35, UnknownIdField = 40, BosIdField = 41,
        EosIdField = 42, PadIdField = 43, UnknownSurfaceField = 44, UnknownPieceField = 45, BosPieceField = 46,
        EosPieceField = 47, PadPieceField = 48;

    private const int NormalizerNameField = 1, CharsMapField = 2, DummyPrefixField = 3, ExtraSpacesField = 4, EscapeSpacesField = 5;

    /// <summary>The pieces; a piece's id is its index.</summary>
    public List<SentencePiece> Pieces { get; } = [];

    /// <summary>1 unigram (the format's default), 2 BPE, 3 word, 4 character.</summary>
    public int ModelType { get; set; } = 1;

    /// <summary>Whether characters without a piece become their UTF-8 bytes.</summary>
    public bool ByteFallback { get; set; }

    /// <summary>Id of the piece for what cannot be expressed.</summary>
    public int UnknownId { get; set; }

    /// <summary>Id of the begin-of-sentence piece, or -1.</summary>
    public int BosId { get; set; } = 1;

    /// <summary>Id of the end-of-sentence piece, or -1.</summary>
    public int EosId { get; set; } = 2;

    /// <summary>Whether the space mark follows a word instead of preceding it.</summary>
    public bool WhitespaceAsSuffix { get; set; }

    /// <summary>Name of the normalisation rule.</summary>
    public string NormalizerName { get; set; } = "";

    /// <summary>Bytes of the compiled normalisation table; 0 for the identity.</summary>
    public int CharsMapBytes { get; set; }

    /// <summary>Whether a space is put before the text.</summary>
    public bool AddDummyPrefix { get; set; } = true;

    /// <summary>Whether runs of spaces collapse.</summary>
    public bool RemoveExtraWhitespaces { get; set; } = true;

    /// <summary>Whether a space becomes U+2581.</summary>
    public bool EscapeWhitespaces { get; set; } = true;

    /// <summary>Parses a model file.</summary>
    /// <param name="bytes">The whole file.</param>
    /// <exception cref="InvalidProtocolBufferException">The bytes are no ModelProto.</exception>
    public static SentencePieceModel Parse(byte[] bytes)
    {
        var model = new SentencePieceModel();
        using var input = new CodedInputStream(bytes);
        while (input.ReadTag() is var tag and not 0)
        {
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case PiecesField: model.Pieces.Add(ParsePiece(input.ReadBytes())); break;
                case TrainerField: model.ParseTrainer(input.ReadBytes()); break;
                case NormalizerField: model.ParseNormalizer(input.ReadBytes()); break;
                default: input.SkipLastField(); break;
            }
        }

        return model;
    }

    /// <summary>Writes the model with the trainer's settings that SentencePiece and transformers read back.</summary>
    /// <param name="characterCoverage">Share of the text's characters that have a piece of their own.</param>
    /// <param name="maxPieceLength">Longest piece, in characters.</param>
    public byte[] ToBytes(float characterCoverage, int maxPieceLength)
    {
        using var stream = new MemoryStream();
        using (var output = new CodedOutputStream(stream, leaveOpen: true))
        {
            foreach (var piece in Pieces)
            {
                WriteMessage(output, PiecesField, o =>
                {
                    WriteString(o, PieceField, piece.Text);
                    WriteFloat(o, ScoreField, piece.Score);
                    if (piece.Type != SentencePieceType.Normal)
                    {
                        WriteInt(o, TypeField, (int)piece.Type);
                    }
                });
            }

            WriteMessage(output, TrainerField, o => WriteTrainer(o, characterCoverage, maxPieceLength));
            WriteMessage(output, NormalizerField, o =>
            {
                WriteString(o, NormalizerNameField, NormalizerName);
                WriteString(o, CharsMapField, "");
                WriteBool(o, DummyPrefixField, AddDummyPrefix);
                WriteBool(o, ExtraSpacesField, RemoveExtraWhitespaces);
                WriteBool(o, EscapeSpacesField, EscapeWhitespaces);
            });
            WriteMessage(output, DenormalizerField, _ => { });
        }

        return stream.ToArray();
    }

    private static SentencePiece ParsePiece(ByteString bytes)
    {
        var (text, score, type) = ("", 0f, SentencePieceType.Normal);
        using var input = bytes.CreateCodedInput();
        while (input.ReadTag() is var tag and not 0)
        {
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case PieceField: text = input.ReadString(); break;
                case ScoreField: score = input.ReadFloat(); break;
                case TypeField: type = (SentencePieceType)input.ReadInt32(); break;
                default: input.SkipLastField(); break;
            }
        }

        return new SentencePiece(text, score, type);
    }

    private void ParseTrainer(ByteString bytes)
    {
        using var input = bytes.CreateCodedInput();
        while (input.ReadTag() is var tag and not 0)
        {
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case ModelTypeField: ModelType = input.ReadInt32(); break;
                case WhitespaceSuffixField: WhitespaceAsSuffix = input.ReadBool(); break;
                case ByteFallbackField: ByteFallback = input.ReadBool(); break;
                case UnknownIdField: UnknownId = input.ReadInt32(); break;
                case BosIdField: BosId = input.ReadInt32(); break;
                case EosIdField: EosId = input.ReadInt32(); break;
                default: input.SkipLastField(); break;
            }
        }
    }

    private void ParseNormalizer(ByteString bytes)
    {
        using var input = bytes.CreateCodedInput();
        while (input.ReadTag() is var tag and not 0)
        {
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case NormalizerNameField: NormalizerName = input.ReadString(); break;
                case CharsMapField: CharsMapBytes = input.ReadBytes().Length; break;
                case DummyPrefixField: AddDummyPrefix = input.ReadBool(); break;
                case ExtraSpacesField: RemoveExtraWhitespaces = input.ReadBool(); break;
                case EscapeSpacesField: EscapeWhitespaces = input.ReadBool(); break;
                default: input.SkipLastField(); break;
            }
        }
    }

    private void WriteTrainer(CodedOutputStream output, float characterCoverage, int maxPieceLength)
    {
        WriteInt(output, ModelTypeField, ModelType);
        WriteInt(output, VocabularySizeField, Pieces.Count);
        WriteFloat(output, CharacterCoverageField, characterCoverage);
        WriteInt(output, MaxPieceLengthField, maxPieceLength);
        WriteBool(output, SplitByScriptField, false);
        WriteBool(output, SplitByWhitespaceField, true);
        WriteBool(output, SplitByNumberField, true);
        WriteBool(output, WhitespaceSuffixField, WhitespaceAsSuffix);
        WriteBool(output, SplitDigitsField, true);
        WriteBool(output, WhitespaceOnlyField, true);
        WriteBool(output, ByteFallbackField, ByteFallback);
        WriteInt(output, UnknownIdField, UnknownId);
        WriteInt(output, BosIdField, BosId);
        WriteInt(output, EosIdField, EosId);
        WriteInt(output, PadIdField, -1);
        WriteString(output, UnknownSurfaceField, " \u2047 ");
        WriteString(output, UnknownPieceField, Pieces[UnknownId].Text);
        WriteString(output, BosPieceField, Pieces[BosId].Text);
        WriteString(output, EosPieceField, Pieces[EosId].Text);
        WriteString(output, PadPieceField, "<pad>");
    }

    private static void WriteMessage(CodedOutputStream output, int field, Action<CodedOutputStream> body)
    {
        using var stream = new MemoryStream();
        using (var inner = new CodedOutputStream(stream, leaveOpen: true))
        {
            body(inner);
        }

        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteBytes(ByteString.CopyFrom(stream.GetBuffer(), 0, (int)stream.Length));
    }

    private static void WriteString(CodedOutputStream output, int field, string value)
    {
        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteString(value);
    }

    private static void WriteInt(CodedOutputStream output, int field, int value)
    {
        output.WriteTag(field, WireFormat.WireType.Varint);
        output.WriteInt32(value);
    }

    private static void WriteBool(CodedOutputStream output, int field, bool value)
    {
        output.WriteTag(field, WireFormat.WireType.Varint);
        output.WriteBool(value);
    }

    private static void WriteFloat(CodedOutputStream output, int field, float value)
    {
        output.WriteTag(field, WireFormat.WireType.Fixed32);
        output.WriteFloat(value);
    }
}
