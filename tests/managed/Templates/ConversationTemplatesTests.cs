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
            v1 with { System = human, UserRole = "User", AssistantRole = "Assistant" },
            ConversationTemplates.Get("v1", TemplateDialect.Itrex));
        var mmtag = ConversationTemplates.Get("v1_mmtag");
        Assert.Contains("using natural language.The visual content", mmtag.System, StringComparison.Ordinal);
        Assert.EndsWith("<Image>visual content</Image>.", mmtag.System, StringComparison.Ordinal);
        var plain = ConversationTemplates.Get("plain");
        Assert.Equal(("", "\n", null, SeparatorStyle.Plain), (plain.System, plain.Separator, plain.Separator2, plain.Style));
        Assert.Equal(plain, ConversationTemplates.Get("plain", TemplateDialect.Itrex));
    }

    [Fact]
    public void An_unknown_name_is_answered_with_the_known_ones()
    {
        var error = Assert.Throws<UserErrorException>(() => ConversationTemplates.Get("mpt"));
        Assert.Equal(
            "conversation template \"mpt\" is not known; known are llava_v1, plain, v0_plain, v1, v1_mmtag, vicuna_v1", error.Message);
        error = Assert.Throws<UserErrorException>(() => ConversationTemplates.Get("vicuna_v1", TemplateDialect.Itrex));
        Assert.Equal("conversation template \"vicuna_v1\" is not known; known are plain, v1", error.Message);
    }
}
