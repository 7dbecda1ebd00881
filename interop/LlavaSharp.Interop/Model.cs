using System.Diagnostics;

namespace LlavaSharp.Interop;

/// <summary>
/// A LLaVA model's parameters and its forward passes. N = images, L = image rows, T = tokens, B = samples, V = vocabulary.
/// </summary>
public sealed unsafe class Model : IDisposable
{
    private IReadOnlyList<ParameterInfo>? _parameters;

    /// <summary>Makes a model with all parameters zero and none trainable.</summary>
    /// <param name="engine">Where it computes; the model keeps it alive.</param>
    /// <param name="config">Its shape.</param>
    /// <exception cref="EngineException">The config contradicts itself; the message names the field and its value.</exception>
    public Model(Engine engine, ModelConfig config)
    {
        Config = config;
        Native.ModelConfig native = config.ToNative();
        Native.ModelCreate(engine.Handle, in native, out ModelHandle handle).ThrowIfFailed();
        Handle = handle;
    }

    /// <summary>The shape it was made with.</summary>
    public ModelConfig Config { get; }

    /// <summary>The parameter table, in an order that the config fixes; then adapters, as attached.</summary>
    public IReadOnlyList<ParameterInfo> Parameters => _parameters ??= ReadTable();

    internal ModelHandle Handle { get; }

    /// <summary>Finds a row of the parameter table.</summary>
    /// <param name="name">Canonical name.</param>
    /// <exception cref="EngineException">There is no such parameter.</exception>
    public ParameterInfo Parameter(string name) =>
        Parameters.FirstOrDefault(parameter => parameter.Name == name)
        ?? throw new EngineException(EngineStatus.Invalid, $"The model has no parameter '{name}'.");

    /// <summary>Copies a parameter in, converting from <paramref name="type"/>.</summary>
    /// <param name="name">Canonical name.</param>
    /// <param name="type">How <paramref name="bytes"/> stores elements.</param>
    /// <param name="shape">Must be the table's.</param>
    /// <param name="bytes">Row-major elements, little-endian.</param>
    /// <exception cref="EngineException">Unknown name, or another shape; the message has both shapes.</exception>
    public void Write(string name, ElementType type, ReadOnlySpan<long> shape, ReadOnlySpan<byte> bytes) =>
        Write(name, type, shape, LongBytes.Of(bytes));

    /// <summary>As the other overload, for a parameter of any size.</summary>
    /// <param name="name">Canonical name.</param>
    /// <param name="type">How <paramref name="bytes"/> stores elements.</param>
    /// <param name="shape">Must be the table's.</param>
    /// <param name="bytes">Row-major elements, little-endian.</param>
    /// <exception cref="EngineException">Unknown name, or another shape; the message has both shapes.</exception>
    public void Write(string name, ElementType type, ReadOnlySpan<long> shape, LongBytes bytes)
    {
        fixed (long* shapePointer = shape)
        fixed (byte* bytesPointer = bytes)
        {
            Native.ModelParameterWrite(Handle, name, (int)type, shapePointer, shape.Length, bytesPointer, bytes.Length)
                .ThrowIfFailed();
        }
    }

    /// <summary>Copies a parameter out.</summary>
    /// <param name="name">Canonical name.</param>
    /// <param name="values">As long as the parameter.</param>
    public void Read(string name, Span<float> values)
    {
        fixed (float* pointer = values)
        {
            Native.ModelParameterRead(Handle, name, pointer, values.Length).ThrowIfFailed();
        }
    }

    /// <summary>Copies a parameter out into a new array.</summary>
    /// <param name="name">Canonical name.</param>
    public float[] Read(string name)
    {
        float[] values = new float[Parameter(name).Count];
        Read(name, values);
        return values;
    }

    /// <summary>Draws a parameter from a generator keyed by seed and name: the same values on every machine.</summary>
    /// <param name="name">Canonical name.</param>
    /// <param name="kind">Distribution.</param>
    /// <param name="a">The constant, the mean, or the lower bound.</param>
    /// <param name="b">Unused, the standard deviation, or the upper bound.</param>
    /// <param name="seed">Key of the draws.</param>
    public void Fill(string name, Fill kind, double a, double b, long seed) =>
        Native.ModelParameterFill(Handle, name, (int)kind, a, b, seed).ThrowIfFailed();

    /// <summary>Chooses which units train.</summary>
    /// <param name="kinds">A set of units.</param>
    /// <exception cref="EngineException">A trainer exists.</exception>
    public void SetTrainable(UnitKinds kinds)
    {
        Native.ModelTrainableSet(Handle, (int)kinds).ThrowIfFailed();
        _parameters = null;
    }

    /// <summary>Attaches an adapter to a linear of a decoder layer; its parameters end the table.</summary>
    /// <param name="options">Adapters of one input (q, k and v; gate and up) have one dropout and seed.</param>
    /// <param name="weightName">Canonical name of the linear's weight, such as "layer.0.self_attn.q_proj.weight".</param>
    /// <exception cref="EngineException">
    /// The parameter cannot carry an adapter or has one, the adapters are merged, or a trainer exists.
    /// </exception>
    public void AttachLora(LoraOptions options, string weightName)
    {
        Native.LoraInit(out Native.Lora native).ThrowIfFailed();
        native.Alpha = options.Alpha;
        native.Dropout = options.Dropout;
        native.Seed = options.Seed;
        native.Rank = options.Rank;
        native.RankStabilized = options.RankStabilized ? 1 : 0;
        native.Decomposed = options.Decomposed ? 1 : 0;
        Native.ModelLoraAttach(Handle, in native, weightName).ThrowIfFailed();
        _parameters = null;
    }

    /// <summary>Adds s·B·A to each adapted weight, with DoRA rows then get their lengths; adapters then rest, and reading weights
    /// gives the merged model.</summary>
    /// <exception cref="EngineException">There is no adapter, they are merged already, or a trainer exists.</exception>
    public void MergeLora() => Native.ModelLoraMerge(Handle).ThrowIfFailed();

    /// <summary>Undoes <see cref="MergeLora"/>, to rounding.</summary>
    /// <exception cref="EngineException">The adapters are not merged, or a trainer exists.</exception>
    public void UnmergeLora() => Native.ModelLoraUnmerge(Handle).ThrowIfFailed();

    /// <summary>Runs the tower up to the chosen feature layer.</summary>
    /// <param name="pixels">[N,3,S,S].</param>
    /// <param name="features">Receives [N,L,Dv].</param>
    public void RunVision(ReadOnlySpan<float> pixels, Span<float> features)
    {
        fixed (float* pixelsPointer = pixels, featuresPointer = features)
        {
            Native.ModelVisionRun(Handle, pixelsPointer, pixels.Length, featuresPointer, features.Length)
                .ThrowIfFailed();
        }
    }

    /// <summary>Runs the tower and the projector.</summary>
    /// <param name="pixels">[N,3,S,S].</param>
    /// <param name="features">Receives [N,L,D].</param>
    public void RunProjected(ReadOnlySpan<float> pixels, Span<float> features)
    {
        fixed (float* pixelsPointer = pixels, featuresPointer = features)
        {
            Native.ModelProjectRun(Handle, pixelsPointer, pixels.Length, featuresPointer, features.Length)
                .ThrowIfFailed();
        }
    }

    /// <summary>Computes the logits of chosen rows.</summary>
    /// <param name="batch">Labels are not needed.</param>
    /// <param name="rows">Token indices of the run.</param>
    /// <param name="logits">Receives [rows,V].</param>
    public void RunLogits(PackedBatch batch, ReadOnlySpan<int> rows, Span<float> logits)
    {
        using PinnedBatch pinned = new(batch);
        fixed (int* rowsPointer = rows)
        fixed (float* logitsPointer = logits)
        {
            Native.ModelLogitsRun(Handle, in pinned.Value, rowsPointer, rows.Length, logitsPointer, logits.Length)
                .ThrowIfFailed();
        }
    }

    /// <summary>Computes the cross entropy of each sample, without gradients.</summary>
    /// <param name="batch">With labels.</param>
    /// <param name="lossSums">Receives [B], in nats: the sum over each sample's supervised tokens.</param>
    /// <param name="tokens">Receives [B]: the supervised tokens.</param>
    public void RunLoss(PackedBatch batch, Span<double> lossSums, Span<long> tokens)
    {
        using PinnedBatch pinned = new(batch);
        fixed (double* lossPointer = lossSums)
        fixed (long* tokensPointer = tokens)
        {
            Native.ModelLossRun(Handle, in pinned.Value, lossPointer, lossSums.Length, tokensPointer, tokens.Length)
                .ThrowIfFailed();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Handle.Dispose();

    private ParameterInfo[] ReadTable()
    {
        Native.ModelParameterCount(Handle, out long count).ThrowIfFailed();
        ParameterInfo[] table = new ParameterInfo[count];
        for (int index = 0; index < table.Length; index++)
        {
            Native.ModelParameterGet(Handle, index, out Native.Parameter row).ThrowIfFailed();
            Debug.Assert(row.Rank is > 0 and <= Native.RankMax, "the contract bounds the rank");
            table[index] = new ParameterInfo(
                Native.Text(row.Name),
                (UnitKinds)row.UnitKind,
                row.Unit,
                new ReadOnlySpan<long>(row.Shape, row.Rank).ToArray(),
                row.Count,
                row.Decay != 0,
                row.Trainable != 0,
                row.Offset);
        }
        return table;
    }
}
