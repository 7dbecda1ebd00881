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

    /// <summary>"a red circle left of a blue square.": what stands where, in reading order.</summary>
    /// <param name="scene">One to three objects.</param>
    public static string Caption(Scene scene)
    {
        IReadOnlyList<SceneObject> objects = scene.Objects;
        return objects.Count switch
        {
            1 => $"a {objects[0].Name}.",
            2 => $"a {objects[0].Name} {(objects[0].Column < objects[1].Column ? "left of" : "above")} a {objects[1].Name}.",
            _ => $"a {objects[0].Name}, a {objects[1].Name} and a {objects[2].Name}.",
        };
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
        questions.AddRange(scene.Objects.SelectMany(Places));
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
        switch (random.Next(4))
        {
            case 0:
                foreach (SceneObject item in scene.Objects)
                {
                    questions.Add(new("yes-no", $"Is there a {item.Name}?", "yes"));
                    questions.Add(new("yes-no", $"Is there a {Absent(scene, random)}?", "no"));
                }

                break;
            case 1:
                questions.AddRange(scene.Objects.SelectMany(Places));
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

    // The middle of the grid runs between cells: every object is on one side.
    private static SceneQuestion[] Places(SceneObject item) =>
    [
        new("left-right", $"Is the {item.Name} on the left or on the right?", item.Column < Scene.Cells / 2 ? "left" : "right"),
        new("above-below", $"Is the {item.Name} at the top or at the bottom?", item.Row < Scene.Cells / 2 ? "top" : "bottom"),
    ];

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
