using LlavaSharp.Cli;

StandardStreams.FillClosed();
var isTerminal = StandardStreams.NotesAreOnATerminal(Environment.GetEnvironmentVariable);
if (!isTerminal)
{
    // The runtime sends a terminal's set-up codes to standard output. Under mpirun that is a terminal, but of mpirun's own, before a file.
    Environment.SetEnvironmentVariable("TERM", "dumb");
}

using var signals = new StopSignals();
PromptEnd.Follow(StandardStreams.Notes, signals.Asked);
return App.Run(args, new Shell(StandardStreams.Results, StandardStreams.Notes, Environment.GetEnvironmentVariable, signals.Asked)
{
    Signals = signals,
    IsTerminal = isTerminal,
});
