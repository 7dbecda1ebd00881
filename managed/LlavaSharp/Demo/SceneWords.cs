namespace LlavaSharp.Demo;

/// <summary>What can be said about a scene: its caption, and questions with one right answer.</summary>
public static class SceneWords
{
    private static readonly string[] Shapes = ["circle", "square", "triangle", "cross"];

    private static readonly string[] Numbers = ["zero", "one", "two", "three"];

    /// <summary>How many shapes there are.</summary>
    public static int ShapeCount => Shapes.Length;

    /// <summary>Kinds of questions, in the order of reports.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["shape", "colour", "count", "left-right", "above-below", "yes-no"];

    /// <summary>"circle".</summary>
    /// <param name="kind">The shape.</param>
    public static string Shape(SceneShape kind) => Shapes[(int)kind];

    /// <summary>"a red circle at the top left and a blue square at the bottom right.": what stands where, in reading order.</summary>
    /// <param name="scene">One to three objects.</param>
    public static string Caption(Scene scene)
    {
        string[] parts = [.. scene.Objects.Select(item =>
        {
            (string side, string height) = Place(item);
            return $"a {item.Name} at the {height} {side}";
        })];
        return parts.Length == 1 ? $"{parts[0]}." : $"{string.Join(", ", parts[..^1])} and {parts[^1]}.";
    }

    /// <summary>Every question that has one right answer, and as many about what is there as about what is not.</summary>
    /// <param name="scene">The scene asked about.</param>
    /// <param name="random">Draws orders, absent objects and turns of phrase.</param>
    public static List<SceneQuestion> Questions(Scene scene, Random random)
    {
        List<SceneQuestion> questions = [];
        foreach (SceneObject item in scene.Objects)
        {
            questions.AddRange(new[] { ShapeOf(scene, item), ColorOf(scene, item) }.OfType<SceneQuestion>());
        }

        questions.Add(Count(scene));
        questions.AddRange(scene.Objects.SelectMany(item => Places(scene, item, random)));
        SceneObject present = scene.Objects[random.Next(scene.Objects.Count)];
        questions.Add(new("yes-no", $"Is there a {present.Name}?", "yes"));
        questions.Add(new("yes-no", $"Is there a {Absent(scene, random)}?", "no"));
        return questions;
    }

    /// <summary>
    /// Questions for one conversation, none of which is answered by the words of another: "Is there a red circle?" gives
    /// away what colour the circle is, and a model that can read the answer does not learn to look. So a conversation
    /// keeps to what is there, or to where each object is, or asks for each object's shape or colour and for their number.
    /// </summary>
    /// <param name="scene">The scene talked about.</param>
    /// <param name="random">Draws the theme and the order.</param>
    public static List<SceneQuestion> Conversation(Scene scene, Random random)
    {
        List<SceneQuestion> questions = [];
        switch (random.Next(6))
        {
            case 0:
                foreach (SceneObject item in scene.Objects)
                {
                    questions.Add(new("yes-no", $"Is there a {item.Name}?", "yes"));
                    questions.Add(new("yes-no", $"Is there a {Absent(scene, random)}?", "no"));
                }

                break;
            case 1 or 2:
                questions.AddRange(scene.Objects.SelectMany(item => Places(scene, item, random)));
                break;
            default:
                questions.AddRange(scene.Objects.Select(item => Lookup(scene, item, random)).OfType<SceneQuestion>());
                questions.Add(Count(scene));
                break;
        }

        SceneQuestion[] order = [.. questions.DistinctBy(question => question.Text)];
        random.Shuffle(order);
        return [.. order];
    }

    private static SceneQuestion Count(Scene scene) => new("count", "How many objects are there?", Numbers[scene.Objects.Count]);

    private static SceneQuestion? ShapeOf(Scene scene, SceneObject item) => scene.Objects.Count(o => o.Color == item.Color) > 1
        ? null
        : new("shape", $"What shape is the {SceneColors.Name(item.Color)} object?", item.ShapeName);

    private static SceneQuestion? ColorOf(Scene scene, SceneObject item) => scene.Objects.Count(o => o.Kind == item.Kind) > 1
        ? null
        : new("colour", $"What colour is the {item.ShapeName}?", SceneColors.Name(item.Color));

    private static SceneQuestion? Lookup(Scene scene, SceneObject item, Random random)
    {
        SceneQuestion? shape = ShapeOf(scene, item);
        SceneQuestion? color = ColorOf(scene, item);
        return shape is null || (color is not null && random.Next(3) > 0) ? color : shape;
    }

    /// <summary>On which sides an object is. The middle of the grid runs between cells, so every object is on one.</summary>
    /// <param name="item">The object.</param>
    public static (string Side, string Height) Place(SceneObject item) =>
        (item.Column < Scene.Cells / 2 ? "left" : "right", item.Row < Scene.Cells / 2 ? "top" : "bottom");

    private static SceneQuestion[] Places(Scene scene, SceneObject item, Random random)
    {
        string name = Reference(scene, item, random);
        (string side, string height) = Place(item);
        return
        [
            new("left-right", $"Is the {name} on the left or on the right?", side),
            new("above-below", $"Is the {name} at the top or at the bottom?", height),
        ];
    }

    // "circle" or "red object" where that is enough, else "red circle".
    private static string Reference(Scene scene, SceneObject item, Random random)
    {
        List<string> names = [];
        if (scene.Objects.Count(other => other.Kind == item.Kind) == 1)
        {
            names.Add(item.ShapeName);
        }

        if (scene.Objects.Count(other => other.Color == item.Color) == 1)
        {
            names.Add($"{SceneColors.Name(item.Color)} object");
        }

        return names.Count == 0 ? item.Name : names[random.Next(names.Count)];
    }

    private static string Absent(Scene scene, Random random)
    {
        while (true)
        {
            int color = random.Next(SceneColors.Count);
            SceneShape kind = (SceneShape)random.Next(Shapes.Length);
            if (!scene.Objects.Any(o => o.Color == color && o.Kind == kind))
            {
                return $"{SceneColors.Name(color)} {Shape(kind)}";
            }
        }
    }
}
