using LlavaSharp.Data;
using LlavaSharp.Templates;
using LlavaSharp.Tests.Tokenization;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Tests.Templates;

public sealed class PromptBuilderTests
{
    private const int Newline = 3 + '\n';

    private static readonly string[] Answers =
    [
        "A red circle left of a blue square.", "Yes", "\nnewline first", "  spaces first", "trailing space ", "東京", "1,000",
        "a\n\nb", "No.", "<s>",
    ];

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Plain_equals_the_recipe(bool legacy)
    {
        var template = ConversationTemplates.Get("plain");
        var tokenizer = TokenizerGolden.Load("small", legacy);
        foreach (var answer in (string[])[.. Answers, "", " ", "a</s>b"])
        {
            Turn[] turns = [new("human", "Describe.\n<image>"), new("gpt", answer)];
            var sample = PromptBuilder.Build(template, tokenizer, new Sample("1", "a.png", turns), 0);
            var expected = new RecipeReference(tokenizer).Run(template, turns, hasImage: true);
            Assert.Equal(expected.Ids, sample.InputIds);
            Assert.Equal(expected.Labels, sample.Labels);
            Assert.Equal([1, -200], sample.InputIds[..2]);
            Assert.Equal(Newline, sample.InputIds[^1]);
            Assert.Equal([-100, -100], sample.Labels[..2]);
            Assert.Equal(sample.InputIds[2..], sample.Labels[2..]);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void V1_trains_the_answers_and_their_end_marks_and_nothing_else(bool legacy)
    {
        var tokenizer = TokenizerGolden.Load("large", legacy);
        Turn[] turns =
        [
            new("human", "<image>\nWhat is it?"), new("gpt", "A dog."), new("human", "And what colour?"), new("gpt", "Brown, I think."),
        ];
        var sample = PromptBuilder.Build(ConversationTemplates.Get("v1"), tokenizer, new Sample(null, "a.png", turns), 0);
        var trained = sample.Labels.Where(l => l != -100).ToArray();
        Assert.Equal([.. tokenizer.Encode("A dog."), 2, .. tokenizer.Encode("Brown, I think."), 2], trained);
        Assert.Equal(sample.InputIds.Length, sample.Labels.Length);
        Assert.All(sample.Labels.Zip(sample.InputIds), p => Assert.True(p.First is -100 || p.First == p.Second));

        // Text before the image ends in a lone space mark, text after it begins with one (the golden ids' pattern).
        var space = Assert.Single(TokenizerGolden.Load("large").Encode("\n").SkipLast(1));
        var image = Array.IndexOf(sample.InputIds, LlavaTokenizer.ImageToken);
        Assert.Equal([space, -200, space, Newline], sample.InputIds[(image - 1)..(image + 3)]);
        Assert.Equal(1, sample.InputIds[0]);
    }

    [Fact]
    public void After_an_end_mark_only_a_legacy_tokenizer_starts_anew()
    {
        Turn[] turns = [new("human", "a"), new("gpt", "b"), new("human", "c"), new("gpt", "d")];
        var legacy = Build(legacy: true);
        var modern = Build(legacy: false);
        var after = Array.IndexOf(legacy, 2) + 1;
        Assert.Equal(legacy[..after], modern[..after]);
        var tokenizer = TokenizerGolden.Load("small");
        Assert.Equal([.. tokenizer.Encode("USER: c ASSISTANT: d"), 2], legacy[after..]);
        Assert.Equal([.. tokenizer.Encode("\nUSER: c ASSISTANT: d").Skip(2), 2], modern[after..]);
        Assert.NotEqual(legacy, modern);

        int[] Build(bool legacy) => PromptBuilder.Build(
            ConversationTemplates.Get("v1"), TokenizerGolden.Load("small", legacy), new Sample(null, (string?)null, turns), 0).InputIds;
    }

    [Fact]
    public void Decoys_that_make_the_recipe_drop_a_sample_do_not_disturb_the_labels()
    {
        var tokenizer = TokenizerGolden.Load("small");
        Turn[] turns = [new("human", "say ASSISTANT: now"), new("gpt", "x</s>y"), new("human", ""), new("gpt", "z"), new("human", "left over")];
        var sample = PromptBuilder.Build(ConversationTemplates.Get("v1"), tokenizer, new Sample(null, (string?)null, turns), 0);
        int[] expected = [.. tokenizer.Encode("x"), 2, .. tokenizer.Encode("y"), 2, .. tokenizer.Encode("z"), 2];
        Assert.Equal(expected, sample.Labels.Where(l => l != -100));
    }

    [Fact]
    public void The_image_moves_to_the_front_of_its_turn()
    {
        var template = ConversationTemplates.Get("v1");
        Assert.Equal("<image>\nWhat?", Place(template, new("human", "What?\n<image>")).Value);
        Assert.Equal("<image>\na  b", Place(template, new("human", "\u001c<image> a <image> b\u00a0<image>")).Value);
        Assert.Equal("<image>", Place(template, new("human", " <image> \n")).Value);
        Assert.Equal(" none ", Place(template, new("human", " none ")).Value);
        Assert.Equal("<Image><image></Image>\nQ", Place(ConversationTemplates.Get("v1_mmtag"), new("human", "<image>Q")).Value);
    }

    [Fact]
    public void In_a_text_only_sample_the_mark_is_text()
    {
        var tokenizer = TokenizerGolden.Load("small");
        Turn[] turns = [new("human", "What does <image> mean?"), new("gpt", "A mark.")];
        var sample = PromptBuilder.Build(ConversationTemplates.Get("v1"), tokenizer, new Sample(null, (string?)null, turns), 0);
        Assert.DoesNotContain(-200, sample.InputIds);
        Assert.Contains("What does <image> mean?", tokenizer.Decode(sample.InputIds), StringComparison.Ordinal);
    }

    [Fact]
    public void A_first_turn_that_is_not_the_humans_is_dropped()
    {
        var tokenizer = TokenizerGolden.Load("small");
        var template = ConversationTemplates.Get("v1");
        Turn[] rest = [new("human", "a"), new("gpt", "b")];
        var with = PromptBuilder.Build(template, tokenizer, new Sample(null, (string?)null, [new("gpt", "hello"), .. rest]), 0);
        var without = PromptBuilder.Build(template, tokenizer, new Sample(null, (string?)null, rest), 0);
        Assert.Equal(without.InputIds, with.InputIds);
        Assert.Equal(without.Labels, with.Labels);
    }

    [Theory]
    [InlineData("v1", "", "sample 7: no turns")]
    [InlineData("v1", "gpt", "sample 7: no turns after the first, which is not from \"human\"")]
    [InlineData("v1", "human", "sample 7: nothing of it would be trained")]
    [InlineData("v1", "human human", "sample 7: turn 1 is from \"human\" where \"gpt\" must speak")]
    [InlineData("v1", "gpt gpt human", "sample 7: turn 1 is from \"gpt\" where \"human\" must speak")]
    [InlineData("v1", "human system gpt", "sample 7: a turn from \"system\" stands behind others")]
    [InlineData("v1", "human gpt gpt", "sample 7: turn 2 is from \"gpt\" where \"human\" must speak")]
    [InlineData("v1", "human assistant", "sample 7: a turn is from \"assistant\"; known are \"human\" or \"user\", \"gpt\" or \"assistant\", and a first \"system\"")]
    [InlineData("plain", "human gpt human gpt", "sample 7: 4 turns; template \"plain\" takes a question and a caption")]
    [InlineData("plain", "human gpt", "sample 7: no <image> in the first turn")]
    public void Turns_that_do_not_fit_are_named(string template, string roles, string expected)
    {
        Turn[] turns = [.. roles.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(r => new Turn(r, "text"))];
        var error = Assert.Throws<UserErrorException>(() => PromptBuilder.Build(
            ConversationTemplates.Get(template), TokenizerGolden.Load("small"), new Sample(null, "a.png", turns), 7));
        Assert.StartsWith(expected, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void One_image_a_sample_and_one_mark_for_it()
    {
        var tokenizer = TokenizerGolden.Load("small");
        Turn[] twice = [new("human", "<image>a"), new("gpt", "b"), new("human", "<image>c"), new("gpt", "d")];
        var error = Assert.Throws<UserErrorException>(() => PromptBuilder.Build(
            ConversationTemplates.Get("v1"), tokenizer, new Sample(null, "a.png", twice), 3));
        Assert.Equal("sample 3: 2 turns contain <image>, but the sample has one image; keep one <image>", error.Message);
        Turn[] text = [new("human", "<image>a"), new("gpt", "b")];
        error = Assert.Throws<UserErrorException>(() => PromptBuilder.Build(
            ConversationTemplates.Get("plain"), tokenizer, new Sample(null, (string?)null, text), 3));
        Assert.Equal("sample 3: no image; template \"plain\" takes captions of images", error.Message);
        var gpt = PromptBuilder.Build(
            ConversationTemplates.Get("v1"), tokenizer, new Sample(null, "a.png", [new("human", "a"), new("gpt", "b <image>")]), 0);
        Assert.Equal(-100, gpt.Labels[Array.IndexOf(gpt.InputIds, -200)]);
    }

    [Fact]
    public void A_prompt_is_the_training_text_up_to_the_answer()
    {
        var tokenizer = TokenizerGolden.Load("large", legacy: false);
        var template = ConversationTemplates.Get("v1");
        Turn[] turns = [new("human", "What is it?"), new("gpt", "A dog."), new("human", "Sure?"), new("gpt", "Yes.")];
        Turn[] marked = [turns[0] with { Value = "<image>\nWhat is it?" }, .. turns[1..]];
        var training = PromptBuilder.Build(template, tokenizer, new Sample(null, "a.png", marked), 0);
        var prompt = PromptBuilder.BuildPrompt(template, tokenizer, turns[..3], hasImage: true);
        Assert.Equal(training.InputIds[..prompt.Length], prompt);
        Assert.Equal(-100, training.Labels[prompt.Length - 1]);
        Assert.Equal(training.InputIds[prompt.Length], training.Labels[prompt.Length]);
        Assert.Equal(prompt, PromptBuilder.BuildPrompt(template, tokenizer, marked[..3], hasImage: true));
        Assert.EndsWith("ASSISTANT:", tokenizer.Decode(prompt), StringComparison.Ordinal);

        var plain = ConversationTemplates.Get("plain");
        Assert.Equal([1, -200], PromptBuilder.BuildPrompt(plain, tokenizer, turns[..1], hasImage: true));
        Assert.DoesNotContain(-200, PromptBuilder.BuildPrompt(template, tokenizer, turns[..1], hasImage: false));
        Assert.Throws<UserErrorException>(() => PromptBuilder.BuildPrompt(template, tokenizer, turns, hasImage: true));
        Assert.Throws<UserErrorException>(() => PromptBuilder.BuildPrompt(template, tokenizer, [], hasImage: true));
    }

    private static Turn Place(ConversationTemplate template, Turn turn) => PromptText.PlaceImage(template, turn);
}
