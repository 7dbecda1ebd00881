using System.Buffers.Binary;
using System.Text;
using LlavaSharp.Checkpoints;

namespace LlavaSharp.Tests.Checkpoints;

public sealed class SafetensorsFileTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Reads_what_the_format_says()
    {
        string path = Make(
            """{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"é":{"dtype":"BF16","shape":[],"data_offsets":[8,10]},"empty":{"dtype":"I64","shape":[0,5],"data_offsets":[10,10]}}   """,
            [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0x40, 0x40]);
        using var file = SafetensorsFile.Open(path);
        Assert.Equal(["b", "é", "empty"], file.Names);
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal([1f, -2f], file.Floats("b"));
        Assert.Equal([3f], file.Floats("é"));
        Assert.Equal(TensorType.BF16, file["é"].Type);
        Assert.Empty(file["é"].Shape);
        Assert.Equal(0, file.Bytes("empty").Length);
        Assert.Equal([0, 5], file["empty"].Shape);
        Assert.False(file.Contains("c"));
    }

    [Theory]
    [InlineData("F8_E4M3")]
    [InlineData("C64")]
    [InlineData("0")]
    [InlineData("Other")]
    [InlineData("Bool")]
    public void A_type_that_is_not_read_matters_to_who_asks_for_it(string dtype)
    {
        string path = Make(
            $$$"""
            {"__metadata__":null,"a":{"dtype":"{{{dtype}}}","shape":[4],"data_offsets":[0,4],"note":{"by":["x"]}},
            "b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}
            """,
            [9, 9, 9, 9, 0, 0, 0x80, 0x3f]);
        using var file = SafetensorsFile.Open(path);
        Assert.Equal([1f], file.Floats("b"));
        Assert.True(file.Contains("a"));
        Assert.Equal($"'{path}': tensor 'a' has dtype '{dtype}', which is not read; save the weights in F32, F16 or BF16",
            Assert.Throws<UserErrorException>(() => file.Bytes("a")).Message);
        using var folder = CheckpointReader.OpenFile(path);
        Assert.Throws<UserErrorException>(() => folder.TryGet("a", out _, out _, out _));
    }

    [Theory]
    [InlineData("", "'FILE' is not a safetensors file: its header does not begin with '{'")]
    [InlineData(" {}", "'FILE' is not a safetensors file: its header does not begin with '{'")]
    [InlineData("[]", "'FILE' is not a safetensors file: its header does not begin with '{'")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""",
        "'FILE': tensor 'a' is listed twice")]
    [InlineData("""{"a":7}""", "'FILE': tensor 'a' is not an object with dtype, shape and data_offsets")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1]}}""", "'FILE': tensor 'a' has no data_offsets")]
    [InlineData("""{"a":{"shape":[1],"data_offsets":[0,4]}}""", "'FILE': tensor 'a' has no dtype")]
    [InlineData("""{"a":{"dtype":"F32","data_offsets":[0,4]}}""", "'FILE': tensor 'a' has no shape")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "'FILE': tensor 'a' has dtype twice")]
    [InlineData("""{"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}}""", "'FILE': tensor 'a' has a dtype that is not a string")]
    [InlineData("""{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}""", "'FILE': tensor 'a' has a shape that is not an array of numbers")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""",
        "'FILE': tensor 'a' has a shape with an entry that is not a whole number from 0 to 2^63-1")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}""",
        "'FILE': tensor 'a' has a shape with an entry that is not a whole number from 0 to 2^63-1")]
    [InlineData("""{"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]}}""",
        "'FILE': tensor 'a' has a shape with an entry that is not a whole number from 0 to 2^63-1")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""",
        "'FILE': tensor 'a' has data_offsets [4, 0]; two rising numbers are needed")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}""",
        "'FILE': tensor 'a' has data_offsets [0, 4, 8]; two rising numbers are needed")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""",
        "'FILE': tensor 'a' has 4 bytes of data, but F32 of shape [2] needs 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}""",
        "'FILE': tensor 'a' has 0 bytes of data, but F32 of shape [4611686018427387904, 4] needs 73786976294838206464")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""",
        "'FILE': tensor 'b' overlaps another: it begins at 4, and the one before it ends at 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""",
        "'FILE': tensor 'a' begins at 4, and the one before it ends at 0: bytes between them belong to none")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}""",
        "'FILE': tensor 'a' has data_offsets [0, 12], but the file has only 8 bytes of data; it is truncated: copy or download it again")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""",
        "'FILE': the tensors end at byte 4 of the data, but 8 bytes are there; the file is damaged")]
    [InlineData("""{"__metadata__":[]}""", "'FILE': '__metadata__' must be one object of strings")]
    [InlineData("""{"__metadata__":{"k":1}}""", "'FILE': '__metadata__' must be one object of strings; the value of 'k' is not a string")]
    [InlineData("""{"a\nb":7}""", "'FILE': tensor 'a?b' is not an object with dtype, shape and data_offsets")]
    [InlineData("""{"a":{"dtype":"F32","shape":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],"data_offsets":[0,0]}}""",
        "'FILE': tensor 'a' has a shape of more than 32 entries")]
    public void Refuses_a_broken_header(string header, string message)
    {
        string path = Make(header, new byte[8]);
        UserErrorException e = Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(path));
        Assert.Equal(message, e.Message.Replace(path, "FILE"));
    }

    [Theory]
    [InlineData("{\"a\":")]
    [InlineData("{} x")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[[[[[[[[[1]]]]]]]]],\"data_offsets\":[0,4]}}")]
    [InlineData("{\"a\":{\"\":{\"\":{\"\":{\"\":{\"\":{\"\":{\"\":{\"\":{}}}}}}}}}}")]
    public void Refuses_malformed_and_deep_json(string header)
    {
        UserErrorException e = Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(Make(header, [])));
        Assert.DoesNotContain('\n', e.Message);
    }

    [Fact]
    public void Refuses_a_name_that_is_not_utf8()
    {
        byte[] header = [.. "{\""u8, 0xff, 0xfe, .. "\":1}"u8];
        UserErrorException e = Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(Make(header, [])));
        Assert.EndsWith("the safetensors header holds text that is not UTF-8", e.Message);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    public void Refuses_a_file_too_short_for_its_length(int bytes)
    {
        string path = _folder["short"];
        File.WriteAllBytes(path, new byte[bytes]);
        UserErrorException e = Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(path));
        Assert.Equal($"'{path}' is not a safetensors file: it has {bytes} bytes, and its header length alone takes 8", e.Message);
    }

    [Theory]
    [InlineData(ulong.MaxValue, "its header would have 18446744073709551615 bytes, and at most 100000000 are read")]
    [InlineData(100_000_001, "its header would have 100000001 bytes, and at most 100000000 are read")]
    [InlineData(3, "' is truncated: its header has 3 bytes, and only 2 follow; copy or download it again")]
    public void Refuses_a_header_length_past_the_cap_or_the_file(ulong length, string message)
    {
        byte[] bytes = new byte[10];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        File.WriteAllBytes(_folder["f"], bytes);
        Assert.EndsWith(message, Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(_folder["f"])).Message);
    }

    [Fact]
    public void Truncation_anywhere_is_an_error_and_never_a_crash()
    {
        string whole = _folder["whole.safetensors"];
        SafetensorsWriter.Write(whole, [
            TensorSource.FromFloats("x", [3], new float[] { 1, 2, 3 }), TensorSource.FromFloats("y", [], new float[] { 4 })]);
        byte[] bytes = File.ReadAllBytes(whole);
        for (int length = 0; length < bytes.Length; length++)
        {
            File.WriteAllBytes(_folder["cut"], bytes[..length]);
            Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(_folder["cut"]));
        }
    }

    [Fact]
    public void A_flipped_byte_is_an_error_or_another_valid_file()
    {
        string whole = _folder["whole.safetensors"];
        SafetensorsWriter.Write(whole, [TensorSource.FromFloats("x", [3], new float[] { 1, 2, 3 })]);
        byte[] bytes = File.ReadAllBytes(whole);
        var random = new Random(1);
        for (int trial = 0; trial < 500; trial++)
        {
            byte[] broken = [.. bytes];
            broken[random.Next(broken.Length)] = (byte)random.Next(256);
            File.WriteAllBytes(_folder["flipped"], broken);
            try
            {
                using var file = SafetensorsFile.Open(_folder["flipped"]);
                Assert.All(
                    file.Entries.Where(entry => entry.Type != TensorType.Other),
                    entry => Assert.Equal(entry.ByteCount, file.Bytes(entry.Name).Length));
            }
            catch (UserErrorException e)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
        }
    }

    [Fact]
    public void Names_what_is_missing()
    {
        Assert.Equal($"'{_folder["no"]}' does not exist",
            Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(_folder["no"])).Message);
        Assert.Equal($"cannot read '{_folder.Path}': it is a folder",
            Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(_folder.Path)).Message);
        File.WriteAllBytes(_folder["0"], []);
        Assert.Equal($"'{_folder["0"]}' is empty; copy or download it again",
            Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(_folder["0"])).Message);
        string path = Make("{\"i\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}", new byte[8]);
        using var file = SafetensorsFile.Open(path);
        Assert.Equal($"'{path}' has no tensor 'x'", Assert.Throws<UserErrorException>(() => file["x"]).Message);
        Assert.Equal($"'{path}': tensor 'i' has dtype I64; a float type is needed",
            Assert.Throws<UserErrorException>(() => file.Floats("i")).Message);
    }

    [Fact]
    public void A_disposed_file_says_so()
    {
        var file = SafetensorsFile.Open(Make("{\"i\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}", new byte[8]));
        file.Dispose();
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Bytes("i").Length);
    }

    private string Make(string header, byte[] data) => Make(Encoding.UTF8.GetBytes(header), data);

    private string Make(byte[] header, byte[] data)
    {
        byte[] length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        string path = _folder[$"{Guid.NewGuid():N}.safetensors"];
        File.WriteAllBytes(path, [.. length, .. header, .. data]);
        return path;
    }
}
