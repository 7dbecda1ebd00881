namespace LlavaSharp.Checkpoints;

/// <summary>A matrix in signed bytes, each row with its largest magnitude: an element is byte · magnitude / 127, in float32.</summary>
/// <remarks>Format: Dettmers et al. 2022, LLM.int8(), the vector-wise part, as bitsandbytes stores weights. A half rounds to the even
/// byte.</remarks>
public static class Int8Rows
{
    private const float Most = 127, Inverse = 0.007874015718698502f;

    /// <summary>Encodes a matrix.</summary>
    /// <param name="values">[rows, columns], finite.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="codes">Receives [rows, columns].</param>
    /// <param name="scales">Receives [rows]: the largest magnitudes.</param>
    /// <exception cref="ArgumentException">A length does not fit.</exception>
    public static void Encode(ReadOnlySpan<float> values, int columns, Span<sbyte> codes, Span<float> scales)
    {
        Check(values.Length, columns, codes.Length, scales.Length);
        for (int row = 0; row < scales.Length; row++)
        {
            ReadOnlySpan<float> part = values.Slice(row * columns, columns);
            float most = 0;
            foreach (float value in part)
            {
                most = Math.Max(most, Math.Abs(value));
            }

            scales[row] = most;
            float factor = most == 0 ? 0 : Most / most;
            for (int i = 0; i < columns; i++)
            {
                codes[(row * columns) + i] = (sbyte)MathF.Round(part[i] * factor, MidpointRounding.ToEven);
            }
        }
    }

    /// <summary>Decodes a matrix: exactly what computing with it means.</summary>
    /// <param name="codes">[rows, columns].</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="scales">[rows].</param>
    /// <param name="values">Receives [rows, columns].</param>
    /// <exception cref="ArgumentException">A length does not fit.</exception>
    public static void Decode(ReadOnlySpan<sbyte> codes, int columns, ReadOnlySpan<float> scales, Span<float> values)
    {
        Check(values.Length, columns, codes.Length, scales.Length);
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = codes[i] * scales[i / columns] * Inverse;
        }
    }

    private static void Check(int count, int columns, int codes, int rows)
    {
        if (columns < 1 || codes != count || (long)rows * columns != count)
        {
            throw new ArgumentException($"{rows} rows of {columns} are not {count} elements with {codes} codes", nameof(columns));
        }
    }
}
