using System.Text.Json;
using LlavaSharp.Benchmarks;
using LlavaSharp.Imaging;

namespace LlavaSharp.Tests.Cli;

public sealed class BenchCommandTests
{
    [Fact]
    public void Images_prints_a_line_a_size()
    {
        var (code, output, error) = Host.Run("bench", "images", "--seconds", "0");
        Assert.Equal((0, ""), (code, error));
        Assert.Matches(
            @"^640 × 480, \d+ KiB: [\d.]+ ms a picture \(decode [\d.]+\), \d+ a second a core\n1024 × 768, \d+ KiB: .*\n$", output);
    }

    [Theory]
    [InlineData(true, 0, "same bytes")]
    [InlineData(false, 1, "OTHER BYTES")]
    public void A_peer_is_held_to_the_same_pixels(bool same, int expected, string words)
    {
        var picture = BenchPicture.Draw(40, 30);
        var pixels = new ImageProcessor(ImageProcessorConfig.Clip(336))
            .Process(ImageDecoder.Decode(picture.Jpeg, "x"), ImageAspectRatio.Pad);
        pixels[^1] += same ? 0 : 1;
        using var folder = new TempFolder();
        var file = Path.Combine(folder.Path, "peer.json");
        File.WriteAllText(file, JsonSerializer.Serialize(new
        {
            images = new[]
            {
                new
                {
                    width = 40,
                    height = 30,
                    jpeg = picture.Jpeg.ToArray(),
                    sha256 = BenchPicture.Hash(pixels),
                    seconds = 2.5,
                    decode_seconds = 0.5,
                },
            },
        }));

        var (code, output, _) = Host.Run("bench", "images", "--seconds", "0", "--peer", file);
        Assert.Equal(expected, code);
        Assert.Contains("peer 2500.00 ms (decode 500.00), ", output);
        Assert.EndsWith(words + "\n", output);

        var json = JsonDocument.Parse(Host.Run("bench", "images", "--seconds", "0", "--peer", file, "--json").Out).RootElement;
        Assert.Equal(same, json.GetProperty("same_bytes").GetBoolean());
        Assert.Equal(2.5 / json.GetProperty("seconds").GetDouble(), json.GetProperty("ratio").GetDouble(), 6);
    }

    [Fact]
    public void Load_reports_a_share_of_a_copy()
    {
        var folder = Path.Combine(Imaging.Golden.Folder, "mha", "model");
        var (code, output, error) = Host.Run("bench", "load", "--model", folder, "--runs", "2");
        Assert.Equal((0, ""), (code, error));
        Assert.Matches(@"^\d+ MiB: loaded in [\d.]+ s, .* GB/s; copied in .*; [\d.]+ of the copy\n$", output);
    }

    [Theory]
    [InlineData("pretrain")]
    [InlineData("lora")]
    [InlineData("full")]
    public void Step_times_a_step_of_each_stage(string stage)
    {
        var (code, output, error) = Host.Run(
            "bench", "step", "--stage", stage, "--hidden", "64", "--layers", "1", "--batch", "1", "--tokens", "9", "--runs", "1");
        Assert.Equal((0, ""), (code, error));
        Assert.Matches($@"^{stage}, 1 layers of 64, 1 samples, 586 tokens, \d+ threads: [\d.]+ s a step, .* MiB; loss [\d.]+\n$", output);
    }

    [Fact]
    public void Mistakes_are_one_line()
    {
        Assert.StartsWith("there is no benchmark 'pictures'; there is: images, load, step, scaling", Host.Mistake("bench", "pictures"));
        Assert.Equal("--stage x: expected pretrain or lora or full", Host.Mistake("bench", "step", "--stage", "x"));
        Assert.Equal("--hidden 100: expected a multiple of 64", Host.Mistake("bench", "step", "--hidden", "100"));
        using var empty = new TempFolder();
        Assert.Equal($"'{empty.Path}' holds no .safetensors file to time", Host.Mistake("bench", "load", "--model", empty.Path));
        Assert.Equal("bench needs at least one WHAT; see llavasharp bench --help", Host.Mistake("bench"));
        Assert.StartsWith("'/no/such.json' is not what tests/peer/bench_images.py writes: ", Host.Mistake("bench", "images", "--peer", "/no/such.json"));
    }
}
