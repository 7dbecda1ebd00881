#!/usr/bin/env bash
# Mistral 7B on Gaudi, stage 1. On a machine without Gaudi add --use_habana False.
# Further arguments come last and so count: --dry_run True checks everything first, --output_dir elsewhere, …
set -euo pipefail
runs=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The original divides a batch over 4 processes; one process takes it in 4 times as many micro-batches.
processes=4
exec ${LLAVASHARP:-dotnet run --project "$runs/../managed/LlavaSharp.Cli" -c Release --} train \
  --deepspeed "$runs/itrex/zero2.json" \
  --model_name_or_path mistralai/Mistral-7B-v0.1 \
  --template plain \
  --data_path ./pretraining_data/LLaVA-Pretrain/blip_laion_cc_sbu_558k.json \
  --image_folder ./pretraining_data/LLaVA-Pretrain/images \
  --vision_tower openai/clip-vit-large-patch14-336 \
  --mm_projector_type mlp2x_gelu \
  --tune_mm_mlp_adapter True \
  --mm_vision_select_layer -2 \
  --mm_use_im_start_end False \
  --mm_use_im_patch_token False \
  --bf16 True \
  --output_dir ./llava-v1.5-mistral-7b-pretrain \
  --num_train_epochs 1 \
  --per_device_train_batch_size 2 \
  --per_device_eval_batch_size 4 \
  --gradient_accumulation_steps $((8 * processes)) \
  --evaluation_strategy no \
  --save_strategy steps \
  --save_steps 24000 \
  --save_total_limit 1 \
  --learning_rate 1e-3 \
  --weight_decay 0. \
  --warmup_ratio 0.03 \
  --lr_scheduler_type cosine \
  --logging_steps 1 \
  --model_max_length 2048 \
  --gradient_checkpointing True \
  --dataloader_num_workers 4 \
  --lazy_preprocess True \
  --report_to wandb \
  --use_habana \
  --use_lazy_mode \
  "$@"
