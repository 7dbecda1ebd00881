using System.Globalization;
using System.Text.RegularExpressions;

namespace LlavaSharp.BindingGenerator;

/// <summary>A C type that may cross: a scalar of fixed size, a callback, or a pointer to a scalar, struct or handle.</summary>
/// <param name="Base">Name without const, stars and array length.</param>
/// <param name="Stars">Levels of indirection.</param>
/// <param name="IsConst">Whether what it points to is const.</param>
/// <param name="Length">Array length, 0 for none.</param>
internal sealed partial record CType(string Base, int Stars, bool IsConst, int Length)
{
    private static readonly Dictionary<string, (string Managed, int Size)> Scalars = new(StringComparer.Ordinal)
    {
        ["int8_t"] = ("sbyte", 1),
        ["uint8_t"] = ("byte", 1),
        ["int16_t"] = ("short", 2),
        ["uint16_t"] = ("ushort", 2),
        ["int32_t"] = ("int", 4),
        ["uint32_t"] = ("uint", 4),
        ["int64_t"] = ("long", 8),
        ["uint64_t"] = ("ulong", 8),
        ["float"] = ("float", 4),
        ["double"] = ("double", 8),
    };

    /// <summary>Reads a type as clang spells it.</summary>
    /// <exception cref="InvalidDataException">The type may not cross; the message says what to use instead.</exception>
    public static CType Parse(string spelling, string where, HeaderModel header)
    {
        Match match = TypePattern().Match(spelling.Trim());
        if (!match.Success)
        {
            throw new InvalidDataException(
                $"{where}: the type '{spelling}' is not known: name it in a typedef, or use a pointer and a count");
        }
        string name = match.Groups["base"].Value == "_Bool" ? "bool" : match.Groups["base"].Value;
        int stars = match.Groups["stars"].Value.Count(letter => letter == '*');
        int length = match.Groups["length"].Success
            ? int.Parse(match.Groups["length"].Value, CultureInfo.InvariantCulture) : 0;
        CType type = new(name, stars, match.Groups["const"].Success, length);

        bool named = name.StartsWith("llv_", StringComparison.Ordinal);
        string? refusal = name switch
        {
            "bool" => "'bool' has no fixed size: use int32_t",
            "void" => null,
            "char" when stars == 1 && type.IsConst => null,
            "char" => "text crosses as const char*",
            "llv_status" when stars == 0 => null,
            _ when name.StartsWith("enum ", StringComparison.Ordinal) => $"'{name}' has no fixed size: use int32_t",
            _ when Scalars.ContainsKey(name) => stars <= 1 ? null : $"'{spelling}' is a pointer to pointers: use a span",
            _ when header.StructNames.Contains(name) => stars == 1 ? null : $"'{spelling}': structs cross as one pointer",
            _ when header.Handles.Contains(name) => stars is 1 or 2 ? null : $"'{spelling}': handles cross as pointers",
            _ when named && stars == 0 && header.Callbacks.Any(callback => callback.Name == name) => null,
            _ => $"'{name}' has no fixed size: use int32_t or int64_t",
        };
        return refusal is null ? type : throw new InvalidDataException($"{where}: {refusal}");
    }

    /// <summary>The C# type of the same bits, as written inside the class of imports.</summary>
    public string Managed => (Base, Stars) switch
    {
        ("void", 0) => "void",
        ("void", _) => "void*",
        ("char", _) => "byte*",
        ("llv_status", _) => Names.Enum("llv_status_code"),
        _ => Scalars.GetValueOrDefault(Base, (Names.Type(Base), 0)).Item1 + new string('*', Stars),
    };

    /// <summary>Bytes of one element as a struct's field.</summary>
    public int FieldSize(string where) =>
        Stars > 0 ? 8
        : Scalars.TryGetValue(Base, out (string Managed, int Size) scalar) ? scalar.Size
        : throw new InvalidDataException($"{where}: '{Base}' may not be a field: use a scalar or a pointer");

    [GeneratedRegex(
        @"^(?<const>const )?(?:struct )?(?<base>(?:enum )?[A-Za-z_]\w*(?: (?:int|long|char|short|double))*) ?"
        + @"(?<stars>[* ]*)(?:const)?(?:\[(?<length>\d+)\])?$")]
    private static partial Regex TypePattern();
}
