"""Makes the small goldens of the file readers in files/.

Run with python3; needs numpy, torch, gguf and safetensors. `arrays.npz` is for the reader of goldens
itself; each model file comes with a JSON file that says what its own library wrote.
"""
import json
import os

import gguf
import numpy
import safetensors.torch
import torch

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
os.makedirs(here, exist_ok=True)
generator = numpy.random.default_rng(1)


def save(name, value):
    with open(os.path.join(here, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")


def arrays():
    numpy.savez(
        os.path.join(here, "arrays.npz"),
        floats=numpy.arange(6, dtype=numpy.float32).reshape(2, 3) / 2,
        integers=numpy.array([-1, 1 << 40], dtype=numpy.int64),
        bytes=numpy.array([0, 127, 255], dtype=numpy.uint8),
        scalar=numpy.float64(3.25))


def add_tensors(writer, specifications):
    """Adds tensors of (name, type, shape) with random bytes; returns what a reader must find."""
    found = []
    for name, type, shape in specifications:
        block, size = gguf.GGML_QUANT_SIZES[type]
        rows = list(shape[:-1]) + [shape[-1] // block * size]
        data = generator.integers(0, 256, rows, dtype=numpy.uint8)
        plain = {
            gguf.GGMLQuantizationType.F32: numpy.float32, gguf.GGMLQuantizationType.F16: numpy.float16,
            gguf.GGMLQuantizationType.F64: numpy.float64, gguf.GGMLQuantizationType.I8: numpy.int8,
            gguf.GGMLQuantizationType.I16: numpy.int16, gguf.GGMLQuantizationType.I32: numpy.int32,
            gguf.GGMLQuantizationType.I64: numpy.int64}.get(type)
        if plain is None:
            writer.add_tensor(name, data, raw_dtype=type)
        else:
            writer.add_tensor(name, data.view(plain))
        found.append({"name": name, "type": type.name, "shape": list(shape), "bytes": data.tobytes().hex()})
    return found


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_types():
    """Every type of value and every type of tensor, with an alignment of its own."""
    writer = gguf.GGUFWriter(os.path.join(here, "types.gguf"), "bert")
    writer.add_custom_alignment(64)
    values = {
        "uint8": 255, "int8": -128, "uint16": 65535, "int16": -32768, "uint32": 4294967295,
        "int32": -2147483648, "float32": 0.5, "uint64": 18446744073709551615, "int64": -(1 << 63),
        "float64": 1e-300, "bool": True, "string": "é \U0001F600"}
    for name, value in values.items():
        getattr(writer, "add_" + name)("test." + name, value)
    writer.add_array("test.strings", ["a", "", "é", "\U0001F600"])
    writer.add_array("test.integers", [1, -2, 3])
    writer.add_array("test.floats", [0.5, -0.25])
    writer.add_array("test.bools", [True, False, True])
    writer.add_array("test.nested", [[1, 2], [3]])
    tensors = []
    for type in gguf.GGMLQuantizationType:
        if type == gguf.GGMLQuantizationType.Q8_1:
            continue  # the package's 40 bytes a block are those of an old ggml: it is 36 since f16 sums
        block = gguf.GGML_QUANT_SIZES[type][0]
        tensors.append((f"matrix.{type.name}", type, (2, max(2 * block // (2 if block > 1 else 1), 2))))
    tensors.append(("vector", gguf.GGMLQuantizationType.F32, (3,)))
    tensors.append(("volume", gguf.GGMLQuantizationType.F16, (2, 3, 4)))
    tensors.append(("four", gguf.GGMLQuantizationType.I8, (2, 1, 3, 2)))
    save("types.gguf.json", {"values": values, "tensors": add_tensors(writer, tensors)})
    finish(writer)


def gguf_split():
    """A split set of three files with one tensor each."""
    writer = gguf.GGUFWriter(os.path.join(here, "split.gguf"), "bert", split_max_tensors=1)
    writer.add_block_count(1)
    kinds = gguf.GGMLQuantizationType
    found = add_tensors(writer, [("a", kinds.F32, (2, 2)), ("b", kinds.Q8_0, (1, 32)), ("c", kinds.F16, (3,))])
    save("split.gguf.json", {"values": {}, "tensors": found})
    finish(writer)


def safetensors_types():
    """Every type that PyTorch has a counterpart for, and unusual shapes."""
    types = {
        "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "F8_E5M2": torch.float8_e5m2,
        "F8_E4M3": torch.float8_e4m3fn, "F8_E8M0": torch.float8_e8m0fnu, "I16": torch.int16, "U16": torch.uint16,
        "F16": torch.float16, "BF16": torch.bfloat16, "I32": torch.int32, "U32": torch.uint32,
        "F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "U64": torch.uint64,
        "C64": torch.complex64}
    tensors, found = {}, []

    def add(name, type, shape):
        size = types[type].itemsize
        data = generator.integers(0, 2 if type == "BOOL" else 256, [int(numpy.prod(shape)) * size], dtype=numpy.uint8)
        tensors[name] = torch.frombuffer(bytearray(data.tobytes()), dtype=types[type]).reshape(shape) \
            if data.size else torch.empty(shape, dtype=types[type])
        found.append({"name": name, "type": type, "shape": list(shape), "bytes": data.tobytes().hex()})

    for type in types:
        add("matrix." + type, type, (2, 3))
    add("scalar", "F32", ())
    add("empty", "F16", (2, 0, 3))
    add("\"é\\\n", "I8", (1, 1, 1, 1, 1))
    safetensors.torch.save_file(tensors, os.path.join(here, "types.safetensors"), {"format": "pt", "é": "\"x\""})
    save("types.safetensors.json", {"values": {"format": "pt", "é": "\"x\""}, "tensors": found})


arrays()
gguf_types()
gguf_split()
safetensors_types()
