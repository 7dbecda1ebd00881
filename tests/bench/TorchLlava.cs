using LlavaSharp.Interop;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlavaSharp.Bench;

/// <summary>
/// LLaVA as a user of TorchSharp would write it: modules, autograd, a padded batch, logits of every position. It is not
/// handicapped: the tower stops at the layer that is read and keeps no graph, attention is libtorch's fused one, and
/// what a layer no longer needs is disposed at its end.
/// </summary>
internal sealed class TorchLlava : nn.Module<Tensor, Tensor, Tensor, Tensor, Tensor>
{
    private readonly ModelConfig _config;
    private readonly Conv2d _patches;
    private readonly Parameter _class, _places;
    private readonly LayerNorm _preNorm;
    private readonly ModuleList<TorchVisionLayer> _vision = new();
    private readonly nn.Module<Tensor, Tensor> _project1, _project2, _head;
    private readonly Embedding _embed;
    private readonly ModuleList<TorchDecoderLayer> _layers = new();
    private readonly TorchRmsNorm _norm;

    public TorchLlava(ModelConfig config, TorchParts parts)
        : base("llava")
    {
        _config = config;
        int patches = config.ImageSize / config.PatchSize * (config.ImageSize / config.PatchSize);
        _patches = nn.Conv2d(3, config.VisionHidden, config.PatchSize, config.PatchSize, bias: false);
        parts.Add("vision.embeddings.patch_embedding.weight", _patches.weight!);
        _class = parts.Parameter("vision.embeddings.class_embedding", randn(config.VisionHidden));
        _places = parts.Parameter("vision.embeddings.position_embedding.weight", randn(patches + 1, config.VisionHidden));
        _preNorm = parts.LayerNorm("vision.pre_layrnorm", config.VisionHidden, config.VisionNormEps);
        for (int layer = 0; layer < config.VisionLayers + 1 + config.VisionFeatureLayer; layer++)
        {
            _vision.Add(new(parts, config, layer));
        }

        _project1 = parts.Linear("projector.0", config.VisionHidden, config.Hidden, bias: true);
        _project2 = parts.Linear("projector.2", config.Hidden, config.Hidden, bias: true);
        _embed = nn.Embedding(config.Vocabulary, config.Hidden);
        parts.Add("embed.weight", _embed.weight!);
        for (int layer = 0; layer < config.Layers; layer++)
        {
            _layers.Add(new(parts, config, layer));
        }

        _norm = new(parts, "head.norm", config.Hidden, config.NormEps);
        _head = parts.Linear("head", config.Hidden, config.Vocabulary, bias: false);
        RegisterComponents();
    }

    // [B,T] ids, [B,T] labels or -100, [B,T] not padding, [B,3,S,S] pixels → the mean loss of supervised tokens
    public override Tensor forward(Tensor ids, Tensor labels, Tensor mask, Tensor pixels)
    {
        long length = ids.shape[1], rows = _config.ImageRows;
        Tensor image = _project2.call(nn.functional.gelu(_project1.call(Features(pixels)))); // [B,L,D]
        Tensor words = _embed.call(ids); // [B,T,D]; each sample is BOS, image, text
        Tensor hidden = cat([words.slice(1, 0, 1, 1), image, words.slice(1, 1 + rows, length, 1)], 1);
        (Tensor cosines, Tensor sines) = Rotary(length);
        Tensor seen = ones([length, length], ScalarType.Bool).tril().unsqueeze(0).unsqueeze(0)
            .logical_and(mask.unsqueeze(1).unsqueeze(1)); // [B,1,T,T]
        foreach (TorchDecoderLayer layer in _layers)
        {
            hidden = layer.call(hidden, cosines, sines, seen);
        }

        Tensor logits = _head.call(_norm.call(hidden)).slice(1, 0, length - 1, 1); // [B,T-1,V]
        return nn.functional.cross_entropy(
            logits.reshape(-1, _config.Vocabulary), labels.slice(1, 1, length, 1).reshape(-1), ignore_index: PackedBatch.IgnoreLabel);
    }

    // [B,3,S,S] → [B,L,Dv]
    private Tensor Features(Tensor pixels)
    {
        using IDisposable frozen = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor patches = _patches.call(pixels).flatten(2).transpose(1, 2); // [B,P,Dv]
        Tensor hidden = cat([_class.expand(pixels.shape[0], 1, _config.VisionHidden), patches], 1) + _places;
        hidden = _preNorm.call(hidden);
        foreach (TorchVisionLayer layer in _vision)
        {
            Tensor next = layer.call(hidden);
            hidden.Dispose();
            hidden = next;
        }

        return hidden.slice(1, 1, hidden.shape[1], 1).contiguous().MoveToOuterDisposeScope();
    }

    private (Tensor Cosines, Tensor Sines) Rotary(long length)
    {
        Tensor frequencies = pow(_config.RopeTheta, -arange(0, _config.HeadDim, 2, ScalarType.Float32) / _config.HeadDim);
        Tensor angles = outer(arange(length, ScalarType.Float32), frequencies); // [T,size/2]
        Tensor both = cat([angles, angles], 1); // [T,size]
        return (both.cos(), both.sin());
    }
}
