namespace LlavaSharp.Demo;

/// <summary>
/// Draws lots for scenes. Two shapes of given colours either meet in training scenes or in held-out ones,
/// never in both: so no combination (shape, colour, shape, colour, relation) of a held-out scene was trained on.
/// </summary>
public sealed class SceneGenerator
{
    private const int HeldOutPercent = 25;

    // Width to height: square, landscapes and portraits.
    private static readonly (int Width, int Height)[] Aspects = [(1, 1), (4, 3), (3, 4), (3, 2), (2, 3), (2, 1), (1, 2)];

    private readonly Random _random;
    private readonly int _seed;

    /// <summary>Starts a stream of scenes.</summary>
    /// <param name="seed">Decides which pairs are held out.</param>
    /// <param name="stream">Decides the scenes drawn, of that world.</param>
    public SceneGenerator(int seed, int stream)
    {
        _seed = seed;
        _random = new Random(HashCode(seed, stream, 0x5CE7E));
    }

    /// <summary>Whether the pair of objects is kept for evaluation.</summary>
    /// <param name="first">One object.</param>
    /// <param name="second">Another.</param>
    public bool IsHeldOut(SceneObject first, SceneObject second)
    {
        int low = Math.Min(first.Identity, second.Identity);
        int high = Math.Max(first.Identity, second.Identity);
        return (uint)HashCode(_seed, low, high) % 100 < HeldOutPercent;
    }

    /// <summary>Draws the next scene.</summary>
    /// <param name="layout">Which image mode it is made for.</param>
    /// <param name="heldOut">Every pair held out (then two or three objects), or none (one to three).</param>
    public Scene Next(SceneLayout layout, bool heldOut)
    {
        int count = heldOut ? 2 + _random.Next(2) : 1 + _random.Next(3);
        while (true)
        {
            Scene? scene = Attempt(layout, count, heldOut);
            if (scene is not null)
            {
                return scene;
            }
        }
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

    private Scene? Attempt(SceneLayout layout, int count, bool heldOut)
    {
        (int aspectWidth, int aspectHeight) = Aspects[_random.Next(Aspects.Length)];
        int unit = 90 + _random.Next(90);
        Scene empty = new(
            unit * aspectWidth / Math.Min(aspectWidth, aspectHeight),
            unit * aspectHeight / Math.Min(aspectWidth, aspectHeight),
            layout,
            ((byte)(225 + _random.Next(31)), (byte)(225 + _random.Next(31)), (byte)(225 + _random.Next(31))),
            []);
        List<(int Column, int Row)> free = [];
        for (int cell = 0; cell < Scene.Cells * Scene.Cells; cell++)
        {
            if (empty.Contains(cell % Scene.Cells, cell / Scene.Cells))
            {
                free.Add((cell % Scene.Cells, cell / Scene.Cells));
            }
        }

        List<SceneObject> objects = [];
        for (int i = 0; i < count; i++)
        {
            int pick = _random.Next(free.Count);
            SceneObject next = Draw(free[pick]);
            free.RemoveAt(pick);
            if (objects.Exists(other => other.Identity == next.Identity || IsHeldOut(other, next) != heldOut))
            {
                return null;
            }

            objects.Add(next);
        }

        return empty with { Objects = [.. objects.OrderBy(o => o.Column).ThenBy(o => o.Row)] };
    }

    private SceneObject Draw((int Column, int Row) cell)
    {
        double radius = 0.30 + (0.12 * _random.NextDouble());
        double room = 0.48 - radius; // the shape stays inside its cell
        return new SceneObject(
            (SceneShape)_random.Next(SceneWords.ShapeCount),
            _random.Next(SceneColors.Count),
            cell.Column,
            cell.Row,
            ((2 * _random.NextDouble()) - 1) * room,
            ((2 * _random.NextDouble()) - 1) * room,
            radius);
    }
}
