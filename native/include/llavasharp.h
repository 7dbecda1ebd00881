/* llavasharp.h: the contract between the LlavaSharp engine and its host.
 *
 * Every type and function that a host may use is here; bindings derive from this file.
 *
 * Conventions
 *  - llv_<noun>_<verb>. A function that can fail returns an llv_status and writes its outputs, last
 *    and named out_…, only on success. llv_error_message says why, with values, on that thread.
 *  - Only fixed-width integers, float, double and pointers cross. Text is UTF-8, zero-ended, not
 *    null.
 *  - A span is two arguments: x, x_count (elements). A null span has count 0.
 *  - T** out_x is owned by the caller, who calls llv_<noun>_release. A T* argument is borrowed for
 *    the call; a const char* in an info struct, as long as the object it was read from lives.
 *  - Release takes null, never fails, and may come in any order: a child keeps its parent alive.
 *  - Threads: an engine and everything made from it is used by one thread at a time; a second one
 *    that enters meanwhile gets LLV_BUSY. Release, and functions marked @thread any, may be called
 *    on any thread. A callback may not call into the engine that runs it (LLV_STATE).
 *  - Structs that begin with `size` are set up by their _init function, which the host calls first.
 *  - Nothing here ends the process or throws.
 */
#ifndef LLAVASHARP_H
#define LLAVASHARP_H

#include <stdint.h>

#if defined(_WIN32)
#define LLV_API __declspec(dllexport)
#else
#define LLV_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** The contract's version: raised when a function or struct changes incompatibly. */
#define LLV_ABI_VERSION 1
/** A label that is not trained on. */
#define LLV_IGNORE_LABEL (-100)
/** An entry of a batch's tokens: the learned row image_newline goes there. */
#define LLV_IMAGE_NEWLINE (-2)
/** The highest rank of a parameter. */
#define LLV_RANK_MAX 4
/** What a call came to. @see llv_error_message */
enum llv_status_code {
  LLV_OK = 0,            /**< Done. */
  LLV_INVALID = 1,       /**< An argument is null, out of range or an unknown name or option. */
  LLV_SHAPE = 2,         /**< A shape, count or dtype is not the one required; both are named. */
  LLV_STATE = 3,         /**< The call does not fit the object's state. */
  LLV_BUSY = 4,          /**< Another thread is inside this engine. */
  LLV_UNSUPPORTED = 5,   /**< A valid request that this build or device cannot do. */
  LLV_OUT_OF_MEMORY = 6, /**< Memory is exhausted; the message has the bytes asked for. */
  LLV_DEVICE = 7,        /**< libtorch or the device failed. */
  LLV_NUMERIC = 8,       /**< A loss or gradient is NaN or infinite; nothing was updated. */
  LLV_CANCELLED = 9,     /**< A callback asked to stop. */
  LLV_INTERNAL = 10,     /**< A fault of the engine. */
  LLV_COMM = 11          /**< A rank is missing, has failed or differs; the message names it. */
};

/** One of llv_status_code. */
typedef int32_t llv_status;
/** How a tensor's elements are stored. */
enum llv_dtype { LLV_FLOAT32 = 0, LLV_FLOAT16 = 1, LLV_BFLOAT16 = 2, LLV_FLOAT64 = 3 };
/** Where an engine computes. */
enum llv_device { LLV_DEVICE_CPU = 0, LLV_DEVICE_CUDA = 1, LLV_DEVICE_HPU = 2 };

/** How severe a log line is. */
enum llv_log_level { LLV_LOG_DEBUG = 0, LLV_LOG_INFO = 1, LLV_LOG_WARNING = 2, LLV_LOG_ERROR = 3 };

/** Activation functions. quick_gelu(x) = x·sigmoid(1.702x); gelu uses erf. */
enum llv_activation { LLV_QUICK_GELU = 0, LLV_GELU = 1 };

/** How image features become decoder inputs. LLV_PROJECTOR_MLP is LLaVA's mlpNx_gelu. */
enum llv_projector { LLV_PROJECTOR_IDENTITY = 0, LLV_PROJECTOR_LINEAR = 1, LLV_PROJECTOR_MLP = 2 };

/** Kinds of parameter units, as bits of a mask. */
enum llv_unit_kind {
  LLV_UNIT_VISION = 1,    /**< The vision tower. */
  LLV_UNIT_PROJECTOR = 2, /**< The projector. */
  LLV_UNIT_EMBED = 4,     /**< The token embedding. */
  LLV_UNIT_LAYER = 8,     /**< The decoder layers, one unit each. */
  LLV_UNIT_HEAD = 16,     /**< The final norm and the output projection. */
  LLV_UNIT_LORA = 32,     /**< Adapters: one unit a decoder layer that has any. */
  LLV_UNIT_NEWLINE = 64   /**< image_newline, where the config has one. */
};

/** How weights are stored. A pass makes float32 of a unit's in a working buffer, exactly. */
enum llv_storage {
  LLV_STORE_FLOAT32 = 0,
  LLV_STORE_BFLOAT16 = 1,   /**< Nearest, to even. What trains has a float32 master instead. */
  LLV_STORE_INT8 = 2,       /**< A byte each, and the largest magnitude of each row. */
  LLV_STORE_NF4 = 3,        /**< Four bits, and the largest magnitude of each 64 (QLoRA). */
  LLV_STORE_NF4_DOUBLE = 4, /**< The same with those magnitudes in a byte each. */
  LLV_STORE_FP4 = 5,        /**< NF4 with a floating-point number's levels. */
  LLV_STORE_FP4_DOUBLE = 6  /**< The same with magnitudes in a byte each. */
};

/** What is stored beside a trainable parameter. */
enum llv_slot {
  LLV_SLOT_GRADIENT = 0,      /**< The accumulated gradient. */
  LLV_SLOT_FIRST_MOMENT = 1,  /**< AdamW's m. */
  LLV_SLOT_SECOND_MOMENT = 2, /**< AdamW's v. */
  LLV_SLOT_WEIGHT = 3         /**< The parameter itself: of shards only. */
};

/** How llv_model_parameter_fill draws values. */
enum llv_fill { LLV_FILL_CONSTANT = 0, LLV_FILL_NORMAL = 1, LLV_FILL_UNIFORM = 2 };

typedef struct llv_engine llv_engine;
typedef struct llv_model llv_model;
typedef struct llv_trainer llv_trainer;
typedef struct llv_generator llv_generator;
typedef struct llv_communicator llv_communicator;

/** Receives a log line. Process-wide; may be called on any thread. */
typedef void (*llv_log_fn)(int32_t level, const char* message, void* user);
/** Receives each token of a sequence, in order; non-zero ends the run with LLV_CANCELLED. */
typedef int32_t (*llv_token_fn)(int32_t sequence, int32_t token, void* user);

/* ---- library ---- */

/** What this library is. The text is static. */
typedef struct llv_library_info {
  int32_t abi_version;  /**< LLV_ABI_VERSION of the library. */
  int32_t reserved;     /**< 0. */
  const char* version;  /**< The engine's version, such as "0.1.0". */
  const char* libtorch; /**< The version of the libtorch that was loaded. */
  const char* simd;     /**< The instruction set the CPU kernels chose, such as "AVX3_ZEN4". */
} llv_library_info;

/** Describes the library. @thread any */
LLV_API llv_status llv_library_info_get(llv_library_info* out_info);

/** The reason of this thread's last failed call, "" after a success. Valid until its next call.
 * @thread any */
LLV_API const char* llv_error_message(void);

/** Sends log lines of at least `level` to `callback`; null turns logging off. @thread any */
LLV_API llv_status llv_log_set(int32_t level, llv_log_fn callback, void* user);

/** How many engines, models, trainers and generators are alive, in the process. @thread any */
LLV_API llv_status llv_live_count_get(int64_t* out_count);

/** One value of every type that crosses. */
typedef struct llv_echo {
  int32_t i32;
  float f32;
  int64_t i64;
  double f64;
  const char* text;
} llv_echo;

/** Returns what it was given, and the span's sum: the proof that layouts agree on both sides.
 * out_value->text is borrowed from the input. @thread any */
LLV_API llv_status llv_echo_get(const llv_echo* value, const int64_t* span, int64_t span_count,
                                llv_echo* out_value, int64_t* out_span_sum);

/* ---- engine ---- */

/** What an engine is made of. */
typedef struct llv_engine_options {
  int64_t size;     /**< sizeof(llv_engine_options). */
  int32_t device;   /**< llv_device. Default LLV_DEVICE_CPU. */
  int32_t index;    /**< Device index. Default 0. */
  int32_t threads;  /**< CPU threads; 0 keeps libtorch's choice. Default 0. */
  int32_t reserved; /**< 0. */
} llv_engine_options;

/** Memory of an engine, in bytes. */
typedef struct llv_memory {
  int64_t parameters;    /**< Parameters now held: of sharded ones, this rank's part. */
  int64_t gradients;     /**< Gradients now held, likewise. */
  int64_t optimizer;     /**< Optimizer state now held, likewise. */
  int64_t transient;     /**< Of sharded training: buffers for what is whole for a while. */
  int64_t workspace;     /**< Activations and scratch now held. */
  int64_t mapped;        /**< Optimizer state and shards in files (offload_folder): not above. */
  int64_t peak;          /**< The most that was held at once since creation or the last reset,
                          * files aside. */
  int64_t resident;      /**< Resident memory of the process now. */
  int64_t resident_peak; /**< The process's highest resident memory. */
} llv_memory;

/** Fills in the defaults. @thread any */
LLV_API llv_status llv_engine_options_init(llv_engine_options* out_options);

/** Opens a device. LLV_UNSUPPORTED names one that this build has no backend for. @thread any */
LLV_API llv_status llv_engine_create(const llv_engine_options* options, llv_engine** out_engine);

/** Gives back an engine; null is harmless. @thread any */
LLV_API void llv_engine_release(llv_engine* engine);

/** Threads that kernels and products use. */
LLV_API llv_status llv_engine_threads_get(llv_engine* engine, int32_t* out_threads);

/** Reads memory figures; reset_peak ≠ 0 starts a new peak. */
LLV_API llv_status llv_engine_memory_get(llv_engine* engine, int32_t reset_peak,
                                         llv_memory* out_memory);

/* ---- model ---- */

/** A LLaVA model's shape. Dv = vision_hidden, D = hidden, V = vocabulary, S = image_size, p =
 * patch_size, P = (S/p)² patches, L = image rows: P, or P+1 when the class token is kept. */
typedef struct llv_model_config {
  int64_t size;                    /**< sizeof(llv_model_config). */
  int32_t vision_hidden;           /**< Dv. 0 = no tower and no projector: a text-only model. */
  int32_t vision_layers;           /**< Layers in the checkpoint. */
  int32_t vision_heads;            /**< Divides Dv. */
  int32_t vision_intermediate;     /**< Width of the tower's MLP. */
  int32_t image_size;              /**< S, a multiple of p. */
  int32_t patch_size;              /**< p. */
  int32_t vision_activation;       /**< llv_activation. Default LLV_QUICK_GELU. */
  int32_t vision_feature_layer;    /**< hidden_states index; < 0 from the end. Default -2. */
  int32_t vision_keep_class_token; /**< 1: 'full' or 'cls_patch'; 0: 'default' or 'patch'. */
  int32_t projector;               /**< llv_projector. Default LLV_PROJECTOR_MLP. */
  int32_t projector_depth;         /**< Linears in the MLP (N of mlpNx_gelu). Default 2. */
  int32_t hidden;                  /**< D. */
  int32_t layers;                  /**< Decoder layers. */
  int32_t heads;                   /**< Query heads. */
  int32_t kv_heads;                /**< Key and value heads; divides heads. */
  int32_t head_dim;                /**< Even. Need not be D / heads. */
  int32_t intermediate;            /**< Width of the SwiGLU MLP. */
  int32_t vocabulary;              /**< V. */
  int32_t rope_dtype;              /**< llv_dtype that rotary frequencies are rounded to. */
  int32_t image_newline;           /**< 1: the table ends in "image_newline" [D]. Default 0. */
  int32_t storage;                 /**< LLV_STORE_FLOAT32 or _BFLOAT16: all but adapters. */
  int32_t linear_storage;          /**< LLV_STORE_INT8 or later: the decoder layers' linears, which
                                      then cannot train; their norms stay float32. 0: as storage. */
  double vision_norm_eps;          /**< LayerNorm epsilon. Default 1e-5. */
  double norm_eps;                 /**< RMSNorm epsilon. Default 1e-5. */
  double rope_theta;               /**< Rotary base. Default 10000. */
} llv_model_config;

/** One row of the parameter table. */
typedef struct llv_parameter {
  const char* name;            /**< Canonical name, such as "layer.0.self_attn.q_proj.weight". */
  int32_t unit_kind;           /**< llv_unit_kind. */
  int32_t unit;                /**< 0 vision, 1 projector, 2 embed, 3+i layer i, head, newline,
                                  adapters. */
  int32_t rank;                /**< 1 … LLV_RANK_MAX. */
  int32_t decay;               /**< 1 unless a norm's weight or a bias (the recipe's rule). */
  int32_t trainable;           /**< As llv_model_trainable_set left it. */
  int32_t reserved;            /**< 0. */
  int64_t shape[LLV_RANK_MAX]; /**< Row-major; 1 beyond rank. */
  int64_t count;               /**< Elements. */
  int64_t offset;              /**< Floats from the start of its unit. */
} llv_parameter;

/** A micro-batch: B samples laid end to end as one run of T tokens, without padding.
 *
 * Where sample b holds images, its tokens include one entry an image row, whose id is not read;
 * image_slots says which row goes where. Labels are aligned with tokens: labels[t] is predicted at
 * t-1 of the same sample. */
typedef struct llv_batch {
  int64_t size;               /**< sizeof(llv_batch). */
  const int32_t* tokens;      /**< [T] ids in 0 … V-1, or LLV_IMAGE_NEWLINE. */
  int64_t tokens_count;       /**< T ≥ 1. */
  const int32_t* labels;      /**< [T] ids or LLV_IGNORE_LABEL; null where no loss is wanted. */
  int64_t labels_count;       /**< T, or 0. */
  const int32_t* positions;   /**< [T] rotary positions ≥ 0. */
  int64_t positions_count;    /**< T. */
  const int32_t* cu_seqlens;  /**< [B+1] first token of each sample, then T; rising from 0. */
  int64_t cu_seqlens_count;   /**< B+1. */
  const int32_t* image_slots; /**< [N·L] token index that image row r replaces; -1: cut off. */
  int64_t image_slots_count;  /**< N·L, or 0. */
  const float* pixels;        /**< [N,3,S,S] normalised, channel-first. */
  int64_t pixels_count;       /**< N·3·S·S, or 0. */
} llv_batch;

/** Fills in the defaults. Widths are 0 and must be set. @thread any */
LLV_API llv_status llv_model_config_init(llv_model_config* out_config);

/** Fills in an empty batch. @thread any */
LLV_API llv_status llv_batch_init(llv_batch* out_batch);
/** Makes a model with all parameters zero and none trainable. */
LLV_API llv_status llv_model_create(llv_engine* engine, const llv_model_config* config,
                                    llv_model** out_model);

/** Gives back a model; null is harmless. @thread any */
LLV_API void llv_model_release(llv_model* model);

/** Rows of the parameter table. */
LLV_API llv_status llv_model_parameter_count(llv_model* model, int64_t* out_count);

/** Row `index` of the table: in an order that the config fixes, then adapters as attached. */
LLV_API llv_status llv_model_parameter_get(llv_model* model, int64_t index,
                                           llv_parameter* out_parameter);

/** Copies a parameter in, converting from `dtype` (llv_dtype). The shape must be the table's.
 * LLV_STATE: an adapter is merged, and the parameter is its weight or part of it. */
LLV_API llv_status llv_model_parameter_write(llv_model* model, const char* name, int32_t dtype,
                                             const int64_t* shape, int64_t shape_count,
                                             const void* bytes, int64_t bytes_count);

/** Copies a parameter out as float32. values_count must be its element count. */
LLV_API llv_status llv_model_parameter_read(llv_model* model, const char* name, float* out_values,
                                            int64_t values_count);

/** Draws a parameter, keyed by (seed, name): the same values on every machine. fill: llv_fill.
 * CONSTANT: a. NORMAL: mean a, deviation b. UNIFORM: a … b. LLV_STATE as parameter_write. */
LLV_API llv_status llv_model_parameter_fill(llv_model* model, const char* name, int32_t fill,
                                            double a, double b, int64_t seed);

/** Chooses what trains: a mask of llv_unit_kind. LLV_STATE while a trainer exists. */
LLV_API llv_status llv_model_trainable_set(llv_model* model, int32_t unit_kinds);

/** A LoRA adapter (Hu et al. 2021) with PEFT's arithmetic: y = x·Wᵀ + s·(drop(x)·Aᵀ)·Bᵀ. */
typedef struct llv_lora {
  int64_t size;            /**< sizeof(llv_lora). */
  double alpha;            /**< s = alpha / rank. Default 16. */
  double dropout;          /**< 0 ≤ p < 1, in llv_trainer_accumulate only. Default 0. */
  int64_t seed;            /**< Of A's values and of the masks. Default 0. */
  int32_t rank;            /**< ≥ 1. Default 8. */
  int32_t rank_stabilized; /**< ≠ 0: s = alpha / √rank. Default 0. */
  int32_t decomposed;      /**< ≠ 0: DoRA, rows of W + s·B·A have lengths that train. Default 0. */
  int32_t reserved;        /**< 0. */
} llv_lora;

/** Fills in the defaults. @thread any */
LLV_API llv_status llv_lora_init(llv_lora* out_options);

/** Attaches an adapter to a decoder layer's linear, by its weight's name. The table gains, for
 * "….q_proj.weight" [out,in]: "….q_proj.lora_A.weight" [rank,in], uniform in ±1/√in, and
 * "….q_proj.lora_B.weight" [out,rank], zero; with DoRA (Liu et al. 2024) also
 * "….q_proj.lora_magnitude_vector" [out], the lengths of the weight's rows, taken once more when
 * the weight is written or filled. Adapters of one input (q, k and v; gate and up) have one dropout
 * and seed and share its mask, keyed by (seed, step, micro-batch, layer, input). LLV_UNSUPPORTED:
 * another parameter. LLV_STATE: a trainer exists, or an adapter, or all are merged.
 */
LLV_API llv_status llv_model_lora_attach(llv_model* model, const llv_lora* options,
                                         const char* weight_name);

/** W += s·B·A for each adapter, with DoRA rows then get their lengths; none computes any more: what
 * parameter_read then gives is the merged model. LLV_STATE: a trainer exists, there is no adapter,
 * or all are merged. */
LLV_API llv_status llv_model_lora_merge(llv_model* model);

/** Undoes llv_model_lora_merge, to rounding. LLV_STATE: nothing is merged, or a length was 0. */
LLV_API llv_status llv_model_lora_unmerge(llv_model* model);

/** Tower output for pixels [N,3,S,S] at the chosen layer: out_features [N,L,Dv]. */
LLV_API llv_status llv_model_vision_run(llv_model* model, const float* pixels, int64_t pixels_count,
                                        float* out_features, int64_t features_count);

/** Tower and projector: out_features [N,L,D]. */
LLV_API llv_status llv_model_project_run(llv_model* model, const float* pixels,
                                         int64_t pixels_count, float* out_features,
                                         int64_t features_count);

/** Logits of the chosen rows (token indices of the run): out_logits [rows_count,V]. */
LLV_API llv_status llv_model_logits_run(llv_model* model, const llv_batch* batch,
                                        const int32_t* rows, int64_t rows_count, float* out_logits,
                                        int64_t logits_count);

/** Cross entropy without gradients: out_loss[b] is the sum over sample b's supervised tokens,
 * out_tokens[b] their number. Both counts are B. */
LLV_API llv_status llv_model_loss_run(llv_model* model, const llv_batch* batch, double* out_loss,
                                      int64_t loss_count, int64_t* out_tokens,
                                      int64_t tokens_count);

/* ---- communicator ---- */

/** What carries bytes between the ranks that train one model. */
enum llv_communicator_kind {
  LLV_COMMUNICATOR_LOCAL = 0, /**< Threads of one process, which meet under `address`. */
  LLV_COMMUNICATOR_MPI = 1,   /**< Processes that mpirun or srun started. */
  LLV_COMMUNICATOR_GLOO = 2,  /**< Processes over TCP; rank 0 listens on `address`, host:port. */
  LLV_COMMUNICATOR_NCCL = 3,  /**< NVIDIA's library, for device memory. */
  LLV_COMMUNICATOR_HCCL = 4   /**< Habana's library, for device memory. */
};

/** How ranks meet. */
typedef struct llv_communicator_options {
  int64_t size;        /**< sizeof(llv_communicator_options). */
  int32_t kind;        /**< llv_communicator_kind. Default LLV_COMMUNICATOR_LOCAL. */
  int32_t rank;        /**< 0 … world-1; -1 with MPI: as MPI says. Default -1. */
  int32_t world;       /**< Ranks; -1 with MPI: as MPI says. Default -1. */
  int32_t timeout_ms;  /**< How long a rank waits for another. Default 300000. */
  const char* address; /**< LOCAL: a name. GLOO: host:port of rank 0. NCCL, HCCL: how the processes
                        * meet: "" by MPI, host:port by Gloo. MPI: not read. Default "". */
  const char* journal; /**< A file that says which transfer this rank came to last, and still
                        * does when the rank is gone: their count, a tab, words. Default "". */
} llv_communicator_options;

/** Which rank this is. */
typedef struct llv_communicator_info {
  int32_t kind;       /**< llv_communicator_kind. */
  int32_t rank;       /**< 0 … world-1. */
  int32_t world;      /**< Ranks. */
  int32_t timeout_ms; /**< As chosen. */
} llv_communicator_info;

/** Fills in the defaults. @thread any */
LLV_API llv_status llv_communicator_options_init(llv_communicator_options* out_options);

/** Meets the other ranks: returns once all have come. LLV_UNSUPPORTED: this build or machine does
 * not have the kind. LLV_COMM: a rank did not come. LLV_INVALID: the journal cannot be written. One
 * thread at a time uses a communicator, and no thread while a trainer's call that uses it runs; a
 * trainer keeps it alive. @thread any */
LLV_API llv_status llv_communicator_create(const llv_communicator_options* options,
                                           llv_communicator** out_communicator);

/** Gives back a communicator; null is harmless. The process leaves the job in peace: a process
 * that ends without it takes the others along. @thread any */
LLV_API void llv_communicator_release(llv_communicator* communicator);

/** Says which rank this is. @thread any */
LLV_API llv_status llv_communicator_info_get(llv_communicator* communicator,
                                             llv_communicator_info* out_info);

/** Each rank's bytes, in rank order, to every rank: out_all is world times `bytes_count` long,
 * which is the same on all. `purpose` is for messages. @thread any */
LLV_API llv_status llv_communicator_gather(llv_communicator* communicator, const char* purpose,
                                           const uint8_t* bytes, int64_t bytes_count,
                                           uint8_t* out_all, int64_t all_count);

/** Ends the job for all ranks: threads get LLV_COMM with the reason, processes end with `code`,
 * this one included where the transport does so. @thread any */
LLV_API llv_status llv_communicator_stop(llv_communicator* communicator, int32_t code,
                                         const char* reason);

/* ---- trainer ---- */

/** AdamW's fixed options (Loshchilov and Hutter 2019, as torch.optim.AdamW), and what is kept. */
typedef struct llv_trainer_options {
  int64_t size;             /**< sizeof(llv_trainer_options). */
  double beta1;             /**< Default 0.9. */
  double beta2;             /**< Default 0.999. */
  double eps;               /**< Default 1e-8. */
  int32_t recompute_layers; /**< The first so many decoder layers keep only their input for
                             * backward, and run again: same bits, less memory. More than there are:
                             * all. Default 0. */
  int32_t tokens_at_once; /**< Samples of a micro-batch run together up to so many tokens, a longer
                           * one alone: the same sums in less memory. 0 (default): all where a
                           * decoder layer, an adapter or the head trains, else 1280. A sharded
                           * trainer runs all. */
  const char* offload_folder; /**< Where files go that are mapped into memory in its place; nothing
                               * of them is left when the process ends. Default "". */
  int32_t offload_optimizer;  /**< Whether AdamW's moments lie in such files. Default 0. */
  int32_t offload_weights;    /**< Whether this rank's shards of weights do. Default 0. */
} llv_trainer_options;

/** The samples of a training step that run at once, by their sizes alone. */
typedef struct llv_workload {
  int64_t size;             /**< sizeof(llv_workload). */
  int64_t tokens;           /**< T, image rows included. */
  int64_t samples;          /**< B. */
  int64_t supervised;       /**< R: tokens with a label that counts. */
  int64_t images;           /**< N, none of them cut off. */
  int32_t units;            /**< What trains: a mask of llv_unit_kind. */
  int32_t lora_rank;        /**< Of an adapter on every decoder linear; 0: none. */
  int32_t lora_decomposed;  /**< ≠ 0: they are DoRA's. */
  int32_t recompute_layers; /**< As llv_trainer_options'. */
  int32_t threads;          /**< CPU threads, ≥ 1. */
  int32_t reserved;         /**< 0. */
} llv_workload;

/** What a model and a trainer hold at a workload's step, in bytes: computed, nothing is made. */
typedef struct llv_plan {
  int64_t parameters; /**< As llv_memory's, exactly. */
  int64_t gradients;  /**< As llv_memory's, exactly. */
  int64_t optimizer;  /**< As llv_memory's, exactly. */
  int64_t transient;  /**< As llv_memory's after a first step, exactly. */
  int64_t workspace;  /**< As llv_memory's after a first step, exactly. */
  int64_t scratch;    /**< The most that threads keep for products and attention. */
  int64_t total;      /**< The sum: what a step adds to a process that has only started. */
} llv_plan;

/** Fills in zeros, and one thread. @thread any */
LLV_API llv_status llv_workload_init(llv_workload* out_workload);

/** Plans the memory of a step on the CPU. LLV_INVALID names what is out of range. @thread any */
LLV_API llv_status llv_plan_get(const llv_model_config* config, const llv_workload* workload,
                                llv_plan* out_plan);

/** What a parameter group uses in one step. */
typedef struct llv_group {
  double learning_rate; /**< ≥ 0. */
  double weight_decay;  /**< Decoupled, ≥ 0. */
} llv_group;

/** What a micro-batch gave. */
typedef struct llv_loss {
  double sum;     /**< Sum of the supervised tokens' cross entropies, in nats. */
  int64_t tokens; /**< Labels other than LLV_IGNORE_LABEL, first tokens of samples excepted. */
} llv_loss;

/** Fills in the defaults. @thread any */
LLV_API llv_status llv_trainer_options_init(llv_trainer_options* out_options);

/** Makes gradients and optimizer state for what is trainable. One trainer a model at a time. */
LLV_API llv_status llv_trainer_create(llv_model* model, const llv_trainer_options* options,
                                      llv_trainer** out_trainer);

/** Gives back a trainer; null is harmless. @thread any */
LLV_API void llv_trainer_release(llv_trainer* trainer);

/** Assigns each row of the parameter table to a group (ignored for frozen rows). Default: all in
 * group 0. */
LLV_API llv_status llv_trainer_groups_set(llv_trainer* trainer, const int32_t* groups,
                                          int64_t groups_count);

/** Forward and backward of one micro-batch: gradients += gradient_scale · d(loss sum)/d(parameter).
 * The recipe's mean is gradient_scale = 1 / (supervised tokens · accumulation steps). LLV_INVALID:
 * no token is supervised. LLV_NUMERIC: the loss is not finite (then clear the gradients). */
LLV_API llv_status llv_trainer_accumulate(llv_trainer* trainer, const llv_batch* batch,
                                          double gradient_scale, llv_loss* out_loss);

/** One AdamW update from the accumulated gradients, which it clears. max_gradient_norm > 0 clips by
 * the global L2 norm as torch's clip_grad_norm_ (coefficient max / (norm + 1e-6), at most 1).
 * groups are those of llv_trainer_groups_set. LLV_NUMERIC: the norm is not finite; no update. */
LLV_API llv_status llv_trainer_step(llv_trainer* trainer, const llv_group* groups,
                                    int64_t groups_count, double max_gradient_norm,
                                    double* out_gradient_norm);

/** Forgets the accumulated gradients. */
LLV_API llv_status llv_trainer_gradients_clear(llv_trainer* trainer);

/** Copies a slot (llv_slot) of a trainable parameter out as float32. */
LLV_API llv_status llv_trainer_slot_read(llv_trainer* trainer, int32_t slot, const char* name,
                                         float* out_values, int64_t values_count);

/** Copies a slot in, to continue an earlier run bit by bit. */
LLV_API llv_status llv_trainer_slot_write(llv_trainer* trainer, int32_t slot, const char* name,
                                          const float* values, int64_t values_count);

/** Updates done so far: AdamW's t. */
LLV_API llv_status llv_trainer_step_count_get(llv_trainer* trainer, int64_t* out_steps);
/** Sets AdamW's t, to continue an earlier run. */
LLV_API llv_status llv_trainer_step_count_set(llv_trainer* trainer, int64_t steps);

/* ---- sharded training ---- */

/** When a step of a plan is done. */
enum llv_zero_phase {
  LLV_ZERO_MICRO = 0, /**< In each micro-batch but an update's last. */
  LLV_ZERO_LAST = 1,  /**< In the last. */
  LLV_ZERO_UPDATE = 2 /**< In llv_trainer_step. */
};

/** What a step of a plan does. GATHER, REDUCE and PUBLISH begin what goes on beside the compute,
 * in their order. */
enum llv_zero_op {
  LLV_ZERO_GATHER = 0,   /**< Begins to make a sharded unit's weights whole. */
  LLV_ZERO_WAIT = 1,     /**< They are whole. */
  LLV_ZERO_FORWARD = 2,  /**< The unit's forward pass, its adapters' with it. */
  LLV_ZERO_BACKWARD = 3, /**< Its backward pass. */
  LLV_ZERO_RELEASE = 4,  /**< Whole weights are given back; the shard stays. */
  LLV_ZERO_REDUCE = 5,   /**< Begins to add the ranks' gradients up, in rank order. */
  LLV_ZERO_SETTLE = 6,   /**< They are added; what was whole is given back. */
  LLV_ZERO_NORM = 7,     /**< The norm over all ranks, and whether all numbers are finite. */
  LLV_ZERO_ADAMW = 8,    /**< Updates the unit, or this rank's shard. */
  LLV_ZERO_PUBLISH = 9   /**< Begins to gather the updated weights. */
};

/** What a fault switch does, for tests. */
enum llv_fault_kind {
  LLV_FAULT_NONE = 0,
  LLV_FAULT_KILL = 1,       /**< The process is killed. */
  LLV_FAULT_STALL = 2,      /**< The rank's communication stands still. */
  LLV_FAULT_WRONG_SIZE = 3, /**< The rank sends less than it should. */
  LLV_FAULT_NAN = 4         /**< The rank's gradient holds a NaN. */
};

/** One step of a plan. */
typedef struct llv_zero_step {
  int32_t phase;  /**< llv_zero_phase. */
  int32_t op;     /**< llv_zero_op. */
  int32_t unit;   /**< Index of the unit; 0 for NORM. */
  int32_t joined; /**< 1: a GATHER, REDUCE or PUBLISH that waits for the phase's next one of its op
                   * and shares its exchange. Else 0. */
} llv_zero_step;

/** How training is sharded (Rajbhandari et al. 2020). */
typedef struct llv_zero_options {
  int64_t size;          /**< sizeof(llv_zero_options). */
  int32_t stage;         /**< 0 … 3. Default 0. */
  int32_t accumulation;  /**< Micro-batches an update, on every rank. Default 1. */
  int64_t reduce_bucket; /**< Floats that are reduced at a time: bounds memory. Default 2^24. */
  int64_t delay_us;      /**< Added to each exchange, to measure overlap with. Default 0. */
  int32_t fault;         /**< llv_fault_kind. Default LLV_FAULT_NONE. */
  int32_t fault_rank;    /**< Whose. Default 0. */
  int64_t fault_step;    /**< In which update, from 0. Default 0. */
} llv_zero_options;

/** A rank's part of a unit, which is a flat run of floats in the table's order. */
typedef struct llv_shard {
  int64_t begin; /**< First float of the unit. */
  int64_t count; /**< Floats, maybe none. */
  int64_t whole; /**< Floats of the unit. */
} llv_shard;

/** What communication took, since the trainer was made. */
typedef struct llv_traffic {
  int64_t exchanges;      /**< Transfers between ranks. */
  int64_t bytes;          /**< Sent by this rank. */
  double busy_seconds;    /**< That transfers lasted, waiting for other ranks included. */
  double exposed_seconds; /**< That compute waited for them. */
} llv_traffic;

/** Fills in the defaults. @thread any */
LLV_API llv_status llv_zero_options_init(llv_zero_options* out_options);

/** Makes a trainer that follows a plan together with the communicator's other ranks. Stage 1 shards
 * optimizer state, 2 gradients too, 3 the weights of embedding, layers, head and adapters as well:
 * those are then read with llv_trainer_shard_read, and a whole parameter that is written or filled
 * leaves its share with this rank: a model that is loaded after this call is never held whole.
 * LLV_INVALID: the plan has a fault; the
 * message has the index of the step. Under sharding:
 *  - llv_trainer_accumulate: a loss that is not finite is no error; llv_trainer_step tells every
 *    rank (LLV_NUMERIC).
 *  - llv_trainer_step takes exactly `accumulation` micro-batches. Its norm is that of all ranks.
 *  - Every rank makes the same calls. LLV_COMM ends the job: no call works after it. */
LLV_API llv_status llv_trainer_create_sharded(llv_model* model, const llv_trainer_options* options,
                                              llv_communicator* communicator,
                                              const llv_zero_options* zero,
                                              const llv_zero_step* steps, int64_t steps_count,
                                              llv_trainer** out_trainer);

/** llv_plan_get's plan for rank 0 of `world`, of which none holds more: trainer and model as
 * llv_trainer_create_sharded leaves them, all of a micro-batch at once. The steps are not checked
 * but for their units. @thread any */
LLV_API llv_status llv_plan_sharded_get(const llv_model_config* config,
                                        const llv_workload* workload, const llv_zero_options* zero,
                                        int32_t world, const llv_zero_step* steps,
                                        int64_t steps_count, llv_plan* out_plan);

/** Which part of a unit this rank holds of a slot (llv_slot). Without sharding: all of it. */
LLV_API llv_status llv_trainer_shard_get(llv_trainer* trainer, int32_t slot, int32_t unit,
                                         llv_shard* out_shard);

/** Copies this rank's part out. Of LLV_SLOT_WEIGHT: its part where weights are whole, too. */
LLV_API llv_status llv_trainer_shard_read(llv_trainer* trainer, int32_t slot, int32_t unit,
                                          float* out_values, int64_t values_count);

/** Copies this rank's part in. Where weights are whole, every rank writes them all with
 * llv_model_parameter_write instead: LLV_STATE. */
LLV_API llv_status llv_trainer_shard_write(llv_trainer* trainer, int32_t slot, int32_t unit,
                                           const float* values, int64_t values_count);

/** Reads what communication took. */
LLV_API llv_status llv_trainer_traffic_get(llv_trainer* trainer, llv_traffic* out_traffic);

/* ---- generator ---- */

/** How tokens are drawn. */
typedef struct llv_sampling {
  int64_t size;           /**< sizeof(llv_sampling). */
  double temperature;     /**< 0 = greedy (lowest id on ties). Default 0. */
  double top_p;           /**< Nucleus, 0 < p ≤ 1. Default 1. */
  int32_t top_k;          /**< 0 = all. Default 0. */
  int32_t max_new_tokens; /**< ≥ 1. Default 512. */
  int64_t seed;           /**< Key of the counter-based draws. Default 0. */
} llv_sampling;

/** Fills in the defaults. @thread any */
LLV_API llv_status llv_sampling_init(llv_sampling* out_sampling);

/** Makes a generator, which keeps a key-value cache between runs. */
LLV_API llv_status llv_generator_create(llv_model* model, llv_generator** out_generator);

/** Gives back a generator; null is harmless. @thread any */
LLV_API void llv_generator_release(llv_generator* generator);

/** Continues each of the batch's B prompts until a stop token or max_new_tokens. out_tokens
 * [B,max_new_tokens] holds each answer from its row's start, the stop token included; out_lengths
 * [B] its length. callback may be null. */
LLV_API llv_status llv_generator_run(llv_generator* generator, const llv_batch* batch,
                                     const llv_sampling* sampling, const int32_t* stop_tokens,
                                     int64_t stop_tokens_count, int32_t* out_tokens,
                                     int64_t tokens_count, int32_t* out_lengths,
                                     int64_t lengths_count, llv_token_fn callback, void* user);

#ifdef __cplusplus
}
#endif

#endif /* LLAVASHARP_H */
