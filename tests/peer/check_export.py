"""Opens what training wrote with the software that others will open it with.

    ./build.sh peer check_export MODEL_FOLDER [--projector mm_projector.bin]

MODEL_FOLDER is a Hugging Face LLaVA or LLaVA-NeXT folder. Every weight must be found and none left over, the processor must load and
agree with the model on the image token, each chunk of text between images must have the ids that it has by itself, as in training,
and a picture with a question must get an answer. Prints one line a check, exits with 1
if one fails. That the logits are equal, too, is what `make_case` and then `parity` show.
Imports: torch, transformers, PIL, numpy (PyTorch 2.1 or newer, transformers 4.37 or newer).
"""
import argparse
import sys
import traceback

import numpy
import torch
from PIL import Image

failures = 0


def check(name, body):
    """Runs one check; its result is what the line says."""
    global failures
    try:
        print(f"ok    {name}: {body()}")
    except Exception:
        failures += 1
        print(f"FAIL  {name}: {traceback.format_exc(limit=-2).strip()}")


def picture(size=97):
    """A gradient, wider than high."""
    y, x = numpy.mgrid[0:size, 0:size * 2]
    return Image.fromarray(numpy.stack([x % 256, y * 2 % 256, (x + y) % 256], -1).astype("uint8"))


class Export:
    """The folder, opened once."""

    def __init__(self, folder):
        self.folder = folder
        self.model = None
        self.processor = None

    def load_model(self):
        from transformers import AutoConfig, LlavaForConditionalGeneration, LlavaNextForConditionalGeneration
        tiled = AutoConfig.from_pretrained(self.folder).model_type == "llava_next"
        kind = LlavaNextForConditionalGeneration if tiled else LlavaForConditionalGeneration
        self.model, info = kind.from_pretrained(self.folder, output_loading_info=True)
        self.model = self.model.float().eval()
        left = {kind: sorted(info[kind]) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[kind]}
        # Not read at the feature layers that LLaVA uses; some versions of transformers do not make the module.
        left = {kind: [k for k in keys if "post_layernorm" not in str(k)] for kind, keys in left.items()}
        if any(left.values()):
            raise ValueError(f"weights do not match: {left}")
        return f"{sum(p.numel() for p in self.model.parameters()):,} parameters, all found, none left over"

    def load_processor(self):
        from transformers import AutoProcessor
        self.processor = AutoProcessor.from_pretrained(self.folder)
        tokenizer = self.processor.tokenizer
        config = self.model.config
        ours = getattr(config, "image_token_index", None)
        ours = getattr(config, "image_token_id", None) if ours is None else ours
        theirs = tokenizer.convert_tokens_to_ids("<image>")
        if ours != theirs:
            raise ValueError(f"<image> is {theirs} in the tokenizer and {ours} in the config")
        if len(tokenizer) > self.model.get_input_embeddings().weight.shape[0]:
            raise ValueError(f"{len(tokenizer)} tokens, {self.model.get_input_embeddings().weight.shape[0]} rows")
        return f"{type(self.processor).__name__}, {len(tokenizer)} tokens, <image> = {ours}"

    def chunks(self):
        """In training each chunk between images is a text of its own: its ids must not depend on what stands before it."""
        tokenizer = self.processor.tokenizer
        image = tokenizer.convert_tokens_to_ids("<image>")
        begin = tokenizer("").input_ids
        texts = ["USER: <image>\nWhat?", "<image>What?", "a <image> and <image>.", "<image><image> b", "<image>\nA</s>B <image>\n</s>C",
                 "alone", "<image>", ""]
        for text in texts:
            expected = list(begin)
            for i, chunk in enumerate(text.split("<image>")):
                expected += ([image] if i else []) + tokenizer(chunk).input_ids[len(begin):]
            got = tokenizer(text).input_ids
            if got != expected:
                named = tokenizer.convert_ids_to_tokens
                raise ValueError(f"{text!r} is {named(got)}, chunk by chunk {named(expected)}")
        return f"{len(texts)} texts with images are their chunks"

    def answer(self):
        inputs = self.processor(images=picture(), text="USER: <image>\nWhat is in the picture? ASSISTANT:", return_tensors="pt")
        with torch.no_grad():
            out = self.model.generate(**inputs, max_new_tokens=16, do_sample=False)
        text = self.processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
        return repr(text)


def open_projector(path):
    tensors = torch.load(path, weights_only=True)
    names = sorted(tensors)
    if not names or not all("mm_projector" in name for name in names):
        raise ValueError(f"unexpected names: {names}")
    return ", ".join(f"{name} {tuple(tensors[name].shape)}" for name in names)


def main():
    parser = argparse.ArgumentParser(description="opens an export with transformers")
    parser.add_argument("folder")
    parser.add_argument("--projector", help="an mm_projector.bin of stage 1")
    arguments = parser.parse_args()
    export = Export(arguments.folder)
    check("LlavaForConditionalGeneration", export.load_model)
    check("AutoProcessor", export.load_processor)
    check("ids", export.chunks)
    check("answer", export.answer)
    if arguments.projector:
        check("torch.load(weights_only=True)", lambda: open_projector(arguments.projector))
    sys.exit(1 if failures else 0)


main()
