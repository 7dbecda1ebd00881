namespace LlavaSharp.Templates;

/// <summary>The templates by name. The strings are formats: one character off and a trained checkpoint answers worse.</summary>
public static class ConversationTemplates
{
    private const string CuriousUser =
        "A chat between a curious user and an artificial intelligence assistant. "
        + "The assistant gives helpful, detailed, and polite answers to the user's questions.";

    private const string CuriousHuman =
        "A chat between a curious human and an artificial intelligence assistant. "
        + "The assistant gives helpful, detailed, and polite answers to the human's questions.";

    // There is no space before "The visual": the format has none.
    private const string VisualContent =
        "A chat between a curious user and an artificial intelligence assistant. "
        + "The assistant is able to understand the visual content that the user provides, "
        + "and assist the user with a variety of tasks using natural language."
        + "The visual content will be provided with the following format: <Image>visual content</Image>.";

    private static readonly SortedDictionary<string, ConversationTemplate> Upstream = Index(
        Plain("plain"),
        Plain("v0_plain"),
        Two("v1", CuriousUser, "USER", "ASSISTANT", "v1"),
        Two("vicuna_v1", CuriousUser, "USER", "ASSISTANT", "v1"),
        Two("llava_v1", CuriousHuman, "USER", "ASSISTANT", "v1"),
        Two("v1_mmtag", VisualContent, "USER", "ASSISTANT", "v1_mmtag"));

    private static readonly SortedDictionary<string, ConversationTemplate> Itrex = Index(
        Plain("plain"),
        Two("v1", CuriousHuman, "User", "Assistant", "v1"));

    /// <summary>The names that <see cref="Get"/> knows, sorted.</summary>
    /// <param name="dialect">Whose registry.</param>
    public static IReadOnlyCollection<string> Names(TemplateDialect dialect = TemplateDialect.Upstream) => Registry(dialect).Keys;

    /// <summary>Finds a template.</summary>
    /// <param name="name">Its name, as <c>--version</c> or <c>--template</c> gives it.</param>
    /// <param name="dialect">Whose registry.</param>
    /// <exception cref="UserErrorException">No such template; the message names the known ones.</exception>
    public static ConversationTemplate Get(string name, TemplateDialect dialect = TemplateDialect.Upstream) =>
        Registry(dialect).TryGetValue(name, out var template)
            ? template
            : throw new UserErrorException(
                $"conversation template \"{name}\" is not known; known are {string.Join(", ", Names(dialect))}");

    private static SortedDictionary<string, ConversationTemplate> Registry(TemplateDialect dialect) =>
        dialect == TemplateDialect.Itrex ? Itrex : Upstream;

    private static SortedDictionary<string, ConversationTemplate> Index(params ConversationTemplate[] templates) =>
        new(templates.ToDictionary(t => t.Name), StringComparer.Ordinal);

    private static ConversationTemplate Plain(string name) => new()
    {
        Name = name,
        System = "",
        UserRole = "",
        AssistantRole = "",
        Separator = "\n",
        Style = SeparatorStyle.Plain,
        Version = "Unknown",
    };

    private static ConversationTemplate Two(string name, string system, string user, string assistant, string version) => new()
    {
        Name = name,
        System = system,
        UserRole = user,
        AssistantRole = assistant,
        Separator = " ",
        Separator2 = "</s>",
        Style = SeparatorStyle.Two,
        Version = version,
    };
}
