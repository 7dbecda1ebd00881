using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Tokenization;

public sealed class SentencePieceTrainerTests
{
    private static readonly string[] Text =
    [
        "A red circle left of a blue square. A green triangle above the red circle.",
        "USER: What colour is the triangle? ASSISTANT: The triangle is yellow.\nUSER: How many shapes? ASSISTANT: 3, or 42.",
        "naïve café — 東京 の 写真 🙂 e\u0301\t  two  spaces   three",
        "the the the the then there these this that those",
    ];

    [Fact]
    public void Merges_the_most_frequent_pair_first()
    {
        // ▁ab occurs 5 times, ▁abc 3 times of these: a+b (5, shorter than ▁a), ▁+ab (5), ▁ab+c (3).
        var model = Parse(SentencePieceTrainer.TrainBpe(["ab abc abc abc ab"], 259 + 4 + 3));
        Assert.Equal(["ab", "▁ab", "▁abc", "▁", "a", "b", "c"], model.Pieces.Skip(259).Select(p => p.Text));
        Assert.Equal([0f, -1, -2, -3, -4, -5, -6], model.Pieces.Skip(259).Select(p => p.Score));
        Assert.All(model.Pieces.Skip(259), p => Assert.Equal(SentencePieceType.Normal, p.Type));
    }

    [Fact]
    public void The_layout_is_LLaMAs()
    {
        var model = Parse(SentencePieceTrainer.TrainBpe(Text, 400));
        Assert.Equal(400, model.Pieces.Count);
        Assert.Equal(
            [("<unk>", SentencePieceType.Unknown), ("<s>", SentencePieceType.Control), ("</s>", SentencePieceType.Control)],
            model.Pieces.Take(3).Select(p => (p.Text, p.Type)));
        Assert.Equal(("<0x00>", SentencePieceType.Byte), (model.Pieces[3].Text, model.Pieces[3].Type));
        Assert.Equal(("<0xFF>", SentencePieceType.Byte), (model.Pieces[258].Text, model.Pieces[258].Type));
        Assert.Equal((2, true, 0, 1, 2), (model.ModelType, model.ByteFallback, model.UnknownId, model.BosId, model.EosId));
        Assert.Equal(
            ("identity", true, false, true),
            (model.NormalizerName, model.AddDummyPrefix, model.RemoveExtraWhitespaces, model.EscapeWhitespaces));
        var merged = model.Pieces.Skip(259).Where(p => p.Text.Length > 1).ToList();
        Assert.All(merged, p => Assert.True(p.Text.LastIndexOf('▁') <= 0 || p.Text.All(c => c == '▁'), p.Text));
        Assert.All(model.Pieces.Skip(259), p => Assert.True(p.Text.Length == 1 || !p.Text.Any(char.IsDigit), p.Text));
        Assert.DoesNotContain(model.Pieces.Skip(259), p => p.Text.Any(char.IsControl));
    }

    [Fact]
    public void The_same_text_gives_the_same_bytes()
    {
        var bytes = SentencePieceTrainer.TrainBpe(Text, 400);
        Assert.Equal(bytes, SentencePieceTrainer.TrainBpe(Text, 400));
        Assert.Equal(bytes, SentencePieceTrainer.TrainBpe([string.Join('\n', Text)], 400));

        // A larger vocabulary begins with the smaller one's merges.
        var (small, large) = (Parse(bytes), Parse(SentencePieceTrainer.TrainBpe(Text, 426)));
        var merges = small.Pieces.Skip(259).TakeWhile(p => p.Text != "▁").Select(p => p.Text).ToList();
        Assert.Equal(merges, large.Pieces.Skip(259).Take(merges.Count).Select(p => p.Text));
    }

    [Theory]
    [InlineData("A red circle left of a blue square.")]
    [InlineData(" leading, trailing  and   more ")]
    [InlineData("unseen: Ωmega żółw 漢字 👩‍👩‍👧 \u0000 \u200b \r\n\t")]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("</s><s><unk><0x0A>")]
    [InlineData("1234567890")]
    public void What_it_trained_encodes_and_comes_back(string text)
    {
        var tokenizer = LlavaTokenizer.FromBytes(SentencePieceTrainer.TrainBpe(Text, 420), legacy: false);
        var ids = tokenizer.Encode(text);
        Assert.Equal(text, tokenizer.Decode(ids));
        Assert.DoesNotContain(ids, id => id < 3);
    }

    [Fact]
    public void A_newline_is_a_byte_and_known_words_are_short()
    {
        var tokenizer = LlavaTokenizer.FromBytes(SentencePieceTrainer.TrainBpe(Text, 420), legacy: false);
        Assert.Equal(3 + '\n', tokenizer.Encode("\n")[^1]);
        Assert.Single(tokenizer.Encode("the"));
        Assert.Equal(4, tokenizer.Encode("123").Length);
    }

    [Fact]
    public void Rare_characters_are_left_to_bytes()
    {
        var bytes = SentencePieceTrainer.TrainBpe([string.Concat(Enumerable.Repeat("ab ", 5000)), "Ω"], 259 + 3 + 2);
        Assert.DoesNotContain(Parse(bytes).Pieces, p => p.Text == "Ω");
        var tokenizer = LlavaTokenizer.FromBytes(bytes, legacy: true);
        Assert.Equal("Ωab", tokenizer.Decode(tokenizer.Encode("Ωab")));
    }

    [Theory]
    [InlineData(260, "a vocabulary of 260 pieces is too small: 259 special and byte pieces and 3 characters need 262")]
    [InlineData(-5, "a vocabulary of -5 pieces is too small")]
    [InlineData(300, "the text is too small for a vocabulary of 300 pieces: it gives 264; ask for fewer, or train on more text")]
    public void A_size_that_cannot_be_met_is_refused(int size, string expected)
    {
        var error = Assert.Throws<UserErrorException>(() => SentencePieceTrainer.TrainBpe(["ab ab"], size));
        Assert.StartsWith(expected, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_text_gives_the_bare_vocabulary()
    {
        var tokenizer = LlavaTokenizer.FromBytes(SentencePieceTrainer.TrainBpe([], 260), legacy: true);
        Assert.Equal("abc", tokenizer.Decode(tokenizer.Encode("abc")));
    }

    [Fact]
    public void A_long_text_trains_in_seconds()
    {
        var random = new Random(11);
        string[] words = [.. Enumerable.Range(0, 4000).Select(_ => Word())];
        var text = Enumerable.Range(0, 5000).Select(_ => string.Join(' ', random.GetItems(words, 30)));
        var tokenizer = LlavaTokenizer.FromBytes(SentencePieceTrainer.TrainBpe(text, 2000), legacy: true);
        Assert.Equal(2000, tokenizer.PieceCount);
        Assert.Equal(words[7], tokenizer.Decode(tokenizer.Encode(words[7])));

        string Word() => new([.. Enumerable.Range(0, random.Next(2, 12)).Select(_ => (char)('a' + random.Next(1 + random.Next(26))))]);
    }

    private static SentencePieceModel Parse(byte[] bytes) => SentencePieceModel.Parse(bytes);
}
