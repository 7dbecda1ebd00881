using System.Text;

namespace LlavaSharp.Imaging;

/// <summary>Says what a file is that is none of the pictures that are read, and what to do about it.</summary>
internal static class ForeignFile
{
    /// <summary>Bytes of a file's beginning that are looked at.</summary>
    public const int Looked = FileSignatures.HeadBytes;

    private const string Formats = "JPEG, PNG, WebP, GIF and BMP are read";
    private const string Convert = "convert it to PNG or JPEG";
    private const string Fetch = "fetch the picture again, or leave it out";

    /// <summary>The refusal, in a line.</summary>
    /// <param name="file">The file, or its beginning.</param>
    /// <param name="name">What messages call it.</param>
    public static UserErrorException Refusal(ReadOnlySpan<byte> file, string name)
    {
        if (file.IsEmpty)
        {
            return Error(ImageFault.Empty, $"image {name} is not a picture: it is empty; {Fetch}.");
        }

        file = file[..Math.Min(Looked, file.Length)];
        if (Picture(file) is { } kind)
        {
            bool tiff = kind == "TIFF";
            return Error(
                tiff ? ImageFault.Tiff : ImageFault.NotAnImage, $"image {name} is {Article(kind)} {kind} file; {Formats}: {Convert}.");
        }

        return Error(ImageFault.NotAnImage, Other(file) is var (what, remedy)
            ? $"image {name} is not a picture: it is {what}; {remedy}."
            : $"image {name} is not a picture: it begins with {System.Convert.ToHexString(file[..Math.Min(8, file.Length)])}; {Formats}.");
    }

    /// <summary>Pictures and films of formats that are not read.</summary>
    private static string? Picture(ReadOnlySpan<byte> file)
    {
        if (file.StartsWith("II*\0"u8) || file.StartsWith("MM\0*"u8) || file.StartsWith("II+\0"u8) || file.StartsWith("MM\0+"u8))
        {
            return "TIFF";
        }

        if (file.Length >= 12 && file[4..].StartsWith("ftyp"u8))
        {
            return Encoding.Latin1.GetString(file.Slice(8, 4)) switch
            {
                "avif" or "avis" => "AVIF",
                "heic" or "heix" or "heim" or "heis" or "hevc" or "hevx" or "mif1" or "msf1" => "HEIC",
                "jxl " => "JPEG XL",
                _ => "MP4",
            };
        }

        return file.StartsWith("%PDF-"u8) ? "PDF"
            : file.StartsWith("8BPS"u8) ? "Photoshop"
            : file.StartsWith((ReadOnlySpan<byte>)[0, 0, 0, 12, (byte)'j', (byte)'P', (byte)' ', (byte)' ']) ? "JPEG 2000"
            : file.StartsWith((ReadOnlySpan<byte>)[0xFF, 0x4F, 0xFF, 0x51]) ? "JPEG 2000"
            : file.StartsWith((ReadOnlySpan<byte>)[0, 0, 0, 12, (byte)'J', (byte)'X', (byte)'L', (byte)' ']) ? "JPEG XL"
            : file.StartsWith((ReadOnlySpan<byte>)[0xFF, 0x0A]) ? "JPEG XL"
            : file.StartsWith((ReadOnlySpan<byte>)[0, 0, 1, 0]) ? "icon (ICO)"
            : file.StartsWith("P"u8) && file.Length > 2 && file[1] is >= (byte)'1' and <= (byte)'7' && file[2] is (byte)'\n' or (byte)' ' ? "PNM"
            : Text(file).Contains("<svg", StringComparison.OrdinalIgnoreCase) ? "SVG"
            : null;
    }

    private static (string What, string Remedy)? Other(ReadOnlySpan<byte> file)
    {
        string text = Text(file);
        return FileSignatures.IsGitLfsPointer(file)
                ? ("a Git LFS pointer, which stands for the picture", "run git lfs pull in the repository it comes from")
            : FileSignatures.IsWebPage(file) ? ("an HTML page, as a server sends it instead of a picture", Fetch)
            : StartsWith(text, "<?xml") || StartsWith(text, "<error") ? ("XML text, as a server sends it instead of a picture", Fetch)
            : text.StartsWith('{') || text.StartsWith('[') ? ("JSON text, as a server sends it instead of a picture", Fetch)
            : FileSignatures.Packing(file) is { } packing ? ($"{(packing == "xz" ? "an" : "a")} {packing} archive", "unpack it")
            : !file.ContainsAnyExcept((byte)0) ? ("nothing but zero bytes, as a broken download or copy leaves them", Fetch)
            : null;
    }

    private static bool StartsWith(string text, string what) => text.StartsWith(what, StringComparison.OrdinalIgnoreCase);

    // Text without a byte order mark and leading blanks; of other bytes what does not matter here.
    private static string Text(ReadOnlySpan<byte> file) => Encoding.UTF8.GetString(file).TrimStart('\uFEFF', ' ', '\t', '\r', '\n');

    private static string Article(string kind) => kind is "AVIF" or "SVG" or "MP4" or "icon (ICO)" ? "an" : "a";

    private static UserErrorException Error(ImageFault fault, string message) => Fault.With(new UserErrorException(message), fault);
}
