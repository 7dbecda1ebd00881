namespace LlavaSharp.Interop;

/// <summary>
/// A LLaVA model's shape. Widths have no default and must be set. Dv = vision hidden, D = hidden, V = vocabulary,
/// S = image size, p = patch size, L = image rows.
/// </summary>
public sealed record ModelConfig
{
    /// <summary>Dv; 0 = no tower: a text-only model, which has no projector either.</summary>
    public int VisionHidden { get; init; }

    /// <summary>Layers of the tower in the checkpoint.</summary>
    public int VisionLayers { get; init; }

    /// <summary>Heads of the tower; divides Dv.</summary>
    public int VisionHeads { get; init; }

    /// <summary>Width of the tower's MLP.</summary>
    public int VisionIntermediate { get; init; }

    /// <summary>S, in pixels, a multiple of p.</summary>
    public int ImageSize { get; init; }

    /// <summary>p, in pixels.</summary>
    public int PatchSize { get; init; }

    /// <summary>The tower's activation.</summary>
    public Activation VisionActivation { get; init; } = Activation.QuickGelu;

    /// <summary>Index into the tower's hidden states: 0 … VisionLayers, or negative from the end.</summary>
    public int VisionFeatureLayer { get; init; } = -2;

    /// <summary>Whether the class token is one of the image rows.</summary>
    public bool VisionKeepClassToken { get; init; }

    /// <summary>How image features become decoder inputs.</summary>
    public ProjectorKind Projector { get; init; } = ProjectorKind.Mlp;

    /// <summary>Linears in the projector's MLP: N of mlpNx_gelu.</summary>
    public int ProjectorDepth { get; init; } = 2;

    /// <summary>D.</summary>
    public int Hidden { get; init; }

    /// <summary>Decoder layers.</summary>
    public int Layers { get; init; }

    /// <summary>Query heads.</summary>
    public int Heads { get; init; }

    /// <summary>Key and value heads; divides Heads.</summary>
    public int KvHeads { get; init; }

    /// <summary>Width of a head, even; need not be D / Heads.</summary>
    public int HeadDim { get; init; }

    /// <summary>Width of the decoder's SwiGLU MLP.</summary>
    public int Intermediate { get; init; }

    /// <summary>V.</summary>
    public int Vocabulary { get; init; }

    /// <summary>Epsilon of the tower's LayerNorm.</summary>
    public double VisionNormEps { get; init; } = 1e-5;

    /// <summary>Epsilon of the decoder's RMSNorm.</summary>
    public double NormEps { get; init; } = 1e-5;

    /// <summary>Rotary base.</summary>
    public double RopeTheta { get; init; } = 10000;

    /// <summary>
    /// What rotary frequencies are rounded to: float32, but for a reference model that was cast as a whole to float16 or
    /// bfloat16.
    /// </summary>
    public ElementType RopeType { get; init; } = ElementType.Float32;

    /// <summary>Whether the parameter table ends in <c>image_newline</c> [D].</summary>
    public bool ImageNewline { get; init; }

    /// <summary>How all weights but adapters are stored: float32, or bfloat16, of which what trains has float32 masters.</summary>
    public Storage Storage { get; init; }

    /// <summary>How the decoder layers' linears are stored where they are frozen in <see cref="Storage.Int8"/> or less; float32: as
    /// <see cref="Storage"/> says.</summary>
    public Storage LinearStorage { get; init; }

    /// <summary>L: rows of one image, (S/p)² and one more when the class token is kept; 0 without a tower.</summary>
    public int ImageRows => VisionHidden == 0 || PatchSize == 0
        ? 0 : (ImageSize / PatchSize * (ImageSize / PatchSize)) + (VisionKeepClassToken ? 1 : 0);

    internal Native.ModelConfig ToNative()
    {
        Native.ModelConfigInit(out Native.ModelConfig native).ThrowIfFailed();
        native.VisionHidden = VisionHidden;
        native.VisionLayers = VisionLayers;
        native.VisionHeads = VisionHeads;
        native.VisionIntermediate = VisionIntermediate;
        native.ImageSize = ImageSize;
        native.PatchSize = PatchSize;
        native.VisionActivation = (int)VisionActivation;
        native.VisionFeatureLayer = VisionFeatureLayer;
        native.VisionKeepClassToken = VisionKeepClassToken ? 1 : 0;
        native.Projector = (int)Projector;
        native.ProjectorDepth = ProjectorDepth;
        native.Hidden = Hidden;
        native.Layers = Layers;
        native.Heads = Heads;
        native.KvHeads = KvHeads;
        native.HeadDim = HeadDim;
        native.Intermediate = Intermediate;
        native.Vocabulary = Vocabulary;
        native.ImageNewline = ImageNewline ? 1 : 0;
        native.Storage = (int)Storage;
        native.LinearStorage = (int)LinearStorage;
        native.VisionNormEps = VisionNormEps;
        native.NormEps = NormEps;
        native.RopeTheta = RopeTheta;
        native.RopeDtype = (int)RopeType;
        return native;
    }
}
