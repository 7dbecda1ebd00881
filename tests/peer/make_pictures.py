"""Writes small pictures of every kind that is read, and what Pillow makes of them.

    ./build.sh peer make_pictures OUT.jsonl.gz [--rgb]

One JSON object a line: name, file (base64), width, height, and the first 16 digits of the SHA-256 of the bytes of
Image.open(file).convert("RGB"); with --rgb also these bytes, in base64. What Pillow does not write itself is put together here, byte
by byte. tests/managed/Imaging/Golden/pictures.jsonl.gz is this script's output.
Imports: PIL, numpy (Pillow 10 or newer).
"""
import base64
import gzip
import hashlib
import io
import json
import struct
import sys
import zlib

import numpy
from PIL import Image

random = numpy.random.default_rng(7)
cases = {}


def noise(width, height, channels):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return random.integers(0, 256, shape, dtype=numpy.uint8)


def indices(width, height, count):
    return random.integers(0, count, (height, width), dtype=numpy.uint8)


def colors(count):
    return random.integers(0, 256, count * 3, dtype=numpy.uint8).tobytes()


def grey_ramp(count):
    return bytes(i for i in range(count) for _ in range(3))


def saved(name, picture, **options):
    out = io.BytesIO()
    picture.save(out, **options)
    cases[name] = out.getvalue()


# GIF

def lzw(values, bits):
    """Codes that never grow: the table is cleared before it is full."""
    size, clear, out, codes = bits + 1, 1 << bits, 0, 0
    stream = [clear]
    for at, value in enumerate(values):
        if at and at % ((1 << bits) - 2) == 0:
            stream.append(clear)
        stream.append(int(value))
    for code in stream + [clear + 1]:
        out |= code << codes
        codes += size
    data = out.to_bytes((codes + 7) // 8, "little")
    blocks = b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, len(data), 255))
    return bytes([bits]) + blocks + b"\0"


def interlaced(rows):
    return numpy.concatenate([rows[0::8], rows[4::8], rows[2::4], rows[1::2]])


def table_bits(palette):
    return 0x80 | ((len(palette) // 3).bit_length() - 2)


def frame(pixels, left=0, top=0, palette=None, transparent=None, interlace=False, disposal=0, bits=None):
    height, width = pixels.shape
    out = b""
    if transparent is not None or disposal:
        out += b"!\xf9\x04" + bytes([disposal << 2 | (transparent is not None), 5, 0, transparent or 0]) + b"\0"
    flags = (table_bits(palette) if palette else 0) | (0x40 if interlace else 0)
    out += b"," + struct.pack("<4HB", left, top, width, height, flags) + (palette or b"")
    rows = interlaced(pixels) if interlace else pixels
    return out + lzw(rows.reshape(-1), bits or max(2, int(pixels.max()).bit_length()))


def gif(name, width, height, *frames, palette=None, background=0, version=b"GIF89a", extra=b""):
    head = version + struct.pack("<2H3B", width, height, table_bits(palette) if palette else 0, background, 0) + (palette or b"")
    cases["gif " + name] = head + extra + b"".join(frames) + b";"


def gifs():
    sixteen, four = colors(16), colors(4)
    picture = indices(9, 7, 16)
    gif("plain", 9, 7, frame(picture), palette=sixteen)
    gif("87a", 9, 7, frame(picture), palette=sixteen, version=b"GIF87a")
    gif("transparent", 9, 7, frame(picture, transparent=5), palette=sixteen)
    gif("transparent 0", 9, 7, frame(picture, transparent=0), palette=sixteen)
    gif("transparent beyond the palette", 9, 7, frame(picture, transparent=77), palette=sixteen)
    gif("small frame", 9, 7, frame(indices(4, 3, 16), 2, 1), palette=sixteen, background=3)
    gif("small frame, transparent", 9, 7, frame(indices(4, 3, 16), 5, 4, transparent=6), palette=sixteen, background=3)
    gif("small frame, transparent beyond", 9, 7, frame(indices(4, 3, 16), 5, 4, transparent=200), palette=sixteen)
    gif("local palette", 9, 7, frame(indices(9, 7, 4), palette=four))
    gif("local and global", 9, 7, frame(indices(5, 7, 4), 4, 0, palette=four), palette=sixteen, background=9)
    gif("index beyond the palette", 9, 7, frame(indices(9, 7, 16), palette=four))
    gif("no palette", 9, 7, frame(indices(9, 7, 256)))
    gif("no palette, small, transparent", 9, 7, frame(indices(3, 3, 256), 1, 1, transparent=90))
    gif("grey ramp", 9, 7, frame(indices(9, 7, 16)), palette=grey_ramp(16))
    gif("grey ramp, small frame", 9, 7, frame(indices(5, 5, 16), 1, 1, transparent=7), palette=grey_ramp(16))
    gif("local grey ramp over colours", 9, 7, frame(indices(9, 7, 4), palette=grey_ramp(4)), palette=sixteen)
    gif("two colours", 9, 7, frame(indices(9, 7, 2), transparent=1), palette=colors(2))
    gif("256 colours", 20, 21, frame(indices(20, 21, 256), transparent=255), palette=colors(256))
    for height in (1, 2, 3, 4, 5, 8, 9, 17):
        gif(f"interlaced {height}", 5, height, frame(indices(5, height, 16), interlace=True), palette=sixteen)
    gif("interlaced small frame", 9, 12, frame(indices(5, 7, 16), 2, 3, interlace=True, transparent=4), palette=sixteen)
    gif("frame beyond the canvas", 5, 4, frame(indices(6, 5, 16), 3, 2), palette=sixteen)
    gif("no canvas", 0, 0, frame(indices(6, 5, 16)), palette=sixteen)
    second = frame(indices(9, 7, 16), transparent=2, disposal=2)
    for disposal in range(4):
        gif(f"animation {disposal}", 9, 7, frame(indices(6, 5, 16), 1, 1, transparent=3, disposal=disposal), second, palette=sixteen)
    gif("comment and loop", 9, 7, frame(picture, transparent=5), palette=sixteen,
        extra=b"!\xfe\x05hello\0!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")
    gif("two controls", 9, 7, b"!\xf9\x04\x01\0\0\x05\0" + frame(picture, transparent=9), palette=sixteen)
    cases["gif no trailer"] = cases["gif transparent"][:-1]
    saved("gif of Pillow", Image.fromarray(noise(12, 11, 3)).quantize(32), format="GIF", transparency=3)
    saved("gif of Pillow, interlaced", Image.fromarray(noise(40, 33, 3)).quantize(200), format="GIF", interlace=1)


# BMP

def rows_of(values, bits, top_down=False):
    """Packed rows of four-byte multiples, from the bottom."""
    out = []
    for row in values:
        packed = 0
        for value in row:
            packed = packed << bits | int(value)
        used = len(row) * bits
        data = (packed << (-used % 8)).to_bytes((used + 7) // 8, "big") if bits < 16 else b"".join(
            int(v).to_bytes(bits // 8, "little") for v in row)
        out.append(data + b"\0" * (-len(data) % 4))
    return b"".join(out if top_down else out[::-1])


def bmp(name, width, height, bits, data, palette=b"", header=40, compression=0, masks=(), top_down=False, used=0, gap=0):
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", 40 if header == 40 else header, width, -height if top_down else height, 1, bits, compression,
                           len(data), 2835, 2835, used, 0)
        fields = b"".join(struct.pack("<I", m) for m in masks)
        info += fields if header == 40 else (fields + b"\0" * header)[:header - 40]
    offset = 14 + len(info) + len(palette) + gap
    cases["bmp " + name] = struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset) + info + palette + b"\0" * gap + data


def quads(palette):
    return b"".join(palette[i:i + 3] + b"\0" for i in range(0, len(palette), 3))


def bmps():
    for bits in (1, 4, 8):
        for width in (1, 7, 9):
            data = rows_of(indices(width, 5, 1 << bits), bits)
            bmp(f"{bits} bits, {width} wide", width, 5, bits, data, quads(colors(1 << bits)))
        data = rows_of(indices(7, 5, 1 << bits), bits)
        bmp(f"{bits} bits, grey", 7, 5, bits, data, quads(bytes([0, 0, 0, 255, 255, 255]) if bits == 1 else grey_ramp(1 << bits)))
        bmp(f"{bits} bits, core", 7, 5, bits, data, colors(1 << bits), header=12)
        bmp(f"{bits} bits, top down", 7, 5, bits, rows_of(indices(7, 5, 1 << bits), bits, True), quads(colors(1 << bits)), top_down=True)
    bmp("1 bit, white first", 7, 5, 1, rows_of(indices(7, 5, 2), 1), quads(bytes([255] * 3 + [0] * 3)))
    bmp("8 bits, few colours", 7, 5, 8, rows_of(indices(7, 5, 20), 8), quads(colors(20)), used=20)
    bmp("8 bits, index beyond the palette", 7, 5, 8, rows_of(indices(7, 5, 256), 8), quads(colors(20)), used=20)
    bmp("8 bits, index beyond a grey palette", 7, 5, 8, rows_of(indices(7, 5, 256), 8), quads(grey_ramp(20)), used=20)
    bmp("4 bits, gap", 7, 5, 4, rows_of(indices(7, 5, 16), 4), quads(colors(16)), gap=10)
    every = numpy.array([[i % 32 << 11 | i << 5 | 31 - i % 32 for i in range(y * 8, y * 8 + 8)] for y in range(8)])
    sixteen = random.integers(0, 65536, (5, 9))
    bmp("16 bits", 8, 8, 16, rows_of(every, 16))
    five, six = (0x7C00, 0x3E0, 0x1F), (0xF800, 0x7E0, 0x1F)
    for header in (40, 52, 56, 108, 124):
        bmp(f"16 bits, 565, header {header}", 9, 5, 16, rows_of(sixteen, 16), header=header, compression=3, masks=six)
        bmp(f"16 bits, 555, header {header}", 9, 5, 16, rows_of(sixteen, 16), header=header, compression=3, masks=five)
    bmp("16 bits, 565, all", 8, 8, 16, rows_of(every, 16), compression=3, masks=six)
    full = random.integers(0, 1 << 24, (5, 9))
    wide = random.integers(0, 1 << 32, (5, 9))
    for width in (1, 2, 3, 9):
        bmp(f"24 bits, {width} wide", width, 5, 24, rows_of(full[:, :width], 24))
    bmp("24 bits, core", 9, 5, 24, rows_of(full, 24), header=12)
    bmp("24 bits, top down", 9, 5, 24, rows_of(full, 24, True), top_down=True)
    bmp("24 bits, header 64", 9, 5, 24, rows_of(full, 24), header=64)
    bmp("32 bits", 9, 5, 32, rows_of(wide, 32))
    bmp("32 bits, top down", 9, 5, 32, rows_of(wide, 32, True), top_down=True)
    layouts = [(0xFF0000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0), (0xFF000000, 0xFF00, 0xFF, 0),
               (0xFF000000, 0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
               (0xFF000000, 0xFF00, 0xFF, 0xFF0000), (0, 0, 0, 0)]
    for at, masks in enumerate(layouts):
        bmp(f"32 bits, masks {at}", 9, 5, 32, rows_of(wide, 32), header=124, compression=3, masks=masks)
    bmp("32 bits, masks after a short header", 9, 5, 32, rows_of(wide, 32), compression=3, masks=layouts[0][:3])
    eight = quads(colors(256))
    runs = bytes([3, 9, 0, 4, 1, 2, 3, 4, 0, 0, 7, 200, 0, 0, 0, 3, 5, 6, 7, 0, 0, 2, 1, 1, 2, 17, 0, 1])
    bmp("rle8", 7, 5, 8, runs, eight, compression=1)
    bmp("rle8, row too long", 7, 2, 8, bytes([9, 3, 0, 0, 7, 4, 0, 1]), eight, compression=1)
    bmp("rle8, filled", 7, 2, 8, bytes([7, 3, 0, 0, 7, 4, 0, 1]), eight, compression=1)
    bmp("rle8, no line ends", 4, 3, 8, bytes([4, 3, 4, 5, 4, 9, 0, 1]), eight, compression=1)
    bmp("rle4", 7, 3, 4, bytes([5, 0x12, 2, 0x34, 0, 0, 0, 4, 0x56, 0x78, 3, 0x9A, 0, 0, 7, 0xBC, 0, 1]), quads(colors(16)), compression=2)
    bmp("rle4, odd run as it is", 7, 2, 4, bytes([0, 5, 0x56, 0x78, 0x90, 0, 2, 0x11, 0, 0, 7, 0xBC, 0, 1]), quads(colors(16)), compression=2)
    saved("bmp of Pillow", Image.fromarray(noise(10, 6, 3)), format="BMP")
    saved("bmp of Pillow, grey", Image.fromarray(noise(10, 6, 1)), format="BMP")


# PNG

def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(name, width, height, depth, color, rows, *chunks):
    data = b"".join(b"\0" + row for row in rows)
    cases["png " + name] = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
                            + b"".join(chunks) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def raw_rows(width, height, bits):
    return [random.bytes((width * bits + 7) // 8) for _ in range(height)]


def pngs():
    for depth in (1, 2, 4, 8, 16):
        png(f"grey {depth}", 9, 5, depth, 0, raw_rows(9, 5, depth))
        png(f"grey {depth}, tRNS", 9, 5, depth, 0, raw_rows(9, 5, depth), chunk(b"tRNS", b"\0\1"))
    for depth in (1, 2, 4, 8):
        palette = colors(1 << depth)
        png(f"palette {depth}", 9, 5, depth, 3, raw_rows(9, 5, depth), chunk(b"PLTE", palette))
        png(f"palette {depth}, tRNS", 9, 5, depth, 3, raw_rows(9, 5, depth), chunk(b"PLTE", palette), chunk(b"tRNS", random.bytes(1 << depth)))
    png("palette 8, short tRNS", 9, 5, 8, 3, raw_rows(9, 5, 8), chunk(b"PLTE", colors(256)), chunk(b"tRNS", b"\0\7\0"))
    for depth in (8, 16):
        png(f"rgb {depth}", 9, 5, depth, 2, raw_rows(9, 5, depth * 3))
        row = bytes(range(9 * depth * 3 // 8))
        png(f"rgb {depth}, tRNS", 9, 2, depth, 2, [row, row], chunk(b"tRNS", struct.pack(">HHH", *([0, 1, 2] if depth == 8 else [1, 515, 1029]))))
        png(f"grey and alpha {depth}", 9, 5, depth, 4, raw_rows(9, 5, depth * 2))
        png(f"rgba {depth}", 9, 5, depth, 6, raw_rows(9, 5, depth * 4))
    png("rgb 8, gAMA", 9, 5, 8, 2, raw_rows(9, 5, 24), chunk(b"gAMA", struct.pack(">I", 100000)))
    png("rgb 8, cHRM and gAMA", 9, 5, 8, 2, raw_rows(9, 5, 24), chunk(b"gAMA", struct.pack(">I", 45455)),
        chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)))
    png("rgb 8, sBIT", 9, 5, 8, 2, raw_rows(9, 5, 24), chunk(b"sBIT", b"\5\6\5"))
    png("grey 8, bKGD", 9, 5, 8, 0, raw_rows(9, 5, 8), chunk(b"bKGD", b"\0\x40"))
    frames = [Image.fromarray(noise(9, 5, 4)) for _ in range(2)]
    saved("png animated", frames[0], format="PNG", save_all=True, append_images=frames[1:])


# JPEG and WebP

def smooth(width, height, channels):
    y, x = numpy.mgrid[0:height, 0:width]
    planes = [127 + 80 * numpy.sin(x / (3 + c) + c) + 45 * numpy.cos(y / (4 - c / 2)) for c in range(channels)]
    out = numpy.stack(planes, -1).clip(0, 255).astype("uint8")
    return out if channels > 1 else out[:, :, 0]


def jpegs():
    picture = Image.fromarray(smooth(17, 19, 3))
    for sampling in range(3):
        for kind, options in (("", {}), (", progressive", {"progressive": True}), (", restarts", {"restart_marker_blocks": 1})):
            saved(f"jpeg {sampling}{kind}", picture, format="JPEG", subsampling=sampling, quality=60, **options)
    saved("jpeg rgb", picture, format="JPEG", keep_rgb=True, quality=60)
    saved("jpeg grey", Image.fromarray(smooth(17, 19, 1)), format="JPEG")
    saved("jpeg grey, progressive", Image.fromarray(smooth(17, 19, 1)), format="JPEG", progressive=True)
    inks = Image.frombytes("CMYK", (17, 19), smooth(17, 19, 4).tobytes())
    for kind, options in (("", {}), (", progressive", {"progressive": True})):
        saved("jpeg cmyk" + kind, inks, format="JPEG", **options)
        file = cases["jpeg cmyk" + kind]
        at = file.index(b"Adobe") + 11
        cases["jpeg ycck" + kind] = file[:at] + b"\2" + file[at + 1:]
        begin = file.index(b"\xff\xee")
        cases["jpeg cmyk, no Adobe" + kind] = file[:begin] + file[begin + 16:]
    full = Image.frombytes("CMYK", (16, 16), bytes(v for y in range(16) for x in range(16) for v in (x * 17, y * 17, 255 - x * 17, y * 17)))
    saved("jpeg cmyk, all inks", full, format="JPEG", quality=95)


def webps():
    picture, clear = Image.fromarray(smooth(17, 19, 3)), Image.fromarray(smooth(17, 19, 4))
    saved("webp lossy", picture, format="WEBP", quality=80)
    saved("webp lossless", Image.fromarray(noise(9, 5, 3)), format="WEBP", lossless=True)
    saved("webp lossy, alpha", clear, format="WEBP", quality=80)
    saved("webp lossless, alpha", Image.fromarray(noise(9, 5, 4)), format="WEBP", lossless=True, exact=True)
    hidden = noise(9, 5, 4)
    hidden[:, ::2, 3] = 0
    saved("webp lossless, hidden colours", Image.fromarray(hidden), format="WEBP", lossless=True, exact=True)
    frames = [Image.fromarray(noise(9, 5, 4)) for _ in range(2)]
    saved("webp animated", frames[0], format="WEBP", save_all=True, append_images=frames[1:], lossless=True)
    frame_file = io.BytesIO()
    Image.fromarray(noise(4, 4, 3)).save(frame_file, "WEBP", lossless=True)
    body = frame_file.getvalue()[12:]

    def part(kind, data):
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    place = (1).to_bytes(3, "little") + (0).to_bytes(3, "little") + (3).to_bytes(3, "little") * 2 + (100).to_bytes(3, "little") + b"\0"
    for kind, color in (("", b"\0\0\0\0"), (", background", b"\x40\x80\xC0\xFF")):
        parts = (part(b"VP8X", b"\2\0\0\0" + (8).to_bytes(3, "little") + (4).to_bytes(3, "little")) + part(b"ANIM", color + b"\0\0")
                 + part(b"ANMF", place + body) + part(b"ANMF", place + body))
        cases["webp small frame" + kind] = b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WEBP" + parts


def main(out, rgb):
    gifs()
    bmps()
    pngs()
    jpegs()
    webps()
    lines = []
    for name, file in cases.items():
        try:
            picture = Image.open(io.BytesIO(file)).convert("RGB")
        except Exception as e:
            print(f"{name}: Pillow does not read it: {e}")
            continue
        line = {"name": name, "file": base64.b64encode(file).decode(), "width": picture.width, "height": picture.height,
                "sha256": hashlib.sha256(picture.tobytes()).hexdigest()[:16]}
        lines.append(json.dumps(line | ({"rgb": base64.b64encode(picture.tobytes()).decode()} if rgb else {})))
    with open(out, "wb") as target:
        target.write(gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0))
    print(f"{len(lines)} pictures")


if __name__ == "__main__":
    main(sys.argv[1], "--rgb" in sys.argv)
