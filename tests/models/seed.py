#!/usr/bin/env python3
"""A model's architecture without its weights: every larger constant becomes a seeded generator.

    sluice convert model.onnx /tmp/model.sluice.txt
    tests/models/seed.py /tmp/model.sluice.txt > tests/models/text/model.sluice.txt

Generated numbers keep the mean and spread of the real ones, and their range where that is one-sided
(variances stay positive, indices in bounds), so that what runs stays finite. Needs numpy.
"""
import json
import math
import os
import re
import sys

import numpy

KEEP = 8  # elements up to which a constant stays as it is: shapes, axes, scales
NUMPY = {"f64": "f8", "f32": "f4", "f16": "f2", "i64": "i8", "i32": "i4", "i16": "i2", "i8": "i1",
         "u64": "u8", "u32": "u4", "u16": "u2", "u8": "u1", "bool": "?"}
CONSTANT = re.compile(r"\b(\w+)\[([\d,]*)\] (?:#([0-9a-f]{32})|\[([^\"\]]*)\])")


def read_safetensors(path):
    data = numpy.memmap(path, dtype="u1", mode="r")
    size = int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:8 + size].tobytes())
    begin = 8 + size
    return {name: data[begin + entry["data_offsets"][0]:begin + entry["data_offsets"][1]]
            for name, entry in header.items() if name != "__metadata__"}


def number(x):
    text = f"{x:.3g}"
    return text if re.search(r"[.e]", text) else text + ".0"


def generator(dtype, values, seed):
    low, high = float(values.min()), float(values.max())
    if low == high:
        scale, offset = 0.0, low
    elif dtype[0] != "f" and dtype != "bf16":  # [offset, offset + scale), floored
        scale, offset = high - low + 1, low
        return f"{{random = {seed}, scale = {scale!r}, offset = {offset!r}}}"
    elif low >= 0 or high <= 0:
        scale, offset = (high - low) / 2 * 0.99, (high + low) / 2
    else:
        scale, offset = math.sqrt(3) * float(values.std()), float(values.mean())
    text = f"{{random = {seed}, scale = {number(scale)}"
    return text + (f", offset = {number(offset)}}}" if offset else "}")


def main():
    path = sys.argv[1]
    with open(path, encoding="utf-8") as text:
        first = text.readline()
    beside = first.removeprefix("// weights: ").strip()
    weights = read_safetensors(os.path.join(os.path.dirname(path), beside)) if beside != first.strip() else {}
    seeds = {}

    def replace(match):
        dtype, dims, name, inline = match.groups()
        if dtype not in NUMPY:
            return match.group(0)
        count = math.prod(int(d) for d in dims.split(",")) if dims else 1
        if count <= KEEP:
            return match.group(0)
        if name:
            values = numpy.frombuffer(weights[name].tobytes(), NUMPY[dtype])
        else:
            values = numpy.array([float(v) for v in inline.replace("true", "1").replace(
                "false", "0").split(",")])
        seed = seeds.setdefault(name or inline, len(seeds) + 1)
        if dtype == "bool":
            return f"{dtype}[{dims}] {{random = {seed}}}"
        return f"{dtype}[{dims}] {generator(dtype, values.astype('f8'), seed)}"

    for line in open(path, encoding="utf-8"):
        if line.startswith("// weights: "):
            continue
        if " = Constant" in line:
            line = CONSTANT.sub(replace, line)
            line = re.sub(r" : \S+$", "", line.rstrip("\n")) + "\n"  # its own type again
        sys.stdout.write(line)


main()
