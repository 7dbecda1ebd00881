namespace LlavaSharp.Templates;

/// <summary>Whose template a name means: both code bases have a <c>v1</c>, and they differ.</summary>
public enum TemplateDialect
{
    /// <summary>LLaVA's own registry.</summary>
    Upstream,

    /// <summary>The registry of Intel Extension for Transformers' multi_modal example.</summary>
    Itrex,
}
