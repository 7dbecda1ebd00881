using System.Runtime.InteropServices;
using LlavaSharp.Checkpoints;
using LlavaSharp.Cli;

// Ctrl-C and a service manager's SIGTERM ask the work to stop; a second one deletes what is being written and ends the process as usual.
using var stop = new CancellationTokenSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
PromptEnd.Follow(stop.Token);
return App.Run(args, new Shell(Console.Out, Console.Error, Environment.GetEnvironmentVariable, stop.Token));

void Stop(PosixSignalContext context)
{
    context.Cancel = !stop.IsCancellationRequested;
    if (!context.Cancel)
    {
        Temporaries.Abandon();
    }

    stop.Cancel();
}
