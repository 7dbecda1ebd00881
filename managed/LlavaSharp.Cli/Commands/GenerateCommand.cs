using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using LlavaSharp.Generation;
using LlavaSharp.Imaging;

namespace LlavaSharp.Cli.Commands;

/// <summary>Asks a trained model about an image.</summary>
internal static class GenerateCommand
{
    private const string Help = """
        llavasharp generate --model DIR --prompt TEXT [--image FILE] [flags]

        Asks the model in a LLaVA folder, transformers' (such as stage 2 of llavasharp train writes) or
        the original code's, and prints the answer as it comes. The image is made square as the model
        was trained (image_aspect_ratio in its config.json, or do_pad of its image processor).

          --model DIR            the checkpoint
          --adapter DIR          a LoRA adapter over it; --model is then its base
          --vision_tower DIR     the CLIP folder, if config.json names one that is not here
          --prompt TEXT          the question
          --image FILE           JPEG, PNG, WebP, GIF or BMP; without it the question is text alone
          --template NAME        conversation format, by train's --version names (Intel's: itrex_v1 …)
                                 [what the model was trained with, by its config.json or
                                 train_config.json; else v1]
          --temperature T        0 always takes the likeliest token; LLaVA's chat uses 0.2 [0]
          --top_p P              draw from the likeliest tokens whose probabilities reach P [1]
          --max_new_tokens N     longest answer [512]
          --seed N               seed of the draws [0]
          --bits N               the decoder's linears in 8 bits, or in 4 (NF4), in memory [16]
          --weights TYPE         all weights in memory: float32, or bfloat16 for half of it [float32]
          --json                 print {"input_ids", "output_ids", "text", "finish_reason"}; -200 is where
                                 the image goes; finish_reason is stop, or length at --max_new_tokens

        An answer ends at the end tokens of config.json and generation_config.json and at the text that
        closes the format's answers (</s>, <|im_end|>, ###), which is cut off.

          $ llavasharp generate --model finetune --image cat.jpg --prompt "What is the cat doing?"

        """;

    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Makes the verb.</summary>
    /// <param name="shell">What it talks to.</param>
    /// <returns>The verb.</returns>
    public static Verb Create(Shell shell)
    {
        var model = new Option<string>("--model") { Required = true };
        var adapter = new Option<string?>("--adapter");
        var tower = new Option<string?>("--vision_tower");
        var prompt = new Option<string>("--prompt") { Required = true };
        var image = new Option<string?>("--image");
        var template = new Option<string?>("--template");
        var temperature = Flag.Number("--temperature", 0);
        var topP = Flag.Number("--top_p", 1, 1);
        var longest = Flag.Whole("--max_new_tokens", 512, 1);
        var seed = Flag.Whole("--seed", 0, 0);
        var json = new Option<bool>("--json");
        var bits = new Option<string>("--bits") { DefaultValueFactory = _ => "16" };
        var weights = new Option<string>("--weights") { DefaultValueFactory = _ => "float32" };
        var command = new Command("generate", "ask about an image")
        {
            model, adapter, tower, prompt, image, template, temperature, topP, longest, seed, json, bits, weights,
        };
        command.SetAction(parsed => Run(
            shell,
            () => new ChatModel(
                parsed.GetRequiredValue(model), parsed.GetValue(template), parsed.GetValue(adapter), parsed.GetValue(tower),
                StorageFlags.Read(parsed.GetValue(weights)!, parsed.GetValue(bits)!), shell.Error.WriteLine),
            parsed.GetRequiredValue(prompt),
            parsed.GetValue(image),
            new GenerationOptions
            {
                Temperature = parsed.GetValue(temperature),
                TopP = Above0(parsed.GetValue(topP)),
                MaxNewTokens = parsed.GetValue(longest),
                Seed = parsed.GetValue(seed),
            },
            parsed.GetValue(json)));
        return new(
            command,
            "answers a question about an image",
            "llavasharp generate --model finetune --image cat.jpg --prompt \"What is this?\"",
            Help);
    }

    private static int Run(
        Shell shell, Func<ChatModel> open, string prompt, string? image, GenerationOptions options, bool json)
    {
        // Decoding a picture takes milliseconds, loading a large model minutes.
        if (image is not null)
        {
            CheckImage(image);
        }

        using var chat = open();
        if (json)
        {
            var answer = chat.Complete(prompt, image, options, shell.Cancellation);
            shell.Out.WriteLine(JsonSerializer.Serialize(
                new
                {
                    input_ids = answer.InputIds,
                    output_ids = answer.OutputIds,
                    text = answer.Text,
                    finish_reason = answer.FinishReason,
                },
                Json));
            return ExitCode.Ok;
        }

        chat.Stream(prompt, image, options, shell.Out.Write, shell.Cancellation);
        shell.Out.WriteLine();
        return ExitCode.Ok;
    }

    private static void CheckImage(string path)
    {
        if (!File.Exists(path))
        {
            throw new UserErrorException($"--image {path} {(Directory.Exists(path) ? "is a folder; name a picture in it" : "does not exist")}");
        }

        ImageDecoder.Load(path);
    }

    private static double Above0(double topP) =>
        topP > 0 ? topP : throw new UserErrorException("--top_p 0: expected a number above 0, at most 1");
}
