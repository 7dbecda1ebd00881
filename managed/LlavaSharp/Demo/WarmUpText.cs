using System.Text;
using LlavaSharp.Data;
using LlavaSharp.Tokenization;
using LlavaSharp.Training;

namespace LlavaSharp.Demo;

/// <summary>
/// What the language model reads before it sees pictures: captions, told twice in different words, and questions about
/// them. A model that never learned to look something up in what stands before it has nothing that a picture's features
/// could be aligned to.
/// </summary>
internal sealed class WarmUpText : ITrainingSource
{
    private const int QuestionsMax = 4;

    private readonly List<Scene> _scenes = [];
    private readonly LlavaTokenizer _tokenizer;
    private readonly int _seed;

    /// <summary>Draws scenes of the training world, whose pictures are never drawn.</summary>
    /// <param name="tokenizer">The demo's tokenizer.</param>
    /// <param name="seed">The world's seed.</param>
    /// <param name="count">Texts.</param>
    public WarmUpText(LlavaTokenizer tokenizer, int seed, int count)
    {
        (_tokenizer, _seed) = (tokenizer, seed);
        SceneGenerator scenes = new(seed, stream: 5);
        for (int i = 0; i < count; i++)
        {
            _scenes.Add(scenes.Next(SceneLayout.CenterCrop, heldOut: false));
        }
    }

    /// <inheritdoc/>
    public int Count => _scenes.Count;

    /// <inheritdoc/>
    public int ModalityLength(int index) => -1;

    /// <inheritdoc/>
    public PreparedSample Load(int index)
    {
        Random random = new((_seed * 7919) + index);
        Scene scene = _scenes[index];
        List<int> ids = [_tokenizer.BosId];
        List<int> labels = [TokenizedSample.IgnoredLabel];
        if (random.Next(4) > 0)
        {
            Append(Listing(scene, random), learned: true);
        }

        Append(SceneWords.Caption(scene) + "\n", learned: true);
        // A caption does not say what stands highest: only questions that its words answer.
        SceneQuestion[] questions = [.. SceneWords.Questions(scene, random).Where(q => q.Kind is "shape" or "colour" or "count" or "yes-no")];
        random.Shuffle(questions);
        foreach (SceneQuestion question in questions.Take(QuestionsMax))
        {
            Append($"USER: {question.Text} ASSISTANT:", learned: false);
            Append(question.Answer, learned: true);
            ids.Add(_tokenizer.EosId);
            labels.Add(_tokenizer.EosId);
        }

        return new PreparedSample(index, $"text {index}", new TokenizedSample([.. ids], [.. labels]), []);

        void Append(string text, bool learned)
        {
            int[] pieces = _tokenizer.Encode(text);
            ids.AddRange(pieces);
            labels.AddRange(learned ? pieces : Enumerable.Repeat(TokenizedSample.IgnoredLabel, pieces.Length));
        }
    }

    // "blue square, red circle": the objects in any order, as patches name them in theirs.
    private static string Listing(Scene scene, Random random)
    {
        SceneObject[] objects = [.. scene.Objects];
        if (random.Next(2) == 0)
        {
            random.Shuffle(objects);
        }

        StringBuilder text = new();
        foreach (SceneObject item in objects)
        {
            text.Append(text.Length == 0 ? string.Empty : " ").Append(item.Name);
        }

        return text.ToString();
    }
}
