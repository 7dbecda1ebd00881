using System.Text;
using LlavaSharp.Data;

namespace LlavaSharp.Tests.Data;

public sealed class SampleDatasetTests
{
    private const string First = """{"id": "a", "image": "x/1.png", "conversations": [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A  dog."}]}""";

    private const string Second = """{"conversations":[{"value":"h\u00e9 \ud83d\ude42","from":"human","extra":[1,{"a":2}]},{"from":"gpt","value":"x"}],"id":17,"model":"y","model":"z"}""";

    private static readonly string[] Layouts =
    [
        $"[{First},{Second}]",
        $"\ufeff[\n {First}\r\n,\n{Second} ]\n\n",
        $"{First}\n{Second}\n",
        $"\ufeff\n{First}\r\n\r\n{Second}",
    ];

    public static TheoryData<int> LayoutIndices => [0, 1, 2, 3];

    [Theory]
    [MemberData(nameof(LayoutIndices))]
    public void Reads_arrays_and_lines(int layout)
    {
        using var folder = new TempFolder();
        using var data = SampleDataset.Open(folder.Write("data.json", Layouts[layout]));
        Assert.Equal(2, data.Count);

        // In any order, as often as one likes.
        for (var repeat = 0; repeat < 2; repeat++)
        {
            Assert.Equal("17", data[1].Id);
            Assert.Empty(data[1].Images);
            Assert.Equal([new Turn("human", "hé 🙂"), new Turn("gpt", "x")], data[1].Conversations);
            Assert.Equal("a", data[0].Id);
            Assert.Equal(["x/1.png"], data[0].Images);
            Assert.Equal(new Turn("human", "<image>\nWhat is it?"), data[0].Conversations[0]);
        }

        // <image> What is it? A dog. = 6 words with an image; hé 🙂 x = 3 without.
        Assert.Equal([6, -3], data.ModalityLengths());
        Assert.Equal(-3, data.ModalityLength(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => data[2]);
    }

    [Theory]
    [InlineData("true", "true")]
    [InlineData("[1, {\"b\": 2}]", "[1, {\"b\": 2}]")]
    [InlineData("-1.5e3", "-1.5e3")]
    [InlineData("null", null)]
    public void An_id_may_be_anything(string json, string? expected)
    {
        using var folder = new TempFolder();
        using var data = SampleDataset.Open(folder.Write(
            "d.json", $$"""[{"id": {{json}}, "image": null, "conversations": [{"from": "human", "value": ""}]}]"""));
        Assert.Equal(expected, data[0].Id);
        Assert.Empty(data[0].Images);
        Assert.Equal(0, data.ModalityLength(0));
    }

    [Theory]
    [InlineData("", "the file is empty")]
    [InlineData(" \n\t ", "the file is empty")]
    [InlineData("[]", "the list of samples is empty")]
    [InlineData("[ ] x", "line 1, byte 5: more text, or a second list, stands behind the list")]
    [InlineData("[1]", "line 1, byte 2: a sample must be an object, but here is a number")]
    [InlineData("[\n @, \n[]]", "line 3, byte 1: a sample must be an object, but here is a list")]
    [InlineData("[\n @,\n  {\"id\": 1,}]", "line 3, byte 12: a comma stands before a closing bracket; remove it")]
    [InlineData("[@,]", "a comma stands before a closing bracket; remove it")]
    [InlineData("[@ @]", "line 1, byte ")]
    [InlineData("[@,", "line 1, byte ")]
    [InlineData("[@", "line 1, byte ")]
    [InlineData("[{\"id\": \"x", "line 1, byte 11: the file ends within a sample: it is cut off")]
    [InlineData("\n\n  [tru]", "line 3, byte ")]
    [InlineData("hello", "line 1, byte 1: here begins neither a list nor an object; a data file is JSON")]
    [InlineData("\nid,image,q\n1,a.jpg,What?", "line 2, byte 1: this seems to be a CSV table")]
    [InlineData("datasets:\n  - json_path: a.json", "this seems to be YAML")]
    [InlineData("- id: 1", "this seems to be YAML")]
    [InlineData("<!DOCTYPE html>", "this is HTML or XML")]
    [InlineData("// samples\n[]", "JSON has no comments")]
    [InlineData("version https://git-lfs.github.com/spec/v1\noid sha256:0", "this is a pointer of Git LFS")]
    [InlineData("PAR1xx", "this is a Parquet file")]
    [InlineData("@\n[@]", "line 2, byte 1: a sample must be an object, but here is a list; the file holds one list of objects, or an object a line")]
    [InlineData("[@]\n[@]", "line 2, byte 1: more text, or a second list, stands behind the list")]
    [InlineData("@\n{\"x\": 1]", "line 2, byte 8: ']' is invalid")]
    [InlineData("@\n@@\n7", "line 3, byte 1: a sample must be an object, but here is a number")]
    [InlineData("@\n{}", "line 2, byte 1: sample 1: it has no \"conversations\"")]
    [InlineData("{\"data\": [@]}", "line 1, byte 1: sample 0: it has no \"conversations\"")]
    [InlineData("[\n@,\n\n  {\"conversations\": []}]", "line 4, byte 3: sample 1: its \"conversations\" is empty")]
    [InlineData("[{\"conversations\": {}}]", "sample 0: its \"conversations\" is an object, not a list")]
    [InlineData("[{\"conversations\": [1]}]", "sample 0: turn 0 is a number, not an object")]
    [InlineData("[{\"conversations\": [{\"from\": \"human\"}]}]", "sample 0: turn 0 has no \"value\"")]
    [InlineData("[{\"conversations\": [{\"value\": \"human\"}]}]", "sample 0: turn 0 has no \"from\"")]
    [InlineData("[{\"conversations\": [{\"from\": null, \"value\": \"\"}]}]", "sample 0: turn 0: its \"from\" is null, not text")]
    [InlineData("[{\"conversations\": [{\"from\": \"\", \"value\": 3}]}]", "sample 0: turn 0: its \"value\" is a number, not text")]
    [InlineData("[{\"conversations\": [{\"from\": \"human\", \"value\": [{\"type\": \"text\"}]}]}]", "is a list, not text; join the text of its parts")]
    [InlineData("[{\"conversations\": [{\"from\": \"\", \"from\": \"\"}]}]", "sample 0: turn 0 has the key \"from\" twice")]
    [InlineData("[{\"conversations\": [{}], \"messages\": []}]", "sample 0: turn 0 has no \"from\"")]
    [InlineData("[{\"messages\": [], \"conversations\": []}]", "it has both \"conversations\" and \"messages\"; keep one")]
    [InlineData("[{\"image\": \"a\", \"im\\u0061ge\": \"b\"}]", "sample 0: it has the key \"image\" twice")]
    [InlineData("[{\"conversations\": [{}], \"conversations\": 1}]", "sample 0: turn 0 has no \"from\"")]
    [InlineData("[{\"image\": [\"a\", 1], \"conversations\": []}]", "sample 0: its \"image\" is a number, not text; write the path")]
    [InlineData("[{\"image\": \"a\", \"images\": [\"b\"], \"conversations\": []}]", "sample 0: it has both \"image\" and \"images\"; keep one")]
    [InlineData("[{\"image\": 5, \"conversations\": []}]", "sample 0: its \"image\" is a number, not text; write the path")]
    [InlineData("[{\"image\": {\"path\": \"a\"}, \"conversations\": []}]", "sample 0: its \"image\" is an object, not text; write the path")]
    [InlineData("[{\"id\": \"\\ud800\", \"conversations\": []}]", "sample 0: its \"id\" is not valid Unicode")]
    [InlineData("[{\"id\": \"\\x\"}]", "line 1, byte 11: 'x' is an invalid escapable character")]
    [InlineData("[/* c */]", "line 1, byte 2: JSON has no comments")]
    [InlineData("[{\"id\": NaN}]", "line 1, byte 9: JSON has no NaN; write null, or leave the key out")]
    [InlineData("[{\"id\": -Infinity}]", "JSON has no -Infinity; write null")]
    [InlineData("[{\"id\": None}]", "JSON has no None; write null")]
    [InlineData("[{\"id\": True}]", "JSON has no True; write true")]
    [InlineData("[{'id': 1}]", "JSON has no single quotes")]
    [InlineData("[{\"id\": 1, // one\n}]", "JSON has no comments")]
    [InlineData("[{\"data\": [@]}]", "it has no \"conversations\", but other objects under \"data\": samples must lie in a list")]
    [InlineData("{\"a1\": @, \"a2\": @}", "it has no \"conversations\", but other objects under \"a1\"")]
    [InlineData("[{\"conversation\": [{\"from\": \"human\", \"value\": \"a\"}]}]", "its \"conversation\" holds turns: rename the key to \"conversations\"")]
    [InlineData("[{\"instruction\": \"a\", \"output\": \"b\"}]", "but \"instruction\" and \"output\": make turns of them")]
    [InlineData("[{\"query\": \"a\", \"response\": \"b\"}]", "but \"query\" and \"response\": make turns of them")]
    [InlineData("[{\"text\": \"a\", \"\\ud800\": 1}]", "; its keys are \"text\", \"\\ud800\"")]
    [InlineData("[{}]", "it has no \"conversations\"; it is empty")]
    [InlineData("{\"info\": {\"role\": \"x\"}, \"samples\": [@]}", "but other objects under \"samples\": samples must lie in a list")]
    [InlineData("[{\"conversations\": [{\"from\": \"human\", \"text\": \"a\"}]}]", "turn 0 has no \"value\", but \"text\"; is that its name for it?")]
    [InlineData("[{\"conversations\": [{\"\\ud800\": 1, \"value\": \"a\"}]}]", "turn 0 has no \"from\", but \"\\ud800\"; is that")]
    public void Names_file_line_and_byte(string text, string expected)
    {
        using var folder = new TempFolder();
        var path = folder.Write("bad.json", text.Replace("@", First, StringComparison.Ordinal));
        var message = Assert.Throws<UserErrorException>(() => SampleDataset.Open(path)).Message;
        Assert.StartsWith(path + ": ", message, StringComparison.Ordinal);
        Assert.True(message.Contains(expected, StringComparison.Ordinal), message);
        Assert.DoesNotContain('\n', message);
    }

    [Theory]
    [InlineData("""{"images": ["a", "b"], "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}""")]
    [InlineData("""{"image": ["a", "b"], "conversations": [{"from": "human", "value": "x"}, {"from": "chatgpt", "value": "y"}]}""")]
    [InlineData("""{"image": ["a", "b"], "conversations": [{"from": "user", "value": "x"}, {"from": "bing", "value": "y"}], "model": ""}""")]
    public void ShareGPTs_relatives_are_read(string json)
    {
        using var folder = new TempFolder();
        using var data = SampleDataset.Open(folder.Write("d.jsonl", json));
        Assert.Equal(["a", "b"], data[0].Images);
        Assert.Equal([new Turn("human", "x"), new Turn("gpt", "y")], data[0].Conversations);
    }

    [Theory]
    [InlineData("\"image\": null, \"images\": [\"a\"]", "a")]
    [InlineData("\"image\": \"a\", \"images\": []", "a")]
    [InlineData("\"images\": null, \"image\": \"a\"", "a")]
    [InlineData("\"image\": \"\", \"images\": null")]
    [InlineData("\"image\": \"\"")]
    [InlineData("\"image\": []")]
    public void Empty_pictures_are_none(string keys, params string[] expected)
    {
        using var folder = new TempFolder();
        using var data = SampleDataset.Open(folder.Write("d.json", $$"""[{{{keys}}, "conversations": [{"from": "human", "value": "x"}]}]"""));
        Assert.Equal(expected, data[0].Images);
        Assert.Equal(0, data.Blind.Count);
    }

    [Fact]
    public void Broken_UTF8_UTF16_and_depth_are_refused()
    {
        using var folder = new TempFolder();
        var broken = Encoding.UTF8.GetBytes($"[{First}]");
        broken[Array.IndexOf(broken, (byte)'W')] = 0xFF;
        Assert.Contains("turn 0: its \"value\" is not valid Unicode", Fail(broken), StringComparison.Ordinal);
        Assert.Contains("this is a gzip file; unpack it", Fail([0x1F, 0x8B, 8, 0]), StringComparison.Ordinal);
        Assert.Contains("this is a zip file; unpack it", Fail([0x50, 0x4B, 3, 4]), StringComparison.Ordinal);
        Assert.Contains("this is UTF-16 text; save it as UTF-8", Fail([0xFF, 0xFE, .. Encoding.Unicode.GetBytes("[]")]), StringComparison.Ordinal);
        Assert.Contains("this is UTF-16 text; save it as UTF-8", Fail(Encoding.Unicode.GetBytes("[]")), StringComparison.Ordinal);
        Assert.Contains("this is UTF-16 text; save it as UTF-8", Fail(Encoding.BigEndianUnicode.GetBytes("{}")), StringComparison.Ordinal);
        var deep = $"[{{\"x\": {new string('[', 100)}{new string(']', 100)}}}]";
        Assert.Contains("depth of 32", Fail(Encoding.UTF8.GetBytes(deep)), StringComparison.Ordinal);
        Assert.Contains("no such file", Assert.Throws<UserErrorException>(() => SampleDataset.Open(folder.Path + "/none.json")).Message, StringComparison.Ordinal);
        Assert.Contains("this is a folder", Assert.Throws<UserErrorException>(() => SampleDataset.Open(folder.Path)).Message, StringComparison.Ordinal);

        string Fail(byte[] bytes)
        {
            var path = folder.Write("bad.json", bytes);
            return Assert.Throws<UserErrorException>(() => SampleDataset.Open(path)).Message;
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Files_larger_than_the_buffer_and_samples_larger_than_it(bool array)
    {
        using var folder = new TempFolder();
        var text = new StringBuilder(array ? "[\n" : "");
        var expected = new List<string>();
        for (var i = 0; i < 3000; i++)
        {
            var value = i % 1000 == 500 ? new string('é', 1_500_000) : new string((char)('a' + (i % 26)), i % 1777);
            expected.Add(value);
            text.Append(i == 0 || !array ? "" : ",\n");
            text.Append("{\"id\":").Append(i).Append(",\"conversations\":[{\"from\":\"human\",\"value\":\"").Append(value).Append("\"}]}");
            text.Append(array ? "" : "\n");
        }

        var path = folder.Write("big.json", text + (array ? "]" : ""));
        using (var data = SampleDataset.Open(path))
        {
            Assert.Equal(expected.Count, data.Count);
            Parallel.For(0, data.Count, i =>
            {
                Assert.Equal(i.ToString(System.Globalization.CultureInfo.InvariantCulture), data[i].Id);
                Assert.Equal(expected[i], data[i].Conversations[0].Value);
            });
        }

        // A mistake at the very end is still found in its line.
        File.AppendAllText(path, "\n!");
        var found = array ? "line 3002, byte 1: more text" : "line 3002, byte 1: '!' is";
        Assert.Contains(found, Assert.Throws<UserErrorException>(() => SampleDataset.Open(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_changes_is_noticed()
    {
        using var folder = new TempFolder();
        var path = folder.Write("d.json", $"[{First},{Second}]");
        using var data = SampleDataset.Open(path);
        File.WriteAllText(path, $"[{First}]");
        Assert.Equal("a", data[0].Id);
        Assert.Contains(
            "sample 1 cannot be read any more", Assert.Throws<UserErrorException>(() => data[1]).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData(" \n", 0)]
    [InlineData("a", 1)]
    [InlineData(" a\u00a0b\u001cc\u2028 d\u200be ", 4)]
    public void Words_are_Pythons(string text, int expected) => Assert.Equal(expected, PythonText.WordCount(text));
}
