namespace LlavaSharp.Training;

/// <summary>What a run trains on: samples by index. Implementations are read from several threads at once.</summary>
public interface ITrainingSource
{
    /// <summary>Samples.</summary>
    int Count { get; }

    /// <summary>The sampler's length: words, negative for a sample without an image; never 0 where grouping is used.</summary>
    /// <param name="index">The sample.</param>
    /// <returns>The signed length.</returns>
    int ModalityLength(int index);

    /// <summary>Reads, tokenizes and decodes one sample.</summary>
    /// <param name="index">The sample.</param>
    /// <returns>The sample, ready for a batch.</returns>
    /// <exception cref="UserErrorException">It cannot be read; the message names file, index and reason.</exception>
    PreparedSample Load(int index);
}
