#!/usr/bin/env bash
# Mistral 7B on Gaudi, stage 2 with LoRA. On a machine without Gaudi add --use_habana False.
# Further arguments come last and so count: --dry_run True checks everything first, --output_dir elsewhere, …
set -euo pipefail
runs=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The original divides a batch over 4 processes; one process takes it in 4 times as many micro-batches.
processes=4
exec ${LLAVASHARP:-dotnet run --project "$runs/../managed/LlavaSharp.Cli" -c Release --} train \
  --lora_enable True \
  --lora_r 128 \
  --lora_alpha 256 \
  --mm_projector_lr 2e-5 \
  --deepspeed "$runs/itrex/zero3.json" \
  --model_name_or_path mistralai/Mistral-7B-v0.1 \
  --template v1 \
  --data_path ./finetuning_data/llava_v1_5_mix665k.json \
  --image_folder ./finetuning_data \
  --vision_tower openai/clip-vit-large-patch14-336 \
  --pretrain_mm_mlp_adapter ./llava-v1.5-mistral-7b-pretrain/mm_projector.bin \
  --mm_projector_type mlp2x_gelu \
  --mm_vision_select_layer -2 \
  --mm_use_im_start_end False \
  --mm_use_im_patch_token False \
  --image_aspect_ratio pad \
  --group_by_modality_length False \
  --pad_max True \
  --bf16 True \
  --output_dir ./checkpoints/llava-v1.5-13b-lora \
  --num_train_epochs 1 \
  --per_device_train_batch_size 2 \
  --per_device_eval_batch_size 4 \
  --gradient_accumulation_steps $((8 * processes)) \
  --evaluation_strategy no \
  --save_strategy steps \
  --save_steps 50000 \
  --save_total_limit 1 \
  --learning_rate 2e-4 \
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
