using LlavaSharp.Interop;
using LlavaSharp.Training;
using LlavaSharp.Zero;

namespace LlavaSharp.Tests.Zero;

public sealed class FaultSwitchTests
{
    [Fact]
    public void Reads_faults_and_refuses_what_is_none()
    {
        Assert.Equal(new ShardingOptions(), FaultSwitch.Parse(null));
        Assert.Equal(
            new ShardingOptions { Fault = FaultKind.WrongSize, FaultRank = 2, FaultStep = 5 }, FaultSwitch.Parse("wrong_size:rank=2,step=5"));
        Assert.Equal(TimeSpan.FromMilliseconds(3), FaultSwitch.Parse("none:delay_us=3000").Delay);
        foreach (var text in (string[])["boom", "kill:rank", "kill:rank=-1", "kill:where=3"])
        {
            Assert.StartsWith($"LLAVASHARP_FAULT is '{text}': expected ", Assert.Throws<UserErrorException>(() => FaultSwitch.Parse(text)).Message);
        }
    }

    /// <summary>What a DeepSpeed file says counts with several processes, unless a flag says otherwise.</summary>
    [Fact]
    public void A_DeepSpeed_file_divides_as_it_says()
    {
        using var folder = new TempFolder();
        var file = folder.Write("z.json", """
            {"train_batch_size": 64, "zero_optimization": {"stage": 3, "reduce_bucket_size": 5e6, "overlap_comm": false, "stage3_prefetch_bucket_size": 0}}
            """);
        string[] arguments = ["--deepspeed", file, "--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "2"];
        var options = TrainOptionsParser.Parse(arguments, 4).Options;
        Assert.Equal((3, 5_000_000L, false, 0), (options.ZeroStage, options.ZeroBucket, options.ZeroOverlap, options.ZeroPrefetch));
        options = TrainOptionsParser.Parse([.. arguments, "--zero", "2", "--zero_prefetch", "3"], 4).Options;
        Assert.Equal((2, 3), (options.ZeroStage, options.ZeroPrefetch));
        Assert.Contains("times 2 processes", Assert.Throws<UserErrorException>(() => TrainOptionsParser.Parse(arguments, 2)).Message);
        file = folder.Write("z.json", """{"zero_optimization": {"stage": 4}}""");
        Assert.Contains("expected a whole number from 0 to 3", Assert.Throws<UserErrorException>(() => TrainOptionsParser.Parse(arguments, 2)).Message);
    }
}
