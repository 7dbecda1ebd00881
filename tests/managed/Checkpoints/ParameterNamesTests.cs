using LlavaSharp.Checkpoints;
using LlavaSharp.Imaging;

namespace LlavaSharp.Tests.Checkpoints;

public sealed class ParameterNamesTests
{
    [Theory]
    [InlineData("language_model.model.embed_tokens.weight", "embed.weight")]
    [InlineData("model.language_model.embed_tokens.weight", "embed.weight")]
    [InlineData("model.embed_tokens.weight", "embed.weight")]
    [InlineData("language_model.model.norm.weight", "head.norm.weight")]
    [InlineData("model.norm.weight", "head.norm.weight")]
    [InlineData("language_model.lm_head.weight", "head.weight")]
    [InlineData("lm_head.weight", "head.weight")]
    [InlineData("language_model.model.layers.11.self_attn.o_proj.weight", "layer.11.self_attn.o_proj.weight")]
    [InlineData("model.language_model.layers.0.mlp.gate_proj.weight", "layer.0.mlp.gate_proj.weight")]
    [InlineData("model.layers.0.post_attention_layernorm.weight", "layer.0.post_attention_layernorm.weight")]
    [InlineData("vision_tower.vision_model.pre_layrnorm.bias", "vision.pre_layrnorm.bias")]
    [InlineData("vision_tower.embeddings.class_embedding", "vision.embeddings.class_embedding")]
    [InlineData("model.vision_tower.encoder.layers.2.mlp.fc1.bias", "vision.encoder.layers.2.mlp.fc1.bias")]
    [InlineData("vision_model.encoder.layers.2.layer_norm2.weight", "vision.encoder.layers.2.layer_norm2.weight")]
    [InlineData("model.vision_tower.vision_tower.vision_model.post_layernorm.weight", "vision.post_layernorm.weight")]
    [InlineData("embeddings.patch_embedding.weight", "vision.embeddings.patch_embedding.weight")]
    [InlineData("multi_modal_projector.linear_1.weight", "projector.0.weight")]
    [InlineData("model.multi_modal_projector.linear_2.bias", "projector.2.bias")]
    [InlineData("model.mm_projector.0.weight", "projector.0.weight")]
    [InlineData("model.mm_projector.4.bias", "projector.4.bias")]
    [InlineData("model.mm_projector.weight", "projector.weight")]
    [InlineData("base_model.model.model.mm_projector.2.bias", "projector.2.bias")]
    public void Knows_every_spelling(string stored, string canonical)
    {
        Assert.True(ParameterNames.TryToCanonical(stored, out string? name));
        Assert.Equal(canonical, name);
    }

    [Theory]
    [InlineData("")]
    [InlineData("text_model.embeddings.token_embedding.weight")]
    [InlineData("text_model.encoder.layers.0.mlp.fc1.weight")]
    [InlineData("text_projection.weight")]
    [InlineData("logit_scale")]
    [InlineData("vision_model.embeddings.position_ids")]
    [InlineData("model.layers.0.self_attn.rotary_emb.inv_freq")]
    [InlineData("model.layers.00.mlp.up_proj.weight")]
    [InlineData("model.layers.99999999999.mlp.up_proj.weight")]
    [InlineData("model.layers.-1.mlp.up_proj.weight")]
    [InlineData("model.layers.1.mlp.up_proj.bias")]
    [InlineData("model.mm_projector.1.weight")]
    [InlineData("xmm_projector.0.weight")]
    [InlineData("multi_modal_projector.linear_3.weight")]
    [InlineData("model.image_newlines")]
    public void Leaves_the_rest_alone(string stored) => Assert.False(ParameterNames.TryToCanonical(stored, out _));

    [Theory]
    [InlineData(ParameterNaming.HuggingFace)]
    [InlineData(ParameterNaming.HuggingFaceMemory)]
    [InlineData(ParameterNaming.Llava)]
    public void Every_name_goes_there_and_back(ParameterNaming naming)
    {
        foreach (string name in TinyModel.Names(TinyModel.Config() with { ImageAspectRatio = "anyres", PatchMerge = PatchMerge.SpatialUnpad }))
        {
            Assert.True(ParameterNames.TryToCanonical(ParameterNames.FromCanonical(name, naming), out string? back));
            Assert.Equal(name, back);
        }
    }

    [Fact]
    public void A_folder_has_only_what_its_kind_holds()
    {
        Assert.Equal("vision_model.pre_layrnorm.bias", ParameterNames.FromCanonical("vision.pre_layrnorm.bias", ParameterNaming.Clip));
        Assert.Equal("model.norm.weight", ParameterNames.FromCanonical("head.norm.weight", ParameterNaming.LanguageModel));
        Assert.Throws<ArgumentException>(() => ParameterNames.FromCanonical("embed.weight", ParameterNaming.Clip));
        Assert.Throws<ArgumentException>(() => ParameterNames.FromCanonical("vision.pre_layrnorm.bias", ParameterNaming.LanguageModel));
        Assert.Throws<ArgumentException>(() => ParameterNames.FromCanonical("projector.4.bias", ParameterNaming.HuggingFace));
        Assert.Throws<ArgumentException>(() => ParameterNames.FromCanonical("projector.weight", ParameterNaming.HuggingFace));
        Assert.Throws<ArgumentException>(() => ParameterNames.FromCanonical("nonsense", ParameterNaming.Llava));
    }
}
