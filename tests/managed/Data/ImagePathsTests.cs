using LlavaSharp.Data;

namespace LlavaSharp.Tests.Data;

public sealed class ImagePathsTests
{
    [Fact]
    public void Finds_what_lies_below_the_folder()
    {
        using var folder = new TempFolder();
        var file = folder.Write("images/a/b.png", "x");
        var images = Path.Combine(folder.Path, "images");
        Assert.Equal(file, ImagePaths.Resolve(images, "a/b.png", 0));
        Assert.Equal(file, ImagePaths.Resolve(images + "/", "./a/../a//b.png", 0));
        Assert.Equal(file, ImagePaths.Resolve("/", file[1..], 0));

        // An absolute path is one below the folder, too, also where the folder is reached through a link.
        Assert.Equal(file, ImagePaths.Resolve(images, file, 0));
        Assert.Equal(file, ImagePaths.Resolve("/", file, 0));

        Directory.CreateSymbolicLink(Path.Combine(folder.Path, "link"), images);
        File.CreateSymbolicLink(Path.Combine(images, "inner.png"), "a/b.png");
        Assert.Equal(folder["link/a/b.png"], ImagePaths.Resolve(folder["link"], "a/b.png", 0));
        Assert.Equal(folder["link/inner.png"], ImagePaths.Resolve(folder["link"], "inner.png", 0));
        Assert.Equal(file, ImagePaths.Resolve(folder["link"], file, 0));
    }

    [Fact]
    public void Links_in_the_folder_are_followed_out_of_it()
    {
        using var folder = new TempFolder();
        folder.Write("coco/train2017/a.jpg", "x");
        var images = Path.GetDirectoryName(folder.Write("images/own.jpg", "y"))!;
        Directory.CreateSymbolicLink(Path.Combine(images, "coco"), "../coco");
        File.CreateSymbolicLink(Path.Combine(images, "b.jpg"), folder["coco/train2017/a.jpg"]);
        Directory.CreateSymbolicLink(Path.Combine(images, "twice"), Path.Combine(images, "coco"));
        foreach (var name in (string[])["coco/train2017/a.jpg", "b.jpg", "twice/train2017/a.jpg", Path.Combine(images, "b.jpg")])
        {
            Assert.Equal("x", File.ReadAllText(ImagePaths.Resolve(images, name, 0)));
        }

        // Where the link leads to is another path, and only the text of the data file counts.
        Assert.Throws<UserErrorException>(() => ImagePaths.Resolve(images, folder["coco/train2017/a.jpg"], 0));
        Assert.Throws<UserErrorException>(() => ImagePaths.Resolve(images, "coco/../../coco/train2017/a.jpg", 0));
    }

    [Theory]
    [InlineData("", "is empty or has a zero character")]
    [InlineData("a\0b", "is empty or has a zero character")]
    [InlineData("/etc/passwd", "is an absolute path outside the image folder")]
    [InlineData("/etc/passwd", "--image_folder (/ holds all)")]
    [InlineData("/a/b.png", "leave out the leading slash")]
    [InlineData("http://example.org/a.png", "is an address; download it")]
    [InlineData("dangling.png", "it is a link to nowhere.png, where no file is")]
    [InlineData("a\\b.png", "write / between folders")]
    [InlineData("C:\\x.png", "is an absolute path")]
    [InlineData("C:/x.png", "is an absolute path")]
    [InlineData("\\\\server\\x.png", "is an absolute path")]
    [InlineData("../secret.png", "leaves the image folder")]
    [InlineData("a/../../secret.png", "leaves the image folder")]
    [InlineData("../images-2/x.png", "leaves the image folder")]
    [InlineData("..", "leaves the image folder")]
    [InlineData(".", "leaves the image folder")]
    [InlineData("loop.png", "image ")]
    [InlineData("a", "is a folder; write the path of a file")]
    [InlineData("none.png", "does not exist")]
    public void Refuses_the_rest_and_names_the_sample(string name, string expected)
    {
        using var folder = new TempFolder();
        var images = Path.Combine(folder.Path, "images");
        folder.Write("images/a/b.png", "x");
        folder.Write("images-2/x.png", "x");
        folder.Write("secret.png", "x");
        File.CreateSymbolicLink(Path.Combine(images, "dangling.png"), "nowhere.png");
        File.CreateSymbolicLink(Path.Combine(images, "loop.png"), "loop.png");
        var message = Assert.Throws<UserErrorException>(() => ImagePaths.Resolve(images, name, 12)).Message;
        Assert.StartsWith("sample 12: ", message, StringComparison.Ordinal);
        Assert.Contains(expected, message, StringComparison.Ordinal);
    }
}
