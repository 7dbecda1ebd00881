using System.Text.Json;

namespace LlavaSharp.Imaging;

/// <summary>Reads the fields of <c>preprocessor_config.json</c> and refuses, by name and value, what would change pixels
/// in a way that is not implemented.</summary>
internal static class ImageProcessorConfigReader
{
    // CLIPImageProcessor's own values for what a file leaves out.
    private const int DefaultSize = 224;

    private const int LargestSize = 8192;

    public static ImageProcessorConfig Parse(string text, string path)
    {
        using JsonDocument document = Open(text, path);
        JsonElement root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw new UserErrorException($"{path} holds a JSON {Kind(root)}, not an object of image processor settings.");
        }

        RefuseUnimplemented(root, path);
        (int edge, bool keepAspect) = Resize(root, path);
        int crop = root.TryGetProperty("crop_size", out JsonElement value) ? Square(value, "crop_size", path) : DefaultSize;
        return new ImageProcessorConfig(
            crop,
            Triple(root, "image_mean", ImageProcessorConfig.ClipMean, path),
            Triple(root, "image_std", ImageProcessorConfig.ClipStd, path))
        {
            ShortestEdge = edge,
            KeepAspect = keepAspect,
            RescaleFactor = Factor(root, path),
        };
    }

    private static JsonDocument Open(string text, string path)
    {
        try
        {
            return JsonDocument.Parse(text);
        }
        catch (JsonException error)
        {
            throw new UserErrorException(
                $"{path}, line {(error.LineNumber ?? 0) + 1}: not valid JSON. Restore the file from the model's original folder.",
                error);
        }
    }

    private static void RefuseUnimplemented(JsonElement root, string path)
    {
        foreach (string name in (ReadOnlySpan<string>)["do_resize", "do_center_crop", "do_rescale", "do_normalize"])
        {
            RefuseUnless(root, name, "true", path);
        }

        // LLaVA-NeXT pads what its tiles are cut from; a tile is whole.
        bool tiles = root.TryGetProperty("image_processor_type", out JsonElement type)
            && type.GetRawText().StartsWith("\"LlavaNext", StringComparison.Ordinal);
        if (!tiles)
        {
            RefuseUnless(root, "do_pad", "false", path);
        }

        RefuseUnless(root, "resample", "3", path);
        if (type.ValueKind != JsonValueKind.Undefined
            && !(type.GetRawText().StartsWith("\"CLIP", StringComparison.Ordinal)
                || type.GetRawText().StartsWith("\"Llava", StringComparison.Ordinal)))
        {
            throw NotImplemented("image_processor_type", type, "a CLIP processor", path);
        }
    }

    private static void RefuseUnless(JsonElement root, string name, string wanted, string path)
    {
        if (root.TryGetProperty(name, out JsonElement value)
            && value.ValueKind != JsonValueKind.Null
            && value.GetRawText() != wanted)
        {
            throw NotImplemented(name, value, wanted, path);
        }
    }

    private static UserErrorException NotImplemented(string name, JsonElement value, string wanted, string path) =>
        new($"{path}: {name} is {value.GetRawText()}, and only {wanted} is implemented; pixels would differ from the model's own.");

    private static (int Edge, bool KeepAspect) Resize(JsonElement root, string path)
    {
        if (!root.TryGetProperty("size", out JsonElement size))
        {
            return (DefaultSize, true);
        }

        if (size.ValueKind == JsonValueKind.Number)
        {
            return (Side(size, "size", path), true);
        }

        return size.ValueKind == JsonValueKind.Object && size.TryGetProperty("shortest_edge", out JsonElement edge)
            ? (Side(edge, "size.shortest_edge", path), true)
            : (Square(size, "size", path), false);
    }

    private static int Square(JsonElement value, string name, string path)
    {
        if (value.ValueKind == JsonValueKind.Number)
        {
            return Side(value, name, path);
        }

        if (value.ValueKind != JsonValueKind.Object
            || !value.TryGetProperty("height", out JsonElement height)
            || !value.TryGetProperty("width", out JsonElement width))
        {
            throw new UserErrorException(
                $"{path}: {name} is {value.GetRawText()}; expected a number or {{\"height\": n, \"width\": n}}.");
        }

        int side = Side(height, name + ".height", path);
        return side == Side(width, name + ".width", path)
            ? side
            : throw new UserErrorException($"{path}: {name} is {value.GetRawText()}, and only squares are implemented.");
    }

    private static int Side(JsonElement value, string name, string path) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int side) && side is >= 1 and <= LargestSize
            ? side
            : throw new UserErrorException($"{path}: {name} is {value.GetRawText()}; expected pixels, 1 … {LargestSize}.");

    private static float[] Triple(JsonElement root, string name, float[] fallback, string path)
    {
        if (!root.TryGetProperty(name, out JsonElement value))
        {
            return [.. fallback];
        }

        float[] numbers = value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 3
            ? [.. value.EnumerateArray().Select(x => x.ValueKind == JsonValueKind.Number ? (float)x.GetDouble() : float.NaN)]
            : [];
        bool valid = numbers.Length == 3 && numbers.All(float.IsFinite)
            && (name != "image_std" || numbers.All(x => x > 0));
        return valid
            ? numbers
            : throw new UserErrorException(
                $"{path}: {name} is {value.GetRawText()}; expected three numbers{(name == "image_std" ? " above 0" : string.Empty)}.");
    }

    private static double Factor(JsonElement root, string path)
    {
        if (!root.TryGetProperty("rescale_factor", out JsonElement value))
        {
            return 1.0 / 255.0;
        }

        double factor = value.ValueKind == JsonValueKind.Number ? value.GetDouble() : double.NaN;
        return double.IsFinite(factor) && factor > 0
            ? factor
            : throw new UserErrorException($"{path}: rescale_factor is {value.GetRawText()}; expected a number above 0.");
    }

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => "array",
        JsonValueKind.String => "string",
        _ => "value",
    };
}
