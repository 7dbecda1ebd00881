using System.Text.Json.Nodes;

namespace LlavaSharp.Field.Tests;

/// <summary>The table: one row a kind of folder that people have.</summary>
internal static class Variants
{
    private const string Weights = "model.safetensors", Query = "language_model.model.layers.0.self_attn.q_proj.weight";

    // Neither reads a weight, nor the shape of the model beyond its rows.
    private static readonly string[] WithoutWeights = [FieldVerbs.CheckData, FieldVerbs.ShowSample];

    public static IReadOnlyList<Variant> All { get; } =
    [
        new("plain", _ => { }),
        .. Opening,
        .. Refused,
    ];

    private static IEnumerable<Variant> Opening =>
    [
        new("weights are a link", f => f.Link(Weights)),
        new("every file is a link", f => Array.ForEach(Directory.GetFiles(f.Model), file => f.Link(Path.GetFileName(file)))),
        new("the folder is a link", f =>
        {
            Directory.Move(f.Model, f["elsewhere"]);
            Directory.CreateSymbolicLink(f.Model, f["elsewhere"]);
        }),
        new("generation_config.json is missing", f => f.Remove("generation_config.json")),
        new("files of other programs lie beside", f =>
        {
            f.Write("README.md", "# a model");
            f.Write(".gitattributes", "*.safetensors filter=lfs");
            f.Write("trainer_state.json", "{");
        }),
        new("config.json begins with a byte-order mark", f =>
        {
            var path = Path.Combine(f.Model, "config.json");
            f.Write("config.json", "\ufeff" + File.ReadAllText(path));
        }),
        new("fields that nobody knows", f => f.Config(c => c["my_field"] = new JsonObject { ["a"] = 1 })),
        new("eos_token_id is a list", f => f.Text(t => t["eos_token_id"] = new JsonArray(2, 3))) { SameIds = false },
        new("weights are bfloat16", f => f.Tensors(t =>
        {
            foreach (var name in t.Keys.ToArray())
            {
                t[name] = t[name].ToBFloat16();
            }
        })) { SameIds = false },
        new("position_ids are stored", f => f.Tensors(
            t => t["vision_tower.vision_model.embeddings.position_ids"] = FieldTensor.Of(0, 1, 17))),
        new("do_pad of a processor that pads", f => f.Config(
            p => (p["image_processor_type"], p["do_pad"]) = ("LlavaImageProcessor", true), "preprocessor_config.json")) { SameIds = false },
        new("the same decoder as mistral's", f => f.Text(t => (t["model_type"], t["sliding_window"]) = ("mistral", null))),
        new("a sliding window that is longer than any text", f => f.Text(t => (t["model_type"], t["sliding_window"]) = ("mistral", 4096))),
        new("the image processor lies in processor_config.json alone", f =>
        {
            var processor = JsonNode.Parse(File.ReadAllText(Path.Combine(f.Model, "preprocessor_config.json")));
            f.Write("processor_config.json", new JsonObject { ["image_processor"] = processor }.ToJsonString());
            f.Remove("preprocessor_config.json");
        }),
    ];

    private static IEnumerable<Variant> Refused =>
    [
        new("config.json is missing", f => f.Remove("config.json")) { Refused = ["config.json", "does not exist"] },
        new("config.json is cut", f => f.Cut("config.json", 300)) { Refused = ["config.json", "not valid JSON"] },
        new("config.json is empty", f => f.Write("config.json", "")) { Refused = ["config.json", "empty"] },
        new("config.json is a list", f => f.Write("config.json", "[]")) { Refused = ["config.json", "not a JSON object"] },
        new("config.json has a key twice", f => f.Write("config.json", """{"model_type": "llava", "model_type": "llama"}"""))
        {
            Refused = ["config.json", "not valid JSON"],
        },
        new("config.json is what git-lfs leaves", f => f.Pointer("config.json")) { Refused = ["config.json"] },
        new("weights are missing", f => f.Remove(Weights)) { Refused = [Weights], Unread = WithoutWeights },
        new("weights are cut in the header", f => f.Cut(Weights, 5000)) { Refused = [Weights], Unread = WithoutWeights },
        new("weights are cut in the data", f => f.Cut(Weights, 600_000)) { Refused = [Weights], Unread = WithoutWeights },
        new("weights are empty", f => f.Write(Weights, "")) { Refused = [Weights], Unread = WithoutWeights },
        new("weights are what git-lfs leaves", f => f.Pointer(Weights)) { Refused = [Weights, "git lfs pull"], Unread = WithoutWeights },
        new("a tensor is missing", f => f.Tensors(t => t.Remove(Query))) { Refused = ["q_proj.weight"], Unread = WithoutWeights },
        new("a tensor has another shape", f => f.Tensors(t => t[Query] = FieldTensor.Of(0, 48, 24)))
        {
            Refused = ["q_proj.weight", "[48, 24]", "[48, 48]"], Unread = WithoutWeights,
        },
        Unknown("an adapter that was not merged", Query.Replace(".weight", ".lora_A.default.weight", StringComparison.Ordinal)),
        Unknown("a third layer of the projector", "multi_modal_projector.linear_3.weight"),
        Unknown("a resampler", "model.vision_resampler.query"),
        Unknown("biases that the decoder does not have", Query.Replace(".weight", ".bias", StringComparison.Ordinal)),
        Unknown("weights of another program's quantisation", Query.Replace(".weight", ".qweight", StringComparison.Ordinal)),
        Unknown("something that nobody knows", "language_model.model.layers.0.gate.weight"),
        new("a weight is not finite", f => f.Tensors(t => t[Query] = t[Query].With(float.NaN)))
        {
            Refused = ["not finite", "q_proj.weight"], Unread = WithoutWeights,
        },
        new("weights of whole numbers", f => f.Tensors(t => t[Query] = t[Query] with { Type = "I32" }))
        {
            Refused = ["q_proj.weight"], Unread = WithoutWeights,
        },
        new("an index whose shard is missing", f =>
        {
            f.Remove(Weights);
            f.Write("model.safetensors.index.json", $$$"""{"weight_map": {"{{{Query}}}": "model-00001-of-00002.safetensors"}}""");
        }) { Refused = ["model-00001-of-00002.safetensors"], Unread = WithoutWeights },
        new("a sliding window that is shorter than the text", f => f.Text(t => (t["model_type"], t["sliding_window"]) = ("mistral", 16)))
        {
            Refused = ["sliding_window = 16"], Unread = [.. FieldVerbs.All.Except([FieldVerbs.Generate, FieldVerbs.Train])],
        },
        new("hidden_size is another", f => f.Text(t => t["hidden_size"] = 64)) { Refused = ["64"], Unread = WithoutWeights },
        new("a layer more than the weights", f => f.Text(t => t["num_hidden_layers"] = 3))
        {
            Refused = ["layer.2"], Unread = WithoutWeights,
        },
        new("another architecture", f => f.Config(c => c["model_type"] = "qwen2_vl")) { Refused = ["model_type", "qwen2_vl"] },
        new("another decoder", f => f.Text(t => t["model_type"] = "gemma")) { Refused = ["model_type", "gemma"] },
        new("a field of another kind", f => f.Text(t => t["num_attention_heads"] = "four")) { Refused = ["num_attention_heads", "four"] },
        new("the tokenizer is missing", f => f.Remove("tokenizer.model")) { Refused = ["tokenizer"] },
        new("the tokenizer is cut", f => f.Cut("tokenizer.model", 5000)) { Refused = ["tokenizer.model"] },
        new("the tokenizer is empty", f => f.Write("tokenizer.model", "")) { Refused = ["tokenizer.model"] },
        new("the tokenizer is what git-lfs leaves", f => f.Pointer("tokenizer.model")) { Refused = ["tokenizer.model"] },
        new("an added token beyond the rows", f => f.Write("added_tokens.json", """{"[PAD]": 700}""")) { Refused = ["[PAD]", "700"] },
        new("the image processor is missing", f => f.Remove("preprocessor_config.json"))
        {
            Refused = ["preprocessor_config.json"],
        },
        new("the image processor is cut", f => f.Cut("preprocessor_config.json", 100)) { Refused = ["preprocessor_config.json"] },
        new("the image processor is what git-lfs leaves", f => f.Pointer("preprocessor_config.json"))
        {
            Refused = ["preprocessor_config.json"],
        },
        new("do_pad without a processor that pads", f => f.Config(p => p["do_pad"] = true, "preprocessor_config.json"))
        {
            Refused = ["do_pad"],
        },
        new("tokenizer_config.json is cut", f => f.Write("tokenizer_config.json", "{\"legacy\": ")) { Refused = ["tokenizer_config.json"] },
        new("pictures of another size", f => f.Config(
            p => (p["size"], p["crop_size"]) =
                (new JsonObject { ["shortest_edge"] = 28 }, new JsonObject { ["height"] = 28, ["width"] = 28 }),
            "preprocessor_config.json")) { Refused = ["28", "56"], Unread = WithoutWeights },
    ];

    // Without such a tensor the model would be another one.
    private static Variant Unknown(string name, string tensor) =>
        new(name, f => f.Tensors(t => t[tensor] = FieldTensor.Of(0.5f, 4, 4))) { Refused = [tensor], Unread = WithoutWeights };
}
