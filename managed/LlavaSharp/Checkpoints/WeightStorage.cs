using LlavaSharp.Interop;

namespace LlavaSharp.Checkpoints;

/// <summary>How a model's weights lie in memory, by the flags <c>--weights</c>, <c>--bits</c>, <c>--double_quant</c> and
/// <c>--quant_type</c>. The arithmetic is float32 all the same.</summary>
/// <param name="All">Everything but adapters: float32 or bfloat16.</param>
/// <param name="Linears">The decoder layers' linears, where they are int8 or less; float32: as <paramref name="All"/> says.</param>
public sealed record WeightStorage(Storage All = Storage.Float32, Storage Linears = Storage.Float32)
{
    /// <summary>As they are computed with.</summary>
    public static WeightStorage Float32 { get; } = new();

    /// <summary>Reads the flags.</summary>
    /// <param name="weights">float32 or bfloat16.</param>
    /// <param name="bits">16 as <paramref name="weights"/> says, 8 or 4 for the decoder layers' linears.</param>
    /// <param name="doubleQuant">With 4 bits: whether the blocks' magnitudes are a byte each.</param>
    /// <param name="quantType">With 4 bits: nf4 or fp4.</param>
    public static WeightStorage Of(string weights, int bits, bool doubleQuant, string quantType) => new(
        weights == "bfloat16" ? Storage.BFloat16 : Storage.Float32,
        (bits, quantType, doubleQuant) switch
        {
            (8, _, _) => Storage.Int8,
            (4, "nf4", false) => Storage.Nf4,
            (4, "nf4", true) => Storage.Nf4Double,
            (4, _, false) => Storage.Fp4,
            (4, _, true) => Storage.Fp4Double,
            _ => Storage.Float32,
        });

    /// <summary>A model's shape with its weights stored so.</summary>
    public ModelConfig Apply(ModelConfig shape) => shape with { Storage = All, LinearStorage = Linears };

    /// <summary>In words.</summary>
    public override string ToString()
    {
        var all = All == Storage.BFloat16 ? "bfloat16" : "float32";
        return Linears switch
        {
            Storage.Float32 => all,
            Storage.Int8 => $"the decoder's linears int8, all else {all}",
            Storage.Nf4 or Storage.Nf4Double => $"the decoder's linears nf4{Double}, all else {all}",
            _ => $"the decoder's linears fp4{Double}, all else {all}",
        };
    }

    private string Double => Linears is Storage.Nf4Double or Storage.Fp4Double ? " with magnitudes in a byte" : "";
}
