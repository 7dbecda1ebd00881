using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

public sealed class DeepSpeedFileTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Without_gradient_clipping_the_run_does_not_clip()
    {
        var (options, notes) = Parse("""{"bf16":{"enabled":"auto"},"train_batch_size":"auto","zero_optimization":{"stage":3,"overlap_comm":true}}""");
        Assert.Equal(0, options.MaxGradNorm);
        Assert.Equal(
            [
                "ds.json: ZeRO stage 3 in one process: nothing is divided; the numbers are the same",
                "ds.json: no gradient_clipping, so the run does not clip, as under DeepSpeed; --max_grad_norm 1 would",
            ],
            notes);
        Assert.Equal(0.5, Parse("{}", "--max_grad_norm", "0.5").Options.MaxGradNorm);
    }

    [Theory]
    [InlineData("\"auto\"", 1)]
    [InlineData("1.0", 1)]
    public void With_it_the_run_clips(string value, double norm) =>
        Assert.Equal(norm, Parse($$"""{"gradient_clipping": {{value}}}""").Options.MaxGradNorm);

    [Fact]
    public void Every_key_of_the_published_files_is_known()
    {
        var (_, notes) = Parse("""
            {"fp16":{"enabled":"auto","loss_scale":0,"loss_scale_window":1000,"initial_scale_power":16,"hysteresis":2,"min_loss_scale":1},
             "bf16":{"enabled":"auto"},
             "optimizer":{"type":"AdamW","params":{"lr":"auto","betas":"auto","eps":"auto","weight_decay":"auto"}},
             "scheduler":{"type":"WarmupLR","params":{"warmup_min_lr":"auto","warmup_max_lr":"auto","warmup_num_steps":"auto"}},
             "zero_optimization":{"stage":3,"offload_optimizer":{"device":"cpu","pin_memory":true},"offload_param":{"device":"cpu","pin_memory":true},
              "overlap_comm":true,"contiguous_gradients":true,"sub_group_size":1e9,"reduce_bucket_size":"auto","stage3_prefetch_bucket_size":"auto",
              "stage3_param_persistence_threshold":"auto","stage3_max_live_parameters":1e9,"stage3_max_reuse_distance":1e9,
              "gather_16bit_weights_on_model_save":true},
             "gradient_accumulation_steps":"auto","gradient_clipping":"auto","train_batch_size":"auto","train_micro_batch_size_per_gpu":"auto",
             "steps_per_print":1e5,"wall_clock_breakdown":false}
            """);
        Assert.Equal(
            [
                "ds.json: ZeRO stage 3 in one process: nothing is divided; the numbers are the same",
                "ds.json: no effect here: steps_per_print, contiguous_gradients, sub_group_size, stage3_max_live_parameters, stage3_max_reuse_distance",
                "ds.json: offload_optimizer to cpu: it is in host memory already, where this build computes",
                "ds.json: offload_param to cpu: it is in host memory already, where this build computes",
                "ds.json: scheduler WarmupLR: --lr_scheduler_type cosine decides instead",
            ],
            notes);
    }

    [Fact]
    public void Unknown_keys_are_named() => Assert.Contains(
        "ds.json: not known here, and without effect: zero_optimisation, amp",
        Parse("""{"zero_optimisation":{},"amp":{},"gradient_clipping":"auto"}""").Notes);

    [Theory]
    [InlineData("""{"fp16": {"enabled": false, "scale": 1}}""", "fp16.scale")]
    [InlineData("""{"bf16": {"enable": true}}""", "bf16.enable")]
    [InlineData("""{"optimizer": {"type": "AdamW", "params": {"lr": "auto", "beta": 1}}}""", "optimizer.params.beta")]
    public void Unknown_keys_of_a_section_are_named(string json, string key) =>
        Assert.Contains($"ds.json: not known here, and without effect: {key}", Parse(json).Notes);

    [Theory]
    [InlineData("""{"train_micro_batch_size_per_gpu": 4}""", "train_micro_batch_size_per_gpu is 4, but --per_device_train_batch_size is 8; make them agree, or write \"auto\"")]
    [InlineData("""{"train_batch_size": 4}""", "train_batch_size is 4, but --per_device_train_batch_size times --gradient_accumulation_steps, in one process, is 8; make them agree, or write \"auto\"")]
    [InlineData("""{"gradient_clipping": 2}""", "gradient_clipping is 2, but --max_grad_norm is 1; make them agree, or write \"auto\"")]
    [InlineData("""{"optimizer": {"params": {"betas": [0.9, 0.95]}}}""", "betas[1] is 0.95, but --adam_beta2 is 0.999; make them agree, or write \"auto\"")]
    [InlineData("""{"optimizer": {"type": "Lamb"}}""", "optimizer.type Lamb: this build has AdamW")]
    [InlineData("[]", "not a JSON object")]
    public void Numbers_agree_with_their_flags(string json, string message) =>
        Assert.Equal($"--deepspeed {_folder["ds.json"]}: {message}", Assert.Throws<UserErrorException>(() => Parse(json)).Message);

    [Theory]
    [InlineData("bf16", "true", "an object, such as {\"enabled\": true}")]
    [InlineData("fp16", "\"auto\"", "an object, such as {\"enabled\": true}")]
    [InlineData("fp16.enabled", "1", "true, false or \"auto\"")]
    [InlineData("bf16.enabled", "\"yes\"", "true, false or \"auto\"")]
    [InlineData("scheduler", "\"WarmupLR\"", "an object, such as {\"type\": \"WarmupLR\"}")]
    [InlineData("scheduler.type", "3", "text")]
    [InlineData("scheduler.params", "[]", "an object")]
    [InlineData("optimizer", "\"SGD\"", "an object, such as {\"type\": \"AdamW\"}")]
    [InlineData("optimizer", "[]", "an object, such as {\"type\": \"AdamW\"}")]
    [InlineData("optimizer.type", "[\"AdamW\"]", "text")]
    [InlineData("optimizer.params", "1", "an object")]
    [InlineData("optimizer.params.lr", "\"fast\"", "a number, or \"auto\"")]
    [InlineData("optimizer.params.eps", "true", "a number, or \"auto\"")]
    [InlineData("optimizer.params.weight_decay", "{}", "a number, or \"auto\"")]
    [InlineData("optimizer.params.betas", "0.9", "a list of two numbers, or \"auto\"")]
    [InlineData("optimizer.params.betas", "[0.9]", "a list of two numbers, or \"auto\"")]
    [InlineData("optimizer.params.betas", "[0.9,\"x\"]", "a list of two numbers, or \"auto\"")]
    [InlineData("train_batch_size", "true", "a number, or \"auto\"")]
    [InlineData("train_micro_batch_size_per_gpu", "[8]", "a number, or \"auto\"")]
    [InlineData("gradient_accumulation_steps", "\"one\"", "a number, or \"auto\"")]
    [InlineData("gradient_clipping", "false", "a number, or \"auto\"")]
    [InlineData("zero_optimization", "true", "an object, such as {\"stage\": 2}")]
    [InlineData("zero_optimization", "[]", "an object, such as {\"stage\": 2}")]
    [InlineData("zero_optimization.stage", "true", "a whole number from 0 to 3, or \"auto\"")]
    [InlineData("zero_optimization.stage", "4", "a whole number from 0 to 3, or \"auto\"")]
    [InlineData("zero_optimization.stage", "1.5", "a whole number from 0 to 3, or \"auto\"")]
    [InlineData("zero_optimization.reduce_bucket_size", "\"much\"", "a whole number from 1, or \"auto\"")]
    [InlineData("zero_optimization.allgather_bucket_size", "0", "a whole number from 1, or \"auto\"")]
    [InlineData("zero_optimization.stage3_prefetch_bucket_size", "1e999", "a whole number from 0, or \"auto\"")]
    [InlineData("zero_optimization.overlap_comm", "1", "true, false or \"auto\"")]
    [InlineData("zero_optimization.gather_16bit_weights_on_model_save", "\"x\"", "true, false or \"auto\"")]
    [InlineData("zero_optimization.offload_optimizer", "true", "an object with a device")]
    [InlineData("zero_optimization.offload_param", "\"cpu\"", "an object with a device")]
    [InlineData("zero_optimization.offload_param.device", "1", "text")]
    public void A_value_of_another_kind_is_named_with_its_key(string key, string value, string expected)
    {
        var json = key.Split('.').Reverse().Aggregate(value, (inner, name) => $$"""{"{{name}}":{{inner}}}""");
        Assert.Equal(
            $"--deepspeed {_folder["ds.json"]}: {key} is {value}: expected {expected}", Assert.Throws<UserErrorException>(() => Parse(json)).Message);
    }

    [Fact]
    public void A_path_of_another_kind_is_named() => Assert.EndsWith(
        "zero_optimization.offload_param.nvme_path is 3: expected text",
        Assert.Throws<UserErrorException>(() => Parse("""{"zero_optimization":{"offload_param":{"device":"nvme","nvme_path":3}}}""")).Message);

    [Fact]
    public void Numbers_may_be_texts_words_may_be_booleans_and_null_is_nothing()
    {
        var (options, notes) = Parse("""
            {"train_batch_size": "8", "gradient_clipping": "1.0", "optimizer": {"type": "adamw", "params": {"betas": ["0.9", 0.999]}},
             "bf16": null, "fp16": {"enabled": "true"}, "zero_optimization": {"stage": "2", "reduce_bucket_size": "2e6", "overlap_comm": "false",
             "offload_param": null}}
            """);
        Assert.Equal((2, 2_000_000, false, 1.0), (options.ZeroStage, options.ZeroBucket, options.ZeroOverlap, options.MaxGradNorm));
        Assert.Contains("ds.json: fp16 is on; this build computes in float32", notes);
        Assert.Equal(0, Parse("""{"gradient_clipping": null}""").Options.MaxGradNorm);
    }

    [Fact]
    public void A_byte_order_mark_and_comments_are_skipped() =>
        Assert.Equal(2, Parse("\ufeff{ // two\n\"zero_optimization\": {\"stage\": 2 /* of three */}}").Options.ZeroStage);

    [Theory]
    [InlineData("""{"zero_optimization": {"stage": 2}, "zero_optimization": {"stage": 3}}""", "zero_optimization is given twice; keep one")]
    [InlineData("""{"zero_optimization": {"stage": 2, "stage": 3}}""", "zero_optimization.stage is given twice; keep one")]
    [InlineData("""{"zero_optimization": {"stage": 2},}""", "trailing comma")]
    [InlineData("""{"scheduler": {"type": "\ud800"}}""", "not Unicode")]
    [InlineData("", "JSON")]
    [InlineData("{\"fp16\": NaN}", "'N'")]
    public void What_is_no_valid_json_is_one_line(string json, string contains)
    {
        var message = Assert.Throws<UserErrorException>(() => Parse(json)).Message;
        Assert.StartsWith($"--deepspeed {_folder["ds.json"]}: ", message);
        Assert.Contains(contains, message);
        Assert.DoesNotContain('\n', message);
    }

    [Fact]
    public void Nvme_keeps_the_state_in_files()
    {
        var folder = _folder.Path.Replace("\\", "/", StringComparison.Ordinal);
        string Json(string more) => """{"gradient_clipping": 1, "zero_optimization": {"stage": 3, """ + more + "}}";
        var offload = $$"""{"device": "nvme", "nvme_path": "{{folder}}", "pin_memory": true, "speed": 1}""";
        var (options, notes) = Parse(Json($$"""
            "allgather_bucket_size": 2e6, "offload_optimizer": {{offload}}, "offload_param": {{offload}}, "gather_16bit_weights_on_model_save": false
            """));
        Assert.Equal(
            (folder, true, true, 2_000_000),
            (options.OffloadFolder, options.OffloadOptimizer, options.OffloadWeights, options.ZeroGatherBucket));
        Assert.Equal(
            [
                "ds.json: ZeRO stage 3 in one process: nothing is divided; the numbers are the same",
                "ds.json: gather_16bit_weights_on_model_save is false: the result is written whole all the same, and each checkpoint in shards",
                "ds.json: not known here, and without effect: zero_optimization.offload_optimizer.speed",
                "ds.json: not known here, and without effect: zero_optimization.offload_param.speed",
                "ds.json: offload_param to nvme: weights that are not divided stay in memory",
            ],
            notes);
        Assert.Empty(Parse(Json(""" "offload_optimizer": {"device": "none"}""")).Options.OffloadFolder);

        Assert.Equal("offload_param.device is tape: expected cpu, nvme or none", Wrong(""" "offload_param": {"device": "tape"}"""));
        Assert.Equal("offload_param.device is nvme, but nvme_path names no folder", Wrong(""" "offload_param": {"device": "nvme"}"""));
        Assert.Equal("zero_optimization.offload_param is 3: expected an object with a device", Wrong(""" "offload_param": 3"""));
        Assert.Equal(
            "offload_optimizer.nvme_path /nowhere/x is no folder: make it, or name another",
            Wrong(""" "offload_optimizer": {"device": "nvme", "nvme_path": "/nowhere/x"}"""));

        string Wrong(string more) =>
            Assert.Throws<UserErrorException>(() => Parse(Json(more))).Message[$"--deepspeed {_folder["ds.json"]}: ".Length..];
    }

    [Fact]
    public void A_file_that_is_not_there_or_no_json()
    {
        Assert.StartsWith("--deepspeed none.json cannot be read: ", Error("--deepspeed", "none.json"));
        Assert.StartsWith($"--deepspeed {_folder["ds.json"]}: ", Assert.Throws<UserErrorException>(() => Parse("{")).Message);
    }

    private (TrainOptions Options, IReadOnlyList<string> Notes) Parse(string json, params string[] more) =>
        TrainOptionsParser.Parse(["--deepspeed", _folder.Write("ds.json", json), .. more]);

    private static string Error(params string[] arguments) =>
        Assert.Throws<UserErrorException>(() => TrainOptionsParser.Parse(arguments)).Message;
}
