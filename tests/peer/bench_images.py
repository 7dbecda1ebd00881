"""Times Pillow and CLIPImageProcessor on one core, and says what they computed.

    ./build.sh peer bench_images --out FILE.json    (or, as `bench images` does: > FILE.json)

For each size it draws a picture with the spectrum of a photograph (amplitude 1/f), writes it as JPEG of quality 90, and then
times reading it: decode, pad to a square with the mean colour, resize to 336 with the bicubic filter, rescale, normalise.
The JSON carries the file itself and the hash of the float32 pixels, so that the other side works on the same picture
and is held to the same bytes. Imports: torch, transformers, PIL, numpy.
"""
import argparse
import base64
import hashlib
import io
import json
import statistics
import time

import numpy
import torch
from PIL import Image

MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]


def make_processor():
    """The processor that resizes with Pillow, whatever this version of transformers calls it."""
    try:
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil as Processor
    except ImportError:
        from transformers.models.clip.image_processing_clip import CLIPImageProcessor as Processor
    return Processor(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}, resample=3,
                     image_mean=MEAN, image_std=STD)


def draw(width, height, random):
    """Random phases under a 1/f spectrum; a shared luminance and weaker colour, as in photographs."""
    y = numpy.fft.fftfreq(height)[:, None]
    x = numpy.fft.rfftfreq(width)[None]
    amplitude = 1 / numpy.maximum(numpy.hypot(x, y), 1 / max(width, height))

    def plane():
        phases = numpy.exp(2j * numpy.pi * random.random(amplitude.shape))
        values = numpy.fft.irfft2(amplitude * phases, s=(height, width))
        return values / values.std()

    light = plane()
    channels = [128 + 50 * light + 15 * plane() for _ in range(3)]
    return Image.fromarray(numpy.clip(numpy.stack(channels, -1), 0, 255).astype("uint8"))


def to_square(image):
    """LLaVA's `pad` mode: the mean colour around the centred image."""
    if image.width == image.height:
        return image
    side = max(image.size)
    square = Image.new(image.mode, (side, side), tuple(int(m * 255) for m in MEAN))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def timed(body, seconds):
    """Median time of one call, over as many as fit."""
    body()
    times = []
    begin = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        body()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(width, height, processor, random, seconds):
    file = io.BytesIO()
    draw(width, height, random).save(file, "JPEG", quality=90)
    jpeg = file.getvalue()

    def decode():
        return Image.open(io.BytesIO(jpeg)).convert("RGB")

    def process():
        return numpy.asarray(processor(to_square(decode()), return_tensors="np")["pixel_values"][0])

    pixels = numpy.ascontiguousarray(process(), dtype="<f4")
    return {"width": width, "height": height, "jpeg": base64.b64encode(jpeg).decode(),
            "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
            "seconds": timed(process, seconds), "decode_seconds": timed(decode, seconds / 2)}


def main():
    parser = argparse.ArgumentParser(description="times Pillow and CLIPImageProcessor")
    parser.add_argument("--sizes", default="640x480,1024x768")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--out", help="a file instead of standard output")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    random = numpy.random.default_rng(0)
    processor = make_processor()
    result = [measure(*map(int, size.split("x")), processor, random, arguments.seconds) for size in arguments.sizes.split(",")]
    text = json.dumps({"peer": "Pillow + CLIPImageProcessor", "images": result})
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        print(text)


main()
