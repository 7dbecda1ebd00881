"""Writes golden vectors of the formats that --bits 4 and --bits 8 store weights in.

    ./build.sh peer make_quantized > tests/managed/Checkpoints/Golden/quantized.json

An implementation of its own, by brute force: the nearest of all levels, level tables from their definitions. It is not bitsandbytes,
whose formats these are. Imports: numpy.
"""
import json

import numpy

F = numpy.float32
NF4 = numpy.array([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
                   -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
                   0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0], F)
FP4 = numpy.array([0, 0.0625, 8, 12, 4, 6, 2, 3, -0.0, -0.0625, -8, -12, -4, -6, -2, -3], F) / F(12)


def dynamic_map():
    levels = [0.0, 1.0]
    for exponent in range(7):
        steps = numpy.linspace(0.1, 1, 2 ** exponent + 1).astype(F)
        means = (steps[:-1] + steps[1:]) / F(2)
        scaled = F(10.0 ** (exponent - 6)) * means
        levels += scaled.tolist() + (-scaled).tolist()
    return numpy.sort(numpy.array(levels, F))


def nearest(values, levels):
    return numpy.abs(values.astype(numpy.float64)[:, None] - levels.astype(numpy.float64)[None]).argmin(1)


def blocks(values, size):
    return [values[i:i + size] for i in range(0, len(values), size)]


def scaled(part):
    most = numpy.abs(part).max()
    return part * (F(1) / most if most else F(0)), most


def four_bits(values, levels):
    codes, scales = [], []
    for part in blocks(values, 64):
        unit, most = scaled(part)
        codes += nearest(unit, levels).tolist()
        scales.append(most)
    decoded = levels[codes] * numpy.repeat(numpy.array(scales, F), 64)[:len(values)]
    return {"values": values.tolist(), "decoded": decoded.tolist()}


def double(scales):
    levels, offset = dynamic_map(), F(scales.astype(numpy.float64).mean())
    codes, most = [], []
    for part in blocks(scales - offset, 256):
        unit, magnitude = scaled(part)
        codes += nearest(unit, levels).tolist()
        most.append(magnitude)
    decoded = levels[codes] * numpy.repeat(numpy.array(most, F), 256)[:len(scales)] + offset
    return {"scales": scales.tolist(), "decoded": decoded.tolist()}


def int8(matrix):
    most = numpy.abs(matrix).max(1)
    codes = numpy.rint(matrix * (F(127) / most)[:, None]).astype(numpy.int8)
    decoded = codes.astype(F) * most[:, None] * F(7.874015718698502e-3)
    return {"values": matrix.flatten().tolist(), "columns": matrix.shape[1], "decoded": decoded.flatten().tolist()}


def bfloat16(values):
    """To nearest even, by the bits."""
    bits = values.view(numpy.uint32).astype(numpy.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16
    return {"values": values.tolist(), "decoded": rounded.astype(numpy.uint32).view(F).tolist()}


def main():
    random = numpy.random.default_rng(3)
    weights = (random.standard_normal(333) * 0.02).astype(F)
    weights[64:128] = 0
    print(json.dumps({
        "nf4": four_bits(weights, NF4),
        "double": double(numpy.abs(random.standard_normal(600) * 0.05 + 0.1).astype(F)),
        "int8": int8(random.standard_normal((5, 37)).astype(F)),
        "fp4": four_bits(weights, FP4),
        "bfloat16": bfloat16(weights),
    }))


main()
