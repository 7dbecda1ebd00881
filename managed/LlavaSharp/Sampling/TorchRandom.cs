namespace LlavaSharp.Sampling;

/// <summary>
/// PyTorch's CPU generator: the 32-bit Mersenne Twister (Matsumoto and Nishimura 1998, MT19937 with init_genrand), so
/// that orders drawn here are the orders that PyTorch draws from the same seed.
/// </summary>
public sealed class TorchRandom
{
    /// <summary>The seed of a fresh <c>torch.Generator()</c>.</summary>
    public const ulong DefaultSeed = 67280421310721;

    private const int StateSize = 624, Middle = 397;

    /// <summary>From this many items on PyTorch draws 64 bits an item; no data set comes near it.</summary>
    private const long MaxItems = (1L << 32) / 20;

    private readonly uint[] _state = new uint[StateSize];

    private int _next = StateSize;

    /// <summary>Seeds the generator.</summary>
    /// <param name="seed">Only the low 32 bits matter, as in PyTorch.</param>
    public TorchRandom(ulong seed)
    {
        _state[0] = unchecked((uint)seed);
        for (uint i = 1; i < StateSize; i++)
        {
            var previous = _state[i - 1];
            _state[i] = unchecked((1812433253 * (previous ^ (previous >> 30))) + i);
        }
    }

    /// <summary>The next 32 bits.</summary>
    public uint NextUInt32()
    {
        if (_next == StateSize)
        {
            Refill();
        }

        var y = _state[_next++];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680;
        y ^= (y << 15) & 0xefc60000;
        return y ^ (y >> 18);
    }

    /// <summary>Two draws; the first is the high half.</summary>
    public ulong NextUInt64()
    {
        ulong high = NextUInt32();
        return (high << 32) | NextUInt32();
    }

    /// <summary>What <c>torch.empty((), dtype=torch.int64).random_()</c> draws: 63 bits, used as seeds.</summary>
    public ulong NextSeed() => NextUInt64() & long.MaxValue;

    /// <summary><c>torch.randperm</c>.</summary>
    /// <param name="count">How many items, at most 214,748,364.</param>
    public int[] Randperm(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(count, MaxItems);
        var order = new int[count];
        for (var i = 0; i < count; i++)
        {
            order[i] = i;
        }

        for (var i = 0; i < count - 1; i++)
        {
            var other = i + (int)(NextUInt32() % (uint)(count - i));
            (order[i], order[other]) = (order[other], order[i]);
        }

        return order;
    }

    private void Refill()
    {
        for (var i = 0; i < StateSize; i++)
        {
            var y = (_state[i] & 0x80000000) | (_state[(i + 1) % StateSize] & 0x7fffffff);
            _state[i] = _state[(i + Middle) % StateSize] ^ (y >> 1) ^ ((y & 1) == 0 ? 0 : 0x9908b0dfu);
        }

        _next = 0;
    }
}
