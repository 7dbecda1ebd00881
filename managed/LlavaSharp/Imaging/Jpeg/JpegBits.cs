using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace LlavaSharp.Imaging.Jpeg;

/// <summary>The bits of a scan, from the highest of each byte. A marker ends them; zeros follow it, and are counted.</summary>
internal ref struct JpegBits(ReadOnlySpan<byte> data)
{
    private readonly ReadOnlySpan<byte> _data = data;
    private int _at;
    private ulong _bits; // the next bit is the highest
    private int _count;
    private int _padding;

    /// <summary>Where the first byte that is not part of the scan lies, once all of it has been fetched.</summary>
    public readonly int Position => _at;

    /// <summary>Whether more bits were taken than the scan has.</summary>
    public readonly bool Overrun => _padding > _count;

    /// <summary>Decodes a block's coefficients into zeros.</summary>
    /// <param name="codes">The component's codes.</param>
    /// <param name="order">Where each coefficient belongs, row-major.</param>
    /// <param name="block">[64], zeros.</param>
    /// <param name="predicted">The component's last DC value; becomes this one's.</param>
    /// <returns>One past the last coefficient that is not zero, in the stream's order; 0 when the data is damaged.</returns>
    public int Block(
        (JpegCodes Dc, JpegCodes Ac) codes, scoped ReadOnlySpan<byte> order, scoped Span<short> block, ref int predicted)
    {
        if (!Next(codes.Dc, out _, out int difference))
        {
            return 0;
        }

        predicted += difference;
        block[0] = (short)predicted;
        int[] look = codes.Ac.Look;
        int index = 1;
        int end = 1;
        (ulong bits, int count) = (_bits, _count); // in registers
        while (index < 64)
        {
            if (count < 32)
            {
                (_bits, _count) = (bits, count);
                Refill();
                (bits, count) = (_bits, _count);
            }

            int entry = look[(int)(bits >> (64 - JpegCodes.LookBits))];
            if (entry != 0)
            {
                bits <<= entry;
                count -= entry & 0xFF;
            }
            else
            {
                (_bits, _count) = (bits, count);
                if (!Next(codes.Ac, out int run, out int value))
                {
                    return 0;
                }

                (bits, count) = (_bits, _count);
                entry = (value << 16) | (run << 8);
            }

            int zeros = (entry >> 8) & 0xFF;
            if (zeros == JpegCodes.EndOfBlock)
            {
                break;
            }

            index += zeros;
            if (index >= 64)
            {
                return 0;
            }

            block[order[index++]] = (short)(entry >> 16);
            end = index;
        }

        (_bits, _count) = (bits, count);
        return end;
    }

    private bool Next(JpegCodes codes, out int run, out int value)
    {
        Refill();
        (int symbol, int length) = codes.Find((int)(_bits >> 48));
        Take(length);
        int size = symbol & 15;
        run = JpegCodes.RunOf(symbol);
        value = size == 0 ? 0 : JpegCodes.Extend((int)(_bits >> (64 - size)), size);
        Take(size);
        return length > 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Take(int count)
    {
        _bits <<= count;
        _count -= count;
    }

    // At least 32 bits: more than a code and its value take.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Refill()
    {
        if (_count >= 32)
        {
            return;
        }

        if (_at + 4 <= _data.Length)
        {
            uint four = BinaryPrimitives.ReadUInt32BigEndian(_data[_at..]);
            if (((~four - 0x01010101) & four & 0x80808080) == 0)
            {
                // None of the four is 0xFF.
                _bits |= (ulong)four << (32 - _count);
                _count += 32;
                _at += 4;
                return;
            }
        }

        RefillBytes();
    }

    private void RefillBytes()
    {
        while (_count <= 56)
        {
            byte next = 0;
            if (_at < _data.Length && _data[_at] != 0xFF)
            {
                next = _data[_at++];
            }
            else if (_at + 1 < _data.Length && _data[_at + 1] == 0)
            {
                // A byte of ones is followed by one of zeros, so that it is not taken for a marker.
                next = 0xFF;
                _at += 2;
            }
            else
            {
                _padding += 8;
            }

            _bits |= (ulong)next << (56 - _count);
            _count += 8;
        }
    }
}
