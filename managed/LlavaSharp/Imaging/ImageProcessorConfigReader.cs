using System.Text;
using System.Text.Json;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Imaging;

/// <summary>Reads the fields of an image processor and refuses, by name and value, what would change pixels
/// in a way that is not implemented.</summary>
internal static class ImageProcessorConfigReader
{
    // CLIPImageProcessor's own values for what a file leaves out.
    private const int DefaultSize = 224;

    private const int LargestSize = 8192;

    /// <summary>Reads a file that is an image processor's settings.</summary>
    public static ImageProcessorConfig Parse(string text, string path)
    {
        using JsonDocument document = Open(text, path);
        return Read(document.RootElement, path);
    }

    /// <summary>Reads a processor's file that may hold an image processor's settings; null when it holds none.</summary>
    public static ImageProcessorConfig? ParseNested(string text, string path)
    {
        using JsonDocument document = Open(text, path);
        JsonElement root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw new UserErrorException($"{path} holds a JSON {Kind(root)}, not an object of processor settings.");
        }

        return Has(root, "image_processor", out JsonElement inner) ? Read(inner, $"{path}: image_processor") : null;
    }

    private static ImageProcessorConfig Read(JsonElement root, string path)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw new UserErrorException($"{path} holds a JSON {Kind(root)}, not an object of image processor settings.");
        }

        bool? pads = RefuseUnimplemented(root, path);
        (int edge, bool keepAspect) = Resize(root, path);
        int crop = Has(root, "crop_size", out JsonElement value) ? Square(value, "crop_size", path) : DefaultSize;
        return new ImageProcessorConfig(
            crop,
            Triple(root, "image_mean", ImageProcessorConfig.ClipMean, path),
            Triple(root, "image_std", ImageProcessorConfig.ClipStd, path))
        {
            ShortestEdge = edge,
            KeepAspect = keepAspect,
            Pads = pads,
            RescaleFactor = Factor(root, path),
        };
    }

    // A null stands for the class's own value, as a missing field does.
    private static bool Has(JsonElement root, string name, out JsonElement value) =>
        root.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;

    private static JsonDocument Open(string text, string path)
    {
        try
        {
            return JsonDocument.Parse(text);
        }
        catch (JsonException error)
        {
            byte[] head = Encoding.UTF8.GetBytes(text.Length > FileKinds.HeadBytes ? text[..FileKinds.HeadBytes] : text);
            throw new UserErrorException(
                FileKinds.Recognise(head) is { } kind ? $"'{path}' {kind}"
                    : $"{path}, line {(error.LineNumber ?? 0) + 1}: not valid JSON. Restore the file from the model's original folder.",
                error);
        }
    }

    /// <summary>Refuses what would change pixels; gives a LlavaImageProcessor's do_pad.</summary>
    private static bool? RefuseUnimplemented(JsonElement root, string path)
    {
        foreach (string name in (ReadOnlySpan<string>)["do_resize", "do_center_crop", "do_rescale", "do_normalize"])
        {
            RefuseUnless(root, name, "true", path);
        }

        RefuseUnless(root, "resample", "3", path);
        string type = Has(root, "image_processor_type", out JsonElement named) ? named.GetRawText() : "\"CLIP";
        if (!type.StartsWith("\"CLIP", StringComparison.Ordinal) && !type.StartsWith("\"Llava", StringComparison.Ordinal))
        {
            throw NotImplemented("image_processor_type", named, "a CLIP or LLaVA processor", path);
        }

        if (type.StartsWith("\"LlavaImageProcessor", StringComparison.Ordinal) && Has(root, "do_pad", out JsonElement pads))
        {
            return pads.ValueKind is JsonValueKind.True or JsonValueKind.False
                ? pads.GetBoolean()
                : throw new UserErrorException($"{path}: do_pad is {pads.GetRawText()}; expected true or false.");
        }

        // LLaVA-NeXT pads what its tiles are cut from; a tile is whole.
        if (!type.StartsWith("\"LlavaNext", StringComparison.Ordinal))
        {
            RefuseUnless(root, "do_pad", "false", path);
        }

        return null;
    }

    private static void RefuseUnless(JsonElement root, string name, string wanted, string path)
    {
        if (Has(root, name, out JsonElement value) && value.GetRawText() != wanted)
        {
            throw NotImplemented(name, value, wanted, path);
        }
    }

    private static UserErrorException NotImplemented(string name, JsonElement value, string wanted, string path) =>
        new($"{path}: {name} is {value.GetRawText()}, and only {wanted} is implemented; pixels would differ from the model's own.");

    private static (int Edge, bool KeepAspect) Resize(JsonElement root, string path)
    {
        if (!Has(root, "size", out JsonElement size))
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
        if (!Has(root, name, out JsonElement value))
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
        if (!Has(root, "rescale_factor", out JsonElement value))
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
