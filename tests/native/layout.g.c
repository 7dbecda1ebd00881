// Made from llavasharp.h by LlavaSharp.BindingGenerator: run ./build.sh bindings.
// The header comes first and alone: it must compile as C17 by itself.
#include "llavasharp.h"

#include <stddef.h>

_Static_assert(sizeof(llv_library_info) == 32, "llv_library_info");
_Static_assert(offsetof(llv_library_info, abi_version) == 0, "llv_library_info.abi_version");
_Static_assert(offsetof(llv_library_info, reserved) == 4, "llv_library_info.reserved");
_Static_assert(offsetof(llv_library_info, version) == 8, "llv_library_info.version");
_Static_assert(offsetof(llv_library_info, libtorch) == 16, "llv_library_info.libtorch");
_Static_assert(offsetof(llv_library_info, simd) == 24, "llv_library_info.simd");

_Static_assert(sizeof(llv_echo) == 32, "llv_echo");
_Static_assert(offsetof(llv_echo, i32) == 0, "llv_echo.i32");
_Static_assert(offsetof(llv_echo, f32) == 4, "llv_echo.f32");
_Static_assert(offsetof(llv_echo, i64) == 8, "llv_echo.i64");
_Static_assert(offsetof(llv_echo, f64) == 16, "llv_echo.f64");
_Static_assert(offsetof(llv_echo, text) == 24, "llv_echo.text");

_Static_assert(sizeof(llv_engine_options) == 24, "llv_engine_options");
_Static_assert(offsetof(llv_engine_options, size) == 0, "llv_engine_options.size");
_Static_assert(offsetof(llv_engine_options, device) == 8, "llv_engine_options.device");
_Static_assert(offsetof(llv_engine_options, index) == 12, "llv_engine_options.index");
_Static_assert(offsetof(llv_engine_options, threads) == 16, "llv_engine_options.threads");
_Static_assert(offsetof(llv_engine_options, reserved) == 20, "llv_engine_options.reserved");

_Static_assert(sizeof(llv_memory) == 72, "llv_memory");
_Static_assert(offsetof(llv_memory, parameters) == 0, "llv_memory.parameters");
_Static_assert(offsetof(llv_memory, gradients) == 8, "llv_memory.gradients");
_Static_assert(offsetof(llv_memory, optimizer) == 16, "llv_memory.optimizer");
_Static_assert(offsetof(llv_memory, transient) == 24, "llv_memory.transient");
_Static_assert(offsetof(llv_memory, workspace) == 32, "llv_memory.workspace");
_Static_assert(offsetof(llv_memory, mapped) == 40, "llv_memory.mapped");
_Static_assert(offsetof(llv_memory, peak) == 48, "llv_memory.peak");
_Static_assert(offsetof(llv_memory, resident) == 56, "llv_memory.resident");
_Static_assert(offsetof(llv_memory, resident_peak) == 64, "llv_memory.resident_peak");

_Static_assert(sizeof(llv_model_config) == 120, "llv_model_config");
_Static_assert(offsetof(llv_model_config, size) == 0, "llv_model_config.size");
_Static_assert(offsetof(llv_model_config, vision_hidden) == 8, "llv_model_config.vision_hidden");
_Static_assert(offsetof(llv_model_config, vision_layers) == 12, "llv_model_config.vision_layers");
_Static_assert(offsetof(llv_model_config, vision_heads) == 16, "llv_model_config.vision_heads");
_Static_assert(offsetof(llv_model_config, vision_intermediate) == 20,
               "llv_model_config.vision_intermediate");
_Static_assert(offsetof(llv_model_config, image_size) == 24, "llv_model_config.image_size");
_Static_assert(offsetof(llv_model_config, patch_size) == 28, "llv_model_config.patch_size");
_Static_assert(offsetof(llv_model_config, vision_activation) == 32,
               "llv_model_config.vision_activation");
_Static_assert(offsetof(llv_model_config, vision_feature_layer) == 36,
               "llv_model_config.vision_feature_layer");
_Static_assert(offsetof(llv_model_config, vision_keep_class_token) == 40,
               "llv_model_config.vision_keep_class_token");
_Static_assert(offsetof(llv_model_config, projector) == 44, "llv_model_config.projector");
_Static_assert(offsetof(llv_model_config, projector_depth) == 48,
               "llv_model_config.projector_depth");
_Static_assert(offsetof(llv_model_config, hidden) == 52, "llv_model_config.hidden");
_Static_assert(offsetof(llv_model_config, layers) == 56, "llv_model_config.layers");
_Static_assert(offsetof(llv_model_config, heads) == 60, "llv_model_config.heads");
_Static_assert(offsetof(llv_model_config, kv_heads) == 64, "llv_model_config.kv_heads");
_Static_assert(offsetof(llv_model_config, head_dim) == 68, "llv_model_config.head_dim");
_Static_assert(offsetof(llv_model_config, intermediate) == 72, "llv_model_config.intermediate");
_Static_assert(offsetof(llv_model_config, vocabulary) == 76, "llv_model_config.vocabulary");
_Static_assert(offsetof(llv_model_config, rope_dtype) == 80, "llv_model_config.rope_dtype");
_Static_assert(offsetof(llv_model_config, image_newline) == 84, "llv_model_config.image_newline");
_Static_assert(offsetof(llv_model_config, storage) == 88, "llv_model_config.storage");
_Static_assert(offsetof(llv_model_config, linear_storage) == 92, "llv_model_config.linear_storage");
_Static_assert(offsetof(llv_model_config, vision_norm_eps) == 96,
               "llv_model_config.vision_norm_eps");
_Static_assert(offsetof(llv_model_config, norm_eps) == 104, "llv_model_config.norm_eps");
_Static_assert(offsetof(llv_model_config, rope_theta) == 112, "llv_model_config.rope_theta");

_Static_assert(sizeof(llv_parameter) == 80, "llv_parameter");
_Static_assert(offsetof(llv_parameter, name) == 0, "llv_parameter.name");
_Static_assert(offsetof(llv_parameter, unit_kind) == 8, "llv_parameter.unit_kind");
_Static_assert(offsetof(llv_parameter, unit) == 12, "llv_parameter.unit");
_Static_assert(offsetof(llv_parameter, rank) == 16, "llv_parameter.rank");
_Static_assert(offsetof(llv_parameter, decay) == 20, "llv_parameter.decay");
_Static_assert(offsetof(llv_parameter, trainable) == 24, "llv_parameter.trainable");
_Static_assert(offsetof(llv_parameter, reserved) == 28, "llv_parameter.reserved");
_Static_assert(offsetof(llv_parameter, shape) == 32, "llv_parameter.shape");
_Static_assert(offsetof(llv_parameter, count) == 64, "llv_parameter.count");
_Static_assert(offsetof(llv_parameter, offset) == 72, "llv_parameter.offset");

_Static_assert(sizeof(llv_batch) == 104, "llv_batch");
_Static_assert(offsetof(llv_batch, size) == 0, "llv_batch.size");
_Static_assert(offsetof(llv_batch, tokens) == 8, "llv_batch.tokens");
_Static_assert(offsetof(llv_batch, tokens_count) == 16, "llv_batch.tokens_count");
_Static_assert(offsetof(llv_batch, labels) == 24, "llv_batch.labels");
_Static_assert(offsetof(llv_batch, labels_count) == 32, "llv_batch.labels_count");
_Static_assert(offsetof(llv_batch, positions) == 40, "llv_batch.positions");
_Static_assert(offsetof(llv_batch, positions_count) == 48, "llv_batch.positions_count");
_Static_assert(offsetof(llv_batch, cu_seqlens) == 56, "llv_batch.cu_seqlens");
_Static_assert(offsetof(llv_batch, cu_seqlens_count) == 64, "llv_batch.cu_seqlens_count");
_Static_assert(offsetof(llv_batch, image_slots) == 72, "llv_batch.image_slots");
_Static_assert(offsetof(llv_batch, image_slots_count) == 80, "llv_batch.image_slots_count");
_Static_assert(offsetof(llv_batch, pixels) == 88, "llv_batch.pixels");
_Static_assert(offsetof(llv_batch, pixels_count) == 96, "llv_batch.pixels_count");

_Static_assert(sizeof(llv_lora) == 48, "llv_lora");
_Static_assert(offsetof(llv_lora, size) == 0, "llv_lora.size");
_Static_assert(offsetof(llv_lora, alpha) == 8, "llv_lora.alpha");
_Static_assert(offsetof(llv_lora, dropout) == 16, "llv_lora.dropout");
_Static_assert(offsetof(llv_lora, seed) == 24, "llv_lora.seed");
_Static_assert(offsetof(llv_lora, rank) == 32, "llv_lora.rank");
_Static_assert(offsetof(llv_lora, rank_stabilized) == 36, "llv_lora.rank_stabilized");
_Static_assert(offsetof(llv_lora, decomposed) == 40, "llv_lora.decomposed");
_Static_assert(offsetof(llv_lora, reserved) == 44, "llv_lora.reserved");

_Static_assert(sizeof(llv_communicator_options) == 40, "llv_communicator_options");
_Static_assert(offsetof(llv_communicator_options, size) == 0, "llv_communicator_options.size");
_Static_assert(offsetof(llv_communicator_options, kind) == 8, "llv_communicator_options.kind");
_Static_assert(offsetof(llv_communicator_options, rank) == 12, "llv_communicator_options.rank");
_Static_assert(offsetof(llv_communicator_options, world) == 16, "llv_communicator_options.world");
_Static_assert(offsetof(llv_communicator_options, timeout_ms) == 20,
               "llv_communicator_options.timeout_ms");
_Static_assert(offsetof(llv_communicator_options, address) == 24,
               "llv_communicator_options.address");
_Static_assert(offsetof(llv_communicator_options, journal) == 32,
               "llv_communicator_options.journal");

_Static_assert(sizeof(llv_communicator_info) == 16, "llv_communicator_info");
_Static_assert(offsetof(llv_communicator_info, kind) == 0, "llv_communicator_info.kind");
_Static_assert(offsetof(llv_communicator_info, rank) == 4, "llv_communicator_info.rank");
_Static_assert(offsetof(llv_communicator_info, world) == 8, "llv_communicator_info.world");
_Static_assert(offsetof(llv_communicator_info, timeout_ms) == 12,
               "llv_communicator_info.timeout_ms");

_Static_assert(sizeof(llv_trainer_options) == 56, "llv_trainer_options");
_Static_assert(offsetof(llv_trainer_options, size) == 0, "llv_trainer_options.size");
_Static_assert(offsetof(llv_trainer_options, beta1) == 8, "llv_trainer_options.beta1");
_Static_assert(offsetof(llv_trainer_options, beta2) == 16, "llv_trainer_options.beta2");
_Static_assert(offsetof(llv_trainer_options, eps) == 24, "llv_trainer_options.eps");
_Static_assert(offsetof(llv_trainer_options, recompute_layers) == 32,
               "llv_trainer_options.recompute_layers");
_Static_assert(offsetof(llv_trainer_options, tokens_at_once) == 36,
               "llv_trainer_options.tokens_at_once");
_Static_assert(offsetof(llv_trainer_options, offload_folder) == 40,
               "llv_trainer_options.offload_folder");
_Static_assert(offsetof(llv_trainer_options, offload_optimizer) == 48,
               "llv_trainer_options.offload_optimizer");
_Static_assert(offsetof(llv_trainer_options, offload_weights) == 52,
               "llv_trainer_options.offload_weights");

_Static_assert(sizeof(llv_workload) == 64, "llv_workload");
_Static_assert(offsetof(llv_workload, size) == 0, "llv_workload.size");
_Static_assert(offsetof(llv_workload, tokens) == 8, "llv_workload.tokens");
_Static_assert(offsetof(llv_workload, samples) == 16, "llv_workload.samples");
_Static_assert(offsetof(llv_workload, supervised) == 24, "llv_workload.supervised");
_Static_assert(offsetof(llv_workload, images) == 32, "llv_workload.images");
_Static_assert(offsetof(llv_workload, units) == 40, "llv_workload.units");
_Static_assert(offsetof(llv_workload, lora_rank) == 44, "llv_workload.lora_rank");
_Static_assert(offsetof(llv_workload, lora_decomposed) == 48, "llv_workload.lora_decomposed");
_Static_assert(offsetof(llv_workload, recompute_layers) == 52, "llv_workload.recompute_layers");
_Static_assert(offsetof(llv_workload, threads) == 56, "llv_workload.threads");
_Static_assert(offsetof(llv_workload, reserved) == 60, "llv_workload.reserved");

_Static_assert(sizeof(llv_plan) == 56, "llv_plan");
_Static_assert(offsetof(llv_plan, parameters) == 0, "llv_plan.parameters");
_Static_assert(offsetof(llv_plan, gradients) == 8, "llv_plan.gradients");
_Static_assert(offsetof(llv_plan, optimizer) == 16, "llv_plan.optimizer");
_Static_assert(offsetof(llv_plan, transient) == 24, "llv_plan.transient");
_Static_assert(offsetof(llv_plan, workspace) == 32, "llv_plan.workspace");
_Static_assert(offsetof(llv_plan, scratch) == 40, "llv_plan.scratch");
_Static_assert(offsetof(llv_plan, total) == 48, "llv_plan.total");

_Static_assert(sizeof(llv_group) == 16, "llv_group");
_Static_assert(offsetof(llv_group, learning_rate) == 0, "llv_group.learning_rate");
_Static_assert(offsetof(llv_group, weight_decay) == 8, "llv_group.weight_decay");

_Static_assert(sizeof(llv_loss) == 16, "llv_loss");
_Static_assert(offsetof(llv_loss, sum) == 0, "llv_loss.sum");
_Static_assert(offsetof(llv_loss, tokens) == 8, "llv_loss.tokens");

_Static_assert(sizeof(llv_zero_step) == 16, "llv_zero_step");
_Static_assert(offsetof(llv_zero_step, phase) == 0, "llv_zero_step.phase");
_Static_assert(offsetof(llv_zero_step, op) == 4, "llv_zero_step.op");
_Static_assert(offsetof(llv_zero_step, unit) == 8, "llv_zero_step.unit");
_Static_assert(offsetof(llv_zero_step, joined) == 12, "llv_zero_step.joined");

_Static_assert(sizeof(llv_zero_options) == 48, "llv_zero_options");
_Static_assert(offsetof(llv_zero_options, size) == 0, "llv_zero_options.size");
_Static_assert(offsetof(llv_zero_options, stage) == 8, "llv_zero_options.stage");
_Static_assert(offsetof(llv_zero_options, accumulation) == 12, "llv_zero_options.accumulation");
_Static_assert(offsetof(llv_zero_options, reduce_bucket) == 16, "llv_zero_options.reduce_bucket");
_Static_assert(offsetof(llv_zero_options, delay_us) == 24, "llv_zero_options.delay_us");
_Static_assert(offsetof(llv_zero_options, fault) == 32, "llv_zero_options.fault");
_Static_assert(offsetof(llv_zero_options, fault_rank) == 36, "llv_zero_options.fault_rank");
_Static_assert(offsetof(llv_zero_options, fault_step) == 40, "llv_zero_options.fault_step");

_Static_assert(sizeof(llv_shard) == 24, "llv_shard");
_Static_assert(offsetof(llv_shard, begin) == 0, "llv_shard.begin");
_Static_assert(offsetof(llv_shard, count) == 8, "llv_shard.count");
_Static_assert(offsetof(llv_shard, whole) == 16, "llv_shard.whole");

_Static_assert(sizeof(llv_traffic) == 32, "llv_traffic");
_Static_assert(offsetof(llv_traffic, exchanges) == 0, "llv_traffic.exchanges");
_Static_assert(offsetof(llv_traffic, bytes) == 8, "llv_traffic.bytes");
_Static_assert(offsetof(llv_traffic, busy_seconds) == 16, "llv_traffic.busy_seconds");
_Static_assert(offsetof(llv_traffic, exposed_seconds) == 24, "llv_traffic.exposed_seconds");

_Static_assert(sizeof(llv_sampling) == 40, "llv_sampling");
_Static_assert(offsetof(llv_sampling, size) == 0, "llv_sampling.size");
_Static_assert(offsetof(llv_sampling, temperature) == 8, "llv_sampling.temperature");
_Static_assert(offsetof(llv_sampling, top_p) == 16, "llv_sampling.top_p");
_Static_assert(offsetof(llv_sampling, top_k) == 24, "llv_sampling.top_k");
_Static_assert(offsetof(llv_sampling, max_new_tokens) == 28, "llv_sampling.max_new_tokens");
_Static_assert(offsetof(llv_sampling, seed) == 32, "llv_sampling.seed");

int main(void) {
  return 0;
}
