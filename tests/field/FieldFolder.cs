using System.Text;
using System.Text.Json.Nodes;

namespace LlavaSharp.Field.Tests;

/// <summary>A copy of the golden LLaVA folder that a test may spoil, with pictures and a training file beside it.</summary>
internal sealed class FieldFolder : IDisposable
{
    private const string Lfs = "version https://git-lfs.github.com/spec/v1\n"
        + "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 696296\n";

    private static readonly string Golden = FindGolden();

    private readonly string _root = Directory.CreateTempSubdirectory("llavasharp-field-").FullName;

    public FieldFolder()
    {
        Directory.CreateDirectory(Model);
        foreach (var file in Directory.GetFiles(Path.Combine(Golden, "model")))
        {
            File.Copy(file, Path.Combine(Model, Path.GetFileName(file)));
        }

        File.WriteAllText(Data, """
            [{"id": "a", "image": "wide.png", "conversations": [
               {"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A car."}]},
             {"id": "b", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}]
            """);
    }

    public static string Images => Path.Combine(Golden, "images");

    public string Model => this["model"];

    public string Data => this["data.json"];

    public string this[string name] => Path.Combine(_root, name);

    public void Dispose() => Directory.Delete(_root, recursive: true);

    /// <summary>Changes config.json, or another JSON file of the model.</summary>
    public void Config(Action<JsonObject> edit, string file = "config.json")
    {
        var path = Path.Combine(Model, file);
        var json = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        edit(json);
        File.WriteAllText(path, json.ToJsonString());
    }

    /// <summary>Changes the language model's part of config.json.</summary>
    public void Text(Action<JsonObject> edit) => Config(json => edit(json["text_config"]!.AsObject()));

    public void Write(string file, string text) => File.WriteAllText(Path.Combine(Model, file), text, new UTF8Encoding(false));

    public void Remove(string file) => File.Delete(Path.Combine(Model, file));

    /// <summary>Keeps the first bytes of a file.</summary>
    public void Cut(string file, int bytes)
    {
        using var stream = File.OpenWrite(Path.Combine(Model, file));
        stream.SetLength(bytes);
    }

    /// <summary>Puts what Git leaves of a large file in its place when git-lfs is not installed.</summary>
    public void Pointer(string file) => Write(file, Lfs);

    /// <summary>Moves a file elsewhere and leaves a link, as a download cache keeps its files.</summary>
    public void Link(string file)
    {
        var (path, blob) = (Path.Combine(Model, file), this[$"blob-{file}"]);
        File.Move(path, blob);
        File.CreateSymbolicLink(path, Path.Combine("..", Path.GetFileName(blob)));
    }

    /// <summary>Changes the tensors of the model's one file.</summary>
    public void Tensors(Action<SortedDictionary<string, FieldTensor>> edit)
    {
        var path = Path.Combine(Model, "model.safetensors");
        var tensors = FieldTensor.Read(path);
        edit(tensors);
        FieldTensor.Write(path, tensors);
    }

    private static string FindGolden()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var path = Path.Combine(folder.FullName, "tests", "golden", "parity", "mha");
            if (Directory.Exists(path))
            {
                return path;
            }
        }

        throw new DirectoryNotFoundException("tests/golden/parity/mha was not found above " + AppContext.BaseDirectory);
    }
}
