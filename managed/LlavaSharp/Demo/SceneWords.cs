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
            if (scene.Objects.Count(o => o.Color == item.Color) == 1)
            {
                questions.Add(new("shape", $"What shape is the {SceneColors.Name(item.Color)} object?", item.ShapeName));
            }

            if (scene.Objects.Count(o => o.Kind == item.Kind) == 1)
            {
                questions.Add(new("colour", $"What colour is the {item.ShapeName}?", SceneColors.Name(item.Color)));
            }
        }

        questions.Add(new("count", "How many objects are there?", Numbers[scene.Objects.Count]));
        Relations(scene, random, questions);
        SceneObject present = scene.Objects[random.Next(scene.Objects.Count)];
        questions.Add(new("yes-no", $"Is there a {present.Name}?", "yes"));
        questions.Add(new("yes-no", $"Is there a {Absent(scene, random)}?", "no"));
        return questions;
    }

    private static void Relations(Scene scene, Random random, List<SceneQuestion> questions)
    {
        for (int i = 0; i < scene.Objects.Count; i++)
        {
            for (int j = i + 1; j < scene.Objects.Count; j++)
            {
                bool turned = random.Next(2) == 1;
                SceneObject a = scene.Objects[turned ? j : i];
                SceneObject b = scene.Objects[turned ? i : j];
                if (a.Column != b.Column)
                {
                    questions.Add(new(
                        "left-right", $"Is the {a.Name} left or right of the {b.Name}?", a.Column < b.Column ? "left" : "right"));
                }

                if (a.Row != b.Row)
                {
                    questions.Add(new(
                        "above-below", $"Is the {a.Name} above or below the {b.Name}?", a.Row < b.Row ? "above" : "below"));
                }
            }
        }
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
