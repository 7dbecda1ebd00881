using System.Text.Json;
using LlavaSharp.Checkpoints;
using LlavaSharp.Interop;

namespace LlavaSharp.Parity;

/// <summary>
/// A folder that holds a small checkpoint, images, and what Hugging Face's implementation computes from them:
/// <c>model/</c>, <c>images/</c>, <c>case.json</c> and <c>expected.safetensors</c>.
/// </summary>
public sealed class ParityCase : IDisposable
{
    private readonly SafetensorsFile _expected;
    private readonly JsonElement _root;
    private readonly string _file;

    private ParityCase(string folder, JsonElement root, SafetensorsFile expected)
    {
        (Folder, _root, _expected) = (folder, root, expected);
        _file = Path.Combine(folder, "case.json");
        TokenIds = [.. Get("token_ids").EnumerateArray().Select(Ints)];
        Labels = [.. Get("labels").EnumerateArray().Select(Ints)];
        Images = [.. Get("images").EnumerateArray().Select(i => i.GetString())];
        ImageToken = Get("image_token").GetInt32();
        Loss = Get("loss").GetDouble();
        Greedy = Ints(Get("greedy"));
        Encode = [.. Get("encode").EnumerateObject().Select(p => (p.Name, Ints(p.Value)))];
        Losses = Series("losses");
        GradientNorms = Series("grad_norm");
        Optimizer = ReadOptimizer(Get("optimizer"));
        CastType = ReadCastType();
        Storage = ReadStorage();
        if (TokenIds.Length == 0 || Labels.Length != TokenIds.Length || Images.Length != TokenIds.Length
            || Labels.Where((l, i) => l.Length != TokenIds[i].Length).Any())
        {
            throw new UserErrorException($"{_file}: token_ids, labels and images do not have the same lengths");
        }
    }

    /// <summary>The case's folder.</summary>
    public string Folder { get; }

    /// <summary>The checkpoint's folder.</summary>
    public string ModelFolder => Path.Combine(Folder, "model");

    /// <summary>[B][t] ids; an image stands as one <see cref="ImageToken"/> a row.</summary>
    public int[][] TokenIds { get; }

    /// <summary>[B][t] labels; −100 is not trained.</summary>
    public int[][] Labels { get; }

    /// <summary>[B] file of each sample's image; null for text alone.</summary>
    public string?[] Images { get; }

    /// <summary>The id that image rows have.</summary>
    public int ImageToken { get; }

    /// <summary>Mean cross entropy of the batch, nats.</summary>
    public double Loss { get; }

    /// <summary>Greedy continuation of the first sample's prompt.</summary>
    public int[] Greedy { get; }

    /// <summary>Texts and their SentencePiece ids.</summary>
    public IReadOnlyList<(string Text, int[] Ids)> Encode { get; }

    /// <summary>Stage → loss before each update.</summary>
    public IReadOnlyDictionary<string, double[]> Losses { get; }

    /// <summary>Stage → gradient norm before clipping, of each update.</summary>
    public IReadOnlyDictionary<string, double[]> GradientNorms { get; }

    /// <summary>How the updates were made.</summary>
    public ParityOptimizer Optimizer { get; }

    /// <summary>
    /// What the reference model was cast to as a whole before it computed in float32. That rounds its weights, as the stored ones
    /// are, and its rotary frequencies, which no checkpoint stores.
    /// </summary>
    public ElementType CastType { get; }

    /// <summary>How the reference's weights were stored: bfloat16: each was rounded, and what trains was a float32 master.</summary>
    public WeightStorage Storage { get; }

    /// <summary>Names of the expected tensors.</summary>
    public IReadOnlyList<string> Expected => _expected.Names;

    /// <summary>Opens a case.</summary>
    /// <param name="folder">Its folder.</param>
    /// <returns>The case.</returns>
    /// <exception cref="UserErrorException">A file is missing or malformed; the message names it.</exception>
    public static ParityCase Open(string folder)
    {
        var file = Path.Combine(folder, "case.json");
        JsonElement root;
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            root = document.RootElement.Clone();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"cannot read parity case '{file}': {e.Message}", e);
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{file}: line {e.LineNumber + 1}: {e.Message}", e);
        }

        SafetensorsFile? expected = SafetensorsFile.Open(Path.Combine(folder, "expected.safetensors"));
        try
        {
            var parity = new ParityCase(folder, root, expected);
            expected = null;
            return parity;
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException)
        {
            throw new UserErrorException($"{file}: a field has the wrong type: {e.Message}", e);
        }
        finally
        {
            expected?.Dispose();
        }
    }

    /// <summary>Values of an expected tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>float32 values, row-major.</returns>
    public float[] Floats(string name) => _expected.Floats(name);

    /// <summary>Shape of an expected tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>Row-major axes.</returns>
    public long[] Shape(string name) => _expected[name].Shape;

    /// <inheritdoc/>
    public void Dispose() => _expected.Dispose();

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(i => i.GetInt32())];

    private static double[] Doubles(JsonElement array) => [.. array.EnumerateArray().Select(i => i.GetDouble())];

    private JsonElement Get(string name) => Get(_root, name);

    private JsonElement Get(JsonElement of, string name) =>
        of.ValueKind == JsonValueKind.Object && of.TryGetProperty(name, out var value)
            ? value
            : throw new UserErrorException($"{_file}: '{name}' is missing");

    private Dictionary<string, double[]> Series(string name) =>
        Get(name).EnumerateObject().ToDictionary(p => p.Name, p => Doubles(p.Value), StringComparer.Ordinal);

    // One of the arguments that the case was made with.
    private string? Argument(string name) => _root.TryGetProperty("args", out var args) && args.ValueKind == JsonValueKind.Object
        && args.TryGetProperty(name, out var value) ? value.GetString() : null;

    private WeightStorage ReadStorage() => Argument("weights") switch
    {
        null or "float32" => WeightStorage.Float32,
        "bfloat16" => new(Interop.Storage.BFloat16),
        var name => throw new UserErrorException($"{_file}: args.weights '{name}' is not known; float32 and bfloat16 are"),
    };

    private ElementType ReadCastType()
    {
        var name = Argument("dtype");
        return name switch
        {
            "float32" or null => ElementType.Float32,
            "float16" => ElementType.Float16,
            "bfloat16" => ElementType.BFloat16,
            _ => throw new UserErrorException($"{_file}: args.dtype '{name}' is not known; float32, float16 and bfloat16 are"),
        };
    }

    private ParityOptimizer ReadOptimizer(JsonElement o)
    {
        var name = Get(o, "name").GetString();
        var betas = Doubles(Get(o, "betas"));
        return name == "AdamW" && betas.Length == 2
            ? new(
                Get(o, "lr").GetDouble(), betas[0], betas[1], Get(o, "eps").GetDouble(),
                o.TryGetProperty("weight_decay", out var decay) ? decay.GetDouble() : 0,
                o.TryGetProperty("clip_grad_norm", out var clip) ? clip.GetDouble() : 0,
                Get(o, "steps").GetInt32())
            : throw new UserErrorException($"{_file}: optimizer '{name}' with {betas.Length} betas; AdamW with 2 is known");
    }
}
