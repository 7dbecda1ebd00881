using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Checkpoints;

/// <summary>A tokenizer of bytes and a few merges.</summary>
internal static class TinyTokenizer
{
    public static byte[] Bytes()
    {
        var model = new SentencePieceModel
        {
            ModelType = 2,
            ByteFallback = true,
            NormalizerName = "identity",
            RemoveExtraWhitespaces = false,
        };
        model.Pieces.Add(new("<unk>", 0, SentencePieceType.Unknown));
        model.Pieces.Add(new("<s>", 0, SentencePieceType.Control));
        model.Pieces.Add(new("</s>", 0, SentencePieceType.Control));
        model.Pieces.AddRange(Enumerable.Range(0, 256).Select(b => new SentencePiece($"<0x{b:X2}>", 0, SentencePieceType.Byte)));
        string[] text = ["▁a", "ed", "▁r", "▁red", "▁b", "▁c", "ar", "▁car", .. "▁abcder".Select(c => c.ToString())];
        model.Pieces.AddRange(text.Select((piece, i) => new SentencePiece(piece, -i, SentencePieceType.Normal)));
        return model.ToBytes(1, 16);
    }
}
