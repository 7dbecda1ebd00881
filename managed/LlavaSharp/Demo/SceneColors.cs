namespace LlavaSharp.Demo;

/// <summary>The demo's colours, far from each other and from the grey that pads a picture.</summary>
public static class SceneColors
{
    private static readonly (string Name, byte Red, byte Green, byte Blue)[] Table =
    [
        ("red", 220, 30, 30),
        ("green", 25, 165, 50),
        ("blue", 35, 60, 220),
        ("yellow", 240, 210, 20),
        ("purple", 160, 40, 190),
    ];

    /// <summary>How many there are.</summary>
    public static int Count => Table.Length;

    /// <summary>The word for colour <paramref name="index"/>.</summary>
    /// <param name="index">0 … Count - 1.</param>
    public static string Name(int index) => Table[index].Name;

    /// <summary>The middle of what is drawn for colour <paramref name="index"/>.</summary>
    /// <param name="index">0 … Count - 1.</param>
    public static (byte Red, byte Green, byte Blue) Rgb(int index) =>
        (Table[index].Red, Table[index].Green, Table[index].Blue);
}
