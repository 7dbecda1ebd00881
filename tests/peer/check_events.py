"""Reads a TensorBoard event file with nothing of ours: both checksums of every record, every field of every event; compares the losses
with log.jsonl beside it.

usage: ./build.sh peer check_events FOLDER     imports: nothing beyond Python
"""
import json
import math
import pathlib
import struct
import sys


def crc32c(data):
    """Bit by bit, from the polynomial: slow and plain."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        (head,) = struct.unpack_from("<I", data, at + 8)
        assert head == masked(data[at:at + 8]), f"checksum of the length at {at}"
        message = data[at + 12:at + 12 + length]
        assert len(message) == length, f"a cut record at {at}"
        (body,) = struct.unpack_from("<I", data, at + 12 + length)
        assert body == masked(message), f"checksum of the record at {at}"
        yield message
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = struct.unpack_from("<d", data, at)[0], at + 8
        elif kind == 5:
            value, at = struct.unpack_from("<f", data, at)[0], at + 4
        else:
            assert kind == 2, f"wire type {kind}"
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        yield number, value


def main():
    folder = pathlib.Path(sys.argv[1])
    (path,) = folder.glob("events.out.tfevents.*")
    events = [dict(fields(message)) for message in records(path.read_bytes())]
    assert events[0][3] == b"brain.Event:2", events[0]
    found = {}
    for event in events[1:]:
        values = [dict(fields(v)) for n, v in fields(event[5]) if n == 1]
        found[event[2]] = {v[1].decode(): v[2] for v in values}
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert sorted(found) == [line["step"] for line in log]
    for line in log:
        loss = found[line["step"]].get("train/loss")
        wanted = line["loss"]
        assert wanted is None or math.isclose(loss, wanted, rel_tol=1e-6), (line["step"], loss, wanted)
    times = [event[1] for event in events]
    assert times == sorted(times)
    print(f"{len(events)} events, every checksum right, {len(log)} losses as in log.jsonl")


main()
