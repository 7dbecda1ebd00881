using System.Text.Json;
using LlavaSharp.Checkpoints;
using LlavaSharp.Tests.Cli;

namespace LlavaSharp.Tests.Training;

/// <summary>Both stages and a question, from flags to files, on a model of a few thousand parameters.</summary>
public sealed class TrainTests : IDisposable
{
    private readonly TinyRun _tiny = new();

    public void Dispose() => _tiny.Dispose();

    [Fact]
    public void Stage_1_then_stage_2_then_a_question()
    {
        var (one, two) = (_tiny["one"], _tiny["two"]);
        Succeed(_tiny.Stage1(one, "--num_train_epochs", "16", "--learning_rate", "3e-2"));
        Assert.Equal(
            [
                "config.json", "events.out.tfevents.0.llavasharp", "log.jsonl", "mm_projector.bin", "mm_projector.safetensors",
                "report.html", "train_config.json", "trainer_state.json",
            ],
            Directory.GetFiles(one).Select(f => Path.GetFileName(f)).Order());
        var first = Losses(one);
        Assert.Equal(16, first.Length); // six samples in twos are three micro-batches, one update an epoch
        Assert.True(first[^4..].Average() < first[..4].Average(), string.Join(' ', first));

        Succeed(_tiny.Stage2(two, "--pretrain_mm_mlp_adapter", Path.Combine(one, "mm_projector.bin")));
        var second = Losses(two);
        Assert.Equal(8, second.Length);
        Assert.True(second[^1] < second[0], $"{second[0]} → {second[^1]}");
        var config = LlavaConfig.Load(two);
        Assert.Equal("pad", config.ImageAspectRatio);

        var (code, answer, error) = Host.Run(
            "generate", "--model", two, "--image", Path.Combine(_tiny.Images, "0.png"), "--prompt", "Colour?", "--max_new_tokens", "4");
        Assert.True(code == 0, error);
        Assert.EndsWith("\n", answer);
        Assert.Equal(answer, Host.Run(
            "generate", "--model", two, "--image", Path.Combine(_tiny.Images, "0.png"), "--prompt", "Colour?", "--max_new_tokens", "4").Out);

        // The written folder is a starting point like any other.
        var again = _tiny.Stage2(_tiny["three"], "--model_name_or_path", two, "--max_steps", "1").ToList();
        again.RemoveRange(again.IndexOf("--vision_tower"), 2);
        Succeed([.. again]);
    }

    [Fact]
    public void The_same_flags_give_the_same_bytes()
    {
        Succeed(_tiny.Stage1(_tiny["a"]));
        Succeed(_tiny.Stage1(_tiny["b"], "--dataloader_num_workers", "0"));
        Assert.Equal(Losses(_tiny["a"]), Losses(_tiny["b"]));
        Assert.Equal(File.ReadAllBytes(Path.Combine(_tiny["a"], "mm_projector.bin")), File.ReadAllBytes(Path.Combine(_tiny["b"], "mm_projector.bin")));
        Succeed(_tiny.Stage1(_tiny["c"], "--seed", "7"));
        Assert.NotEqual(Losses(_tiny["a"]), Losses(_tiny["c"]));
    }

    [Fact]
    public void The_first_update_has_rate_zero_and_changes_nothing()
    {
        Succeed(_tiny.Stage1(_tiny["a"], "--per_device_train_batch_size", "6", "--gradient_accumulation_steps", "1", "--num_train_epochs", "3"));
        var log = Log(_tiny["a"]);
        Assert.Equal(0, log[0].GetProperty("learning_rate").GetDouble());
        Assert.Equal(log[0].GetProperty("loss").GetDouble(), log[1].GetProperty("loss").GetDouble(), 1e-6); // same six samples, another order
        Assert.Equal(0.01, log[1].GetProperty("learning_rate").GetDouble());
        Assert.Equal(0.005, log[2].GetProperty("learning_rate").GetDouble(), 1e-12);
    }

    [Fact]
    public void Stage_1_leaves_the_keys_that_inference_reads()
    {
        Succeed(_tiny.Stage1(_tiny["a"], "--max_steps", "1", "--mm_projector_type", "linear"));
        var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(_tiny["a"], "config.json"))).RootElement;
        Assert.Equal("llava_llama", config.GetProperty("model_type").GetString());
        Assert.Equal("linear", config.GetProperty("mm_projector_type").GetString());
        Assert.Equal("square", config.GetProperty("image_aspect_ratio").GetString());
        Assert.Equal(8, config.GetProperty("mm_hidden_size").GetInt32());
        Assert.Equal(-2, config.GetProperty("mm_vision_select_layer").GetInt32());
        Assert.False(config.GetProperty("mm_use_im_start_end").GetBoolean());
    }

    [Fact]
    public void A_folder_called_checkpoint_n_puts_the_projector_beside_it()
    {
        Succeed(_tiny.Stage1(_tiny["checkpoint-5"], "--max_steps", "1"));
        Assert.True(File.Exists(Path.Combine(_tiny["mm_projector"], "checkpoint-5.bin")));
    }

    [Fact]
    public void The_resolved_configuration_holds_every_flag()
    {
        Succeed(_tiny.Stage1(_tiny["a"], "--max_steps", "2", "--bf16", "True"));
        var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(_tiny["a"], "train_config.json"))).RootElement;
        Assert.Equal(0.01, json.GetProperty("flags").GetProperty("learning_rate").GetDouble());
        Assert.Equal("float32", json.GetProperty("resolved").GetProperty("dtype").GetString());
        Assert.Equal(2, json.GetProperty("resolved").GetProperty("updates").GetInt32());
        Assert.Equal((8 * 8) + 8 + (8 * 8) + 8, json.GetProperty("resolved").GetProperty("trainable_parameters").GetInt64());
    }

    [Fact]
    public void A_request_to_stop_before_the_first_update_leaves_nothing()
    {
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        var (code, _, error) = Host.RunWith(null, stop.Token, _tiny.Stage1(_tiny["a"]));
        Assert.Equal(130, code);
        Assert.Equal("stopped\n", error);
        Assert.False(Directory.Exists(_tiny["a"]));
    }

    [Fact]
    public void A_loss_that_is_no_number_stops_the_run_and_names_the_samples()
    {
        var message = Host.Run(_tiny.Stage1(
            _tiny["a"], "--learning_rate", "1e30", "--max_grad_norm", "0", "--num_train_epochs", "40", "--lr_scheduler_type", "constant")).Error;
        Assert.Matches(@"error: update \d+: the (loss is not a number on sample \d+ \(id ""c\d""\)|gradient is not finite)", message);
    }

    private static void Succeed(string[] arguments)
    {
        var (code, output, error) = Host.Run(arguments);
        Assert.True(code == 0, output + error);
    }

    private static JsonElement[] Log(string folder) =>
        [.. File.ReadAllLines(Path.Combine(folder, "log.jsonl")).Select(l => JsonDocument.Parse(l).RootElement)];

    private static double[] Losses(string folder) => [.. Log(folder).Select(l => l.GetProperty("loss").GetDouble())];
}
