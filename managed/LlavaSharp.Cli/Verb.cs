using System.CommandLine;

namespace LlavaSharp.Cli;

/// <summary>One command: what System.CommandLine needs to run it, and what help says about it.</summary>
/// <param name="Command">Its parser and action.</param>
/// <param name="Line">What it does, in one line of the root's help.</param>
/// <param name="Example">A command line that does something useful; two lines of at most 100 columns in all.</param>
/// <param name="Help">The whole help of <c>llavasharp VERB --help</c>: what it is for, its flags, what it
/// writes, what can go wrong.</param>
internal sealed record Verb(Command Command, string Line, string Example, string Help);
