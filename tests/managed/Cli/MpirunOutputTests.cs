using LlavaSharp.Cli;

namespace LlavaSharp.Tests.Cli;

/// <summary>What of mpirun's output reaches the user; the blocks are Open MPI 4.1.4's.</summary>
public sealed class MpirunOutputTests
{
    private const string Dashes = "--------------------------------------------------------------------------";

    [Fact]
    public void A_killed_rank_is_found_and_nothing_of_mpiruns_is_passed_on()
    {
        var (output, text) = Take(
            "a rank's line", Dashes, "Primary job  terminated normally, but 1 process returned",
            "a non-zero exit code. Per user-direction, the job has been aborted.", Dashes, Dashes,
            "mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 9 (Killed).", Dashes);
        Assert.Equal((1, "signal 9, Killed"), output.Lost);
        Assert.False(output.Explained);
        Assert.Equal("a rank's line\n", text);
    }

    [Fact]
    public void What_a_rank_says_itself_is_enough()
    {
        var (output, text) = Take(
            Dashes, "MPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD", "with errorcode 75.", Dashes,
            "error: rank 1 has not arrived: step 2, gather of embed, 4800 bytes, after 3.0 s", "error: rank 2 says it too, later",
            "[vm:1234] 3 more processes have sent help message help-mpi-api.txt / mpi-abort",
            "[vm:1234] Set MCA parameter \"orte_base_help_aggregate\" to 0 to see all help / error messages");
        Assert.Null(output.Lost);
        Assert.True(output.Explained);
        Assert.Equal("error: rank 1 has not arrived: step 2, gather of embed, 4800 bytes, after 3.0 s\n", text);
    }

    [Fact]
    public void What_is_not_known_is_passed_on_whole()
    {
        string[] lines = [Dashes, "There are not enough slots available in the system", Dashes, "[vm:1] something else", "---"];
        var (output, text) = Take(lines);
        Assert.Null(output.Lost);
        Assert.Equal(string.Join('\n', lines) + "\n", text);
        Assert.Equal($"{Dashes}\ncut short\n", Take(Dashes, "cut short").Text);
    }

    [Fact]
    public void What_launch_asked_for_is_not_passed_on() =>
        Assert.Equal("a line\n", Take("mpirun: Forwarding signal 10 to job", "a line").Text);

    private static (MpirunOutput Output, string Text) Take(params string[] lines)
    {
        using var text = new StringWriter();
        var output = new MpirunOutput(text);
        Array.ForEach(lines, output.Take);
        output.End();
        return (output, text.ToString());
    }
}
