using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

public sealed class TrainingPlanTests
{
    [Theory]
    [InlineData(558128, 256, 1, 1, 2181)] // the recipe's table
    [InlineData(665298, 128, 1, 1, 5198)]
    [InlineData(10, 4, 2, 1, 1)] // 3 micro-batches, one left over
    [InlineData(10, 4, 2, 2, 2)] // the left over one counts in the second epoch
    [InlineData(10, 4, 8, 3, 3)] // fewer micro-batches than the accumulation: one update an epoch
    [InlineData(10, 4, 1, 0.5, 2)]
    [InlineData(1, 1, 1, 1, 1)]
    public void Updates(int samples, int batch, int accumulation, double epochs, int steps) =>
        Assert.Equal(steps, TrainingPlan.Create(samples, new()
        {
            PerDeviceTrainBatchSize = batch,
            GradientAccumulationSteps = accumulation,
            NumTrainEpochs = epochs,
        }).TotalSteps);

    [Fact]
    public void Max_steps_wins_over_epochs() =>
        Assert.Equal(7, TrainingPlan.Create(100, new() { MaxSteps = 7, NumTrainEpochs = 9 }).TotalSteps);

    [Fact]
    public void A_run_without_updates_or_samples_is_refused()
    {
        Assert.Equal(
            "--num_train_epochs 0 gives 0 updates; at least 1 is needed",
            Assert.Throws<UserErrorException>(() => TrainingPlan.Create(4, new() { NumTrainEpochs = 0 })).Message);
        Assert.Equal(
            "--data_path d.json holds no samples",
            Assert.Throws<UserErrorException>(() => TrainingPlan.Create(0, new() { DataPath = "d.json" })).Message);
    }
}
