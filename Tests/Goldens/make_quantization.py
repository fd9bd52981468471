"""Writes Tests/Goldens/quantization: blocks of every format, and what they mean.

All files are little-endian and without a header:
  TYPE.blocks, TYPE.floats     blocks, and the float32 values they decode to
  TYPE.source, TYPE.encoded    float32 values, and the blocks they encode to
  tiles.weights, .scales, .floats    a 129 x 130 matrix in E4M3 with a scale for each tile of 128 x 128
  search.source, search.errors    rows of 256 float32 values, four of each kind in SEARCH_KINDS, and the float32
                                  squared errors [format, row] that ggml's quantisers make, for SEARCHED

Values come from the gguf package (0.19) with numpy 2 and, for FP8, from torch. Formats that gguf doesn't decode
(Q8_1, Q8_K, Q1_0, Q2_0) are decoded here by their definitions in ggml-common.h. MXFP4 and the formats whose
blocks are searched for are encoded by ggml itself, in the library of llama-cpp-python (0.3.36).

Usage: python3 Tests/Goldens/make_quantization.py
"""

import ctypes
import pathlib

import gguf
import llama_cpp
import numpy as np
import torch

FOLDER = pathlib.Path(__file__).resolve().parent / "quantization"
random = np.random.default_rng(20240607)

# Name: values and bytes of a block, and the offsets of its half-precision numbers.
FORMATS = {
    "Q4_0": (32, 18, [0]),
    "Q4_1": (32, 20, [0, 2]),
    "Q5_0": (32, 22, [0]),
    "Q5_1": (32, 24, [0, 2]),
    "Q8_0": (32, 34, [0]),
    "Q8_1": (32, 36, [0, 2]),
    "Q2_K": (256, 84, [80, 82]),
    "Q3_K": (256, 110, [108]),
    "Q4_K": (256, 144, [0, 2]),
    "Q5_K": (256, 176, [0, 2]),
    "Q6_K": (256, 210, [208]),
    "Q8_K": (256, 292, []),
    "IQ1_S": (256, 50, [0]),
    "IQ1_M": (256, 56, []),
    "IQ2_XXS": (256, 66, [0]),
    "IQ2_XS": (256, 74, [0]),
    "IQ2_S": (256, 82, [0]),
    "IQ3_XXS": (256, 98, [0]),
    "IQ3_S": (256, 110, [0]),
    "IQ4_NL": (32, 18, [0]),
    "IQ4_XS": (256, 136, [0]),
    "MXFP4": (32, 17, []),
    "NVFP4": (64, 36, []),
    "TQ1_0": (256, 54, [52]),
    "TQ2_0": (256, 66, [64]),
    "Q1_0": (128, 18, [0]),
    "Q2_0": (64, 18, [0]),
}

# Least, middle and greatest subnormals, the least normal, zeros, the greatest, infinity, NaN, ordinary ones.
HALVES = [0x0001, 0x8201, 0x03FF, 0x0400, 0x0000, 0x8000, 0x7BFF, 0xFBFF, 0x7C00, 0x7E00, 0x2E66, 0xB123, 0x3C00]
EXPONENTS = [0, 1, 2, 3, 64, 126, 127, 128, 200, 252, 253, 254, 255]
UNSIGNED_E4M3 = [0, 1, 7, 8, 0x38, 0x7E, 0x7F, 0x80, 0x81, 0xFE, 0xFF, 0x44, 0x13]


def half(blocks, offset):
    return blocks[:, offset : offset + 2].copy().view(np.float16).astype(np.float32)


def decode(name, blocks):
    """The values of blocks [count, bytes], as float32 [count, values]."""
    if name == "Q8_1":
        return half(blocks, 0) * blocks[:, 4:].view(np.int8).astype(np.float32)
    if name == "Q8_K":
        return blocks[:, :4].copy().view(np.float32) * blocks[:, 4:260].view(np.int8).astype(np.float32)
    if name == "Q1_0":
        bits = np.unpackbits(blocks[:, 2:], axis=1, bitorder="little")
        return np.where(bits == 1, half(blocks, 0), -half(blocks, 0))
    if name == "Q2_0":
        codes = (blocks[:, 2:, None] >> np.array([0, 2, 4, 6], np.uint8)) & 3
        return half(blocks, 0) * (codes.reshape(len(blocks), -1).astype(np.float32) - 1)
    return gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[name])


def make_blocks(name):
    values, size, offsets = FORMATS[name]
    count = len(HALVES)
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for position, offset in enumerate(offsets):
        numbers = HALVES if position == 0 else random.permutation(HALVES)
        blocks[:, offset : offset + 2] = np.array(numbers, "<u2").view(np.uint8).reshape(count, 2)
    if name == "Q8_K":
        scales = np.array([2.0**-149, 0, -0.0, 2.0**-126, 3e38, -1e-3, 0.37, np.inf, np.nan, 1, -1, 1e-20, 7e4], "<f4")
        blocks[:, :4] = scales.view(np.uint8).reshape(count, 4)
    if name == "IQ1_M":
        for quarter in range(4):
            nibbles = (np.array(HALVES) >> (4 * quarter)) & 15
            high = 48 + 2 * quarter + 1
            blocks[:, high] = (blocks[:, high] & 15) | (nibbles << 4)
    if name == "MXFP4":
        blocks[:, 0] = EXPONENTS
    if name == "NVFP4":
        for group in range(4):
            blocks[:, group] = np.roll(UNSIGNED_E4M3, group)
    floats = decode(name, blocks)
    assert floats.dtype == np.float32 and floats.shape == (count, values), name
    write(f"{name}.blocks", blocks)
    write(f"{name}.floats", floats)


def make_encoded(name, source):
    kind = gguf.GGMLQuantizationType[name]
    encoded = gguf.quants.quantize(source, kind)
    write(f"{name}.source", source)
    write(f"{name}.encoded", encoded)


def block_sources():
    """Rows of 32 values for the block formats."""
    normal = random.standard_normal((24, 32)) * np.exp2(random.integers(-18, 15, (24, 1)))
    ramp = np.arange(32) - 16
    rows = [
        np.zeros(32),
        np.full(32, 0.25),
        np.full(32, -3.0),
        ramp / 8,  # many codes halfway between integers
        ramp[::-1] * 0.5,
        (ramp + 0.5) * 127 / 15.5,
        np.where(ramp % 2 == 0, 1.0, -1.0),  # two extremes of one magnitude
        np.where(ramp % 2 == 0, -1.0, 1.0),
        np.where(ramp == 3, 60000.0, ramp),
        np.where(ramp == 3, -1.0, np.nextafter(np.float32(0.5), np.float32(0)) / 127),
        ramp * 2.0**-24,  # a subnormal half as the scale
        ramp * 2.0**-27,  # a scale that rounds to zero
    ]
    return np.concatenate([normal, np.array(rows)]).astype(np.float32)


def float_sources():
    """Floats for the plain formats: all magnitudes, ties and their neighbours, specials."""
    bits = random.integers(0, 2**32, 1024, dtype=np.uint32)
    halves = random.integers(0, 0x7C00, 512).astype(np.uint16).view(np.float16).astype(np.float32)
    above = np.nextafter(halves.astype(np.float16), np.float16(np.inf)).astype(np.float32)
    ties = ((halves.astype(np.float64) + above) / 2).astype(np.float32)
    around = [np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(np.inf))]
    upper = (random.integers(0, 2**16, 256, dtype=np.uint32) << 16) | 0x8000
    special = np.array([0, -0.0, np.inf, -np.inf, 65504, 65519.996, 65520, -65520, 2.0**-24, 2.0**-25, 3e38], np.float32)
    special = np.append(special, np.nextafter(np.float32(2.0**-25), np.float32(1)))
    values = np.concatenate([bits.view(np.float32), ties, *around, upper.view(np.float32), special])
    return values[~np.isnan(values)]


def make_fp8():
    patterns = torch.arange(256, dtype=torch.uint8)
    for name, kind in [
        ("F8_E4M3", torch.float8_e4m3fn),
        ("F8_E5M2", torch.float8_e5m2),
        ("F8_E8M0", torch.float8_e8m0fnu),
    ]:
        write(f"{name}.blocks", patterns.numpy())
        write(f"{name}.floats", patterns.view(kind).to(torch.float32).numpy())
    rows, columns, tile = 129, 130, 128
    weights = torch.from_numpy(random.standard_normal((rows, columns)).astype(np.float32) * 40).to(torch.float8_e4m3fn)
    scales = torch.from_numpy(np.exp(random.standard_normal((2, 2))).astype(np.float32) * 1e-3)
    spread = scales.repeat_interleave(tile, 0).repeat_interleave(tile, 1)[:rows, :columns]
    write("tiles.weights", weights.view(torch.uint8).numpy())
    write("tiles.scales", scales.numpy())
    write("tiles.floats", (weights.to(torch.float32) * spread).numpy())


SEARCHED = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]


def search_sources():
    """Rows of 256 values by kind."""
    random = np.random.default_rng(20240608)
    normal = random.standard_normal((4, 256))
    return {
        "normal": normal * 0.02,
        "uniform": random.uniform(-1, 1, (4, 256)),
        "laplace": random.laplace(size=(4, 256)),
        "heavy tails": random.standard_t(2, (4, 256)) * 0.01,
        "positive": random.uniform(0.5, 1.5, (4, 256)),
        "constant": random.standard_normal((4, 1)).repeat(256, 1),
        "zero": np.array([[0.0], [-0.0], [0.0], [0.0]]).repeat(256, 1),
        "tiny": random.standard_normal((4, 256)) * np.array([[1e-5], [1e-6], [1e-7], [1e-9]]),
        "great": random.standard_normal((4, 256)) * 1e5,
        "sparse": random.standard_normal((4, 256)) * (random.random((4, 256)) < 0.1),
        "groups": random.standard_normal((4, 256)) * np.exp2(random.integers(-8, 3, (4, 16)).repeat(16, 1)),
    }


def ggml_quantize(name, rows, importance=None):
    """The blocks [row, bytes] that ggml makes of rows of values; without importance weights unless they are given."""
    library = pathlib.Path(llama_cpp.__file__).parent / "lib"
    quantize = ctypes.CDLL(str(next(library.glob("libggml-base.*")))).ggml_quantize_chunk
    quantize.restype = ctypes.c_size_t
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    quantize.argtypes = [ctypes.c_int, pointer, pointer, size, size, size, pointer]
    kind = gguf.GGMLQuantizationType[name]
    values, block = gguf.GGML_QUANT_SIZES[kind]
    rows = np.ascontiguousarray(rows, np.float32)
    encoded = np.zeros((rows.shape[0], rows.shape[1] // values * block), np.uint8)
    weights = None if importance is None else importance.ctypes.data
    quantize(int(kind), rows.ctypes.data, encoded.ctypes.data, 0, *rows.shape, weights)
    return encoded


def make_search():
    source = np.concatenate(list(search_sources().values())).astype(np.float32)
    errors = []
    for name in SEARCHED:
        values = gguf.quants.dequantize(ggml_quantize(name, source), gguf.GGMLQuantizationType[name])
        errors.append(np.sum((values.astype(np.float64) - source) ** 2, axis=1))
    write("search.source", source)
    write("search.errors", np.array(errors, np.float32))


def make_mxfp4():
    random = np.random.default_rng(20240609)
    values = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    midpoints = (values[1:] + values[:-1]) / 2
    ties = np.concatenate([midpoints, -midpoints, [6, 4, -0.0], np.nextafter(np.float32(midpoints), 10)])
    powers = np.exp2(random.integers(-100, 100, (8, 1)))
    below = np.nextafter(np.exp2(np.arange(-3, 13, 2)).astype(np.float32), np.float32(0))
    rows = [block_sources(), np.resize(ties, (8, 32)) * powers, np.repeat(below[:, None], 32, 1)]
    rows.append(random.standard_normal((8, 32)) * np.exp2(random.integers(-120, 120, (8, 1))))
    source = np.concatenate(rows).astype(np.float32)
    write("MXFP4.source", source)
    write("MXFP4.encoded", ggml_quantize("MXFP4", source))


def write(name, array):
    (FOLDER / name).write_bytes(np.ascontiguousarray(array).tobytes())


def main():
    FOLDER.mkdir(exist_ok=True)
    with np.errstate(all="ignore"):
        for name in FORMATS:
            make_blocks(name)
        for name in ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]:
            make_encoded(name, block_sources())
        for name in ["F16", "BF16"]:
            make_encoded(name, float_sources())
    make_fp8()
    make_mxfp4()
    make_search()


if __name__ == "__main__":
    main()
