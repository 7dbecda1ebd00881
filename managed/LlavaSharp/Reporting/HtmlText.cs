using System.Net;

namespace LlavaSharp.Reporting;

/// <summary>Text on its way into a report: everything that came from outside passes through here.</summary>
public static class HtmlText
{
    /// <summary>Escapes text for element content and quoted attributes; control characters other than tab and
    /// newline become U+FFFD.</summary>
    /// <param name="text">Any text.</param>
    /// <returns>Text without markup.</returns>
    public static string Escape(string text)
    {
        var clean = string.Create(text.Length, text, static (span, source) =>
        {
            for (var i = 0; i < span.Length; i++)
            {
                var c = source[i];
                span[i] = char.IsControl(c) && c is not ('\t' or '\n') ? '\uFFFD' : c;
            }
        });
        return WebUtility.HtmlEncode(clean);
    }
}
