using System.Globalization;
using System.Text;

namespace LlavaSharp.BindingGenerator;

/// <summary>Writes a C file that stops compiling when a struct's layout is not the one that C# was told.</summary>
internal static class LayoutWriter
{
    public static string Write(HeaderModel header)
    {
        StringBuilder text = new();
        text.Append("""
            // Made from llavasharp.h by LlavaSharp.BindingGenerator: run ./build.sh bindings.
            // The header comes first and alone: it must compile as C17 by itself.
            #include "llavasharp.h"

            #include <stddef.h>


            """);
        foreach (StructModel type in header.Structs)
        {
            text.Append(CultureInfo.InvariantCulture, $"_Static_assert(sizeof({type.Name}) == {type.Size}, \"{type.Name}\");\n");
            foreach (FieldModel field in type.Fields)
            {
                string assert = $"_Static_assert(offsetof({type.Name}, {field.Name}) == {field.Offset},";
                string message = $"\"{type.Name}.{field.Name}\");";
                string gap = assert.Length + 1 + message.Length <= 100 ? " " : "\n               ";
                text.Append(assert).Append(gap).Append(message).Append('\n');
            }
            text.Append('\n');
        }
        return text.Append("int main(void) {\n  return 0;\n}\n").ToString();
    }
}
