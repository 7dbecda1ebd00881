using LlavaSharp.BindingGenerator;

namespace LlavaSharp.Interop.Tests;

/// <summary>
/// The generator on small headers: what it writes, and what it refuses. UPDATE_GOLDEN=1 rewrites the expected files.
/// </summary>
public sealed class GeneratorTests
{
    private static string Golden(string name) => Repository.File("tests/interop/Golden/" + name);

    [Fact]
    public void One_of_everything_is_written_as_expected()
    {
        NeedClang();
        string[] expected = [Golden("small.cs.txt"), Golden("small.c.txt")];
        IReadOnlyList<(string Path, string Text)> written = Bindings.Make(Golden("small.h"));
        foreach ((string file, string text) in expected.Zip(written.Select(pair => pair.Text)))
        {
            if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
            {
                File.WriteAllText(file, text);
            }
            Assert.Equal(File.ReadAllText(file), text);
        }
    }

    [Fact]
    public void Line_ends_of_the_header_do_not_matter()
    {
        NeedClang();
        string text = File.ReadAllText(Golden("small.h"));
        Assert.Equal(Generate(text), Generate(text.Replace("\n", "\r\n")));
    }

    [Theory]
    [InlineData("void llv_f(_Bool on);", "llv_f: 'bool' has no fixed size: use int32_t")]
    [InlineData("#include <stdbool.h>\nvoid llv_f(bool on);", "llv_f: 'bool' has no fixed size: use int32_t")]
    [InlineData("void llv_f(int on);", "llv_f: 'int' has no fixed size: use int32_t or int64_t")]
    [InlineData("unsigned long llv_f(void);", "llv_f: 'unsigned long' has no fixed size: use int32_t or int64_t")]
    [InlineData(
        "#include <stddef.h>\nvoid llv_f(size_t n);",
        "llv_f: 'size_t' has no fixed size: use int32_t or int64_t")]
    [InlineData(
        "enum llv_e { LLV_A = 0 };\nvoid llv_f(enum llv_e e);",
        "llv_f: 'enum llv_e' has no fixed size: use int32_t")]
    [InlineData("enum llv_e { LLV_A };", "LLV_A has no value: write it out, so that the order may change")]
    [InlineData("void llv_f(char* text);", "llv_f: text crosses as const char*")]
    [InlineData("void llv_f(float** x);", "llv_f: 'float **' is a pointer to pointers: use a span")]
    [InlineData("void llv_f(int32_t n, ...);", "llv_f() takes any number of arguments: list them")]
    [InlineData(
        "void llv_f(void (*g)(int32_t));",
        "llv_f: the type 'void (*)(int32_t)' is not known: name it in a typedef, or use a pointer and a count")]
    [InlineData(
        "typedef struct llv_s { int64_t a; } llv_s;\nvoid llv_f(llv_s s);",
        "llv_f: 'llv_s': structs cross as one pointer")]
    [InlineData(
        "typedef struct llv_s { int32_t a; int64_t b; } llv_s;",
        "llv_s.b is preceded by 4 bytes of padding: reorder, or add a reserved field")]
    [InlineData(
        "typedef struct llv_s { int64_t a; int32_t b; } llv_s;",
        "llv_s ends in padding: add a reserved field")]
    [InlineData(
        "typedef struct llv_s { int32_t a : 3; } llv_s;",
        "llv_s.a is a bit field, whose place is the compiler's choice: use int32_t")]
    [InlineData(
        "typedef struct llv_s { long a; } llv_s;",
        "llv_s.a: 'long' has no fixed size: use int32_t or int64_t")]
    [InlineData("typedef union llv_u { int32_t a; float b; } llv_u;", "llv_u is a union: use a struct")]
    [InlineData(
        "typedef struct llv_h llv_h;",
        "llv_h has no fields and no llv_h_release: define the one or declare the other")]
    [InlineData("typedef void (*llv_x_fn)(long);", "llv_x_fn: 'long' has no fixed size: use int32_t or int64_t")]
    public void What_may_not_cross_is_refused_with_a_sentence(string header, string message)
    {
        NeedClang();
        header = $"#include <stdint.h>\n{header}\n";
        InvalidDataException refusal = Assert.Throws<InvalidDataException>(() => Generate(header));
        Assert.Equal(message, refusal.Message);
    }

    [Fact]
    public void A_header_that_does_not_compile_is_shown_with_clangs_words()
    {
        NeedClang();
        InvalidDataException refusal = Assert.Throws<InvalidDataException>(() => Generate("llv_status llv_f(void);\n"));
        Assert.Contains("refuses", refusal.Message);
        Assert.Contains("unknown type name 'llv_status'", refusal.Message);
    }

    private static void NeedClang() => Assert.SkipWhen(
        ClangAst.Find() is null && Environment.GetEnvironmentVariable("CI") != "true", "clang-14 is not installed");

    private static string Generate(string header)
    {
        string file = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName() + ".h");
        try
        {
            File.WriteAllText(file, header);
            return string.Concat(Bindings.Make(file).Select(pair => pair.Text));
        }
        finally
        {
            File.Delete(file);
        }
    }
}
