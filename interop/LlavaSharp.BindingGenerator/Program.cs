using System.Text;
using LlavaSharp.BindingGenerator;

// write: regenerates the committed files. check: compares them with a fresh generation, byte by byte.
string verb = args.Length > 0 ? args[0] : "";
string root = args.Length > 1 ? args[1] : Directory.GetCurrentDirectory();
if (args.Length is 0 or > 2 || verb is not ("write" or "check"))
{
    Console.Error.WriteLine("usage: LlavaSharp.BindingGenerator write|check [repository]");
    return 2;
}
try
{
    foreach ((string path, string text) in Bindings.Make(Path.Combine(root, Bindings.HeaderPath)))
    {
        string file = Path.Combine(root, path);
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        bool same = File.Exists(file) && File.ReadAllBytes(file).AsSpan().SequenceEqual(bytes);
        if (!same && verb == "check")
        {
            throw new InvalidDataException($"{Path.GetFileName(path)} is outdated: run ./build.sh bindings");
        }
        if (!same)
        {
            File.WriteAllBytes(file, bytes);
            Console.WriteLine($"wrote {path}");
        }
    }
    return 0;
}
catch (Exception failure) when (failure is InvalidDataException or IOException)
{
    Console.Error.WriteLine($"error: {failure.Message}");
    return 1;
}
