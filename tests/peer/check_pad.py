"""Whether transformers prepares pictures with an exported folder as the recipe's pad mode does.

    ./build.sh peer check_pad MODEL_FOLDER IMAGE...

MODEL_FOLDER is a folder that `train` or `convert --layout hf` wrote of a model of --image_aspect_ratio pad. Each picture, and a few
odd ones made here, goes through AutoProcessor as the folder says, and through expand2square and CLIPImageProcessor. Prints the
largest difference of each; exits with 1 when one is not 0.
Imports: torch, transformers, PIL, numpy (transformers 4.50 or newer).
"""

import sys

import numpy as np
from PIL import Image
from transformers import AutoProcessor, CLIPImageProcessor


def expand2square(picture, color):
    width, height = picture.size
    side = max(width, height)
    square = Image.new("RGB", (side, side), color)
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def odd_pictures():
    random = np.random.default_rng(0)
    for width, height in ((1, 1), (1, 37), (37, 1), (2, 3), (57, 56), (56, 57), (640, 3), (301, 200)):
        yield f"{width}x{height}", Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
    yield "grey", Image.fromarray(random.integers(0, 256, (30, 51), dtype=np.uint8))
    yield "alpha", Image.fromarray(random.integers(0, 256, (51, 30, 4), dtype=np.uint8))


def main(model, paths):
    ours = AutoProcessor.from_pretrained(model).image_processor
    size = ours.crop_size["height"]
    clip = CLIPImageProcessor(
        size={"shortest_edge": size}, crop_size=size, image_mean=ours.image_mean, image_std=ours.image_std)
    color = tuple(int(x * 255) for x in ours.image_mean)
    worst = 0.0
    for name, picture in [(path, Image.open(path)) for path in paths] + list(odd_pictures()):
        rgb = picture.convert("RGB")
        got = ours(rgb, return_tensors="np").pixel_values[0]
        want = clip(expand2square(rgb, color), return_tensors="np").pixel_values[0]
        difference = float(np.abs(got - want).max())
        worst = max(worst, difference)
        print(f"{name:24} {rgb.size[0]:5} x {rgb.size[1]:<5} {difference}")
    print(f"{type(ours).__name__}, do_pad {ours.do_pad}: largest difference {worst}")
    return 0 if worst == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
