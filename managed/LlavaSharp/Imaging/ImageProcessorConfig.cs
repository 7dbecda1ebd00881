using System.Text.Json;
using System.Text.Json.Nodes;

namespace LlavaSharp.Imaging;

/// <summary>
/// What Hugging Face's <c>preprocessor_config.json</c> says for CLIP, in the spellings of transformers 4 and 5.
/// </summary>
/// <param name="Size">Side S of the square that the vision tower reads, in pixels.</param>
/// <param name="Mean">Channel means [3], of values in 0 … 1.</param>
/// <param name="Std">Channel deviations [3].</param>
public sealed record ImageProcessorConfig(int Size, float[] Mean, float[] Std)
{
    /// <summary>The file's name in a model folder.</summary>
    public const string FileName = "preprocessor_config.json";

    internal static readonly float[] ClipMean = [0.48145466f, 0.4578275f, 0.40821073f];
    internal static readonly float[] ClipStd = [0.26862954f, 0.26130258f, 0.27577711f];

    /// <summary>Length that the shortest edge is resized to before the crop to <see cref="Size"/>.</summary>
    public int ShortestEdge { get; init; } = Size;

    /// <summary>False when the file asks for an exact height and width: the picture is then squashed, not cropped.</summary>
    public bool KeepAspect { get; init; } = true;

    /// <summary>What a byte is multiplied with before the mean is subtracted.</summary>
    public double RescaleFactor { get; init; } = 1.0 / 255.0;

    /// <summary>OpenAI CLIP's processing at another size.</summary>
    /// <param name="size">Side of the square, in pixels.</param>
    public static ImageProcessorConfig Clip(int size) => new(size, [.. ClipMean], [.. ClipStd]);

    /// <summary>Reads <c>preprocessor_config.json</c> from a model folder.</summary>
    /// <param name="folder">A CLIP or LLaVA checkpoint in Hugging Face's layout.</param>
    /// <exception cref="UserErrorException">The file is missing or malformed, or asks for something that is not implemented.</exception>
    public static ImageProcessorConfig Load(string folder)
    {
        string path = Path.Combine(folder, FileName);
        string text;
        try
        {
            text = File.ReadAllText(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException(
                $"{path} cannot be read: {error.Message} It says how pictures are resized: copy it from the model's original folder.",
                error);
        }

        return ImageProcessorConfigReader.Parse(text, path);
    }

    /// <summary>The file's text, in the spelling that transformers 4 and 5 both read.</summary>
    public string ToJson()
    {
        JsonObject root = new()
        {
            ["image_processor_type"] = "CLIPImageProcessor",
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
        return root.ToJsonString(new JsonSerializerOptions { WriteIndented = true, NewLine = "\n" }) + "\n";
    }

    private static JsonObject Square(int side) => new() { ["height"] = side, ["width"] = side };
}
