using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

/// <summary>Vectors worked out by hand from Hugging Face's formula.</summary>
public sealed class LearningRateScheduleTests
{
    [Theory]
    [InlineData(2181, 66)] // the recipe's own table of runs
    [InlineData(5198, 156)]
    [InlineData(8720, 262)]
    [InlineData(10395, 312)]
    [InlineData(4360, 131)]
    [InlineData(1, 1)]
    public void Warm_up_is_the_ceiling_of_three_percent(int steps, int warmup) =>
        Assert.Equal(warmup, LearningRateSchedule.FromRatio(ScheduleKind.Cosine, 0.03, steps).WarmupSteps);

    [Fact]
    public void The_first_update_has_rate_zero_and_the_last_a_small_one()
    {
        var cosine = new LearningRateSchedule(ScheduleKind.Cosine, 2, 10);
        Assert.Equal(0, cosine.Factor(0));
        Assert.Equal(0.5, cosine.Factor(1));
        Assert.Equal(1, cosine.Factor(2));
        Assert.Equal(0.5, cosine.Factor(6), 1e-15);
        Assert.Equal(0.5 * (1 + Math.Cos(Math.PI * 7 / 8)), cosine.Factor(9), 1e-15);
        Assert.True(cosine.Factor(9) > 0);
    }

    [Fact]
    public void Without_warm_up_the_first_update_has_the_full_rate()
    {
        Assert.Equal(1, LearningRateSchedule.FromRatio(ScheduleKind.Cosine, 0, 4).Factor(0));
        Assert.Equal(0.5, LearningRateSchedule.FromRatio(ScheduleKind.Cosine, 0, 4).Factor(2), 1e-15);
    }

    [Fact]
    public void A_run_of_one_update_with_warm_up_has_rate_zero() =>
        Assert.Equal(0, LearningRateSchedule.FromRatio(ScheduleKind.Cosine, 0.03, 1).Factor(0));

    [Fact]
    public void Other_shapes()
    {
        Assert.Equal(0.75, new LearningRateSchedule(ScheduleKind.Linear, 0, 4).Factor(1));
        Assert.Equal(0, new LearningRateSchedule(ScheduleKind.Linear, 0, 4).Factor(5));
        Assert.Equal(1, new LearningRateSchedule(ScheduleKind.Constant, 2, 4).Factor(0));
        Assert.Equal(0.5, new LearningRateSchedule(ScheduleKind.ConstantWithWarmup, 2, 4).Factor(1));
        Assert.Equal(1, new LearningRateSchedule(ScheduleKind.ConstantWithWarmup, 2, 4).Factor(3));
    }

    [Fact]
    public void An_unknown_shape_is_refused() => Assert.Equal(
        "--lr_scheduler_type cosin is not known: use cosine, linear, constant or constant_with_warmup",
        Assert.Throws<UserErrorException>(() => LearningRateSchedule.ParseKind("cosin")).Message);
}
