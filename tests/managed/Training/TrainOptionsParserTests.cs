using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

public sealed class TrainOptionsParserTests
{
    private static TrainOptions Parse(params string[] arguments) => TrainOptionsParser.Parse(arguments).Options;

    private static string Error(params string[] arguments) =>
        Assert.Throws<UserErrorException>(() => TrainOptionsParser.Parse(arguments)).Message;

    [Theory]
    [InlineData("--local-rank", "1")]
    [InlineData("--local_rank", "1")]
    [InlineData("--local-rank=1")]
    [InlineData("--local_rank=1")]
    [InlineData("--eval_strategy", "no")]
    [InlineData("--evaluation_strategy", "no")]
    public void What_launchers_and_later_recipes_add_is_taken(params string[] arguments) =>
        Assert.Equal(new TrainOptions(), TrainOptionsParser.Parse(arguments).Options);

    [Fact]
    public void Evaluation_is_refused_by_its_own_name()
    {
        var error = Assert.Throws<UserErrorException>(() => TrainOptionsParser.Parse(["--eval_strategy", "steps"]));
        Assert.Equal("--eval_strategy steps: expected no", error.Message);
    }

    [Fact]
    public void The_recipes_stage_1_script_parses()
    {
        var (options, notes) = TrainOptionsParser.Parse(("--model_name_or_path lmsys/vicuna-13b-v1.5 --version plain --data_path d.json "
            + "--image_folder images --vision_tower openai/clip-vit-large-patch14-336 --mm_projector_type mlp2x_gelu --tune_mm_mlp_adapter True "
            + "--mm_vision_select_layer -2 --mm_use_im_start_end False --mm_use_im_patch_token False --bf16 True --output_dir out "
            + "--num_train_epochs 1 --per_device_train_batch_size 32 --per_device_eval_batch_size 4 --gradient_accumulation_steps 1 "
            + "--evaluation_strategy no --save_strategy steps --save_steps 24000 --save_total_limit 1 --learning_rate 1e-3 --weight_decay 0. "
            + "--warmup_ratio 0.03 --lr_scheduler_type cosine --logging_steps 1 --tf32 True --model_max_length 2048 "
            + "--gradient_checkpointing True --dataloader_num_workers 4 --lazy_preprocess True --report_to wandb").Split(' '));
        Assert.Equal("lmsys/vicuna-13b-v1.5", options.ModelNameOrPath);
        Assert.Equal("plain", options.Version);
        Assert.True(options.TuneMmMlpAdapter);
        Assert.Equal(-2, options.MmVisionSelectLayer);
        Assert.Equal(1e-3, options.LearningRate);
        Assert.Equal(0.03, options.WarmupRatio);
        Assert.Equal(2048, options.ModelMaxLength);
        Assert.True(options.GradientCheckpointing);
        Assert.Equal(
            [
                "--bf16 True: this build computes in float32; --weights bfloat16 stores weights in half the memory",
                "--report_to wandb: the run is recorded in log.jsonl, TensorBoard events and report.html",
            ],
            notes);
    }

    [Theory]
    [InlineData("--tune_mm_mlp_adapter", true)]
    [InlineData("--tune_mm_mlp_adapter True", true)]
    [InlineData("--tune_mm_mlp_adapter=yes", true)]
    [InlineData("--tune_mm_mlp_adapter 1", true)]
    [InlineData("--tune_mm_mlp_adapter T", true)]
    [InlineData("--tune_mm_mlp_adapter FALSE", false)]
    [InlineData("--tune_mm_mlp_adapter n", false)]
    [InlineData("--no_tune_mm_mlp_adapter", false)]
    [InlineData("--tune_mm_mlp_adapter --bf16 False", true)]
    [InlineData("--tune_mm_mlp_adapter True --tune_mm_mlp_adapter False", false)]
    public void Booleans_as_Hugging_Face_reads_them(string line, bool expected) =>
        Assert.Equal(expected, Parse(line.Split(' ')).TuneMmMlpAdapter);

    [Fact]
    public void Values_may_follow_an_equals_sign_and_hold_one() => Assert.Equal("a=b", Parse("--data_path=a=b").DataPath);

    [Fact]
    public void Negative_values_are_values() => Assert.Equal(-1, Parse("--mm_vision_select_layer", "-1").MmVisionSelectLayer);

    [Fact]
    public void Defaults_are_the_recipes()
    {
        var options = Parse();
        Assert.Equal((1e-8, 1.0, 42, 0.9, 0.999), (options.AdamEpsilon, options.MaxGradNorm, options.Seed,
            options.AdamBeta1, options.AdamBeta2));
        Assert.Equal((null, 512, 4), (options.ImageAspectRatio, options.ModelMaxLength, options.DataloaderNumWorkers));
        Assert.Null(options.MmProjectorLr);
    }

    [Theory]
    [InlineData("--learning_rat 1", "unknown flag --learning_rat; did you mean --learning_rate?")]
    [InlineData("--image-folder x", "unknown flag --image-folder; did you mean --image_folder?")]
    [InlineData("--lora_enabel", "unknown flag --lora_enabel; did you mean --lora_enable?")]
    [InlineData("--zzzzzzzzzzzz", "unknown flag --zzzzzzzzzzzz")]
    [InlineData("data.json", "'data.json' is not a flag; flags start with --, such as --data_path data.json")]
    [InlineData("--data_path", "--data_path needs a value")]
    [InlineData("--data_path=", "--data_path needs a value")]
    [InlineData("--learning_rate fast", "--learning_rate fast: expected a number of at least 0")]
    [InlineData("--learning_rate NaN", "--learning_rate NaN: expected a number of at least 0")]
    [InlineData("--learning_rate -1", "--learning_rate -1: expected a number of at least 0")]
    [InlineData("--per_device_train_batch_size 0", "--per_device_train_batch_size 0: expected a whole number of at least 1")]
    [InlineData("--per_device_train_batch_size 2.5", "--per_device_train_batch_size 2.5: expected a whole number of at least 1")]
    [InlineData("--warmup_ratio 3", "--warmup_ratio 3: expected a number from 0 to 1")]
    [InlineData("--adam_beta2 1", "--adam_beta2 1: expected a number from 0 to below 1")]
    [InlineData("--image_aspect_ratio crop", "--image_aspect_ratio crop: expected square or pad or anyres")]
    [InlineData("--image_grid_pinpoints [[336]]", "image_grid_pinpoints [[336]]: expected a list of [width, height], such as [[336, 672], [672, 336]]")]
    [InlineData("--image_grid_pinpoints 336", "image_grid_pinpoints 336: expected a list of [width, height], such as [[336, 672], [672, 336]]")]
    [InlineData("--mm_patch_merge_type unpad", "--mm_patch_merge_type unpad: expected flat or spatial or spatial_unpad")]
    [InlineData("--mm_vision_select_feature cls", "--mm_vision_select_feature cls: expected patch or cls_patch")]
    [InlineData("--tune_mm_mlp_adapter maybe", "--tune_mm_mlp_adapter maybe: expected True or False")]
    [InlineData("--bits 5", "--bits 5: expected 16 or 8 or 4")]
    [InlineData("--quant_type int4", "--quant_type int4: expected nf4 or fp4")]
    [InlineData("--weights float16", "--weights float16: expected float32 or bfloat16")]
    [InlineData("--dataloader_drop_last True", "--dataloader_drop_last True: an epoch's last, shorter batch is trained on; leave the flag out")]
    [InlineData("--optim adafactor", "--optim adafactor: expected adamw_torch or adamw_hf or adamw_torch_fused")]
    [InlineData("--lora_dropout 1", "--lora_dropout 1: expected a number from 0 to below 1")]
    [InlineData("--save_steps 1.5", "--save_steps 1.5: expected a whole number of at least 1, or a fraction above 0 and below 1")]
    [InlineData("--mm_use_im_start_end maybe", "--mm_use_im_start_end maybe: expected True or False")]
    [InlineData("--evaluation_strategy epoch", "--evaluation_strategy epoch: expected no")]
    public void Mistakes(string line, string message) => Assert.Equal(message, Error(line.Split(' ')));

    [Theory]
    [InlineData("--lora_enable False")]
    [InlineData("--use_habana False --pad_max False --bits 16")]
    public void What_is_missing_may_be_switched_off(string line) => Assert.Equal(new TrainOptions(), Parse(line.Split(' ')));

    [Fact]
    public void Every_flag_has_one_name_and_one_line_of_help()
    {
        Assert.Equal(TrainFlags.All.Count, TrainFlags.All.Select(f => f.Name).Distinct().Count());
        Assert.All(TrainFlags.All, f => Assert.InRange(f.Help.Length, 1, 110));
    }
}
