using LlavaSharp.Data;
using static LlavaSharp.Templates.TemplateTexts;

namespace LlavaSharp.Templates;

/// <summary>The templates by name. A name means the same template in every verb: <c>v0</c> and <c>v0.5</c>, which are about padding in
/// LLaVA's recipe, are <c>vicuna_v1</c> everywhere. Intel's templates, whose texts differ, are named <c>itrex_…</c> wherever the
/// dialect is not given.</summary>
public static class ConversationTemplates
{
    /// <summary>The template of a model that does not say how it was trained.</summary>
    public const string DefaultName = "v1";

    /// <summary>What tells Intel's names from LLaVA's where the dialect is not given.</summary>
    internal const string ItrexPrefix = "itrex_";

    private static readonly Turn[] Renewables = [new("human", ExampleQuestion), new("gpt", ExampleAnswer)];

    private static readonly SortedDictionary<string, ConversationTemplate> Upstream = Index(
        Plain("plain"),
        Plain("v0_plain"),
        Two("v1", CuriousUser, "USER", "ASSISTANT", "v1"),
        Two("vicuna_v1", CuriousUser, "USER", "ASSISTANT", "v1"),
        Two("llava_v1", CuriousHuman, "USER", "ASSISTANT", "v1"),
        Two("v1_mmtag", VisualContent, "USER", "ASSISTANT", "v1_mmtag"),
        Single("default", CuriousHuman, "Unknown") with { Examples = Renewables },
        Single("vicuna_v0", CuriousHuman, "Unknown") with { Examples = Renewables },
        Single("llava_v0", CuriousHuman, "Unknown"),
        Single("v0_mmtag", VisualContent, "v0_mmtag"),
        Inst("llama_2", Llama2, "<s>"),
        Inst("llava_llama_2", LanguageAndVision, "<s>"),
        Inst("mistral_instruct", "", ""),
        ChatMl("mpt", Mpt, "mpt"),
        ChatMl("chatml_direct", AnswerTheQuestions, "mpt"),
        ChatMl("mistral_direct", AnswerTheQuestions, "mpt"));

    // mpt_oh: the path of OpenHermes; the strings are LLaVA's, for those of the original could not be read.
    private static readonly SortedDictionary<string, ConversationTemplate> Itrex = Index(
        Plain("plain") with { Dialect = TemplateDialect.Itrex },
        Two("v1", CuriousHuman, "User", "Assistant", "v1") with { Dialect = TemplateDialect.Itrex },
        Inst("mistral_instruct", "", "") with { Dialect = TemplateDialect.Itrex },
        ChatMl("mpt_oh", Mpt, "mpt_oh") with { Dialect = TemplateDialect.Itrex });

    /// <summary>The names of a registry, sorted, without the <c>itrex_</c> that tells Intel's from LLaVA's.</summary>
    /// <param name="dialect">Whose registry.</param>
    public static IReadOnlyCollection<string> Names(TemplateDialect dialect = TemplateDialect.Upstream) => Registry(dialect).Keys;

    /// <summary>Finds a template.</summary>
    /// <param name="name">Its name in the registry; LLaVA's registry also knows <c>v0</c>, <c>v0.5</c> and Intel's templates as
    /// <c>itrex_…</c>.</param>
    /// <param name="dialect">Whose registry.</param>
    /// <exception cref="UserErrorException">No such template; the message names the known ones. A misspelt name, which LLaVA silently
    /// trains as vicuna_v1, is refused, too.</exception>
    public static ConversationTemplate Get(string name, TemplateDialect dialect = TemplateDialect.Upstream) =>
        Find(name, dialect) ?? throw new UserErrorException(
            $"conversation template \"{name}\" is not known; known are {string.Join(", ", Names(dialect))}"
            + (dialect == TemplateDialect.Upstream ? $", {string.Join(", ", Itrex.Values.Select(t => t.FullName))}" : ""));

    /// <summary>Finds a template by a name that <see cref="Get"/> knows.</summary>
    /// <param name="name">The name.</param>
    /// <param name="dialect">Whose registry.</param>
    /// <returns>The template; null where there is none of that name.</returns>
    public static ConversationTemplate? Find(string name, TemplateDialect dialect = TemplateDialect.Upstream)
    {
        if (name.StartsWith(ItrexPrefix, StringComparison.Ordinal))
        {
            return Itrex.GetValueOrDefault(name[ItrexPrefix.Length..]);
        }

        return Registry(dialect).GetValueOrDefault(dialect == TemplateDialect.Upstream && name is "v0" or "v0.5" ? "vicuna_v1" : name);
    }

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

    private static ConversationTemplate Single(string name, string system, string version) => new()
    {
        Name = name,
        System = system,
        UserRole = "Human",
        AssistantRole = "Assistant",
        Separator = "###",
        Style = SeparatorStyle.Single,
        Version = version,
    };

    private static ConversationTemplate Inst(string name, string system, string separator) => new()
    {
        Name = name,
        System = system,
        UserRole = "USER",
        AssistantRole = "ASSISTANT",
        Separator = separator,
        Separator2 = "</s>",
        Style = SeparatorStyle.Llama2,
        Version = "llama_v2",
    };

    private static ConversationTemplate ChatMl(string name, string system, string version) => new()
    {
        Name = name,
        System = system,
        UserRole = "<|im_start|>user\n",
        AssistantRole = "<|im_start|>assistant\n",
        Separator = "<|im_end|>",
        Style = SeparatorStyle.Mpt,
        Version = version,
    };
}
