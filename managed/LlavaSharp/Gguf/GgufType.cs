namespace LlavaSharp.Gguf;

/// <summary>How a GGUF tensor's elements are encoded; the numbers are the format's.</summary>
public enum GgufType
{
    /// <summary>IEEE 754 binary32.</summary>
    F32 = 0,

    /// <summary>IEEE 754 binary16.</summary>
    F16 = 1,

    /// <summary>Blocks of 32: a binary16 scale and 32 signed bytes.</summary>
    Q8Zero = 8,

    /// <summary>The upper half of a binary32.</summary>
    BF16 = 30,
}
