using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using LlavaSharp.Data;

namespace LlavaSharp.Tests.Data;

/// <summary>Any bytes give samples or a UserErrorException with one line; valid samples come back as they were written.</summary>
public sealed class SamplePropertyTests : IDisposable
{
    private static readonly byte[] Whole = Encoding.UTF8.GetBytes("""
        [{"id": 7, "image": "a/é.png", "conversations": [{"from": "human", "value": "<image>\nh\u00e9 \ud83d\ude42"}, {"from": "gpt", "value": "b"}]},
         {"images": ["x", "y"], "extra": {"deep": [1, -2.5e3, null, true]}, "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": ""}]},
         {"image": null, "video": "v.mp4", "conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "<video>"}, {"from": "gpt", "value": "c"}]}]
        """);

    private static readonly Config Fixed = Config.QuickThrowOnFailure.WithMaxTest(400).WithReplay(20261201, 296573);

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Any_bytes() => Check.One(Fixed, Prop.ForAll<byte[]>(bytes => Reads(bytes ?? [])));

    [Fact]
    public void Any_text_that_begins_as_a_file_does() => Check.One(Fixed, Prop.ForAll<string>(text =>
        Reads(Encoding.UTF8.GetBytes("[{" + text)) && Reads(Encoding.UTF8.GetBytes("{\"conversations\": [{\"from\": \"" + text + "\"}]}"))));

    [Fact]
    public void A_file_with_a_byte_changed_and_cut_anywhere() => Check.One(Fixed, Prop.ForAll<int, byte, int>((at, value, end) =>
    {
        byte[] bytes = [.. Whole];
        bytes[(int)((uint)at % (uint)bytes.Length)] = value;
        return Reads(bytes) && Reads(bytes[..(int)((uint)end % (uint)(bytes.Length + 1))]);
    }));

    [Fact]
    public void Values_of_other_kinds_under_every_key()
    {
        string[] keys = ["id", "image", "images", "conversations", "messages", "from", "role", "value", "content", "video", "\\u0069mage", "\\ud800"];
        string[] values = ["null", "true", "3", "-1e999", "\"\"", "\"<image>\"", "\"\\ud800\"", "[]", "{}", "[[]]", "[{}]", "[null]", "{\"from\": 1}"];
        Check.One(Fixed.WithMaxTest(1500), Prop.ForAll(
            Arb.From(Gen.Choose(0, (keys.Length * values.Length) - 1).ArrayOf(4)),
            picks =>
            {
                var pairs = picks.Select(p => $"\"{keys[p % keys.Length]}\": {values[p / keys.Length]}").ToArray();
                var all = string.Join(", ", pairs);
                return Reads(Encoding.UTF8.GetBytes($"[{{{all}}}]"))
                    && Reads(Encoding.UTF8.GetBytes($"[{{\"conversations\": [{{{all}}}], {pairs[0]}}}]"));
            }));
    }

    [Fact]
    public void Valid_samples_come_back() => Check.One(Fixed, Prop.ForAll<string[], string[], bool>((texts, images, escapes) =>
    {
        string[] said = [.. (texts ?? []).Append("end").Select(Unicode)];
        string[] pictures = [.. (images ?? []).Select(Unicode).Where(i => i.Length > 0)];
        var json = JsonSerializer.Serialize(
            new { image = pictures, conversations = said.Select(t => new Dictionary<string, string> { ["from"] = "human", ["value"] = t }) },
            escapes ? JsonSerializerOptions.Default : Relaxed);
        using var data = SampleDataset.Open(_folder.Write("valid.jsonl", json + "\n" + json));
        return data.Count == 2 && data[1].Images.SequenceEqual(pictures) && data[1].Conversations.Select(t => t.Value).SequenceEqual(said);
    }));

    /// <summary>Text without halves of surrogate pairs, which JSON in UTF-8 cannot hold.</summary>
    private static string Unicode(string? text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text ?? ""));

    private bool Reads(byte[] bytes)
    {
        var path = _folder.Write("data.json", bytes);
        foreach (var open in (Func<string, SampleDataset>[])[SampleDataset.Open, SampleDataset.OpenTolerant])
        {
            try
            {
                using var data = open(path);
                for (var i = 0; i < data.Count; i++)
                {
                    var problem = data.Problem(i);
                    Assert.DoesNotContain('\n', problem?.Message ?? "");
                    if (problem is null)
                    {
                        Assert.NotEmpty(data[i].Conversations);
                    }
                }
            }
            catch (UserErrorException e)
            {
                Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
                Assert.DoesNotContain('\n', e.Message);
            }
        }

        return true;
    }
}
