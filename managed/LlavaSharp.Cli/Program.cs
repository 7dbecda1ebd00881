using System.Runtime.InteropServices;
using LlavaSharp.Cli;

// Ctrl-C and a service manager's SIGTERM ask the work to stop; a second one ends the process as usual.
using var stop = new CancellationTokenSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
return App.Run(args, new Shell(Console.Out, Console.Error, Environment.GetEnvironmentVariable, stop.Token));

void Stop(PosixSignalContext context)
{
    context.Cancel = !stop.IsCancellationRequested;
    stop.Cancel();
}
