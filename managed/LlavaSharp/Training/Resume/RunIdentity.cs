using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using LlavaSharp.Interop;

namespace LlavaSharp.Training.Resume;

/// <summary>What a checkpoint belongs to: a state means something only on the same data, tokens and parameters.</summary>
/// <param name="Samples">Samples of the training file.</param>
/// <param name="DataSha256">SHA-256 of the training file.</param>
/// <param name="TokenizerSha256">SHA-256 of the tokenizer's file.</param>
/// <param name="ParametersSha256">SHA-256 of the parameter table: names, shapes, and which are trained.</param>
public sealed record RunIdentity(int Samples, string DataSha256, string TokenizerSha256, string ParametersSha256)
{
    /// <summary>Describes a run.</summary>
    /// <param name="setup">Its data and tokenizer.</param>
    /// <param name="model">Its model, with what is trained already chosen.</param>
    /// <returns>The identity.</returns>
    public static RunIdentity Of(TrainSetup setup, Model model) => new(
        setup.Plan.SampleCount,
        CheckpointManifest.Sha256(setup.Options.DataPath!),
        Convert.ToHexStringLower(SHA256.HashData(setup.Tokenizer.ModelBytes)),
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Concat(
            model.Parameters.Select(p => $"{p.Name} [{string.Join(',', p.Shape.ToArray())}] {(p.Trainable ? "trained" : "frozen")}\n"))))));

    /// <summary>Refuses a run that is not the checkpoint's.</summary>
    /// <param name="checkpoint">What the checkpoint belongs to.</param>
    /// <param name="name">The checkpoint, for messages.</param>
    /// <param name="warn">Receives what is odd and yet no reason to refuse.</param>
    /// <exception cref="UserErrorException">Samples, tokenizer or trained parameters are others.</exception>
    public void Check(RunIdentity checkpoint, string name, Action<string> warn)
    {
        const string Remedy = "; give the same as then, or begin anew with --resume no";
        if (checkpoint.Samples != Samples)
        {
            throw new UserErrorException($"{name} was made with {checkpoint.Samples} samples, --data_path has {Samples}{Remedy}");
        }

        if (checkpoint.TokenizerSha256 != TokenizerSha256)
        {
            throw new UserErrorException($"{name} was made with another tokenizer{Remedy}");
        }

        if (checkpoint.ParametersSha256 != ParametersSha256)
        {
            throw new UserErrorException($"{name} trains other parameters: the model, or what is frozen, has changed{Remedy}");
        }

        if (checkpoint.DataSha256 != DataSha256)
        {
            warn($"the training file has changed since {name}; the run goes on at the same place of its order");
        }
    }

    /// <summary>As an object of state.json.</summary>
    /// <returns>JSON.</returns>
    public JsonObject ToJson() => new()
    {
        ["samples"] = Samples,
        ["data_sha256"] = DataSha256,
        ["tokenizer_sha256"] = TokenizerSha256,
        ["parameters_sha256"] = ParametersSha256,
    };

    /// <summary>Reads what <see cref="ToJson"/> gave.</summary>
    /// <param name="json">JSON.</param>
    /// <returns>The identity.</returns>
    public static RunIdentity FromJson(JsonNode json) => new(
        json["samples"]!.GetValue<int>(),
        json["data_sha256"]!.GetValue<string>(),
        json["tokenizer_sha256"]!.GetValue<string>(),
        json["parameters_sha256"]!.GetValue<string>());
}
