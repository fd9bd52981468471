#!/usr/bin/env python3
"""Writes the values that `salangane selftest` expects of products with quantised weights.

Weights are blocks of pseudo-random bytes with scales of a sensible size, dequantised by the gguf package; activations
are rounded to 8 bits as the kernels do it, and multiplied in double precision.

Usage: make_kernel_references.py > Sources/Tensors/SelfTest/QuantizedReferences.swift      (needs numpy and gguf)
"""

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

ROWS, COLUMNS = 16, 256
# Where the half-precision numbers of a block are; MXFP4 has an exponent instead.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
}


def case(name):
    """The case of `TensorType`."""
    first, _, rest = name.partition("_")
    return first.lower() + ("_" + rest if rest else "")


def blocks(name, number):
    size, length = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count = ROWS * COLUMNS // size
    data = np.zeros(count * length, np.uint8)
    state = number + 1
    for index in range(data.size):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        data[index] = state >> 24
    data = data.reshape(count, length)
    for block in range(count):
        for offset in HALVES[name]:
            half = 0x2000 + (block * 37 + offset) % 256
            data[block, offset] = half & 0xFF
            data[block, offset + 1] = half >> 8
        if name == "MXFP4":
            data[block, 0] = 118 + block % 5
    return data


def activations():
    index = np.arange(COLUMNS)
    x = (((index * 7919 + 104729) % 2003 - 1001).astype(np.float32) / np.float32(1001)).reshape(-1, 32)
    largest = np.abs(x).max(axis=1, keepdims=True)
    codes = np.rint(x * (np.float32(127) / largest))
    return (codes.astype(np.float64) * (largest / np.float32(127)).astype(np.float64)).reshape(-1)


print("""// Written by Tests/Goldens/make_kernel_references.py: don't edit.

import SalanganeFiles

/// What a product of fixed weights and activations gives, for 16 outputs.
struct QuantizedReference: Sendable {
  /// The type of the weights.
  let type: TensorType
  /// Where the half-precision numbers of a block are.
  let halves: [Int]
  /// The outputs.
  let values: [Double]

  static let all: [QuantizedReference] = [""")
x = activations()
for number, name in enumerate(HALVES):
    raw = blocks(name, number)
    weights = dequantize(raw.reshape(ROWS, -1), GGMLQuantizationType[name]).astype(np.float64)
    values = weights.reshape(ROWS, COLUMNS) @ x
    print(f"    QuantizedReference(\n      type: .{case(name)}, halves: {HALVES[name]},\n      values: [")
    for row in range(0, ROWS, 4):
        print("        " + ", ".join(f"{value:.10e}" for value in values[row:row + 4]) + ",")
    print("      ]),")
print("  ]\n}")
