"""Logits of a Hugging Face LLaVA folder, recorded or compared, by transformers in float32.

    ./build.sh peer check_logits MODEL FILE --record              # writes FILE (.safetensors): inputs and logits of MODEL
    ./build.sh peer check_logits MODEL FILE                       # MODEL gives the logits of FILE, within 1e-5
    ./build.sh peer check_logits BASE FILE --adapter DIR          # BASE with PEFT's arithmetic over it gives them
    ./build.sh peer check_logits BASE FILE --adapter DIR --make   # draws an adapter, writes DIR, and records

What is compared is |difference| / |logits| over the ids before <image>: the layouts differ in what stands there and behind it. With --adapter nothing is merged: each adapted linear
computes W x + s B (A x), as PEFT's does, with DoRA each output times m / |row of W + s B A|, and what is in non_lora_trainables.bin replaces the base's. --make
writes the folder as PEFT and LLaVA's LoRA training do, from BASE's own modules, so that our reader meets files that we did not write.
Exits with 1 past the bound. Imports: torch, transformers, safetensors.
"""
import argparse
import json
import math
import os
import re
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

BOUND = 1e-5
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def load(folder):
    model = LlavaForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").float().eval()
    config = model.config
    image = getattr(config, "image_token_index", None)
    return model, config.image_token_id if image is None else image


def decoder(model):
    """The language model's layers, whatever this version of transformers calls their place."""
    return next(module for name, module in model.named_modules() if name.endswith("language_model") and hasattr(module, "layers"))


def projector(model):
    return next(module for name, module in model.named_modules() if name.endswith("multi_modal_projector"))


def draw_inputs(model):
    """A prompt of two texts around one picture of noise; `place` is where its rows go."""
    vision = model.config.vision_config
    random = torch.Generator().manual_seed(7)
    rows = (vision.image_size // vision.patch_size) ** 2
    text = torch.randint(3, 250, (17,), generator=random)
    pixels = torch.randn(1, 3, vision.image_size, vision.image_size, generator=random)
    return {"before": torch.cat([torch.tensor([1]), text[:6]]), "after": text[6:], "rows": torch.tensor(rows), "pixels": pixels}


def logits_of(model, image, inputs):
    ids = torch.cat([inputs["before"], torch.full((int(inputs["rows"]),), image), inputs["after"]])[None]
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=inputs["pixels"]).logits[0].float()


def linears(model):
    """(name in the original LLaVA model, module) of each adapted linear."""
    for name, module in decoder(model).named_modules():
        if isinstance(module, torch.nn.Linear) and name.split(".")[-1] in TARGETS:
            yield f"model.{name}", module


def make_adapter(model, folder, rank, alpha, stabilised, dora):
    """An adapter with both matrices drawn, and a projector that is not the base's."""
    os.makedirs(folder)
    random = torch.Generator().manual_seed(11)
    tensors = {}
    for name, module in linears(model):
        rows, columns = module.weight.shape
        tensors[f"base_model.model.{name}.lora_A.weight"] = torch.randn(rank, columns, generator=random) / math.sqrt(columns)
        tensors[f"base_model.model.{name}.lora_B.weight"] = torch.randn(rows, rank, generator=random) * 0.1
        if dora:
            lengths = module.weight.detach().norm(dim=1)
            tensors[f"base_model.model.{name}.lora_magnitude_vector"] = lengths * (1 + 0.2 * torch.randn(rows, generator=random))
    save_file(tensors, f"{folder}/adapter_model.safetensors", metadata={"format": "pt"})
    names = {"linear_1.": "0.", "linear_2.": "2."}
    others = {f"base_model.model.model.mm_projector.{names[key[:9]]}{key[9:]}":
              value.clone() + 0.02 * torch.randn(value.shape, generator=random) for key, value in projector(model).state_dict().items()}
    torch.save(others, f"{folder}/non_lora_trainables.bin")
    with open(f"{folder}/adapter_config.json", "w", encoding="utf-8") as file:
        json.dump({"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": alpha, "lora_dropout": 0.05, "bias": "none",
                   "fan_in_fan_out": False, "inference_mode": True, "target_modules": TARGETS, "use_rslora": stabilised,
                   "use_dora": dora, "base_model_name_or_path": "base", "modules_to_save": None}, file)


def apply_adapter(model, folder):
    """Puts the adapter beside the linears, as PEFT's forward computes it, and the other trainables in place."""
    with open(f"{folder}/adapter_config.json", encoding="utf-8") as file:
        config = json.load(file)
    rank = config["r"]
    scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    tensors = load_file(f"{folder}/adapter_model.safetensors")
    used = 0
    for name, module in linears(model):
        down = tensors.get(f"base_model.model.{name}.lora_A.weight")
        if down is not None:
            up = tensors[f"base_model.model.{name}.lora_B.weight"]
            used += 2
            if config.get("use_dora"):
                magnitude = tensors[f"base_model.model.{name}.lora_magnitude_vector"].float()
                gain = magnitude / (module.weight.detach() + scale * up.float() @ down.float()).norm(dim=1)
                module.register_forward_hook(lambda _, inputs, out, a=down.float(), b=up.float(), g=gain:
                                             out + (g - 1) * out + g * scale * ((inputs[0] @ a.T) @ b.T))
                used += 1
            else:
                module.register_forward_hook(lambda _, inputs, out, a=down.float(), b=up.float(): out + scale * (inputs[0] @ a.T) @ b.T)
    left = [key for key in tensors if "lora_" in key]
    if used != len(left) or used == 0:
        raise ValueError(f"{used} of {len(left)} adapter tensors have a place in the model")
    state = projector(model).state_dict()
    for key, value in torch.load(f"{folder}/non_lora_trainables.bin", weights_only=True).items():
        index, rest = re.fullmatch(r".*mm_projector\.([02])\.(weight|bias)", key).groups()
        state[f"linear_{1 if index == '0' else 2}.{rest}"].copy_(value)
    return used // (3 if config.get("use_dora") else 2)


def main():
    parser = argparse.ArgumentParser(description="records or compares logits")
    parser.add_argument("folder")
    parser.add_argument("file")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--adapter")
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--alpha", type=float, default=8)
    parser.add_argument("--stabilised", action="store_true")
    parser.add_argument("--dora", action="store_true")
    arguments = parser.parse_args()
    model, image = load(arguments.folder)
    if arguments.make:
        make_adapter(model, arguments.adapter, arguments.rank, arguments.alpha, arguments.stabilised, arguments.dora)
    over = f" under {apply_adapter(model, arguments.adapter)} adapters" if arguments.adapter else ""
    if arguments.record or arguments.make:
        inputs = draw_inputs(model)
        save_file(inputs | {"logits": logits_of(model, image, inputs).contiguous(), "width": torch.tensor(image)}, arguments.file)
        print(f"recorded {arguments.folder}{over}: {arguments.file}")
        return
    inputs = load_file(arguments.file)
    expected, actual = inputs.pop("logits"), logits_of(model, image, inputs)
    width = min(int(inputs["width"]), image)
    error = ((actual[:, :width] - expected[:, :width]).norm() / expected[:, :width].norm()).item()
    print(f"{'ok   ' if error <= BOUND else 'FAIL '} logits of {arguments.folder}{over}: {error:.2e}, bound {BOUND:.0e}")
    sys.exit(0 if error <= BOUND else 1)


main()
