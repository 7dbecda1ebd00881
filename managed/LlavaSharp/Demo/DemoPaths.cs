namespace LlavaSharp.Demo;

/// <summary>Where a demo's files lie.</summary>
/// <param name="Out">The folder asked for.</param>
public sealed record DemoPaths(string Out)
{
    /// <summary>Marks a folder as a demo's own, which a later demo may write over without being told to.</summary>
    public string Marker => Path.Combine(Out, ".llavasharp-demo");

    /// <summary>Pictures and conversations.</summary>
    public string Data => Path.Combine(Out, "data");

    /// <summary>The tiny vision tower, as a CLIP folder.</summary>
    public string Clip => Path.Combine(Out, "models", "clip");

    /// <summary>The tiny language model, as a LLaMA folder.</summary>
    public string Llama => Path.Combine(Out, "models", "llama");

    /// <summary>What stage 1 writes.</summary>
    public string Stage1 => Path.Combine(Out, "stage1");

    /// <summary>What stage 2 writes: a Hugging Face LLaVA folder.</summary>
    public string Stage2 => Path.Combine(Out, "stage2");

    /// <summary>Stage 1's projector.</summary>
    public string Projector => Path.Combine(Stage1, "mm_projector.bin");

    /// <summary>The figures.</summary>
    public string ReportJson => Path.Combine(Out, "report.json");

    /// <summary>The page to look at.</summary>
    public string ReportHtml => Path.Combine(Out, "report.html");
}
