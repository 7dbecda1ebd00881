using LlavaSharp.Imaging;
using LlavaSharp.Tests.Imaging;

namespace LlavaSharp.Tests.Cli;

/// <summary>generate looks at its picture before it opens the model, which may take minutes.</summary>
public sealed class GenerateImageTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_picture_that_cannot_be_used_is_named_before_the_model_is_looked_at()
    {
        Assert.Equal($"--image {_folder["none.png"]} does not exist", Ask("none.png"));
        Assert.Equal($"--image {_folder.Path}/. is a folder; name a picture in it", Ask("."));
        Assert.StartsWith($"image {_folder.Write("page.jpg", "<!DOCTYPE html>")} is not a picture: it is an HTML page", Ask("page.jpg"), StringComparison.Ordinal);
        byte[] png = ImageEncoder.Png(Pictures.Noise(50, 40));
        _folder.Write("half.png", png[..(png.Length / 2)]);
        Assert.EndsWith("the file ends too early; fetch it again or leave it out.", Ask("half.png"), StringComparison.Ordinal);

        // With a picture that is fine, the model is next.
        _folder.Write("whole.png", png);
        Assert.Equal("model folder nowhere does not exist", Ask("whole.png"));
    }

    private string Ask(string image) => Host.Mistake("generate", "--model", "nowhere", "--prompt", "What?", "--image", _folder[image]);
}
