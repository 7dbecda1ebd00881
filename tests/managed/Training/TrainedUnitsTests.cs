using LlavaSharp.Interop;
using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

/// <summary>What each combination of the recipe's flags trains.</summary>
public sealed class TrainedUnitsTests
{
    private const UnitKinds Language = UnitKinds.Embed | UnitKinds.Layer | UnitKinds.Head;

    [Theory]
    [InlineData("", Language | UnitKinds.Projector)]
    [InlineData("--freeze_mm_mlp_adapter", Language)]
    [InlineData("--tune_mm_mlp_adapter", UnitKinds.Projector)]
    [InlineData("--tune_mm_mlp_adapter --freeze_backbone", UnitKinds.Projector)]
    [InlineData("--tune_mm_mlp_adapter --lora_enable", UnitKinds.Projector)] // everything is frozen after the adapters were made
    [InlineData("--freeze_backbone", UnitKinds.Head | UnitKinds.Projector)]
    [InlineData("--freeze_backbone --freeze_mm_mlp_adapter", UnitKinds.Head)]
    [InlineData("--lora_enable", UnitKinds.Lora | UnitKinds.Projector)]
    [InlineData("--lora_enable --freeze_backbone", UnitKinds.Lora | UnitKinds.Projector)]
    [InlineData("--lora_enable --freeze_mm_mlp_adapter", UnitKinds.Lora)]
    public void Flags_say_what_trains(string flags, UnitKinds expected) => Assert.Equal(expected, TrainingRun.TrainedUnits(Parse(flags)));

    [Fact]
    public void Nothing_to_train_is_a_mistake() => Assert.Equal(
        "--tune_mm_mlp_adapter and --freeze_mm_mlp_adapter together leave nothing to train; give one",
        Assert.Throws<UserErrorException>(() => TrainingRun.TrainedUnits(Parse("--tune_mm_mlp_adapter --freeze_mm_mlp_adapter"))).Message);

    [Fact]
    public void Groups_follow_decay_projector_and_frozen_norm()
    {
        ParameterInfo[] table =
        [
            Row("projector.0.weight", UnitKinds.Projector, true), Row("projector.0.bias", UnitKinds.Projector, false),
            Row("layer.0.mlp.up_proj.weight", UnitKinds.Layer, true), Row("head.norm.weight", UnitKinds.Head, false),
            Row("vision.layer.0.fc1.weight", UnitKinds.Vision, true), Row("vision.layer.0.fc1.bias", UnitKinds.Vision, false),
        ];
        Assert.Equal([0, 1, 0, 1, 5, 6], Assignment(""));
        Assert.Equal([2, 3, 0, 1, 5, 6], Assignment("--mm_projector_lr 1e-5"));
        Assert.Equal([0, 1, 0, 4, 5, 6], Assignment("--freeze_backbone"));
        var groups = new ParameterGroups(table, Parse("--mm_projector_lr 0.5 --learning_rate 1 --weight_decay 0.1")).At(0.5);
        Assert.Equal(
            [(0.5, 0.1), (0.5, 0), (0.25, 0.1), (0.25, 0), (0, 0), (0.5, 0.1), (0.5, 0)],
            groups.Select(g => (g.LearningRate, g.WeightDecay)));
        Assert.Equal([(0.125, 0), (1, 0)], new[] { "--mm_vision_tower_lr 0.125 --learning_rate 1", "--learning_rate 1" }
            .Select(flags => new ParameterGroups(table, Parse(flags)).At(1)[5]).Select(g => (g.LearningRate, g.WeightDecay)));

        int[] Assignment(string flags) => new ParameterGroups(table, Parse(flags)).Assignment;
    }

    [Fact]
    public void Warm_up_steps_count_more_than_the_ratio()
    {
        Assert.Equal(3, LearningRateSchedule.Of(Parse("--warmup_ratio 0.03"), 100).WarmupSteps);
        Assert.Equal(7, LearningRateSchedule.Of(Parse("--warmup_ratio 0.03 --warmup_steps 7"), 100).WarmupSteps);
    }

    private static TrainOptions Parse(string flags) =>
        TrainOptionsParser.Parse(flags.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Options;

    private static ParameterInfo Row(string name, UnitKinds kind, bool decay) => new(name, kind, 0, new long[] { 1 }, 1, decay, true);
}
