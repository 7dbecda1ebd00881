using System.Text;
using LlavaSharp.Imaging;

namespace LlavaSharp.Tests.Imaging;

/// <summary>Files that are no pictures, or of formats that are not read: one line says what each is and what to do.</summary>
public sealed class ForeignFileTests
{
    private const string Read = "JPEG, PNG, WebP, GIF and BMP are read";
    private const string Again = "fetch the picture again, or leave it out.";

    [Theory]
    [InlineData("II*\0\b\0\0\0", "a TIFF")]
    [InlineData("MM\0*\0\0\0\b", "a TIFF")]
    [InlineData("II+\0\b\0\0\0", "a TIFF")]
    [InlineData("\0\0\0\u0018ftypheic\0\0\0\0mif1heic", "a HEIC")]
    [InlineData("\0\0\0\u0018ftypmif1\0\0\0\0mif1heic", "a HEIC")]
    [InlineData("\0\0\0\u001cftypavif\0\0\0\0avifmif1", "an AVIF")]
    [InlineData("\0\0\0\u0018ftypisom\0\0\u0002\0isomiso2", "an MP4")]
    [InlineData("\0\0\0\fjP  \r\n", "a JPEG 2000")]
    [InlineData("\u00ff\n\u00fa", "a JPEG XL")]
    [InlineData("%PDF-1.7\n", "a PDF")]
    [InlineData("8BPS\0\u0001", "a Photoshop")]
    [InlineData("\0\0\u0001\0\u0001\0", "an icon (ICO)")]
    [InlineData("P6\n2 2\n255\n", "a PNM")]
    [InlineData("<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "an SVG")]
    [InlineData("<?xml version=\"1.0\"?>\n<!-- drawn by hand -->\n<svg width=\"10\"/>", "an SVG")]
    public void A_picture_of_another_format_is_to_be_converted(string content, string kind) =>
        Assert.Equal($"image x is {kind} file; {Read}: convert it to PNG or JPEG.", Refusal(content));

    [Theory]
    [InlineData("", "empty; " + Again)]
    [InlineData("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "a Git LFS pointer, which stands for the picture; run git lfs pull in the repository it comes from.")]
    [InlineData("<!DOCTYPE html>\n<html><head><title>404</title>", "an HTML page, as a server sends it instead of a picture; " + Again)]
    [InlineData("\n\n <HTML><body>Forbidden", "an HTML page, as a server sends it instead of a picture; " + Again)]
    [InlineData("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "XML text, as a server sends it instead of a picture; " + Again)]
    [InlineData("{\"error\": \"not found\"}", "JSON text, as a server sends it instead of a picture; " + Again)]
    [InlineData("PK\u0003\u0004\u0014", "a zip archive; unpack it.")]
    [InlineData("\u001f\u008b\b\0", "a gzip archive; unpack it.")]
    [InlineData("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "nothing but zero bytes, as a broken download or copy leaves them; " + Again)]
    public void What_is_no_picture_is_named(string content, string what) =>
        Assert.Equal($"image x is not a picture: it is {what}", Refusal(content));

    [Theory]
    [InlineData("hello, this is no picture", "68656C6C6F2C2074")]
    [InlineData("BM then a bitmap", "424D207468656E20")]
    [InlineData("BM and what is longer than a header", "424D20616E642077")]
    [InlineData("\u0089PNG", "89504E47")]
    [InlineData("\u00ff\u00d8", "FFD8")]
    [InlineData("RIFF\0\0\0\0WAVE", "5249464600000000")]
    public void Anything_else_is_refused_with_its_first_bytes(string content, string start) =>
        Assert.Equal($"image x is not a picture: it begins with {start}; {Read}.", Refusal(content));

    private static string Refusal(string content) =>
        Assert.Throws<UserErrorException>(() => ImageDecoder.Decode(Encoding.Latin1.GetBytes(content), "x")).Message;
}
