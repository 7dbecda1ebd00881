namespace LlavaSharp.Demo;

/// <summary>
/// Draws lots for scenes. Some triples of objects (a shape in a colour) are held out: two objects of one triple meet in
/// evaluation only, whatever stands where. So no combination (shape, colour, shape, colour, relation) of a held-out scene
/// was trained on, while every object was, and most pairs: what is in a picture cannot be told from what usually meets.
/// </summary>
public sealed class SceneGenerator
{
    private const int HeldOutTriples = 6;

    // Where one object stands alone there is nothing to tell apart.
    private static readonly int[] TrainingCounts = [1, 2, 2, 3, 3];

    // Width to height: square, landscapes and portraits.
    private static readonly (int Width, int Height)[] Aspects = [(1, 1), (4, 3), (3, 4), (3, 2), (2, 3), (2, 1), (1, 2)];

    private readonly Random _random;
    private readonly int[] _triples; // the objects of triple i stand at 3i, 3i + 1, 3i + 2; the others after them

    /// <summary>Starts a stream of scenes.</summary>
    /// <param name="seed">Decides which objects are held out together.</param>
    /// <param name="stream">Decides the scenes drawn, of that world.</param>
    public SceneGenerator(int seed, int stream)
    {
        _random = new Random(HashCode(seed, stream, 0x5CE7E));
        _triples = [.. Enumerable.Range(0, SceneWords.ShapeCount * SceneColors.Count)];
        new Random(HashCode(seed, 0, 0x7219)).Shuffle(_triples);
    }

    /// <summary>Whether two objects meet in held-out scenes only.</summary>
    /// <param name="first">One object's <see cref="SceneObject.Identity"/>.</param>
    /// <param name="second">Another's.</param>
    public bool IsHeldOut(int first, int second)
    {
        int triple = Array.IndexOf(_triples, first) / 3;
        return triple < HeldOutTriples && Array.IndexOf(_triples, second) / 3 == triple;
    }

    /// <summary>Draws the next scene.</summary>
    /// <param name="layout">Which image mode it is made for.</param>
    /// <param name="heldOut">Every pair held out (then two or three objects), or none (one to three).</param>
    public Scene Next(SceneLayout layout, bool heldOut)
    {
        int[] identities = heldOut
            ? HeldOutObjects(2 + _random.Next(2))
            : TrainingObjects(TrainingCounts[_random.Next(TrainingCounts.Length)]);
        (int aspectWidth, int aspectHeight) = Aspects[_random.Next(Aspects.Length)];
        int unit = 60 + _random.Next(60);
        Scene empty = new(
            unit * aspectWidth / Math.Min(aspectWidth, aspectHeight),
            unit * aspectHeight / Math.Min(aspectWidth, aspectHeight),
            layout,
            ((byte)(225 + _random.Next(31)), (byte)(225 + _random.Next(31)), (byte)(225 + _random.Next(31))),
            []);
        (int Column, int Row)[] cells = [.. Enumerable.Range(0, Scene.Cells * Scene.Cells)
            .Select(cell => (cell % Scene.Cells, cell / Scene.Cells))
            .Where(cell => empty.Contains(cell.Item1, cell.Item2))];
        _random.Shuffle(cells);
        IEnumerable<SceneObject> objects = identities.Select((identity, i) => Draw(identity, cells[i]));
        return empty with { Objects = [.. objects.OrderBy(o => o.Column).ThenBy(o => o.Row)] };
    }

    // 32-bit finaliser in the manner of MurmurHash3: System.HashCode differs from process to process.
    private static int HashCode(int a, int b, int c)
    {
        uint hash = 0x9E3779B9;
        foreach (int value in (ReadOnlySpan<int>)[a, b, c])
        {
            hash = (hash ^ (uint)value) * 0x85EBCA6B;
            hash = (hash ^ (hash >> 13)) * 0xC2B2AE35;
            hash ^= hash >> 16;
        }

        return (int)hash;
    }

    private int[] HeldOutObjects(int count)
    {
        int[] triple = _triples.AsSpan(3 * _random.Next(HeldOutTriples), 3).ToArray();
        _random.Shuffle(triple);
        return triple[..count];
    }

    private int[] TrainingObjects(int count)
    {
        List<int> objects = [];
        while (objects.Count < count)
        {
            int next = _random.Next(_triples.Length);
            if (!objects.Exists(other => other == next || IsHeldOut(other, next)))
            {
                objects.Add(next);
            }
        }

        return [.. objects];
    }

    private SceneObject Draw(int identity, (int Column, int Row) cell)
    {
        double radius = 0.38 + (0.06 * _random.NextDouble()); // 5 to 6 of a patch's 14 pixels: smaller ones look alike
        double room = 0.48 - radius; // the shape stays inside its cell
        return new SceneObject(
            (SceneShape)(identity / SceneColors.Count),
            identity % SceneColors.Count,
            cell.Column,
            cell.Row,
            ((2 * _random.NextDouble()) - 1) * room,
            ((2 * _random.NextDouble()) - 1) * room,
            radius);
    }
}
