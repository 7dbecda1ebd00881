using LlavaSharp.Interop;
using LlavaSharp.Zero;

namespace LlavaSharp.Tests.Zero;

public sealed class ZeroPlanTests
{
    // Stage 3 does the same in each micro-batch.
    private const string MicroBatch = """
              gather embed
          forward vision
          forward projector
              gather layer.0
              wait embed
          forward embed
              release embed
              gather layer.1 + layer.1.lora
              wait layer.0
          forward layer.0
              release layer.0
              gather head
              wait layer.1 layer.1.lora
          forward layer.1
              wait head
          forward head
          backward head
              release head
              gather layer.0
          backward layer.1
              release layer.1 layer.1.lora
              reduce layer.1.lora
              wait layer.0
          backward layer.0
              release layer.0
          backward embed
          backward projector
              reduce projector
              settle layer.1.lora projector
        """;

    private const string Golden = $"""
        ZeRO-3 over 4, prefetch 1, buckets of 100, exchanges beside computing; 70 steps
        hash 4c4abd4ad45d68cb

           0  vision                       700  whole, frozen
           1  projector                    100  whole, trained, state divided
           2  embed                        500  divided, frozen
           3  layer.0                      300  divided, frozen
           4  layer.1                      300  divided, frozen
           5  head                         501  divided, frozen
           6  layer.1.lora                  50  divided, trained, state divided

        each micro-batch but the last
        {MicroBatch}

        the last micro-batch
        {MicroBatch}

        the update
          norm
          adamw projector
              publish projector
          adamw layer.1.lora

        """;

    [Fact]
    public void Holds_its_promises_on_thousands_of_random_models()
    {
        var random = new Random(7);
        for (var trial = 0; trial < 4000; trial++)
        {
            var (units, options) = PlanModel.Random(random);
            var plan = ZeroPlan.Build(units, options);
            foreach (var phase in Enum.GetValues<ZeroPhase>())
            {
                new PlanWalk(plan, phase).Check();
            }

            var again = ZeroPlan.Build([.. units], options with { });
            Assert.Equal(plan.Steps, again.Steps);
            Assert.Equal(plan.Hash(), again.Hash());
        }
    }

    [Fact]
    public void Its_hash_says_what_its_ranks_must_agree_on()
    {
        var units = PlanModel.Units(2, UnitKinds.Projector);
        var options = new ZeroDivision { Stage = 3, World = 4 };
        ZeroPlan[] others =
        [
            ZeroPlan.Build(units, options),
            ZeroPlan.Build(units, options with { World = 8 }),
            ZeroPlan.Build(units, options with { Prefetch = 0 }),
            ZeroPlan.Build(units, options with { Stage = 2 }),
            ZeroPlan.Build([.. units.Select(u => u with { Elements = u.Elements + 1 })], options),
            ZeroPlan.Build(PlanModel.Units(2, UnitKinds.Projector | UnitKinds.Head), options),
        ];
        Assert.Equal(others.Length, others.Select(p => p.Hash()).Distinct().Count());
    }

    [Fact]
    public void A_frozen_decoder_is_gathered_and_never_reduced()
    {
        var plan = ZeroPlan.Build(PlanModel.Units(3, UnitKinds.Projector), new() { Stage = 3, World = 2 });
        Assert.Equal([1], plan.Steps.Where(s => s.Op == ZeroOp.Reduce).Select(s => s.Unit).Distinct());
        Assert.Equal([2, 3, 4, 5, 6], plan.Steps.Where(s => s.Op == ZeroOp.Gather).Select(s => s.Unit).Distinct().Order());
        Assert.Equal([1], plan.Steps.Where(s => s.Op == ZeroOp.Publish).Select(s => s.Unit));
    }

    [Fact]
    public void Backward_ends_where_nothing_below_trains()
    {
        var head = ZeroPlan.Build(PlanModel.Units(3, UnitKinds.Head), new() { Stage = 3, World = 2 });
        Assert.Equal([6, 6], head.Steps.Where(s => s.Op == ZeroOp.Backward).Select(s => s.Unit));
        var upper = ZeroPlan.Build(PlanModel.Units(4, UnitKinds.Lora, i => i >= 2), new() { Stage = 2, World = 2 });
        Assert.Equal([7, 6, 5], upper.Steps.Where(s => s is { Op: ZeroOp.Backward, Phase: ZeroPhase.Last }).Select(s => s.Unit));
        Assert.DoesNotContain(ZeroPlan.Build(PlanModel.Units(3, UnitKinds.None), new()).Steps, s => s.Op == ZeroOp.Backward);
    }

    [Theory]
    [InlineData(0, 18)]
    [InlineData(1, 17)]
    [InlineData(3, 15)]
    [InlineData(20, 10)]
    public void What_is_needed_again_within_the_window_is_not_fetched_twice(int prefetch, int gathers)
    {
        // Eight layers forward and back, embedding and head; with one ahead, the last layer stays for its backward.
        var plan = ZeroPlan.Build(PlanModel.Units(8, UnitKinds.Layer), new() { Stage = 3, World = 2, Prefetch = prefetch });
        Assert.Equal(gathers, plan.Steps.Count(s => s is { Op: ZeroOp.Gather, Phase: ZeroPhase.Last }));
    }

    [Theory]
    [InlineData(-1, 1, 1, 1, "ZeRO stage -1: there are 0, 1, 2 and 3")]
    [InlineData(4, 1, 1, 1, "ZeRO stage 4: there are 0, 1, 2 and 3")]
    [InlineData(3, 0, 1, 1, "0 processes: at least 1 is needed")]
    [InlineData(3, 2, -1, 1, "prefetch -1: 0 fetches each block when it is needed, 1 one ahead")]
    [InlineData(3, 2, 1, 0, "reduce_bucket_size 0: at least 1 is needed")]
    public void Refuses_what_makes_no_plan(int stage, int world, int prefetch, long bucket, string message)
    {
        var options = new ZeroDivision { Stage = stage, World = world, Prefetch = prefetch, BucketElements = bucket };
        Assert.Equal(message, Refusal(options));
        Assert.Equal("allgather_bucket_size 0: at least 1 is needed", Refusal(new() { GatherElements = 0 }));

        static string Refusal(ZeroDivision division) =>
            Assert.Throws<UserErrorException>(() => ZeroPlan.Build(PlanModel.Units(1, UnitKinds.Head), division)).Message;
    }

    [Fact]
    public void Is_shown_as_it_runs()
    {
        var units = PlanModel.Units(2, UnitKinds.Lora | UnitKinds.Projector, i => i == 1);
        var plan = ZeroPlan.Build(units, new() { Stage = 3, World = 4, BucketElements = 100 });
        Assert.Equal(Golden, ZeroPlanText.Show(plan));
    }

    /// <summary>Small units share exchanges, in both directions; a large one goes by itself.</summary>
    [Fact]
    public void Small_units_share_an_exchange()
    {
        var units = PlanModel.Units(6, UnitKinds.Lora | UnitKinds.Projector, _ => true);
        int Exchanges(ZeroOp op, int stage, long bucket) =>
            ZeroPlan.Build(units, new() { Stage = stage, World = 4, BucketElements = bucket, GatherElements = bucket })
                .Steps.Count(s => s.Op == op && !s.Joined && s.Phase != ZeroPhase.Micro);

        // Six adapters of 50 elements and a projector of 100.
        Assert.Equal((7, 3, 1), (Exchanges(ZeroOp.Reduce, 1, 1), Exchanges(ZeroOp.Reduce, 1, 150), Exchanges(ZeroOp.Reduce, 1, 1000)));
        Assert.Equal((7, 3, 1), (Exchanges(ZeroOp.Publish, 1, 1), Exchanges(ZeroOp.Publish, 1, 150), Exchanges(ZeroOp.Publish, 1, 1000)));

        // A layer of 300 with its adapters.
        Assert.Equal((24, 13), (Exchanges(ZeroOp.Gather, 3, 349), Exchanges(ZeroOp.Gather, 3, 350)));
    }

    [Theory]
    [InlineData(1, 1, 16)]
    [InlineData(16, 1, 16)]
    [InlineData(17, 1, 32)]
    [InlineData(100, 4, 32)]
    [InlineData(128, 4, 32)]
    [InlineData(129, 4, 48)]
    public void Shards_are_whole_cache_lines(long elements, int world, long shard) =>
        Assert.Equal(shard, ZeroPlan.ShardOf(elements, world));
}
