using System.Text.Encodings.Web;
using System.Text.Json;
using LlavaSharp.Imaging;

namespace LlavaSharp.Demo;

/// <summary>Draws the parts of the demo's data, saves their pictures, and writes conversations as LLaVA does.</summary>
/// <param name="folder">Where to; pictures go below its folder <c>images</c>.</param>
/// <param name="seed">Same seed, same bytes.</param>
internal sealed class DemoDatasetWriter(string folder, int seed)
{
    private const string Placeholder = "<image>\n";

    private static readonly string[] Requests =
        ["Describe the image.", "What is in the picture?", "Write a short caption.", "Say what you see."];

    /// <summary>Captions of pictures laid out for stage 1.</summary>
    public List<DemoConversation> Captions(string name, int stream, int count, bool heldOut)
    {
        SceneGenerator scenes = new(seed, stream);
        Random random = new((seed * 1000) + stream);
        List<DemoConversation> result = [];
        for (int i = 0; i < count; i++)
        {
            Scene scene = scenes.Next(SceneLayout.CenterCrop, heldOut);
            string image = Save(scene, name, i);
            string request = Requests[random.Next(Requests.Length)];
            string question = random.Next(2) == 0 ? Placeholder + request : request + "\n<image>";
            result.Add(new DemoConversation($"{name}-{i:D5}", image, [(question, SceneWords.Caption(scene))]));
        }

        return result;
    }

    /// <summary>Conversations of several turns about pictures laid out for stage 2, and some about none.</summary>
    public List<DemoConversation> Conversations(string name, int stream, int count, int textCount)
    {
        SceneGenerator scenes = new(seed, stream);
        Random random = new((seed * 1000) + stream);
        List<DemoConversation> result = [];
        for (int i = 0; i < count; i++)
        {
            Scene scene = scenes.Next(SceneLayout.Pad, heldOut: false);
            List<SceneQuestion> questions = SceneWords.Conversation(scene, random);
            result.Add(new DemoConversation(
                $"{name}-{i:D5}", Save(scene, name, i), Turns(questions.Take(DemoBudget.TurnsPerPicture))));
        }

        for (int i = 0; i < textCount; i++)
        {
            result.Add(new DemoConversation($"text-{i:D5}", null, TextConversations.Next(random, 2 + random.Next(3))));
        }

        return result;
    }

    /// <summary>Questions about held-out pictures; <paramref name="kinds"/> receives what each is about.</summary>
    public List<DemoConversation> Questions(string name, int stream, int count, List<IReadOnlyList<string>> kinds)
    {
        SceneGenerator scenes = new(seed, stream);
        Random random = new((seed * 1000) + stream);
        List<DemoConversation> result = [];
        for (int i = 0; i < count; i++)
        {
            Scene scene = scenes.Next(SceneLayout.Pad, heldOut: true);

            // One question of each kind that the scene allows: no kind outweighs the others.
            SceneQuestion[] questions = [.. SceneWords.Questions(scene, random)];
            random.Shuffle(questions);
            questions = [.. questions.DistinctBy(question => question.Kind)];
            result.Add(new DemoConversation(
                $"{name}-{i:D5}", Save(scene, name, i), [.. questions.Select(question => (question.Text, question.Answer))]));
            kinds.Add([.. questions.Select(question => question.Kind)]);
        }

        return result;
    }

    /// <summary>Each turn as a conversation of its own, as it is asked: no answer can be read from another.</summary>
    public static List<DemoConversation> Alone(IEnumerable<DemoConversation> conversations) =>
        [.. conversations.SelectMany(c => c.Turns.Select((turn, i) =>
            new DemoConversation($"{c.Id}-{i}", c.Image, [(Placeholder + turn.Question, turn.Answer)])))];

    private static List<(string Question, string Answer)> Turns(IEnumerable<SceneQuestion> questions) =>
        [.. questions.Select((question, i) => ((i == 0 ? Placeholder : string.Empty) + question.Text, question.Answer))];

    // PNG and JPEG by turns.
    private string Save(Scene scene, string name, int index)
    {
        RgbImage picture = ScenePainter.Paint(scene);
        string relative = $"{name}/{index:D5}.{(index % 2 == 0 ? "png" : "jpg")}";
        string path = Path.Combine(folder, "images", relative);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, index % 2 == 0 ? ImageEncoder.Png(picture) : ImageEncoder.Jpeg(picture, 92));
        return relative;
    }

    /// <summary>Writes LLaVA's JSON array.</summary>
    public static void Json(string path, IReadOnlyList<DemoConversation> conversations)
    {
        using FileStream file = File.Create(path);
        using Utf8JsonWriter json = new(
            file, new JsonWriterOptions { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartArray();
        foreach (DemoConversation conversation in conversations)
        {
            json.WriteStartObject();
            json.WriteString("id", conversation.Id);
            if (conversation.Image is not null)
            {
                json.WriteString("image", conversation.Image);
            }

            json.WriteStartArray("conversations");
            foreach ((string question, string answer) in conversation.Turns)
            {
                WriteTurn(json, "human", question);
                WriteTurn(json, "gpt", answer);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void WriteTurn(Utf8JsonWriter json, string from, string value)
    {
        json.WriteStartObject();
        json.WriteString("from", from);
        json.WriteString("value", value);
        json.WriteEndObject();
    }
}
