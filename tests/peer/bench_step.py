"""Times training steps of Hugging Face's LLaVA on this machine, as one side of `./build.sh bench peers`.

    ./build.sh peer bench_step --stage pretrain|lora|full --size tiny|small

Random weights, float32, the library's fused attention, one padded batch as its collator makes it: each sample is BOS, an
image of 336 × 336 (576 rows) and text. Stage 1 learns all of its text, stage 2 the last two thirds. A step is forward,
backward, clipping, AdamW; the first is not timed. Prints one JSON line; memory is the process's peak after loading.
Imports: torch, transformers (4.47 or newer); peft if it is there, else its arithmetic is written out.
"""
import argparse
import json
import statistics
import time

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

IMAGE, ROWS, BOS, IGNORE = 31999, 576, 1, -100
CAPTIONS, CONVERSATIONS = [12, 18, 26, 40], [90, 180, 320, 640]
SIZES = {
    "tiny": ({"hidden_size": 64, "num_hidden_layers": 4, "intermediate_size": 128, "num_attention_heads": 4},
             {"hidden_size": 128, "num_hidden_layers": 4, "intermediate_size": 344, "num_attention_heads": 4,
              "num_key_value_heads": 4}),
    "small": ({"hidden_size": 384, "num_hidden_layers": 8, "intermediate_size": 1536, "num_attention_heads": 6},
              {"hidden_size": 768, "num_hidden_layers": 8, "intermediate_size": 2048, "num_attention_heads": 12,
               "num_key_value_heads": 12}),
}


class Adapter(torch.nn.Module):
    """PEFT's arithmetic: y = Wx + alpha / r * B(A(dropout(x)))."""

    def __init__(self, base, rank=128, alpha=256, dropout=0.05):
        super().__init__()
        self.base, self.scale, self.dropout = base, alpha / rank, torch.nn.Dropout(dropout)
        self.down = torch.nn.Linear(base.in_features, rank, bias=False)
        self.up = torch.nn.Linear(rank, base.out_features, bias=False)
        torch.nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.base(x) + self.up(self.down(self.dropout(x))) * self.scale


def adapt(model):
    """Adapters beside every linear of the decoder's layers."""
    names = [name for name, module in model.named_modules()
             if isinstance(module, torch.nn.Linear) and "language_model" in name and "lm_head" not in name]
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        for name in names:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, Adapter(model.get_submodule(name)))
        return model
    return get_peft_model(model, LoraConfig(r=128, lora_alpha=256, lora_dropout=0.05, target_modules=names))


def make_model(size, stage):
    vision, text = SIZES[size]
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=336, patch_size=14, **vision).to_dict(),
        text_config=LlamaConfig(vocab_size=32000, **text).to_dict(),
        image_token_index=IMAGE, vision_feature_layer=-2, vision_feature_select_strategy="default", projector_hidden_act="gelu")
    model = LlavaForConditionalGeneration._from_config(config, attn_implementation="sdpa")
    model.config.use_cache = False
    model.requires_grad_(False)
    if stage == "lora":
        model = adapt(model)
    for name, parameter in model.named_parameters():
        if "multi_modal_projector" in name or (stage == "full" and "vision_tower" not in name):
            parameter.requires_grad_(True)
    return model.train()


def make_batch(lengths, stage):
    longest = 1 + ROWS + max(lengths)
    ids = torch.zeros(len(lengths), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORE)
    for row, length in enumerate(lengths):
        text = torch.randint(3, 31000, (length,))
        first, end = 1 + ROWS, 1 + ROWS + length
        ids[row, 0], ids[row, 1:first], ids[row, first:end] = BOS, IMAGE, text
        mask[row, :end] = 1
        learned = first if stage == "pretrain" else first + length // 3
        labels[row, learned:end] = ids[row, learned:end]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels, "pixel_values": torch.randn(len(lengths), 3, 336, 336)}


def peak_mib():
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) // 1024


def main():
    parser = argparse.ArgumentParser(description="times training steps of Hugging Face's LLaVA")
    parser.add_argument("--stage", default="pretrain", choices=["pretrain", "lora", "full"])
    parser.add_argument("--size", default="small", choices=SIZES)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    lengths = CAPTIONS if arguments.stage == "pretrain" else CONVERSATIONS
    lengths = [lengths[i % 4] for i in range(arguments.batch)]
    model = make_model(arguments.size, arguments.stage)
    batch = make_batch(lengths, arguments.stage)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    times = []
    for step in range(arguments.steps + 1):
        start = time.perf_counter()
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step:
            times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    tokens = sum(lengths) + len(lengths) * (1 + ROWS)
    print(json.dumps({"peer": "hugging-face", "stage": arguments.stage, "size": arguments.size, "batch": arguments.batch,
                      "sec": round(seconds, 4), "samples_s": round(len(lengths) / seconds, 3),
                      "tokens_s": round(tokens / seconds, 1), "loss": round(loss.item(), 4), "rss_mib": peak_mib()}))


main()
