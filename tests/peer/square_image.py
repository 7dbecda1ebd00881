"""A picture as the tower wants it, so that nobody resizes it again: padded to a square with the mean colour, of the tower's size.

    ./build.sh peer square_image MODEL IMAGE OUT

MODEL is a Hugging Face LLaVA folder. Imports: Pillow.
"""
import json
import os
import sys

import PIL.Image

model, image, out = sys.argv[1:]
with open(os.path.join(model, "preprocessor_config.json"), encoding="utf-8") as file:
    config = json.load(file)
picture = PIL.Image.open(image).convert("RGB")
side = max(picture.size)
square = PIL.Image.new("RGB", (side, side), tuple(int(255 * mean) for mean in config["image_mean"]))
square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
size = config["crop_size"]
square.resize((size["width"], size["height"]), PIL.Image.Resampling.BICUBIC).save(out)
