namespace LlavaSharp.Imaging;

/// <summary>The recipe's names of <see cref="PatchMerge"/>.</summary>
public static class PatchMerges
{
    /// <summary>Reads a name.</summary>
    /// <param name="name">flat, spatial or spatial_unpad.</param>
    /// <returns>The kind; null for another name.</returns>
    public static PatchMerge? Parse(string name) => name switch
    {
        "flat" => PatchMerge.Flat,
        "spatial" => PatchMerge.Spatial,
        "spatial_unpad" => PatchMerge.SpatialUnpad,
        _ => null,
    };

    /// <summary>The name of a kind.</summary>
    /// <param name="merge">The kind.</param>
    public static string NameOf(PatchMerge merge) => merge switch
    {
        PatchMerge.Flat => "flat",
        PatchMerge.Spatial => "spatial",
        _ => "spatial_unpad",
    };
}
