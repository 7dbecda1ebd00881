using Xunit.Sdk;
using Xunit.v3;

// One engine, few cores, and counters that are the process's: tests take turns.
[assembly: Parallelization(Mode = ParallelMode.None)]
