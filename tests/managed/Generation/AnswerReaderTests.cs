using System.Text;
using LlavaSharp.Generation;
using LlavaSharp.Tests.Checkpoints;
using LlavaSharp.Tests.Tokenization;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Generation;

public sealed class AnswerReaderTests
{
    private static readonly HashSet<int> NoTokens = [];

    public static TheoryData<string> Tokenizers => ["tiny", "small", "large", "llama3", "qwen", "gpt2"];

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Pieces_together_are_the_text_of_all_ids_whatever_they_are(string name)
    {
        var tokenizer = Load(name);
        var random = new Random(5);
        for (var trial = 0; trial < 60; trial++)
        {
            // The first ids are bytes in each: most runs of them are no text.
            var high = trial % 2 == 0 ? Math.Min(300, tokenizer.IdCount) : tokenizer.IdCount;
            int[] ids = [.. Enumerable.Range(0, random.Next(1, 120)).Select(_ => random.Next(high))];
            AssertWhole(tokenizer, ids);
        }

        foreach (var text in (string[])["", " ", "a", "  two  spaces \n\n", "naïve 東京 🙂🙂", "\ufffd", "a\ufffdb", "🙂"])
        {
            AssertWhole(tokenizer, tokenizer.Encode(text));
        }
    }

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void A_stop_text_is_cut_off_wherever_tokens_begin_and_no_part_of_it_is_shown(string name)
    {
        var tokenizer = Load(name);
        foreach (var stop in (string[])["###", "<|im_end|>", "</s>", "\n", "aab"])
        {
            foreach (var before in (string[])["a circle", "", "x#", "1 < 2 <|im", "\ta", "🙂", "line one. ", "ends with space  "])
            {
                foreach (var after in (string[])["", "#", "\n### Assistant: square", " more", "🙂"])
                {
                    var reader = new AnswerReader(tokenizer, NoTokens, [stop]);
                    var ids = tokenizer.Encode(before + stop + after);
                    var shown = new StringBuilder();
                    foreach (var id in ids)
                    {
                        shown.Append(reader.Add(id));
                        Assert.Equal(shown.ToString(), reader.Text);
                        Assert.StartsWith(shown.ToString(), Expected(before, stop));
                    }

                    Assert.True(reader.IsStopped, $"{before}|{stop}|{after}");
                    Assert.Equal("", reader.End());
                    Assert.Equal(Expected(before, stop), shown.ToString());

                    // The ids end with the token that completes the stop text.
                    Assert.Equal(ids[..reader.Ids.Length], reader.Ids);
                    Assert.Contains(stop, tokenizer.Decode(reader.Ids));
                    Assert.DoesNotContain(stop, tokenizer.Decode(reader.Ids.AsSpan(..^1)));
                }
            }
        }

        static string Expected(string before, string stop) =>
            (before + stop)[..(before + stop).IndexOf(stop, StringComparison.Ordinal)].Trim();
    }

    [Fact]
    public void A_stop_token_ends_an_answer_and_is_no_part_of_its_text()
    {
        var tokenizer = TinyFolders.Tokenizer;
        var reader = new AnswerReader(tokenizer, new HashSet<int> { 2, 100 }, ["###"]);
        Assert.Equal("", reader.Add(ChainModel.Id('#')));
        Assert.Equal("#", reader.Add(2));
        Assert.Equal("", reader.Add(ChainModel.Id('x')));
        Assert.Equal(("#", true, 2), (reader.Text, reader.IsStopped, reader.Ids.Length));

        // A token that spells text is a stop token all the same: 100 is 'a'.
        reader = new AnswerReader(tokenizer, new HashSet<int> { 2, 100 }, ["###"]);
        Assert.Equal("", reader.Add(100));
        Assert.Equal(("", true), (reader.Text, reader.IsStopped));
    }

    [Fact]
    public void Half_a_stop_text_or_half_a_character_at_the_end_is_text()
    {
        var tokenizer = TinyFolders.Tokenizer;
        var reader = new AnswerReader(tokenizer, NoTokens, ["<|im_end|>"]);
        Assert.Equal("a", string.Concat("a<|im".Select(c => reader.Add(ChainModel.Id(c)))));
        Assert.Equal("<|im", reader.End());
        Assert.Equal(("a<|im", false), (reader.Text, reader.IsStopped));
        reader = new AnswerReader(tokenizer, NoTokens, ["<|im_end|>"]);
        Assert.Equal("", reader.Add(3 + 0xE4) + reader.Add(3 + 0xB8));
        Assert.Equal("\ufffd\ufffd", reader.End());
    }

    /// <summary>A long answer is read in windows: the text decoded in all does not grow with its square.</summary>
    [Theory]
    [InlineData("x")]
    [InlineData("é")]
    [InlineData("🙂")]
    [InlineData(" ")]
    public void Long_answers_are_whole(string text)
    {
        var tokenizer = TinyFolders.Tokenizer;
        AssertWhole(tokenizer, [.. Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat(text, 3000)) + "y").Select(b => 3 + b)]);
        AssertWhole(tokenizer, [.. Enumerable.Repeat(3 + 0xF0, 3000), .. Encoding.UTF8.GetBytes(text).Select(b => 3 + b)]);
    }

    private static void AssertWhole(LlavaTokenizer tokenizer, int[] ids)
    {
        var reader = new AnswerReader(tokenizer, NoTokens, []);
        var shown = string.Concat(ids.Select(reader.Add)) + reader.End();
        Assert.Equal(tokenizer.Decode(ids).Trim(), shown);
        Assert.Equal(shown, reader.Text);
        Assert.Equal(ids, reader.Ids);
        Assert.False(reader.IsStopped);
    }

    private static LlavaTokenizer Load(string name) => name switch
    {
        "tiny" => TinyFolders.Tokenizer,
        "small" or "large" => TokenizerGolden.Load(name),
        _ => TokenizerGolden.LoadByteLevel(name),
    };
}
