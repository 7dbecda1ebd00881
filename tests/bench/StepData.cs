using LlavaSharp.Interop;
using static TorchSharp.torch;

namespace LlavaSharp.Bench;

/// <summary>The batch of a case, padded to its longest sample as the recipe's collator does, and packed as the engine takes it.
/// Each sample: BOS, an image, text. Stage 1 learns all of its text, stage 2 the last two thirds.</summary>
internal sealed class StepData
{
    private const int Bos = 1;

    private readonly StepCase _case;
    private readonly int _rows;
    private readonly int[][] _text;
    private readonly float[] _pixels;

    public StepData(StepCase @case)
    {
        _case = @case;
        _rows = @case.Config.ImageRows;
        Random random = new(0);
        _text = [.. @case.Lengths.Select(length => Enumerable.Range(0, length).Select(_ => random.Next(3, 31000)).ToArray())];
        _pixels = new float[@case.Batch * 3 * @case.Config.ImageSize * @case.Config.ImageSize];
        for (int i = 0; i < _pixels.Length; i++)
        {
            _pixels[i] = (random.NextSingle() * 4) - 2;
        }
    }

    /// <summary>Tokens of all samples, image rows included, padding not.</summary>
    public int Tokens => _text.Sum(text => 1 + _rows + text.Length);

    /// <summary>Length of the longest sample.</summary>
    public int Longest => _text.Max(text => 1 + _rows + text.Length);

    private int FirstLearned(int sample) => _case.Stage == "pretrain" ? 0 : _text[sample].Length / 3;

    /// <summary>[B,T] ids (0 where an image row or padding is), [B,T] labels or -100, [B,T] whether it is no padding,
    /// [B,3,S,S] pixels.</summary>
    public (Tensor Ids, Tensor Labels, Tensor Mask, Tensor Pixels) Padded()
    {
        int longest = Longest;
        long[] ids = new long[_case.Batch * longest], labels = new long[ids.Length];
        bool[] mask = new bool[ids.Length];
        Array.Fill(labels, PackedBatch.IgnoreLabel);
        for (int sample = 0; sample < _case.Batch; sample++)
        {
            int start = sample * longest;
            int text = start + 1 + _rows;
            ids[start] = Bos;
            for (int i = 0; i < _text[sample].Length; i++)
            {
                ids[text + i] = _text[sample][i];
                labels[text + i] = i < FirstLearned(sample) ? PackedBatch.IgnoreLabel : _text[sample][i];
            }

            Array.Fill(mask, true, start, 1 + _rows + _text[sample].Length);
        }

        long[] shape = [_case.Batch, longest];
        int side = _case.Config.ImageSize;
        return (tensor(ids, shape), tensor(labels, shape), tensor(mask, shape), tensor(_pixels, [_case.Batch, 3, side, side]));
    }

    /// <summary>The same samples end to end.</summary>
    public PackedBatch Packed()
    {
        List<int> tokens = [], labels = [], positions = [], starts = [0], slots = [];
        for (int sample = 0; sample < _case.Batch; sample++)
        {
            slots.AddRange(Enumerable.Range(tokens.Count + 1, _rows));
            tokens.AddRange([Bos, .. new int[_rows], .. _text[sample]]);
            labels.AddRange(Enumerable.Repeat(PackedBatch.IgnoreLabel, 1 + _rows + FirstLearned(sample)));
            labels.AddRange(_text[sample][FirstLearned(sample)..]);
            positions.AddRange(Enumerable.Range(0, tokens.Count - starts[^1]));
            starts.Add(tokens.Count);
        }

        return new()
        {
            Tokens = tokens.ToArray(),
            Labels = labels.ToArray(),
            Positions = positions.ToArray(),
            CuSeqlens = starts.ToArray(),
            ImageSlots = slots.ToArray(),
            Pixels = _pixels,
        };
    }
}
