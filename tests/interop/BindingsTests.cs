using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LlavaSharp.BindingGenerator;

namespace LlavaSharp.Interop.Tests;

/// <summary>The committed bindings are those of the header, and the library is the one they describe.</summary>
public sealed class BindingsTests
{
    private static string LibraryPath => Path.Combine(AppContext.BaseDirectory, "libllavasharp.so");

    [Fact]
    public void The_header_has_not_changed_since_the_bindings_were_generated() =>
        Assert.True(Native.HeaderHash == Bindings.Hash(Repository.File(Bindings.HeaderPath)),
            "Native.g.cs is outdated: run ./build.sh bindings");

    [Fact]
    public void Generating_again_gives_the_committed_bytes()
    {
        // Continuous integration must have clang; elsewhere the hash above stands guard.
        bool required = Environment.GetEnvironmentVariable("CI") == "true";
        Assert.SkipWhen(ClangAst.Find() is null && !required, "clang-14 is not installed");
        foreach ((string path, string text) in Bindings.Make(Repository.File(Bindings.HeaderPath)))
        {
            Assert.True(File.ReadAllText(Repository.File(path)) == text,
                $"{Path.GetFileName(path)} is outdated: run ./build.sh bindings");
        }
    }

    [Fact]
    public void Every_function_of_the_header_is_in_the_library()
    {
        nint library = NativeLibrary.Load(LibraryPath);
        string[] missing = [.. Native.Exports.Where(name => !NativeLibrary.TryGetExport(library, name, out _))];
        Assert.Empty(missing);
    }

    [Fact]
    public void The_library_exports_nothing_but_the_header()
    {
        ElfFile library = new(File.ReadAllBytes(LibraryPath));
        Assert.Equal(Native.Exports.Order(StringComparer.Ordinal), library.Exports().Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Structs_have_the_layout_that_C_asserts()
    {
        Assert.NotEmpty(Native.Layout);
        foreach ((string type, string field, int bytes) in Native.Layout)
        {
            Type managed = typeof(Native).GetNestedType(type)!;
            Assert.NotNull(managed);
            int actual = field.Length == 0 ? SizeOf(managed) : OffsetOf(managed, field);
            Assert.True(bytes == actual, $"{type}.{field}: C has {bytes}, C# {actual}");
        }
        // And nothing is in C# that the table does not name.
        foreach (Type managed in typeof(Native).GetNestedTypes().Where(type => type.IsValueType))
        {
            string[] fields = [.. managed.GetFields().Select(field => field.Name)];
            Assert.Equal(fields, Native.Layout
                .Where(row => row.Struct == managed.Name && row.Field.Length > 0).Select(row => row.Field));
        }
    }

    [Fact]
    public void Defaults_of_the_records_are_the_engines()
    {
        Native.ModelConfigInit(out Native.ModelConfig config).ThrowIfFailed();
        Assert.Equal(Values(config), Values(new ModelConfig().ToNative()));
        Assert.Equal(SizeOf(typeof(Native.ModelConfig)), config.Size);

        Native.EngineOptionsInit(out Native.EngineOptions engine).ThrowIfFailed();
        EngineOptions options = new();
        Assert.Equal((engine.Device, engine.Index, engine.Threads), ((int)options.Device, options.Index, options.Threads));

        Native.TrainerOptionsInit(out Native.TrainerOptions trainer).ThrowIfFailed();
        TrainerOptions adam = new();
        Assert.Equal((trainer.Beta1, trainer.Beta2, trainer.Eps), (adam.Beta1, adam.Beta2, adam.Epsilon));

        Native.SamplingInit(out Native.Sampling sampling).ThrowIfFailed();
        SamplingOptions expected = new()
        {
            Temperature = sampling.Temperature,
            TopP = sampling.TopP,
            TopK = sampling.TopK,
            MaxNewTokens = sampling.MaxNewTokens,
            Seed = sampling.Seed,
        };
        Assert.Equal(expected, new SamplingOptions());
    }

    private static object?[] Values(Native.ModelConfig config) =>
        [.. typeof(Native.ModelConfig).GetFields().Select(field => field.GetValue(config))];

    private static int SizeOf(Type type) =>
        (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;

    private static int OffsetOf(Type type, string field) => (int)Marshal.OffsetOf(type, field);
}
