using LlavaSharp.Templates;

namespace LlavaSharp.Tests.Templates;

public sealed class ConversationTemplatesTests
{
    [Fact]
    public void The_registry_has_the_recipes_strings()
    {
        var v1 = ConversationTemplates.Get("v1");
        Assert.Equal(
            "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.",
            v1.System);
        Assert.Equal(("USER", "ASSISTANT", " ", "</s>", "v1"), (v1.UserRole, v1.AssistantRole, v1.Separator, v1.Separator2, v1.Version));
        Assert.Equal(v1 with { Name = "vicuna_v1" }, ConversationTemplates.Get("vicuna_v1"));
        var human = v1.System.Replace("user", "human", StringComparison.Ordinal);
        Assert.Equal(v1 with { Name = "llava_v1", System = human }, ConversationTemplates.Get("llava_v1"));
        Assert.Equal(
            v1 with { System = human, UserRole = "User", AssistantRole = "Assistant", Dialect = TemplateDialect.Itrex },
            ConversationTemplates.Get("v1", TemplateDialect.Itrex));
        var mmtag = ConversationTemplates.Get("v1_mmtag");
        Assert.Contains("using natural language.The visual content", mmtag.System, StringComparison.Ordinal);
        Assert.EndsWith("<Image>visual content</Image>.", mmtag.System, StringComparison.Ordinal);
        var plain = ConversationTemplates.Get("plain");
        Assert.Equal(("", "\n", null, SeparatorStyle.Plain), (plain.System, plain.Separator, plain.Separator2, plain.Style));
        Assert.Equal(plain with { Dialect = TemplateDialect.Itrex }, ConversationTemplates.Get("plain", TemplateDialect.Itrex));
    }

    /// <summary>What upstream's get_prompt gives for Q1, A1, Q2 and an open answer, written out from the registry by hand.</summary>
    [Theory]
    [InlineData("llava_v0", "{human}###Human: Q1###Assistant: A1###Human: Q2###Assistant:")]
    [InlineData("v0_mmtag", "{visual}###Human: Q1###Assistant: A1###Human: Q2###Assistant:")]
    [InlineData("v1", "{user} USER: Q1 ASSISTANT: A1</s>USER: Q2 ASSISTANT:")]
    [InlineData("llama_2", "[INST] <<SYS>>\n{llama}\n<</SYS>>\n\nQ1 [/INST] A1 </s><s>[INST] Q2 [/INST]")]
    [InlineData("llava_llama_2", "[INST] <<SYS>>\n{language}\n<</SYS>>\n\nQ1 [/INST] A1 </s><s>[INST] Q2 [/INST]")]
    [InlineData("mistral_instruct", "[INST] Q1 [/INST] A1 </s>[INST] Q2 [/INST]")]
    [InlineData("mistral_instruct itrex", "[INST] <<SYS>>\n\n<</SYS>>\n\nQ1 [/INST] A1 </s>[INST] Q2 [/INST]")]
    [InlineData("mpt", "{mpt}<|im_end|><|im_start|>user\nQ1<|im_end|><|im_start|>assistant\nA1<|im_end|><|im_start|>user\nQ2<|im_end|><|im_start|>assistant\n")]
    [InlineData("chatml_direct", "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\nQ1<|im_end|><|im_start|>assistant\nA1<|im_end|><|im_start|>user\nQ2<|im_end|><|im_start|>assistant\n")]
    [InlineData("plain", "Q1\nA1\nQ2\n")]
    public void Prompts_are_joined_as_the_recipe_joins_them(string name, string expected)
    {
        var parts = name.Split(' ');
        var template = ConversationTemplates.Get(parts[0], parts.Length > 1 ? TemplateDialect.Itrex : TemplateDialect.Upstream);
        var text = PromptText.Join(template, [new("human", "Q1"), new("gpt", "A1"), new("human", "Q2"), new("gpt", "")]).Text;
        string whole = expected.Replace("{human}", TemplateTexts.CuriousHuman, StringComparison.Ordinal)
            .Replace("{user}", TemplateTexts.CuriousUser, StringComparison.Ordinal)
            .Replace("{visual}", TemplateTexts.VisualContent, StringComparison.Ordinal)
            .Replace("{llama}", TemplateTexts.Llama2, StringComparison.Ordinal)
            .Replace("{language}", TemplateTexts.LanguageAndVision, StringComparison.Ordinal)
            .Replace("{mpt}", TemplateTexts.Mpt, StringComparison.Ordinal);
        Assert.Equal(whole, text);
    }

    [Fact]
    public void The_first_answer_of_the_oldest_template_is_an_example()
    {
        var template = ConversationTemplates.Get("default");
        Assert.Equal(template with { Name = "vicuna_v0" }, ConversationTemplates.Get("vicuna_v0"));
        Assert.Equal(["human", "gpt"], template.Examples.Select(e => e.From));
        Assert.EndsWith("economic and social instability.\n", template.Examples[1].Value, StringComparison.Ordinal);
        Assert.Contains("while being safe.  Your answers", ConversationTemplates.Get("llama_2").System, StringComparison.Ordinal);
        Assert.Contains("\n\nIf a question", ConversationTemplates.Get("llama_2").System, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_means_one_template_and_each_template_has_a_name_that_finds_it()
    {
        Assert.Equal("vicuna_v1", ConversationTemplates.Get("v0").Name);
        Assert.Equal("vicuna_v1", ConversationTemplates.Get("v0.5").Name);
        Assert.Throws<UserErrorException>(() => ConversationTemplates.Get("V1"));
        Assert.Null(ConversationTemplates.Find("v0", TemplateDialect.Itrex));
        foreach (var dialect in Enum.GetValues<TemplateDialect>())
        {
            Assert.All(ConversationTemplates.Names(dialect), name =>
            {
                var template = ConversationTemplates.Get(name, dialect);
                Assert.Same(template, ConversationTemplates.Get(template.FullName));
            });
        }

        Assert.Same(ConversationTemplates.Get("v1", TemplateDialect.Itrex), ConversationTemplates.Get("itrex_v1", TemplateDialect.Itrex));
        Assert.Equal("User", ConversationTemplates.Get("itrex_v1").UserRole);
    }

    /// <summary>What LLaVA's own command line stops at: sep2 of the two-separator style, else sep; of [INST] the end mark.</summary>
    [Theory]
    [InlineData("</s>", "v1", "vicuna_v1", "llava_v1", "v1_mmtag", "v0", "llama_2", "llava_llama_2", "mistral_instruct", "itrex_v1", "itrex_mistral_instruct")]
    [InlineData("###", "default", "vicuna_v0", "llava_v0", "v0_mmtag")]
    [InlineData("<|im_end|>", "mpt", "chatml_direct", "mistral_direct", "itrex_mpt_oh")]
    [InlineData("\n", "plain", "v0_plain", "itrex_plain")]
    public void Answers_end_at_the_text_that_closes_them_in_training(string stop, params string[] names) =>
        Assert.All(names, name => Assert.Equal(stop, ConversationTemplates.Get(name).StopText));

    [Fact]
    public void A_system_text_keeps_the_formats_opening()
    {
        Assert.Equal("<|im_start|>system\nBe brief.", ConversationTemplates.Get("mpt").WithSystem("Be brief.").System);
        Assert.Equal("Be brief.", ConversationTemplates.Get("v1").WithSystem("Be brief.").System);
        Assert.Equal("", ConversationTemplates.Get("plain").WithSystem("Be brief.").System);
    }

    [Fact]
    public void An_unknown_name_is_answered_with_the_known_ones()
    {
        var error = Assert.Throws<UserErrorException>(() => ConversationTemplates.Get("mtp"));
        Assert.Equal(
            "conversation template \"mtp\" is not known; known are chatml_direct, default, llama_2, llava_llama_2, llava_v0, llava_v1, "
            + "mistral_direct, mistral_instruct, mpt, plain, v0_mmtag, v0_plain, v1, v1_mmtag, vicuna_v0, vicuna_v1, "
            + "itrex_mistral_instruct, itrex_mpt_oh, itrex_plain, itrex_v1",
            error.Message);
        error = Assert.Throws<UserErrorException>(() => ConversationTemplates.Get("vicuna_v1", TemplateDialect.Itrex));
        Assert.Equal("conversation template \"vicuna_v1\" is not known; known are mistral_instruct, mpt_oh, plain, v1", error.Message);
    }
}
