using LlavaSharp.Data;
using LlavaSharp.Templates;
using LlavaSharp.Tests.Tokenization;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Templates;

/// <summary>
/// Every template against the literal re-implementation of the recipe, over thousands of random conversations: the ids are always
/// the recipe's, and so are the labels wherever the recipe does not trip. Where it trips, the reason must be a known one.
/// </summary>
public sealed class RecipeAgreementTests
{
    private const int Trials = 500;

    private static readonly string[] Questions =
    [
        "What is in the picture?", "two  spaces", "naïve café 東京 🙂", "ends with space ", "a\nb", " lead", "10 of 300", "x",
        "It says <s> here", "\n", "Describe it:", "line one\n\nline two", "###", "[INST] [/INST]",
    ];

    private static readonly string[] Answers =
    [
        "A red circle left of a blue square.", "Yes", "\nnewline first", "  spaces first", "trailing space ", "東京", "1,000",
        "a\n\nb", "No.", "<s>", "It is 3.", "###",
    ];

    /// <summary>What makes the recipe lose count: its own separators inside the text, its padding id, empty answers.</summary>
    private static readonly string[] Decoys =
        ["say ASSISTANT: now", "say Assistant: now", "x</s>y", "a <unk> b", "", "q [/INST] r", "a<|im_end|>b", "<|im_end|><|im_start|>assistant\n"];

    public static TheoryData<string> Names =>
        [.. ConversationTemplates.Names(), .. ConversationTemplates.Names(TemplateDialect.Itrex).Select(n => n + " itrex")];

    [Theory]
    [MemberData(nameof(Names))]
    public void SentencePiece(string name)
    {
        var template = Find(name);
        foreach (var model in (string[])["small", "large"])
        {
            foreach (var legacy in (bool[])[true, false])
            {
                var tokenizer = TokenizerGolden.Load(model, legacy);
                (string, int)[] special = [("<unk>", 0), ("<s>", 1), ("</s>", 2)];
                if (template.Style == SeparatorStyle.Mpt)
                {
                    tokenizer = tokenizer.WithTokens("<|im_start|>", "<|im_end|>");
                    special = [.. special, .. tokenizer.AddedTokens.Select(t => (t.Key, t.Value))];
                }

                var tally = Compare(template, tokenizer, new RecipeReference(tokenizer, special));
                Expect(template, tokenizer, tally);
            }
        }
    }

    [Theory]
    [InlineData("llava_v0", "qwen", 0.6)]
    [InlineData("v0_mmtag", "qwen", 0.6)]
    [InlineData("default", "gpt2", 0.6)]
    [InlineData("plain", "llama3", 1)]
    [InlineData("v1", "llama3", 0.6)]
    [InlineData("llama_2", "llama3", 0.1)]
    [InlineData("mpt", "qwen", 0)]
    public void ByteLevel(string name, string model, double agreed)
    {
        var tokenizer = TokenizerGolden.LoadByteLevel(model);
        var template = PromptBuilder.Fit(Find(name), tokenizer);
        var special = tokenizer.AddedTokens.Select(t => (t.Key, t.Value)).ToList();
        var tally = Compare(template, tokenizer, new RecipeReference(tokenizer, special));
        Assert.True(tally.Equal >= agreed * Trials, tally.ToString());
        Assert.True(tally.Clean == 0 || template.Style is SeparatorStyle.Mpt or SeparatorStyle.Llama2, tally.ToString());
    }

    private static void Expect(ConversationTemplate template, LlavaTokenizer tokenizer, Tally tally)
    {
        switch (template.Style)
        {
            case SeparatorStyle.Plain:
                Assert.Equal(Trials, tally.Equal);
                break;
            case SeparatorStyle.Single:
                // Every turn's length has a begin mark and a dummy space of its own: the places drift, always.
                Assert.Equal(Trials, tally.Clean + tally.Decoyed);
                break;
            case SeparatorStyle.Mpt when template.Version == "mpt":
                // The closing mark of the last round is in no length; with a legacy tokenizer two rounds come out by accident.
                Assert.Equal(0, tally.Equal);
                Assert.True(tokenizer.Legacy ? tally.Accidents > 60 : tally.Accidents < 30, tally.ToString());
                break;
            default:
                Assert.True(tally.Decoyed > 20, tally.ToString());
                Assert.True(!tokenizer.Legacy || (tally.Clean == 0 && tally.Equal > 300), tally.ToString());

                // Not legacy: the correction and its absence count on pieces such as "▁USER", which not every vocabulary has.
                Assert.True(tally.Equal > 60, tally.ToString());
                break;
        }
    }

    private static Tally Compare(ConversationTemplate template, LlavaTokenizer tokenizer, RecipeReference recipe)
    {
        var random = new Random(3);
        var tally = new Tally();
        for (var trial = 0; trial < Trials; trial++)
        {
            var plain = template.Style == SeparatorStyle.Plain;
            var hasImage = plain || random.Next(3) > 0;
            var turns = RandomTurns(random, plain ? 1 : 1 + random.Next(4), hasImage, out var decoy);
            if (turns.TrueForAll(t => t.From == "human" || t.Value.Length == 0) && template.Style != SeparatorStyle.Single && !plain)
            {
                turns[^1] = turns[^1] with { Value = "some" };
            }

            var sample = PromptBuilder.Build(template, tokenizer, new Sample(null, hasImage ? "a.png" : null, turns), trial);
            var placed = hasImage && !plain ? [.. turns.Select(t => RecipeReference.Place(template, t))] : turns;
            var expected = recipe.Run(template, placed, hasImage);
            Assert.Equal(expected.Ids, sample.InputIds);
            Assert.All(sample.Labels.Zip(sample.InputIds), p => Assert.True(p.First is -100 || p.First == p.Second));
            if (template.Style != SeparatorStyle.Single)
            {
                Assert.Equal(expected.Trips, sample.RecipeMasks);
            }

            var same = expected.Labels.AsSpan().SequenceEqual(sample.Labels);
            tally.Equal += !expected.Trips && same ? 1 : 0;
            tally.Decoyed += (expected.Trips || !same) && decoy ? 1 : 0;
            tally.Clean += expected.Trips && !decoy ? 1 : 0;
            tally.Accidents += !expected.Trips && !same ? 1 : 0;
            Assert.True(
                expected.Trips || same || decoy || template.Version == "mpt",
                $"{template.Name}: labels differ although nothing trips: {string.Join(" | ", turns.Select(t => t.Value))}");
        }

        return tally;
    }

    private static ConversationTemplate Find(string name) => name.Split(' ') is [var plain, _]
        ? ConversationTemplates.Get(plain, TemplateDialect.Itrex)
        : ConversationTemplates.Get(name);

    private static List<Turn> RandomTurns(Random random, int rounds, bool hasImage, out bool decoy)
    {
        var turns = new List<Turn>();
        decoy = false;
        for (var i = 0; i < rounds; i++)
        {
            var question = Questions[random.Next(Questions.Length)];
            var answer = Answers[random.Next(Answers.Length)];
            if (random.Next(12) == 0)
            {
                decoy = true;
                var what = Decoys[random.Next(Decoys.Length)];
                (question, answer) = random.Next(2) == 0 && (i > 0 || what.Length > 0) ? (what, answer) : (question, what);
            }

            var mark = hasImage && i == 0;
            turns.Add(new("human", mark ? random.Next(2) == 0 ? $"<image>\n{question}" : $"{question}\n<image>" : question));
            turns.Add(new("gpt", answer));
        }

        decoy |= turns.Exists(t => t.Value.Contains("[/INST]", StringComparison.Ordinal));
        return turns;
    }

    /// <summary>How a template's conversations came out: equal; tripped over a decoy; tripped without one; unequal by accident.</summary>
    private sealed record Tally
    {
        public int Equal { get; set; }

        public int Decoyed { get; set; }

        public int Clean { get; set; }

        public int Accidents { get; set; }
    }
}
