using System.Security.Cryptography;
using System.Text;

namespace LlavaSharp.BindingGenerator;

/// <summary>Header in, the two files that are committed out.</summary>
internal static class Bindings
{
    public const string HeaderPath = "native/include/llavasharp.h";
    public const string BindingsPath = "interop/LlavaSharp.Interop/Native.g.cs";
    public const string LayoutPath = "tests/native/layout.g.c";

    /// <summary>Generates both files.</summary>
    /// <param name="headerPath">The header.</param>
    /// <returns>Path, relative to the repository, and text of each file.</returns>
    public static IReadOnlyList<(string Path, string Text)> Make(string headerPath)
    {
        HeaderModel header = HeaderModel.Read(headerPath);
        string bindings = new CSharpWriter(header, Hash(headerPath)).Write();
        return [(BindingsPath, bindings), (LayoutPath, LayoutWriter.Write(header))];
    }

    /// <summary>SHA-256 of a text file with LF line ends, in lower-case hexadecimal.</summary>
    public static string Hash(string path) => Convert.ToHexStringLower(SHA256.HashData(
        Encoding.UTF8.GetBytes(File.ReadAllText(path).ReplaceLineEndings("\n"))));
}
