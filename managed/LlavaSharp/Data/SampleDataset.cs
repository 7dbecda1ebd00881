using System.Buffers;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace LlavaSharp.Data;

/// <summary>
/// A LLaVA data file (a JSON array or JSON Lines), of any size. Opening reads it once, front to back, and checks every
/// sample; kept are only where each lies and its length for the sampler, 16 bytes a sample. Samples are parsed
/// anew when asked for. Reading is safe from several threads.
/// </summary>
public sealed class SampleDataset : IDisposable
{
    private readonly string _path;

    private readonly SafeFileHandle _file;

    private readonly List<Entry> _entries;

    private SampleDataset(string path, SafeFileHandle file, List<Entry> entries)
    {
        _path = path;
        _file = file;
        _entries = entries;
    }

    /// <summary>Number of samples, at least one.</summary>
    public int Count => _entries.Count;

    /// <summary>Parses a sample.</summary>
    /// <param name="index">0 to <see cref="Count"/> - 1, in file order.</param>
    /// <exception cref="UserErrorException">The file has changed since it was opened.</exception>
    public Sample this[int index] => Read(index, _entries[index]);

    /// <summary>Opens a file and checks every sample.</summary>
    /// <param name="path">The data file.</param>
    /// <exception cref="UserErrorException">
    /// The file is missing, empty or malformed, or a sample lacks what it needs; the message has line and byte, from 1.
    /// </exception>
    public static SampleDataset Open(string path)
    {
        SafeFileHandle? file = null;
        try
        {
            if (Directory.Exists(path))
            {
                throw new UserErrorException($"{path}: this is a folder; give the data file");
            }

            file = File.OpenHandle(path);
            var entries = new List<Entry>();
            using (var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0))
            {
                new SampleScanner(stream, path).Scan((offset, json) =>
                {
                    var sample = SampleReader.Parse(json);
                    var words = sample.Conversations.Sum(turn => PythonText.WordCount(turn.Value));
                    entries.Add(new Entry(offset, json.Length, sample.Images.Count == 0 ? -words : words));
                });
            }

            var dataset = entries.Count > 0
                ? new SampleDataset(path, file, entries)
                : throw new UserErrorException($"{path}: the list of samples is empty");
            file = null;
            return dataset;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new UserErrorException($"{path}: no such file", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"{path}: cannot be read: {e.Message}", e);
        }
        finally
        {
            file?.Dispose();
        }
    }

    /// <summary>
    /// The length that grouping by modality uses: words between white space, over all turns as written; negative when
    /// the sample has no image. The placeholder counts as a word.
    /// </summary>
    /// <param name="index">0 to <see cref="Count"/> - 1.</param>
    public int ModalityLength(int index) => _entries[index].ModalityLength;

    /// <summary>All of <see cref="ModalityLength(int)"/>, in file order.</summary>
    public int[] ModalityLengths() => [.. _entries.Select(entry => entry.ModalityLength)];

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private Sample Read(int index, Entry entry)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(entry.Bytes);
        try
        {
            var json = buffer.AsSpan(0, entry.Bytes);
            return RandomAccess.Read(_file, json, entry.Offset) == json.Length
                ? SampleReader.Parse(json)
                : throw new FormatException("the file has become shorter");
        }
        catch (Exception e) when (e is FormatException or JsonException or IOException)
        {
            throw new UserErrorException(
                $"{_path}: sample {index} cannot be read any more; the file must not change during a run ({e.Message})", e);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    [StructLayout(LayoutKind.Auto)]
    private readonly record struct Entry(long Offset, int Bytes, int ModalityLength);
}
