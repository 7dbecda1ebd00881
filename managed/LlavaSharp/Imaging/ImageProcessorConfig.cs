using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlavaSharp.Imaging;

/// <summary>
/// What a model folder says about its pictures: <c>preprocessor_config.json</c>, or <c>image_processor</c> inside
/// <c>processor_config.json</c> where transformers 5 saved the folder.
/// </summary>
/// <param name="Size">Side S of the square that the vision tower reads, in pixels.</param>
/// <param name="Mean">Channel means [3], of values in 0 … 1.</param>
/// <param name="Std">Channel deviations [3].</param>
public sealed record ImageProcessorConfig(int Size, float[] Mean, float[] Std)
{
    /// <summary>The file's name in a model folder.</summary>
    public const string FileName = "preprocessor_config.json";

    /// <summary>The file that transformers 5 writes instead; its <c>image_processor</c> goes before <see cref="FileName"/>.</summary>
    public const string NestedFileName = "processor_config.json";

    internal static readonly float[] ClipMean = [0.48145466f, 0.4578275f, 0.40821073f];
    internal static readonly float[] ClipStd = [0.26862954f, 0.26130258f, 0.27577711f];

    /// <summary>Length that the shortest edge is resized to before the crop to <see cref="Size"/>.</summary>
    public int ShortestEdge { get; init; } = Size;

    /// <summary>False when the file asks for an exact height and width: the picture is then squashed, not cropped.</summary>
    public bool KeepAspect { get; init; } = true;

    /// <summary>Whether transformers pads a picture to a square first (<c>do_pad</c> of a LlavaImageProcessor);
    /// null for a CLIPImageProcessor, which cannot.</summary>
    public bool? Pads { get; init; }

    /// <summary>What a byte is multiplied with before the mean is subtracted.</summary>
    public double RescaleFactor { get; init; } = 1.0 / 255.0;

    /// <summary>OpenAI CLIP's processing at another size.</summary>
    /// <param name="size">Side of the square, in pixels.</param>
    public static ImageProcessorConfig Clip(int size) => new(size, [.. ClipMean], [.. ClipStd]);

    /// <summary>Reads the settings from a model folder, in transformers' order: <c>image_processor</c> of
    /// <c>processor_config.json</c>, else <c>preprocessor_config.json</c>.</summary>
    /// <param name="folder">A CLIP or LLaVA checkpoint in Hugging Face's layout.</param>
    /// <exception cref="UserErrorException">No file has them, or one is malformed or asks for what is not implemented.</exception>
    public static ImageProcessorConfig Load(string folder) => Find(folder) ?? throw new UserErrorException(
        $"{Path.Combine(folder, FileName)} cannot be read: there is no such file, and no {NestedFileName} with an image_processor. "
        + "It says how pictures are resized: copy it from the model's original folder.");

    /// <summary>Reads the settings from a model folder as <see cref="Load"/> does; null when no file has them.</summary>
    /// <param name="folder">A model folder.</param>
    /// <exception cref="UserErrorException">A file is malformed or asks for something that is not implemented.</exception>
    public static ImageProcessorConfig? Find(string folder)
    {
        string nested = Path.Combine(folder, NestedFileName), own = Path.Combine(folder, FileName);
        return (Text(nested) is { } whole ? ImageProcessorConfigReader.ParseNested(whole, nested) : null)
            ?? (Text(own) is { } text ? ImageProcessorConfigReader.Parse(text, own) : null);
    }

    /// <summary>The text of <see cref="FileName"/>, in the spelling that transformers 4 and 5 both read.</summary>
    public string ToJson()
    {
        JsonObject root = new()
        {
            ["image_processor_type"] = Pads is null ? "CLIPImageProcessor" : "LlavaImageProcessor",
            ["do_convert_rgb"] = true,
            ["do_resize"] = true,
            ["size"] = KeepAspect ? new JsonObject { ["shortest_edge"] = ShortestEdge } : Square(ShortestEdge),
            ["resample"] = 3,
            ["do_center_crop"] = true,
            ["crop_size"] = Square(Size),
            ["do_rescale"] = true,
            ["rescale_factor"] = RescaleFactor,
            ["do_normalize"] = true,
            ["image_mean"] = new JsonArray(Mean[0], Mean[1], Mean[2]),
            ["image_std"] = new JsonArray(Std[0], Std[1], Std[2]),
        };
        if (Pads is { } pads)
        {
            root["do_pad"] = pads;
        }

        return root.ToJsonString(new JsonSerializerOptions { WriteIndented = true, NewLine = "\n" }) + "\n";
    }

    private static string? Text(string path)
    {
        try
        {
            return File.Exists(path) ? File.ReadAllText(path) : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"{path} cannot be read: {error.Message}", error);
        }
    }

    private static JsonObject Square(int side) => new() { ["height"] = side, ["width"] = side };
}
