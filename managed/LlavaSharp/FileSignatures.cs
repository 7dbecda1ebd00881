using System.Text;

namespace LlavaSharp;

/// <summary>What the first bytes of a file say it is, where it is no model, data or picture but stands in place of one. Each reader words
/// its own message.</summary>
internal static class FileSignatures
{
    /// <summary>How many first bytes of a file are looked at.</summary>
    public const int HeadBytes = 512;

    /// <summary>The name of the archive or compression, such as <c>gzip</c> or <c>tar</c>; null for other files.</summary>
    /// <param name="head">The first <see cref="HeadBytes"/> bytes, or all of a shorter file.</param>
    public static string? Packing(ReadOnlySpan<byte> head) => head switch
    {
        [0x1f, 0x8b, ..] => "gzip",
        [(byte)'B', (byte)'Z', (byte)'h', ..] => "bzip2",
        [0xfd, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', ..] => "xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        [(byte)'7', (byte)'z', 0xbc, 0xaf, ..] => "7z",
        [(byte)'P', (byte)'K', 3, 4, ..] => "zip",
        _ when head.Length >= 262 && head[257..].StartsWith("ustar"u8) => "tar",
        _ => null,
    };

    /// <summary>Whether it is what a clone without Git LFS leaves in place of a file.</summary>
    public static bool IsGitLfsPointer(ReadOnlySpan<byte> head) => head.StartsWith("version https://git-lfs.github.com/"u8);

    /// <summary>Whether it is a web page, such as a login or an error page that was saved in place of a download.</summary>
    public static bool IsWebPage(ReadOnlySpan<byte> head)
    {
        ReadOnlySpan<byte> text = head.StartsWith("\ufeff"u8) ? head[3..] : head;
        text = text.TrimStart(" \t\r\n"u8);
        return Begins(text, "<!doctype html") || Begins(text, "<html");
    }

    /// <summary>Whether it is a Parquet file.</summary>
    public static bool IsParquet(ReadOnlySpan<byte> head) => head.StartsWith("PAR1"u8);

    private static bool Begins(ReadOnlySpan<byte> text, string start) =>
        text.Length >= start.Length && Ascii.EqualsIgnoreCase(text[..start.Length], start);
}
