namespace LlavaSharp.Demo;

/// <summary>Right answers among those asked for, overall and by kind.</summary>
public sealed class DemoScore
{
    private readonly Dictionary<string, (int Right, int Asked)> _kinds = [];

    /// <summary>Share of right answers over all questions.</summary>
    public double Overall => Share(_kinds.Values.Sum(kind => kind.Right), _kinds.Values.Sum(kind => kind.Asked));

    /// <summary>Questions asked.</summary>
    public int Asked => _kinds.Values.Sum(kind => kind.Asked);

    /// <summary>Share of right answers of one kind; 0 when none was asked.</summary>
    /// <param name="kind">One of <see cref="SceneWords.Kinds"/>.</param>
    public double Of(string kind) => _kinds.TryGetValue(kind, out (int Right, int Asked) score) ? Share(score.Right, score.Asked) : 0;

    /// <summary>Counts an answer.</summary>
    /// <param name="kind">What the question was about.</param>
    /// <param name="right">Whether the answer was the truth.</param>
    public void Add(string kind, bool right)
    {
        (int before, int asked) = _kinds.GetValueOrDefault(kind);
        _kinds[kind] = (before + (right ? 1 : 0), asked + 1);
    }

    private static double Share(int right, int asked) => asked == 0 ? 0 : (double)right / asked;
}
