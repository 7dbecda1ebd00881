using System.Numerics.Tensors;
using LlavaSharp.Checkpoints;
using LlavaSharp.Data;
using LlavaSharp.Interop;
using LlavaSharp.Templates;
using LlavaSharp.Tokenization;
using LlavaSharp.Training;

namespace LlavaSharp.Generation;

/// <summary>
/// Turns questions into answers: template, ids, the engine's generator, text. An answer ends at a stop token or at the template's stop
/// text, neither of which is part of its text.
/// </summary>
public sealed class TextGenerator : IDisposable
{
    private readonly Model _model;
    private readonly Generator _generator;
    private readonly LlavaTokenizer _tokenizer;
    private readonly ConversationTemplate _template;
    private readonly BatchBuilder _batches;
    private readonly PromptRules _rules;
    private readonly HashSet<int> _stopTokens;
    private readonly string _stopText;

    /// <summary>Prepares a generator, which shares the model.</summary>
    /// <param name="model">What answers.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="template">The conversation format that it was trained with; its <see cref="ConversationTemplate.StopText"/> ends
    /// answers, too.</param>
    /// <param name="stopTokens">Ids that end an answer; null means the tokenizer's end of sentence.</param>
    /// <param name="rules">What else prompts depend on; null for <see cref="PromptRules.Default"/>.</param>
    public TextGenerator(
        Model model,
        LlavaTokenizer tokenizer,
        ConversationTemplate template,
        IReadOnlyList<int>? stopTokens = null,
        PromptRules? rules = null)
    {
        _rules = rules ?? PromptRules.Default;
        (_tokenizer, _template) = (tokenizer, template);
        _stopText = PromptBuilder.Fit(template, tokenizer).StopText;
        _stopTokens = [.. stopTokens ?? [tokenizer.EosId]];
        if (tokenizer.IsSpecial(_stopText))
        {
            // As one token it may have no text at all.
            _stopTokens.Add(tokenizer.EncodeWithSpecial(_stopText)[0]);
        }

        _batches = new BatchBuilder(model.Config.ImageRows, int.MaxValue);
        _model = model;
        _generator = new Generator(model);
    }

    /// <summary>The model's shape, which says how long a sequence may be; null does not check.</summary>
    public LlavaConfig? Config { get; init; }

    /// <summary>Answers many questions at once.</summary>
    /// <param name="questions">The questions; a batch of them, as large as memory allows.</param>
    /// <param name="options">How answers are drawn.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <returns>One answer a question, in order, without spaces around it.</returns>
    /// <exception cref="UserErrorException">The turns do not fit the template, or a sequence may become longer than the model's
    /// attention window.</exception>
    public IReadOnlyList<string> Answer(
        IReadOnlyList<Question> questions, GenerationOptions options, CancellationToken cancellation = default) =>
        questions.Count == 0 ? [] : [.. Run(questions, options, null, cancellation).Select(answer => answer.Text)];

    /// <summary>Answers one question, and says with which ids.</summary>
    /// <param name="question">The question.</param>
    /// <param name="options">How the answer is drawn.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <returns>The prompt's ids, the answer's, its text, and why it ended.</returns>
    /// <exception cref="UserErrorException">As <see cref="Answer"/>.</exception>
    public ChatAnswer Complete(Question question, GenerationOptions options, CancellationToken cancellation = default)
    {
        var answer = Run([question], options, null, cancellation)[0];
        return new(Prompt(question), answer.Ids, answer.Text, answer.IsStopped);
    }

    /// <summary>Answers one question and hands over the text as it grows.</summary>
    /// <param name="question">The question.</param>
    /// <param name="options">How the answer is drawn.</param>
    /// <param name="onText">Receives each new piece of text; a character of several bytes comes whole, a stop text not at all. The
    /// pieces together are the answer.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <returns>The whole answer, without spaces around it.</returns>
    /// <exception cref="UserErrorException">As <see cref="Answer"/>.</exception>
    public string Stream(Question question, GenerationOptions options, Action<string> onText, CancellationToken cancellation = default) =>
        Run([question], options, onText, cancellation)[0].Text;

    /// <inheritdoc/>
    public void Dispose() => _generator.Dispose();

    private AnswerReader[] Run(
        IReadOnlyList<Question> questions, GenerationOptions options, Action<string>? onText, CancellationToken cancellation)
    {
        var samples = questions.Select((q, i) =>
        {
            var ids = Prompt(q);
            return new PreparedSample(i, $"question {i}", new TokenizedSample(ids,
                [.. Enumerable.Repeat(PackedBatch.IgnoreLabel, ids.Length)]), q.Image is null ? [] : [q.Image]);
        });
        var batch = _batches.Build([.. samples]).ToPacked();
        CheckLength(batch, options.MaxNewTokens);
        if ((long)questions.Count * options.MaxNewTokens > Array.MaxLength)
        {
            throw TooLong(options, "it does not fit an array");
        }

        AnswerReader[] readers = [.. questions.Select(_ => new AnswerReader(_tokenizer, _stopTokens, [_stopText]))];
        var open = readers.Length;
        try
        {
            _generator.Run(batch, Sampling(options), [.. _stopTokens], (sequence, token) =>
            {
                if (cancellation.IsCancellationRequested)
                {
                    return false;
                }

                // The engine knows stop tokens alone: what a stop text has ended computes on until all have ended.
                if (!readers[sequence].IsStopped)
                {
                    Hand(readers[sequence].Add(token));
                    open -= readers[sequence].IsStopped ? 1 : 0;
                }

                return open > 0;
            });
        }
        catch (OperationCanceledException) when (open == 0)
        {
        }
        catch (OutOfMemoryException e)
        {
            throw TooLong(options, e.Message, e);
        }
        catch (EngineException e) when (e.Status == EngineStatus.Numeric)
        {
            var (name, most) = Largest();
            throw new UserErrorException($"the model cannot answer: {e.Message}. Its largest weight is {most:G4}, in {name}; training that "
                + "diverged leaves such weights: take an earlier checkpoint, or train again with a lower --learning_rate", e);
        }

        Array.ForEach(readers, reader => Hand(reader.End()));
        return readers;

        void Hand(string piece)
        {
            if (piece.Length > 0)
            {
                onText?.Invoke(piece);
            }
        }
    }

    private static UserErrorException TooLong(GenerationOptions options, string why, Exception? e = null) => new(
        $"--max_new_tokens {options.MaxNewTokens}: keys and values of so long an answer are kept in memory, and {why}; use less", e!);

    // Every weight is finite: it was read so. One that is far too large gives the fault away.
    private (string Name, float Magnitude) Largest() => _model.Parameters
        .Select(p => (p.Name, Magnitude: Math.Abs(TensorPrimitives.MaxMagnitude<float>(_model.Read(p.Name)))))
        .MaxBy(p => p.Magnitude);

    private int[] Prompt(Question question) =>
        PromptBuilder.BuildPrompt(_template, _tokenizer, question.Turns, question.Image is not null, _rules);

    private void CheckLength(PackedBatch batch, int answerMax)
    {
        var ends = batch.CuSeqlens.Span;
        for (var i = 1; i < ends.Length; i++)
        {
            var prompt = ends[i] - ends[i - 1];
            Config?.CheckContext(prompt + answerMax, room => room > prompt
                ? $"the prompt takes {prompt}; use --max_new_tokens {room - prompt} or less" : $"the prompt alone takes {prompt}; ask less");
        }
    }

    private static SamplingOptions Sampling(GenerationOptions options) => new()
    {
        Temperature = options.Temperature,
        TopP = options.TopP,
        MaxNewTokens = options.MaxNewTokens,
        Seed = options.Seed,
    };
}
