"""Makes a parity case from a Hugging Face LLaVA folder, such as one that training wrote.

    ./build.sh peer make_case MODEL_FOLDER OUT [--steps 3] [--seed 0] [--weights bfloat16]
    ./build.sh parity OUT

The case holds a copy of the folder, drawn pictures, and what Hugging Face's implementation computes from them in
float32: pixels, image features, projected features, logits, loss, gradients and AdamW steps of both stages, a greedy answer, token
ids. With --weights bfloat16 every weight is rounded, and AdamW steps float32 masters of which each step rounds anew; it also says how far
losses are from those of bfloat16 throughout. `parity` compares the engine with it. Imports: torch, transformers, sentencepiece, safetensors, PIL, numpy.
"""
import argparse
import copy
import json
import os
import shutil

import numpy
import sentencepiece
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoConfig, LlavaForConditionalGeneration, LlavaNextForConditionalGeneration

SYSTEM = "A chat between a curious human and an artificial intelligence assistant."
DIALOGS = [("wide.png", "What is in the picture?", "A red circle left of a blue square."),
           ("tall.png", "Describe the image.", "Two shapes, 10 of 300: naïve café."),
           (None, "What colour is the triangle?", "The triangle is yellow.")]
TEXTS = ["Hello world", " leading space", "two  spaces", "line\nbreak", "naïve café", "東京", "🙂", "10 20 300", "", "</s>"]
OPTIMIZER = {"name": "AdamW", "lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0, "clip_grad_norm": 1.0}
ANSWER_TOKENS = 12


def draw(width, height, seed):
    """A gradient under rectangles."""
    random = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    pixels = numpy.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], -1).astype("uint8")
    for _ in range(5):
        left, top = random.integers(width), random.integers(height)
        pixels[top:top + height // 3, left:left + width // 3] = random.integers(0, 256, 3)
    return Image.fromarray(pixels)


def make_processor(folder):
    """The processor that resizes with Pillow, whatever this version of transformers calls it."""
    try:
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil as Processor
    except ImportError:
        from transformers.models.clip.image_processing_clip import CLIPImageProcessor as Processor
    with open(f"{folder}/preprocessor_config.json", encoding="utf-8") as file:
        config = json.load(file)
    size = config["crop_size"]["height"] if isinstance(config["crop_size"], dict) else config["crop_size"]
    return Processor(size={"shortest_edge": size}, crop_size={"height": size, "width": size}, resample=3,
                     image_mean=config["image_mean"], image_std=config["image_std"])


def to_square(image, mean):
    """LLaVA's `pad` mode: the mean colour around the centred image."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), tuple(int(m * 255) for m in mean))
    square.paste(image, ((side - image.size[0]) // 2, (side - image.size[1]) // 2))
    return square


def pixels_of(processor, image):
    return torch.tensor(numpy.array(processor(image, return_tensors="np")["pixel_values"][0]))


def make_rows(tokenizer, image_token, patches):
    """(picture, ids, labels) a dialog; an image stands for as many ids as it has rows: patches[image]."""
    rows = []
    for image, question, answer in DIALOGS:
        ids = [tokenizer.bos_id()] + tokenizer.encode(f"{SYSTEM} USER: ") + [image_token] * (patches[image] if image else 0)
        ids += tokenizer.encode(f"{question} ASSISTANT: ")
        prompt = len(ids)
        ids += tokenizer.encode(answer) + [tokenizer.eos_id()]
        rows.append((image, ids, [-100] * prompt + ids[prompt:]))
    return rows


class Batch:
    """The rows, padded on the right."""

    def __init__(self, rows, pad, pixels, sizes=None):
        longest = max(len(ids) for _, ids, _ in rows)
        fill = lambda values, value: values + [value] * (longest - len(values))
        self.ids = torch.tensor([fill(ids, pad) for _, ids, _ in rows])
        self.mask = torch.tensor([fill([1] * len(ids), 0) for _, ids, _ in rows])
        self.labels = torch.tensor([fill(labels, -100) for _, _, labels in rows])
        self.pixels = pixels
        self.more = {} if sizes is None else {"image_sizes": sizes}

    def run(self, model):
        out = model(input_ids=self.ids, attention_mask=self.mask, pixel_values=self.pixels, **self.more)
        logits = out.logits[:, :-1].flatten(0, 1).float()
        return out.logits, torch.nn.functional.cross_entropy(logits, self.labels[:, 1:].flatten(), ignore_index=-100)


def gradient_of(name, parameter):
    """Zeros for what is not run (the tower past the selected layer) and for the tower's key biases, which softmax does not see: what
    is left of them is rounding."""
    unseen = "vision_tower" in name and name.endswith("k_proj.bias")
    return torch.zeros_like(parameter) if parameter.grad is None or unseen else parameter.grad.clone()


@torch.no_grad()
def round_into(parameters, values):
    for parameter, value in zip(parameters, values):
        parameter.copy_(value.bfloat16())


def train(model, batch, stage, steps, expected, rounds):
    """AdamW steps on one batch; records gradients of the first, parameters after the last: where weights are rounded, their masters."""
    trained = []
    for name, parameter in model.named_parameters():
        on = "multi_modal_projector" in name or (stage == "full" and "vision_tower" not in name) or stage == "tower"
        parameter.requires_grad_(on)
        parameter.grad = None
        if on:
            trained.append((name, parameter))
    parameters = [p for _, p in trained]
    masters = [p.detach().clone().float().requires_grad_() for p in parameters] if rounds else parameters
    optimizer = torch.optim.AdamW(masters, lr=OPTIMIZER["lr"], betas=tuple(OPTIMIZER["betas"]), eps=OPTIMIZER["eps"], weight_decay=0.0)
    losses, norms = [], []
    for step in range(steps):
        model.zero_grad()
        if rounds:
            round_into(parameters, masters)
        _, loss = batch.run(model)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            expected.update({f"grad/{stage}/{name}": gradient_of(name, p) for name, p in trained})
        for master, parameter in zip(masters, parameters):
            master.grad = None if parameter.grad is None else parameter.grad.to(master.dtype)
        norms.append(torch.nn.utils.clip_grad_norm_(masters, 1.0).item())
        optimizer.step()
    expected.update({f"after/{stage}/{name}": m.detach().clone() for (name, _), m in zip(trained, masters)})
    return losses, norms


def greedy(model, row, pixels, more):
    ids = torch.tensor([row[1][:row[2].count(-100)]])
    for _ in range(ANSWER_TOKENS):
        ids = torch.cat([ids, model(input_ids=ids, pixel_values=pixels, **more).logits[:, -1].argmax(-1, keepdim=True)], 1)
    return ids[0, -ANSWER_TOKENS:].tolist()


def make_pictures(out, processor, seed):
    """Writes the pictures; returns the expected pixels of each, padded and cropped."""
    os.makedirs(f"{out}/images")
    expected = {}
    for index, (name, size) in enumerate({"wide.png": (200, 90), "tall.png": (61, 157), "small.png": (20, 31)}.items()):
        image = draw(*size, seed + index)
        image.save(f"{out}/images/{name}")
        expected[f"pixel_values/{name}/pad"] = pixels_of(processor, to_square(image, processor.image_mean))
        expected[f"pixel_values/{name}/crop"] = pixels_of(processor, image)
    return expected


def next_processor(folder):
    try:
        from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil as Processor
    except ImportError:
        from transformers.models.llava_next.image_processing_llava_next import LlavaNextImageProcessor as Processor
    return Processor.from_pretrained(folder)


def make_tiles(out, folder):
    """LLaVA-NeXT's tiles of each picture, and its size, height first."""
    processor = next_processor(folder)
    tiles = {}
    for name in sorted(os.listdir(f"{out}/images")):
        made = processor(Image.open(f"{out}/images/{name}"), return_tensors="np")
        tiles[name] = torch.tensor(numpy.array(made["pixel_values"][0])), [int(n) for n in made["image_sizes"][0]]
    return tiles


def stack(tiles):
    """[images, most tiles, 3, S, S], zeros where an image has fewer."""
    most = max(len(t) for t in tiles)
    return torch.stack([torch.cat([t, torch.zeros(most - len(t), *t.shape[1:])]) for t in tiles])


def rows_of(model, tiles, size):
    """Tokens of an image, as transformers lays them out."""
    inner = model.model if hasattr(model, "model") else model
    side = model.config.vision_config.image_size // model.config.vision_config.patch_size
    features = torch.zeros(len(tiles), side * side, 1)
    packed, _ = inner.pack_image_features([features], torch.tensor([size]), "default", image_newline=torch.zeros(1))
    return len(packed[0])


def main():
    parser = argparse.ArgumentParser(description="makes a parity case from a Hugging Face LLaVA folder")
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tower", action="store_true", help="a stage more, which trains the vision tower too")
    parser.add_argument("--weights", choices=["float32", "bfloat16"], default="float32")
    arguments = parser.parse_args()
    folder, out = arguments.folder, arguments.out
    torch.manual_seed(arguments.seed)
    os.makedirs(out)
    shutil.copytree(folder, f"{out}/model")
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/tokenizer.model")
    tiled = AutoConfig.from_pretrained(folder).model_type == "llava_next"
    kind = LlavaNextForConditionalGeneration if tiled else LlavaForConditionalGeneration
    model = kind.from_pretrained(folder, attn_implementation="eager").float().eval()
    rounds = arguments.weights == "bfloat16"
    if rounds:
        round_into(model.parameters(), model.parameters())
    config = model.config
    image_token = getattr(config, "image_token_index", None)
    image_token = config.image_token_id if image_token is None else image_token
    vision = config.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    pad = config.pad_token_id
    pad = config.text_config.pad_token_id if pad is None else pad
    pad = 0 if pad is None else pad

    expected = make_pictures(out, make_processor(folder), arguments.seed)
    if tiled:
        tiles = make_tiles(out, folder)
        expected = {f"pixel_values/{name}/anyres": pixels for name, (pixels, _) in tiles.items()}
        rows = make_rows(tokenizer, image_token, {name: rows_of(model, *both) for name, both in tiles.items()})
        seen = [tiles[row[0]] for row in rows if row[0]]
        batch = Batch(rows, pad, stack([t for t, _ in seen]), torch.tensor([size for _, size in seen]))
        squares = torch.cat([t for t, _ in seen])
    else:
        rows = make_rows(tokenizer, image_token, {row[0]: patches for row in DIALOGS})
        batch = Batch(rows, pad, torch.stack([expected[f"pixel_values/{row[0]}/pad"] for row in rows if row[0]]))
        squares = batch.pixels
    result = {"token_ids": [row[1] for row in rows], "labels": [row[2] for row in rows], "images": [row[0] for row in rows],
              "dialogs": DIALOGS, "system": SYSTEM, "image_token": image_token, "pad_token": pad, "patches": patches,
              "optimizer": OPTIMIZER | {"steps": arguments.steps}, "losses": {}, "grad_norm": {},
              "args": {"steps": arguments.steps, "seed": arguments.seed, "feature_layer": config.vision_feature_layer,
                       "weights": arguments.weights},
              "encode": {text: tokenizer.encode(text) for text in TEXTS}}
    with torch.no_grad():
        logits, loss = batch.run(model)
        states = model.get_submodule("model.vision_tower" if hasattr(model, "model") else "vision_tower")
        features = states(squares, output_hidden_states=True).hidden_states[config.vision_feature_layer][:, 1:]
        projector = model.get_submodule("model.multi_modal_projector" if hasattr(model, "model") else "multi_modal_projector")
        expected |= {"image_features": features, "projected": projector(features), "logits": logits}
        result["loss"] = loss.item()
        result["greedy"] = greedy(model, rows[0], batch.pixels[:1], {key: value[:1] for key, value in batch.more.items()})
    start = {name: value.clone() for name, value in model.state_dict().items()}
    for stage in ("pretrain", "full") + (("tower",) if arguments.tower else ()):
        model.load_state_dict(start)
        losses, norms = train(model, batch, stage, arguments.steps, expected, rounds)
        result["losses"][stage], result["grad_norm"][stage] = losses, norms
        if rounds:
            model.load_state_dict(start)
            half = Batch(rows, pad, batch.pixels.bfloat16(), batch.more.get("image_sizes"))
            rough, _ = train(copy.deepcopy(model).bfloat16(), half, stage, arguments.steps, {}, rounds)
            print(f"{stage}: bfloat16 throughout differs by {max(abs(a / b - 1) for a, b in zip(rough, losses)):.1e} in its losses")
    save_file({name: value.detach().contiguous().float() for name, value in expected.items()}, f"{out}/expected.safetensors")
    with open(f"{out}/case.json", "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1, ensure_ascii=False)
    print(f"wrote {out}: loss {result['loss']:.6f}")


main()
