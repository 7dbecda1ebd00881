using LlavaSharp.Checkpoints;
using Microsoft.Win32.SafeHandles;

namespace LlavaSharp.Reporting;

/// <summary>
/// A file about a run that grows by whole records, each on the disk's queue when <see cref="Append"/> returns. A record that cannot be
/// written (the disk is full, the file system is gone) costs the run nothing: it waits, and is written in its place once there is room.
/// The file never holds half a record.
/// </summary>
internal sealed class AppendedFile : IDisposable
{
    private readonly string _path;
    private readonly Action<string>? _warn;
    private readonly SafeFileHandle _file;
    private readonly Queue<byte[]> _waiting = [];
    private long _length;
    private bool _isBehind;

    /// <summary>Starts a file, replacing an earlier one.</summary>
    /// <param name="path">The file.</param>
    /// <param name="warn">Receives a line when the file falls behind; null for none.</param>
    /// <exception cref="UserErrorException">It cannot be created.</exception>
    public AppendedFile(string path, Action<string>? warn)
    {
        (_path, _warn) = (path, warn);
        try
        {
            _file = File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.Read);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw AtomicFile.CannotWrite(path, e);
        }
    }

    /// <summary>Appends a record.</summary>
    /// <param name="record">Its bytes.</param>
    public void Append(ReadOnlySpan<byte> record)
    {
        _waiting.Enqueue(record.ToArray());
        try
        {
            while (_waiting.TryPeek(out var next))
            {
                RandomAccess.Write(_file, next, _length);
                _length += next.Length;
                _waiting.Dequeue();
            }

            _isBehind = false;
        }
        catch (Exception e) when (IsRefused(e))
        {
            CutBack();
            if (!_isBehind)
            {
                _warn?.Invoke($"'{_path}' cannot be written: {e.Message}; the run goes on, and the file catches up when it can be written again");
            }

            _isBehind = true;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    // Takes away the part of a record that was written.
    private void CutBack()
    {
        try
        {
            RandomAccess.SetLength(_file, _length);
        }
        catch (Exception e) when (IsRefused(e))
        {
            // The next record that can be written goes over it.
        }
    }

    private static bool IsRefused(Exception e) => e is IOException or UnauthorizedAccessException or NotSupportedException;
}
