using LlavaSharp.Templates;
using LlavaSharp.Tokenization;

namespace LlavaSharp.Demo;

/// <summary>The demo's own SentencePiece model, trained on its own text.</summary>
internal static class DemoTokenizer
{
    /// <summary>Pieces asked for: bytes, marks and letters, and room for every word of the demo.</summary>
    public const int Vocabulary = 480;

    /// <summary>Trains it.</summary>
    /// <param name="data">The training conversations.</param>
    /// <returns>The bytes of tokenizer.model.</returns>
    public static byte[] Train(DemoDataset data) => SentencePieceTrainer.TrainBpe(Corpus(data), Vocabulary);

    private static IEnumerable<string> Corpus(DemoDataset data)
    {
        const int Enough = 1500; // conversations of each kind; the words repeat
        string system = ConversationTemplates.Get("v1").System;
        foreach (DemoConversation caption in data.Captions.Take(Enough))
        {
            yield return caption.Turns[0].Answer;
        }

        foreach (DemoConversation conversation in data.Conversations.Take(Enough).Concat(data.Conversations.TakeLast(Enough / 10)))
        {
            yield return system;
            foreach ((string question, string answer) in conversation.Turns)
            {
                yield return $"USER: {question.Replace("<image>\n", string.Empty, StringComparison.Ordinal)} ASSISTANT: {answer}";
            }
        }
    }
}
