using System.Text;
using LlavaSharp.Data;
using LlavaSharp.Tokenization;
using LlavaSharp.Training;

namespace LlavaSharp.Demo;

/// <summary>
/// What the language model reads before it sees pictures: scenes, told twice in different words, questions about them, and
/// the facts of <see cref="TextConversations"/>. A model that never learned to look something up in what stands before it
/// has nothing that a picture's features could be aligned to.
/// </summary>
internal sealed class WarmUpText : ITrainingSource
{
    private const int QuestionsMax = 6;
    private const int FactsAtOnce = 4;

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
        Text text = new(_tokenizer);
        if (random.Next(16) == 0)
        {
            foreach ((string question, string answer) in TextConversations.Next(random, FactsAtOnce))
            {
                text.Ask(question, answer);
            }
        }
        else
        {
            Describe(_scenes[index], random, text);
        }

        return new PreparedSample(index, $"text {index}", text.ToSample(), []);
    }

    // Which objects there are is a lot that nothing could tell: that line is read, and what follows from it is learned.
    private static void Describe(Scene scene, Random random, Text text)
    {
        if (random.Next(8) > 0)
        {
            text.Append(Listing(scene, random), learned: false);
        }

        text.Append(SceneWords.Caption(scene) + "\n", learned: true);

        SceneQuestion[] questions = [.. SceneWords.Questions(scene, random)];
        random.Shuffle(questions);
        foreach (SceneQuestion question in questions.Take(QuestionsMax))
        {
            text.Ask(question.Text, question.Answer);
        }
    }

    // "blue square top left red circle bottom right": the objects in any order and where they are, as patches tell it.
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
            (string side, string height) = SceneWords.Place(item);
            text.Append(text.Length == 0 ? string.Empty : " ").Append(item.Name).Append(' ').Append(height).Append(' ').Append(side);
        }

        return text.ToString();
    }

    // Tokens beside what is learned of them.
    private sealed class Text(LlavaTokenizer tokenizer)
    {
        private readonly List<int> _ids = [tokenizer.BosId];
        private readonly List<int> _labels = [TokenizedSample.IgnoredLabel];

        public void Append(string text, bool learned)
        {
            int[] pieces = tokenizer.Encode(text);
            _ids.AddRange(pieces);
            _labels.AddRange(learned ? pieces : Enumerable.Repeat(TokenizedSample.IgnoredLabel, pieces.Length));
        }

        public void Ask(string question, string answer)
        {
            Append($"USER: {question} ASSISTANT:", learned: false);
            Append(answer, learned: true);
            _ids.Add(tokenizer.EosId);
            _labels.Add(tokenizer.EosId);
        }

        public TokenizedSample ToSample() => new([.. _ids], [.. _labels]);
    }
}
