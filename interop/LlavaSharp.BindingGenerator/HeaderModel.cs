using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace LlavaSharp.BindingGenerator;

internal sealed record ConstantModel(string Name, int Value);

internal sealed record MemberModel(string Name, long Value, string Comment);

internal sealed record EnumModel(string Name, IReadOnlyList<MemberModel> Members, string Comment);

internal sealed record FieldModel(string Name, CType Type, int Offset, string Comment);

internal sealed record StructModel(string Name, IReadOnlyList<FieldModel> Fields, int Size, string Comment);

internal sealed record ParameterModel(string Name, CType Type);

internal sealed record FunctionModel(string Name, CType Result, IReadOnlyList<ParameterModel> Parameters, string Comment);

internal sealed record CallbackModel(string Name, CType Result, IReadOnlyList<CType> Parameters);

/// <summary>Everything a header declares, checked: only types of fixed size, and a release for each handle.</summary>
internal sealed partial class HeaderModel
{
    private HeaderModel(string text, IReadOnlyList<JsonElement> declarations)
    {
        JsonElement[] Of(string kind) => [.. declarations.Where(node => node.Kind() == kind)];
        JsonElement[] records = Of("RecordDecl");
        foreach (JsonElement union in records.Where(node => node.GetProperty("tagUsed").GetString() == "union"))
        {
            throw new InvalidDataException($"{union.Name()} is a union: use a struct");
        }
        JsonElement[] defined = [.. records.Where(node => node.TryGetProperty("completeDefinition", out _))];
        StructNames = defined.Select(ClangAst.Name).ToHashSet(StringComparer.Ordinal);
        Handles = [.. records.Select(ClangAst.Name).Where(name => !StructNames.Contains(name)).Distinct()];

        Constants = [.. DefinePattern().Matches(text).Select(match => new ConstantModel(
            match.Groups[1].Value, int.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture)))];
        Enums = [.. Of("EnumDecl").Select(ReadEnum)];
        Callbacks = [.. Of("TypedefDecl")
            .Where(node => node.QualType().Contains("(*)", StringComparison.Ordinal)).Select(ReadCallback)];
        Structs = [.. defined.Select(ReadStruct)];
        Functions = [.. Of("FunctionDecl").Select(ReadFunction)];
        foreach (string handle in Handles.Where(name => Functions.All(function => function.Name != name + "_release")))
        {
            throw new InvalidDataException(
                $"{handle} has no fields and no {handle}_release: define the one or declare the other");
        }
    }

    public IReadOnlyList<ConstantModel> Constants { get; }

    public IReadOnlyList<EnumModel> Enums { get; }

    public IReadOnlyList<CallbackModel> Callbacks { get; } = [];

    public IReadOnlyList<StructModel> Structs { get; }

    public IReadOnlyList<string> Handles { get; }

    public IReadOnlyList<FunctionModel> Functions { get; }

    public IReadOnlySet<string> StructNames { get; }

    /// <summary>Reads a header.</summary>
    public static HeaderModel Read(string path) => new(File.ReadAllText(path), ClangAst.Read(path));

    private static EnumModel ReadEnum(JsonElement node)
    {
        List<MemberModel> members = [];
        foreach (JsonElement member in node.Children("EnumConstantDecl"))
        {
            JsonElement value = member.Children("ConstantExpr").FirstOrDefault();
            string literal = value.ValueKind == JsonValueKind.Undefined
                ? throw new InvalidDataException($"{member.Name()} has no value: write it out, so that the order may change")
                : value.GetProperty("value").GetString()!;
            members.Add(new MemberModel(member.Name(), long.Parse(literal, CultureInfo.InvariantCulture), member.Comment()));
        }
        return new EnumModel(node.Name(), members, node.Comment());
    }

    private CallbackModel ReadCallback(JsonElement node)
    {
        string[] parts = node.QualType().Split("(*)");
        string[] parameters = parts[1].Trim('(', ')').Split(", ");
        return new CallbackModel(node.Name(), CType.Parse(parts[0], node.Name(), this),
            [.. parameters.Select(type => CType.Parse(type, node.Name(), this))]);
    }

    private StructModel ReadStruct(JsonElement node)
    {
        List<FieldModel> fields = [];
        int end = 0, alignment = 1;
        foreach (JsonElement field in node.Children("FieldDecl"))
        {
            string where = node.Name() + "." + field.Name();
            if (field.TryGetProperty("isBitfield", out _))
            {
                throw new InvalidDataException($"{where} is a bit field, whose place is the compiler's choice: use int32_t");
            }
            CType type = CType.Parse(field.QualType(), where, this);
            int size = type.FieldSize(where);
            alignment = Math.Max(alignment, size);
            int offset = (end + size - 1) / size * size;
            if (offset != end)
            {
                throw new InvalidDataException(
                    $"{where} is preceded by {offset - end} bytes of padding: reorder, or add a reserved field");
            }
            fields.Add(new FieldModel(field.Name(), type, offset, field.Comment()));
            end = offset + size * Math.Max(type.Length, 1);
        }
        if (end % alignment != 0)
        {
            throw new InvalidDataException($"{node.Name()} ends in padding: add a reserved field");
        }
        return new StructModel(node.Name(), fields, end, node.Comment());
    }

    private FunctionModel ReadFunction(JsonElement node)
    {
        if (node.TryGetProperty("variadic", out _))
        {
            throw new InvalidDataException($"{node.Name()}() takes any number of arguments: list them");
        }
        string result = node.QualType()[..node.QualType().IndexOf('(', StringComparison.Ordinal)];
        return new FunctionModel(node.Name(), CType.Parse(result, node.Name(), this),
            [.. node.Children("ParmVarDecl").Select(parameter =>
                new ParameterModel(parameter.Name(), CType.Parse(parameter.QualType(), node.Name(), this)))],
            node.Comment());
    }

    // Macros are not in the syntax tree; the ones that cross are plain integers.
    [GeneratedRegex(@"^#define (LLV_\w+) \(?(-?\d+)\)?\s*$", RegexOptions.Multiline)]
    private static partial Regex DefinePattern();
}
