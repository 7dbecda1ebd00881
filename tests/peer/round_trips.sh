#!/usr/bin/env bash
# What a demo's training wrote, opened by others, and back: ./build.sh round_trips [DEMO].
#
# $PEER runs Python there. Where it sees this folder under another name, LLAVASHARP_PEER_HERE is that name. Everything lands in
# artifacts/round_trips; each check prints its own lines, the last line counts them.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly demo=$1 out=artifacts/round_trips here=${LLAVASHARP_PEER_HERE:-.}
readonly model=$demo/stage2
held=0 failed=0

llavasharp() { dotnet run --project managed/LlavaSharp.Cli -c Release --no-build -- "$@" </dev/null; }
# shellcheck disable=SC2086
peer() { $PEER - "${@:2}" <"tests/peer/$1.py"; }

check() { # name command…
  printf '== %s\n' "$1"
  if "${@:2}"; then held=$((held + 1)); else failed=$((failed + 1)) && echo "FAILED: $1"; fi
}

full_training() {
  peer check_export "$here/$model" --projector "$here/$demo/stage1/mm_projector.bin" &&
    peer make_case "$here/$model" "$here/$out/case" && llavasharp parity "$out/case"
}

layouts() { # transformers' -> LLaVA's -> transformers'
  llavasharp convert --from "$model" --to "$out/llava" --layout llava &&
    llavasharp convert --from "$out/llava" --to "$out/hf" --layout hf &&
    peer check_logits "$here/$model" "$here/$out/model.safetensors" --record &&
    peer check_logits "$here/$out/hf" "$here/$out/model.safetensors"
}

adapter() { # name flags…: trained here, applied there and merged here
  local folder=$out/$1
  llavasharp train --model_name_or_path "$model" --version v1 --data_path "$demo/data/stage2.json" --image_folder "$demo/data/images" \
    --lora_enable True --lora_r 8 --lora_alpha 16 --max_steps 8 --per_device_train_batch_size 4 --learning_rate 1e-3 \
    --image_aspect_ratio pad --save_strategy no --output_dir "$folder" "${@:2}" &&
    llavasharp merge-lora --model "$model" --adapter "$folder" --output "$folder-merged" &&
    peer check_logits "$here/$model" "$here/$folder.safetensors" --adapter "$here/$folder" --record &&
    peer check_logits "$here/$folder-merged" "$here/$folder.safetensors"
}

others_adapter() { # flags…: drawn there, merged here
  local folder=$out/theirs$*
  peer check_logits "$here/$model" "$here/$folder.safetensors" --adapter "$here/$folder" --make "$@" &&
    llavasharp merge-lora --model "$model" --adapter "$folder" --output "$folder-merged" &&
    peer check_logits "$here/$folder-merged" "$here/$folder.safetensors"
}

llama_cpp() {
  llavasharp convert --from "$model" --to "$out/gguf" --layout gguf --dtype f32 || return 1
  local name question status=0
  while IFS=$'\t' read -r name question; do
    peer square_image "$here/$model" "$here/$demo/data/images/$name" "$here/$out/square.png" &&
      llavasharp generate --model "$model" --image "$out/square.png" --prompt "$question" --max_new_tokens 8 --json >"$out/answer.json" &&
      peer check_gguf "$here/$out/gguf" "$here/$out/answer.json" --model "$here/$model" --image "$here/$out/square.png" \
        --prompt "$question" || status=1
  done < <(questions)
  return "$status"
}

answers() { # 200 held-out questions: transformers with the folder as it is, beside `generate`
  local questions=$demo/data/heldout_questions.json images=$demo/data/images name question
  peer check_answers "$here/$model" "$here/$questions" "$here/$images" --list 200 >"$out/asked.tsv" || return 1
  while IFS=$'\t' read -r name question; do
    llavasharp generate --model "$model" --image "$images/$name" --prompt "$question" --max_new_tokens 12 --json || return 1
  done <"$out/asked.tsv" >"$out/answers.jsonl"
  peer check_answers "$here/$model" "$here/$questions" "$here/$images" --answers "$here/$out/answers.jsonl"
}

questions() { # the first of each of four pictures: file, tab, question
  $PEER - "$here/$demo/data/heldout_questions.json" <<'PYTHON'
import json
import sys

first = {}
for scene in json.load(open(sys.argv[1], encoding="utf-8")):
    first.setdefault(scene["image"], scene["conversations"][0]["value"].replace("<image>\n", ""))
print("\n".join(f"{name}\t{question}" for name, question in list(first.items())[:4]))
PYTHON
}

rm -rf "$out"
mkdir -p "$out"
check "full training: transformers opens the folder and computes what the engine does" full_training
check "answers: transformers with the folder as it is, and generate, on 200 held-out questions" answers
check "layouts: there and back" layouts
check "an adapter that training wrote: PEFT's arithmetic, and merged" adapter lora
check "the same with DoRA" adapter dora --use_dora True
check "an adapter that others wrote, merged" others_adapter
check "the same with DoRA" others_adapter --dora
check "llama.cpp on the pair of GGUF files" llama_cpp
check "TensorBoard events" peer check_events "$here/$model"
echo "$held passed, $failed failed"
((failed == 0))
