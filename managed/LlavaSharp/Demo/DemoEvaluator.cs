using LlavaSharp.Data;
using LlavaSharp.Generation;
using LlavaSharp.Imaging;
using LlavaSharp.Interop;
using LlavaSharp.Templates;
using LlavaSharp.Tokenization;
using LlavaSharp.Training;

namespace LlavaSharp.Demo;

/// <summary>
/// Asks a model about held-out pictures. "Swapped" asks the same about another held-out picture: what is still right then
/// was guessed from the words.
/// </summary>
internal sealed class DemoEvaluator
{
    private const int QuestionsAtOnce = 64;
    private const int AnswerTokensMax = 6;
    private const int MaxLength = 512;

    private readonly DemoDataset _data;
    private readonly LlavaTokenizer _tokenizer;
    private readonly PreparedImage[] _captionPixels;
    private readonly PreparedImage[] _questionPixels;

    /// <summary>Reads the held-out pictures once.</summary>
    /// <param name="data">The demo's data.</param>
    /// <param name="tokenizer">The demo's tokenizer.</param>
    /// <param name="processor">The tower's pixels.</param>
    public DemoEvaluator(DemoDataset data, LlavaTokenizer tokenizer, ImageProcessor processor)
    {
        (_data, _tokenizer) = (data, tokenizer);
        _captionPixels = Pixels(data.HeldOutCaptions, processor, ImageAspectRatio.Square);
        _questionPixels = Pixels(data.HeldOutQuestions, processor, ImageAspectRatio.Pad);
    }

    /// <summary>Cross entropy a token of the held-out captions, in nats.</summary>
    /// <param name="model">What is judged.</param>
    /// <param name="swapped">Whether each caption is judged with another picture.</param>
    public double CaptionLoss(Model model, bool swapped)
    {
        ConversationTemplate template = ConversationTemplates.Get("plain");
        BatchBuilder batches = new(model.Config.ImageRows, MaxLength);
        double sum = 0;
        long count = 0;
        int index = 0;
        foreach (DemoConversation[] part in _data.HeldOutCaptions.Chunk(QuestionsAtOnce))
        {
            List<PreparedSample> samples = [];
            foreach (DemoConversation caption in part)
            {
                (string question, string answer) = caption.Turns[0];
                Sample sample = new(caption.Id, caption.Image, [new Turn("human", question), new Turn("gpt", answer)]);
                samples.Add(new PreparedSample(
                    index,
                    caption.Id,
                    PromptBuilder.Build(template, _tokenizer, sample, index),
                    [Picture(_captionPixels, index, swapped)]));
                index++;
            }

            double[] losses = new double[samples.Count];
            long[] tokens = new long[samples.Count];
            model.RunLoss(batches.Build(samples).ToPacked(), losses, tokens);
            sum += losses.Sum();
            count += tokens.Sum();
        }

        return sum / count;
    }

    /// <summary>Asks every held-out question, each on its own.</summary>
    /// <param name="model">What answers.</param>
    /// <param name="swapped">Whether each is asked about another picture.</param>
    /// <returns>The score, and every answer in order.</returns>
    public (DemoScore Score, List<List<string>> Answers) Ask(Model model, bool swapped)
    {
        using TextGenerator generator = new(model, _tokenizer, ConversationTemplates.Get("v1"));
        List<(int Scene, int Turn)> order = [];
        for (int scene = 0; scene < _data.HeldOutQuestions.Count; scene++)
        {
            order.AddRange(Enumerable.Range(0, _data.HeldOutQuestions[scene].Turns.Count).Select(turn => (scene, turn)));
        }

        DemoScore score = new();
        List<List<string>> answers = [.. _data.HeldOutQuestions.Select(_ => new List<string>())];
        foreach ((int Scene, int Turn)[] part in order.Chunk(QuestionsAtOnce))
        {
            IReadOnlyList<string> texts = generator.Answer(
                [.. part.Select(at => Question.Ask(
                    "<image>\n" + _data.HeldOutQuestions[at.Scene].Turns[at.Turn].Question, Picture(_questionPixels, at.Scene, swapped)))],
                new GenerationOptions { MaxNewTokens = AnswerTokensMax });
            foreach (((int scene, int turn), string text) in part.Zip(texts))
            {
                answers[scene].Add(text);
                score.Add(_data.HeldOutKinds[scene][turn], text == _data.HeldOutQuestions[scene].Turns[turn].Answer);
            }
        }

        return (score, answers);
    }

    /// <summary>What the best constant answer to each kind of question would score.</summary>
    public DemoScore Majority()
    {
        DemoScore score = new();
        var asked = _data.HeldOutQuestions
            .SelectMany((scene, i) => scene.Turns.Select((turn, j) => (Kind: _data.HeldOutKinds[i][j], turn.Answer)))
            .GroupBy(question => question.Kind);
        foreach (var kind in asked)
        {
            string common = kind.GroupBy(question => question.Answer).MaxBy(group => group.Count())!.Key;
            foreach (var question in kind)
            {
                score.Add(kind.Key, question.Answer == common);
            }
        }

        return score;
    }

    // Half the set away: no picture is its own stand-in.
    private static PreparedImage Picture(PreparedImage[] pixels, int index, bool swapped) =>
        pixels[swapped ? (index + (pixels.Length / 2)) % pixels.Length : index];

    private PreparedImage[] Pixels(IReadOnlyList<DemoConversation> conversations, ImageProcessor processor, ImageAspectRatio mode) =>
        [.. conversations.Select(c => new PreparedImage(processor.Load(Path.Combine(_data.ImageFolder, c.Image!), mode)))];
}
