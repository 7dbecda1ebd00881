using System.Buffers;

namespace LlavaSharp.Interop;

/// <summary>A batch whose memory stays in place while the engine reads it.</summary>
internal unsafe ref struct PinnedBatch
{
    /// <summary>What the engine reads; valid until <see cref="Dispose"/>.</summary>
    public Native.Batch Value;

    private MemoryHandle _tokens;
    private MemoryHandle _labels;
    private MemoryHandle _positions;
    private MemoryHandle _cuSeqlens;
    private MemoryHandle _imageSlots;
    private MemoryHandle _pixels;

    public PinnedBatch(PackedBatch batch)
    {
        Native.BatchInit(out Value).ThrowIfFailed();
        Value.Tokens = (int*)(_tokens = batch.Tokens.Pin()).Pointer;
        Value.TokensCount = batch.Tokens.Length;
        Value.Labels = (int*)(_labels = batch.Labels.Pin()).Pointer;
        Value.LabelsCount = batch.Labels.Length;
        Value.Positions = (int*)(_positions = batch.Positions.Pin()).Pointer;
        Value.PositionsCount = batch.Positions.Length;
        Value.CuSeqlens = (int*)(_cuSeqlens = batch.CuSeqlens.Pin()).Pointer;
        Value.CuSeqlensCount = batch.CuSeqlens.Length;
        Value.ImageSlots = (int*)(_imageSlots = batch.ImageSlots.Pin()).Pointer;
        Value.ImageSlotsCount = batch.ImageSlots.Length;
        Value.Pixels = (float*)(_pixels = batch.Pixels.Pin()).Pointer;
        Value.PixelsCount = batch.Pixels.Length;
    }

    public void Dispose()
    {
        _tokens.Dispose();
        _labels.Dispose();
        _positions.Dispose();
        _cuSeqlens.Dispose();
        _imageSlots.Dispose();
        _pixels.Dispose();
    }
}
