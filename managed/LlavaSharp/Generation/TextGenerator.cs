using LlavaSharp.Data;
using LlavaSharp.Interop;
using LlavaSharp.Templates;
using LlavaSharp.Tokenization;
using LlavaSharp.Training;

namespace LlavaSharp.Generation;

/// <summary>
/// Turns questions into answers: template, ids, the engine's generator, text. Answers end at the end-of-sentence token,
/// which is not part of the text.
/// </summary>
public sealed class TextGenerator : IDisposable
{
    private readonly Generator _generator;
    private readonly LlavaTokenizer _tokenizer;
    private readonly ConversationTemplate _template;
    private readonly BatchBuilder _batches;
    private readonly PromptRules _rules;
    private readonly int[] _stop;

    /// <summary>Prepares a generator, which shares the model.</summary>
    /// <param name="model">What answers.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="template">The conversation format that it was trained with.</param>
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
        _stop = stopTokens is null ? [tokenizer.EosId] : [.. stopTokens];
        _batches = new BatchBuilder(model.Config.ImageRows, int.MaxValue);
        _generator = new Generator(model);
    }

    /// <summary>Answers many questions at once.</summary>
    /// <param name="questions">The questions; a batch of them, as large as memory allows.</param>
    /// <param name="options">How answers are drawn.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <returns>One answer a question, in order, without spaces around it.</returns>
    public IReadOnlyList<string> Answer(
        IReadOnlyList<Question> questions, GenerationOptions options, CancellationToken cancellation = default)
    {
        if (questions.Count == 0)
        {
            return [];
        }

        var result = Run(questions, options, (_, _) => !cancellation.IsCancellationRequested);
        return [.. result.Tokens.Select(tokens => Text(tokens).Trim())];
    }

    /// <summary>Answers one question, and says with which ids.</summary>
    /// <param name="question">The question.</param>
    /// <param name="options">How the answer is drawn.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <returns>The prompt's ids, the answer's, and its text.</returns>
    public ChatAnswer Complete(Question question, GenerationOptions options, CancellationToken cancellation = default)
    {
        var prompt = PromptBuilder.BuildPrompt(_template, _tokenizer, question.Turns, question.Image is not null, _rules);
        var tokens = Run([question], options, (_, _) => !cancellation.IsCancellationRequested).Tokens[0];
        return new(prompt, tokens, Text(tokens).Trim());
    }

    /// <summary>Answers one question and hands over the text as it grows.</summary>
    /// <param name="question">The question.</param>
    /// <param name="options">How the answer is drawn.</param>
    /// <param name="onText">Receives each new piece of text; a character of several bytes comes whole.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    /// <returns>The whole answer, without spaces around it.</returns>
    public string Stream(Question question, GenerationOptions options, Action<string> onText, CancellationToken cancellation = default)
    {
        var tokens = new List<int>();
        var shown = 0;
        var result = Run([question], options, (_, token) =>
        {
            tokens.Add(token);
            var text = Text([.. tokens]).TrimStart();

            // Byte pieces decode to U+FFFD until their character is complete: wait for it.
            var whole = text.TrimEnd('\uFFFD');
            if (whole.Length > shown)
            {
                onText(whole[shown..]);
                shown = whole.Length;
            }

            return !cancellation.IsCancellationRequested;
        });
        var answer = Text(result.Tokens[0]).TrimStart();
        if (answer.Length > shown)
        {
            onText(answer[shown..]);
        }

        return answer.TrimEnd();
    }

    /// <inheritdoc/>
    public void Dispose() => _generator.Dispose();

    private GenerationResult Run(IReadOnlyList<Question> questions, GenerationOptions options, Func<int, int, bool> onToken)
    {
        var samples = questions.Select((q, i) =>
        {
            var ids = PromptBuilder.BuildPrompt(_template, _tokenizer, q.Turns, q.Image is not null, _rules);
            return new PreparedSample(i, $"question {i}", new TokenizedSample(ids,
                [.. Enumerable.Repeat(PackedBatch.IgnoreLabel, ids.Length)]), q.Image is null ? [] : [q.Image]);
        });
        return _generator.Run(
            _batches.Build([.. samples]).ToPacked(),
            new SamplingOptions
            {
                Temperature = options.Temperature,
                TopP = options.TopP,
                MaxNewTokens = options.MaxNewTokens,
                Seed = options.Seed,
            },
            _stop,
            onToken);
    }

    private string Text(int[] tokens) =>
        _tokenizer.Decode(tokens is [.., var last] && _stop.Contains(last) ? tokens.AsSpan(0, tokens.Length - 1) : tokens);
}
