using LlavaSharp.Demo;
using LlavaSharp.Imaging;

namespace LlavaSharp.Tests.Demo;

public sealed class SceneTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void No_held_out_combination_occurs_in_training(int seed)
    {
        HashSet<(int, int, string)> trained = [];
        foreach (SceneLayout layout in Enum.GetValues<SceneLayout>())
        {
            SceneGenerator training = new(seed, stream: (int)layout + 1);
            for (int i = 0; i < 2000; i++)
            {
                trained.UnionWith(Combinations(training.Next(layout, heldOut: false)));
            }
        }

        SceneGenerator heldOut = new(seed, stream: 9);
        for (int i = 0; i < 300; i++)
        {
            Scene scene = heldOut.Next(SceneLayout.Pad, heldOut: true);
            Assert.InRange(scene.Objects.Count, 2, 3);
            Assert.DoesNotContain(Combinations(scene), trained.Contains);
        }
    }

    [Theory]
    [InlineData(SceneLayout.CenterCrop, ImageAspectRatio.Square)]
    [InlineData(SceneLayout.Pad, ImageAspectRatio.Pad)]
    public void Every_shape_lies_in_its_own_patch_of_what_the_tower_sees(SceneLayout layout, ImageAspectRatio mode)
    {
        // Flat colours survive normalisation: mean 0 and deviation 1 leave bytes / 255.
        ImageProcessor processor = new(new ImageProcessorConfig(56, [0, 0, 0], [1, 1, 1]));
        SceneGenerator generator = new(3, 1);
        HashSet<(int, int)> shapes = [];
        for (int i = 0; i < 60; i++)
        {
            Scene scene = generator.Next(layout, heldOut: false);
            shapes.Add((Math.Sign(scene.Width - scene.Height), scene.Objects.Count));
            Assert.Equal(scene.Objects.Count, scene.Objects.Select(o => (o.Column, o.Row)).Distinct().Count());
            float[] pixels = processor.Process(ScenePainter.Paint(scene), mode);
            foreach (SceneObject item in scene.Objects)
            {
                // The middle of every shape is filled, wherever jitter put it.
                int x = (int)((item.Column + 0.5 + item.OffsetX) * 14);
                int y = (int)((item.Row + 0.5 + item.OffsetY) * 14);
                (byte red, byte green, byte blue) = SceneColors.Rgb(item.Color);
                Assert.Equal(red / 255f, pixels[(y * 56) + x], 0.12f);
                Assert.Equal(green / 255f, pixels[(56 * 56) + (y * 56) + x], 0.12f);
                Assert.Equal(blue / 255f, pixels[(2 * 56 * 56) + (y * 56) + x], 0.12f);
                Assert.Equal((item.Column, item.Row), (x / 14, y / 14));
                Assert.True(item.Radius + Math.Abs(item.OffsetX) < 0.5 && item.Radius + Math.Abs(item.OffsetY) < 0.5);
            }
        }

        Assert.True(shapes.Count >= 6, "landscapes, portraits and squares with one to three shapes are drawn");
    }

    [Fact]
    public void Captions_read_from_left_to_right_and_from_top_to_bottom()
    {
        Assert.Equal("a red circle at the bottom right.", SceneWords.Caption(Make((SceneShape.Circle, 0, 2, 2))));
        Assert.Equal(
            "a red circle at the bottom left and a blue square at the top left.",
            SceneWords.Caption(Make((SceneShape.Circle, 0, 0, 3), (SceneShape.Square, 2, 1, 0))));
        Assert.Equal(
            "a red circle at the top left, a blue square at the top left and a green cross at the top right.",
            SceneWords.Caption(Make((SceneShape.Circle, 0, 0, 0), (SceneShape.Square, 2, 1, 1), (SceneShape.Cross, 1, 2, 0))));
    }

    [Fact]
    public void Every_question_has_the_one_right_answer()
    {
        SceneGenerator generator = new(0, 1);
        Random random = new(0);
        HashSet<string> kinds = [];
        for (int i = 0; i < 400; i++)
        {
            Scene scene = generator.Next(SceneLayout.Pad, heldOut: false);
            foreach (SceneQuestion question in SceneWords.Questions(scene, random).Concat(SceneWords.Conversation(scene, random)))
            {
                kinds.Add(question.Kind);
                Assert.Equal(Truth(scene, question.Text), question.Answer);
            }
        }

        Assert.Equal(SceneWords.Kinds.Order(StringComparer.Ordinal), kinds.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void One_seed_draws_the_same_scenes_and_another_does_not()
    {
        Assert.Equal(Describe(5, 1), Describe(5, 1));
        Assert.NotEqual(Describe(5, 1), Describe(6, 1));
        Assert.NotEqual(Describe(5, 1), Describe(5, 2));
    }

    // A second reading of the questions, by their words.
    private static string Truth(Scene scene, string text)
    {
        string[] words = text.TrimEnd('?').Split(' ');
        SceneObject Named(params string[] name) => scene.Objects.Single(o => name switch
        {
            [var color, "object"] => o.Name.StartsWith(color + " "),
            [var shape] => o.ShapeName == shape,
            _ => o.Name == string.Join(' ', name),
        });
        return words switch
        {
            ["What", "shape", "is", "the", var color, "object"] => scene.Objects.Single(o => o.Name.StartsWith(color + " ")).ShapeName,
            ["What", "colour", "is", "the", var shape] => scene.Objects.Single(o => o.ShapeName == shape).Name.Split(' ')[0],
            ["How", "many", ..] => ((string[])["zero", "one", "two", "three"])[scene.Objects.Count],
            ["Is", "there", ..] => scene.Objects.Any(o => o.Name == $"{words[3]} {words[4]}") ? "yes" : "no",
            ["Is", "the", .. var name, "on", "the", "left", "or", "on", "the", "right"] => Named(name).Column < 2 ? "left" : "right",
            ["Is", "the", .. var name, "at", "the", "top", "or", "at", "the", "bottom"] => Named(name).Row < 2 ? "top" : "bottom",
            _ => throw new ArgumentException(text),
        };
    }

    private static IEnumerable<(int First, int Second, string Relation)> Combinations(Scene scene)
    {
        foreach (SceneObject a in scene.Objects)
        {
            foreach (SceneObject b in scene.Objects)
            {
                if (a.Column < b.Column)
                {
                    yield return (a.Identity, b.Identity, "left of");
                }

                if (a.Row < b.Row)
                {
                    yield return (a.Identity, b.Identity, "above");
                }
            }
        }
    }

    private static Scene Make(params (SceneShape Kind, int Color, int Column, int Row)[] objects) => new(
        100,
        100,
        SceneLayout.CenterCrop,
        (255, 255, 255),
        [.. objects.Select(o => new SceneObject(o.Kind, o.Color, o.Column, o.Row, 0, 0, 0.4))]);

    private static string Describe(int seed, int stream)
    {
        SceneGenerator generator = new(seed, stream);
        return string.Join('\n', Enumerable.Range(0, 20).Select(_ =>
        {
            Scene scene = generator.Next(SceneLayout.Pad, heldOut: false);
            return $"{scene.Width}x{scene.Height} {scene.Background} {string.Join(' ', scene.Objects)}";
        }));
    }
}
