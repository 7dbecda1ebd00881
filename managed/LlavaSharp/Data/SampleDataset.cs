using System.Buffers;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Unicode;
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

    private readonly Dictionary<int, SampleProblem> _problems;

    private SampleDataset(
        string path, SafeFileHandle file, List<Entry> entries, Dictionary<int, SampleProblem> problems, BlindSamples blind)
    {
        Blind = blind;
        _path = path;
        _file = file;
        _entries = entries;
        _problems = problems;
    }

    /// <summary>
    /// Samples whose turns mark a picture that they do not have (their key is misspelt, or empty): nothing reads the picture, and
    /// the mark would be trained as text. Malformed samples do not count.
    /// </summary>
    public BlindSamples Blind { get; }

    /// <summary>Number of samples, at least one.</summary>
    public int Count => _entries.Count;

    /// <summary>Parses a sample.</summary>
    /// <param name="index">0 to <see cref="Count"/> - 1, in file order.</param>
    /// <exception cref="UserErrorException">The file has changed since it was opened, or the sample is malformed.</exception>
    public Sample this[int index] => Read(index, _entries[index]);

    /// <summary>Opens a file and checks every sample.</summary>
    /// <param name="path">The data file.</param>
    /// <exception cref="UserErrorException">
    /// The file is missing, empty or malformed, or a sample lacks what it needs; the message has line and byte, from 1.
    /// </exception>
    public static SampleDataset Open(string path) => Open(path, tolerant: false);

    /// <summary>
    /// Opens a file in which single samples may be malformed or repeat earlier ones: <see cref="Problem"/> names them. The
    /// JSON itself must be whole.
    /// </summary>
    /// <param name="path">The data file.</param>
    /// <exception cref="UserErrorException">The file is missing, empty, or no list of samples.</exception>
    public static SampleDataset OpenTolerant(string path) => Open(path, tolerant: true);

    /// <summary>What a tolerant file found in a sample as text: malformed, not UTF-8, or (a note) a repetition; else null.</summary>
    /// <param name="index">0 to <see cref="Count"/> - 1.</param>
    public SampleProblem? Problem(int index) => _problems.GetValueOrDefault(index);

    private static SampleDataset Open(string path, bool tolerant)
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
            var problems = new Dictionary<int, SampleProblem>();
            var blind = new BlindSamples();
            var seen = tolerant ? new Dictionary<UInt128, int>() : null;
            using (var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0))
            {
                new SampleScanner(stream, path).Scan((offset, json) =>
                    entries.Add(new Entry(offset, json.Length, seen is null
                        ? Length(Look(json, entries.Count, blind))
                        : LengthOrProblem(json, entries.Count, problems, blind, seen))));
            }

            var dataset = entries.Count > 0
                ? new SampleDataset(path, file, entries, problems, blind)
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

    private static Sample Look(ReadOnlySpan<byte> json, int index, BlindSamples blind)
    {
        var sample = SampleReader.Parse(json);
        blind.Look(sample, index);
        return sample;
    }

    private static int Length(Sample sample)
    {
        var words = sample.Conversations.Sum(turn => PythonText.WordCount(turn.Value));
        return sample.Images.Count == 0 ? -words : words;
    }

    /// <summary>A sample's length; 1 for one with a fault, which is never trained but has its place in the order.</summary>
    private static int LengthOrProblem(
        ReadOnlySpan<byte> json, int index, Dictionary<int, SampleProblem> problems, BlindSamples blind, Dictionary<UInt128, int> seen)
    {
        try
        {
            if (!Utf8.IsValid(json))
            {
                throw Fault.With(new FormatException("its text is not valid UTF-8"), SampleFault.BadText);
            }

            var sample = Look(json, index, blind);
            var hash = SampleHash.Of(sample);
            if (!seen.TryAdd(hash, index))
            {
                problems.Add(index, new(index, SampleFault.Duplicate, $"the same images and turns as sample {seen[hash]}"));
            }

            return Length(sample) is var length and not 0 ? length : 1;
        }
        catch (FormatException e)
        {
            problems.Add(index, new(index, Fault.Of<SampleFault>(e) ?? SampleFault.Malformed, e.Message));
            return 1;
        }
    }

    private Sample Read(int index, Entry entry)
    {
        if (_problems.TryGetValue(index, out var problem) && problem.Fault is SampleFault.Malformed or SampleFault.BadText)
        {
            throw Fault.With(new UserErrorException($"{_path}: sample {index}: {problem!.Message}"), problem.Fault);
        }

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
