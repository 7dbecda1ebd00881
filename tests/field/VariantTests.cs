namespace LlavaSharp.Field.Tests;

/// <summary>Every verb over every folder of the table.</summary>
public sealed class VariantTests
{
    private static readonly Lazy<int[]> Plain = new(() =>
    {
        using var folder = new FieldFolder();
        return FieldVerbs.Ids(FieldVerbs.Run(FieldVerbs.Generate, folder).Out);
    });

    public static TheoryData<string, string> Rows()
    {
        var rows = new TheoryData<string, string>();
        foreach (var variant in Variants.All)
        {
            Array.ForEach(FieldVerbs.All, verb => rows.Add(variant.Name, verb));
        }

        return rows;
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void A_folder_opens_or_is_refused_in_one_line(string name, string verb)
    {
        var variant = Variants.All.Single(v => v.Name == name);
        using var folder = new FieldFolder();
        variant.Edit(folder);
        var before = Directory.GetFileSystemEntries(folder[""]);
        var (code, output, error) = FieldVerbs.Run(verb, folder);
        if (variant.Refused is { } words && !variant.Unread.Contains(verb))
        {
            var line = error.TrimEnd('\n').Split('\n')[^1];
            Assert.True(code == 2 && line.StartsWith("error: ", StringComparison.Ordinal), $"{code}: {output}{error}");
            Assert.All(words, word => Assert.Contains(word, line));
            Assert.Equal("", output);
            Assert.Equal(before, Directory.GetFileSystemEntries(folder[""]));
            return;
        }

        Assert.True(code == 0, $"{code}: {output}{error}");
        Assert.All(variant.Warned, word => Assert.Contains(word, error));
        if (verb == FieldVerbs.Generate && variant.SameIds)
        {
            Assert.Equal(Plain.Value, FieldVerbs.Ids(output));
        }
    }

    [Fact]
    public void Names_are_unique() => Assert.Distinct(Variants.All.Select(v => v.Name));
}
