using System.Text.Json.Nodes;
using LlavaSharp.Parity;
using LlavaSharp.Tests.Cli;

namespace LlavaSharp.Tests.Parity;

/// <summary>The engine against Hugging Face on the stored cases, and the check against itself: spoiled, it must fail.</summary>
public sealed class ParityTests
{
    public static TheoryData<string> Quantities => [.. ParityBreak.Names];

    [Theory]
    [InlineData("mha")]
    [InlineData("gqa-sharded-bf16")]
    public void A_stored_case_passes_with_one_line_a_quantity(string name)
    {
        var (code, output, error) = Host.Run("parity", Case(name));
        Assert.True(code == 0, output + error);
        string[] quantities =
        [
            "pixels", "encode", "image_features", "projected", "logits", "loss", "grad pretrain", "losses pretrain", "grad_norm pretrain 1",
            "grad_norm pretrain 2-3", "after pretrain", "grad full", "losses full", "grad_norm full 1", "grad_norm full 2-3", "after full", "greedy",
        ];
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(quantities.Length + 2, lines.Length);
        Assert.All(quantities, q => Assert.Single(lines, l => l.StartsWith($"  ok   {q} ", StringComparison.Ordinal)));
        Assert.All(lines[1..^1], l => Assert.Matches(@" error \d\.\d\de[+-]\d\d +bound ", l));
        Assert.All(lines.Where(l => l.Contains(" grad ") || l.Contains(" after ")), l => Assert.Contains(" tensors, worst model.", l));
        Assert.Equal("1 of 1 cases within every bound", lines[^1]);
    }

    [Theory]
    [MemberData(nameof(Quantities))]
    public void A_spoiled_quantity_fails_by_name(string quantity)
    {
        var (code, output, _) = Host.RunWith(new() { ["PARITY_BREAK"] = quantity }, default, "parity", Case("mha"));
        Assert.Equal(1, code);
        Assert.Contains($"  FAIL {quantity} ", output);
        Assert.Contains("1 of 1 cases past a bound: ", output);

        // Pixels are the input of nearly everything else; the other quantities spoil only themselves.
        if (quantity != "pixels")
        {
            Assert.All(
                output.Split('\n').Where(l => l.StartsWith("  FAIL", StringComparison.Ordinal)),
                l => Assert.StartsWith($"  FAIL {quantity} ", l));
        }
    }

    [Fact]
    public void An_unknown_quantity_to_spoil_is_a_mistake()
    {
        var (code, _, error) = Host.RunWith(new() { ["PARITY_BREAK"] = "logit" }, default, "parity", Case("mha"));
        Assert.Equal(2, code);
        Assert.StartsWith("error: PARITY_BREAK=logit: expected one of pixels, image_features", error);
    }

    [Fact]
    public void Bad_cases_are_mistakes()
    {
        using var folder = new TempFolder();
        Assert.StartsWith($"cannot read parity case '{folder["case.json"]}': ", Host.Mistake("parity", folder.Path));
        folder.Write("case.json", "{\n\"loss\": 1,\n]");
        Assert.StartsWith($"{folder["case.json"]}: line 3: ", Host.Mistake("parity", folder.Path));
        folder.Write("case.json", "{}");
        File.Copy(Path.Combine(Case("mha"), "expected.safetensors"), folder["expected.safetensors"]);
        Assert.Equal($"{folder["case.json"]}: 'token_ids' is missing", Host.Mistake("parity", folder.Path));
        folder.Write("case.json", "{\"token_ids\": [[\"a\"]]}");
        Assert.StartsWith($"{folder["case.json"]}: a field has the wrong type: ", Host.Mistake("parity", folder.Path));
    }

    [Fact]
    public void A_case_says_how_its_weights_were_stored()
    {
        using var folder = new TempFolder();
        foreach (var file in Directory.EnumerateFiles(Case("mha"), "*", SearchOption.AllDirectories))
        {
            var copy = folder[Path.GetRelativePath(Case("mha"), file)];
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }

        var json = JsonNode.Parse(File.ReadAllText(folder["case.json"]))!;
        json["args"]!["weights"] = "bfloat16";
        File.WriteAllText(folder["case.json"], json.ToJsonString());
        var (code, output, _) = Host.Run("parity", folder.Path);
        Assert.Equal(1, code); // The reference did not round them.
        Assert.Contains("  FAIL image_features ", output);
        json["args"]!["weights"] = "int4";
        File.WriteAllText(folder["case.json"], json.ToJsonString());
        Assert.Equal(
            $"{folder["case.json"]}: args.weights 'int4' is not known; float32 and bfloat16 are", Host.Mistake("parity", folder.Path));
    }

    [Fact]
    public void Errors_are_relative_unless_the_reference_is_nothing()
    {
        Assert.Equal(0.5, ParityMath.RelativeError([3f], [2f]));
        Assert.Equal(0.25, ParityMath.RelativeError([0.25f], [0f]));
        Assert.Equal(0.1, ParityMath.ChangeError([1.1f], [2f], [11f]), 1e-6);
        Assert.Equal(2, ParityMath.ChangeError([3f], [1f], [1f]));
        Assert.True(ParityMath.Worse(double.NaN, 5));
        Assert.False(new ParityLine("x", double.NaN, 1, "").Passed);
    }

    private static string Case(string name) => Path.Combine(Imaging.Golden.Folder, name);
}
