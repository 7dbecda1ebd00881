namespace LlavaSharp.Imaging;

/// <summary>Takes the rows of a resized picture as they are made, while they lie in the nearest cache.</summary>
internal interface IRowSink
{
    /// <summary>Takes one row.</summary>
    /// <param name="y">Which, counted from the top of the job's window; each comes once, in order.</param>
    /// <param name="rgb">[window columns, 3]; only valid during the call.</param>
    void Accept(int y, ReadOnlySpan<byte> rgb);
}
