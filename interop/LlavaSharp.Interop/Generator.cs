using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace LlavaSharp.Interop;

/// <summary>Continues prompts, with a key-value cache that is kept between runs.</summary>
public sealed unsafe class Generator : IDisposable
{
    private readonly GeneratorHandle _handle;

    /// <summary>Makes a generator.</summary>
    /// <param name="model">What generates; the generator keeps it alive.</param>
    public Generator(Model model) => Native.GeneratorCreate(model.Handle, out _handle).ThrowIfFailed();

    /// <summary>Continues each prompt until a stop token or the longest answer.</summary>
    /// <param name="prompts">B prompts; labels are not needed.</param>
    /// <param name="options">How tokens are drawn.</param>
    /// <param name="stopTokens">Ids that end an answer.</param>
    /// <param name="onToken">Called with prompt index and id as each token comes; false stops the whole run.</param>
    /// <exception cref="OperationCanceledException"><paramref name="onToken"/> returned false.</exception>
    /// <remarks>An exception that <paramref name="onToken"/> throws stops the run and is thrown again from here.</remarks>
    public GenerationResult Run(
        PackedBatch prompts, SamplingOptions options, ReadOnlySpan<int> stopTokens, Func<int, int, bool>? onToken = null)
    {
        Native.SamplingInit(out Native.Sampling sampling).ThrowIfFailed();
        sampling.Temperature = options.Temperature;
        sampling.TopP = options.TopP;
        sampling.TopK = options.TopK;
        sampling.MaxNewTokens = options.MaxNewTokens;
        sampling.Seed = options.Seed;
        int row = Math.Max(options.MaxNewTokens, 0);
        int[] tokens = new int[checked(prompts.SampleCount * row)]; // [B, max new tokens]
        int[] lengths = new int[prompts.SampleCount]; // [B]

        Listener listener = new(onToken);
        using (GCHandle<Listener> user = new(listener))
        using (PinnedBatch pinned = new(prompts))
        {
            fixed (int* stopPointer = stopTokens, tokensPointer = tokens, lengthsPointer = lengths)
            {
                EngineStatus status = Native.GeneratorRun(
                    _handle, in pinned.Value, in sampling, stopPointer, stopTokens.Length,
                    tokensPointer, tokens.Length, lengthsPointer, lengths.Length,
                    onToken is null ? null : &OnToken, (void*)GCHandle<Listener>.ToIntPtr(user));
                listener.Fault?.Throw();
                status.ThrowIfFailed();
            }
        }
        return new GenerationResult([.. lengths.Select((length, prompt) => tokens.AsSpan(prompt * row, length).ToArray())]);
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnToken(int sequence, int token, void* user)
    {
        Listener listener = GCHandle<Listener>.FromIntPtr((nint)user).Target;
        try
        {
            return listener.OnToken!(sequence, token) ? 0 : 1;
        }
#pragma warning disable CA1031 // nothing may be thrown through native frames; Run throws it again
        catch (Exception fault)
#pragma warning restore CA1031
        {
            listener.Fault = ExceptionDispatchInfo.Capture(fault);
            return 1;
        }
    }

    private sealed class Listener(Func<int, int, bool>? onToken)
    {
        public Func<int, int, bool>? OnToken => onToken;

        public ExceptionDispatchInfo? Fault { get; set; }
    }
}
