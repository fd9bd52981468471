"""Makes the goldens of decoders with quantised weights: python3 make_quantized.py.

Files as those of make_decoders.py, in the same directory, but only as GGUF: ggml quantises the matrices, and the
logits are those that transformers computes in float32 from what the gguf package decodes them to. Between them, the
files have all block formats, several in a layer. Heads don't fill panels of 16 output features.
"""
import os
import shutil

import gguf
import numpy
import torch
import transformers

import make_decoders
from make_decoders import Tie, gguf_tensors, here, keys_of, random_weights, reference, sizes
from make_quantization import FORMATS, decode, ggml_quantize

make_decoders.PROMPTS = [1, 9, 60]

# The type of each matrix; of one layer a tuple has one for each.
LEGACY = {
    "token_embd": "Q8_0", "output": "MXFP4", "attn_q": "Q4_0", "attn_k": "Q5_1", "attn_v": ("Q8_0", "F16"),
    "attn_output": ("Q4_1", "F32"), "ffn_gate": "Q5_0", "ffn_up": "Q5_0", "ffn_down": ("IQ4_NL", "Q4_0"),
}
K_MIXED = {
    "token_embd": "Q4_K", "output": "Q6_K", "attn_q": ("Q4_K", "Q3_K"), "attn_k": ("Q4_K", "Q3_K"),
    "attn_v": ("Q6_K", "Q5_K"), "attn_output": "Q8_0", "ffn_gate": ("Q4_K", "IQ4_XS"), "ffn_up": ("Q4_K", "IQ4_XS"),
    "ffn_down": ("Q6_K", "Q2_K"),
}
GRIDS = {
    "token_embd": "IQ3_S", "output": "IQ3_XXS", "attn_q": ("IQ2_XXS", "IQ2_XS"), "attn_k": ("IQ2_S", "TQ1_0"),
    "attn_v": ("IQ3_S", "TQ2_0"), "attn_output": ("NVFP4", "Q8_0"), "ffn_gate": "IQ1_S", "ffn_up": "IQ1_M",
    "ffn_down": ("IQ2_S", "Q1_0"),
}
IMPORTANT = ("IQ1", "IQ2", "IQ3")


def quantized(name, value):
    """A matrix in a type: its bytes [rows, bytes], and what they decode to."""
    rows = value.numpy()
    if name in ("F32", "F16"):
        kind = {"F32": numpy.float32, "F16": numpy.float16}[name]
        return rows.astype(kind), torch.from_numpy(rows.astype(kind).astype(numpy.float32))
    if name == "Q1_0":
        # Not every ggml makes these.
        blocks = rows.reshape(-1, 128)
        scales = numpy.abs(blocks).mean(1, keepdims=True).astype(numpy.float16)
        bits = numpy.packbits(blocks > 0, axis=1, bitorder="little")
        raw = numpy.concatenate([scales.view(numpy.uint8), bits], 1)
    else:
        importance = numpy.ones(rows.shape[1], numpy.float32) if name.startswith(IMPORTANT) else None
        raw = ggml_quantize(name, rows, importance)
    values = decode(name, raw.reshape(-1, FORMATS[name][1])).reshape(rows.shape)
    assert numpy.isfinite(values).all() and values.std() > 0.2 * rows.std(), name
    return raw.reshape(rows.shape[0], -1), torch.from_numpy(numpy.ascontiguousarray(values, numpy.float32))


def make(name, seed, types, config):
    while True:
        try:
            return make_seeded(name, seed, types, config)
        except Tie:
            seed += 100


def make_seeded(name, seed, types, config):
    model = transformers.Qwen3ForCausalLM(config).eval()
    model.set_attn_implementation("eager")
    tensors = random_weights(model, torch.Generator().manual_seed(seed))
    stored = {}
    # GGUF's names for the tensors, and the same ones for what they decode to.
    for new, old in gguf_tensors({key: key for key in tensors}).items():
        if tensors[old].dim() == 1:
            stored[new] = (tensors[old].numpy(), None)
            continue
        part = new.removesuffix(".weight").split(".")
        kind = types[part[-1]]
        if not isinstance(kind, str):
            kind = kind[int(part[1])]
        raw, tensors[old] = quantized(kind, tensors[old])
        stored[new] = (raw, None if kind in ("F32", "F16") else kind)
    model.load_state_dict(tensors)
    arrays = reference(model, seed, False)
    directory = os.path.join(here, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    numpy.savez(os.path.join(directory, "ref.npz"), **arrays)
    writer = gguf.GGUFWriter(os.path.join(directory, "model.gguf"), "qwen3")
    head = {"attention.key_length": config.head_dim, "attention.value_length": config.head_dim}
    for key, value in (keys_of(config) | head).items():
        (writer.add_uint32 if isinstance(value, int) else writer.add_float32)("qwen3." + key, value)
    for key, (value, kind) in stored.items():
        writer.add_tensor(key, value, raw_dtype=kind and gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(name)


def main():
    torch.set_num_threads(1)
    shape = dict(tie_word_embeddings=False)
    make("legacy_q", 1, LEGACY, transformers.Qwen3Config(**sizes(64, 2, 4, 1, 160, 97, 1e6, **shape), head_dim=24))
    make("k_mixed_q", 2, K_MIXED, transformers.Qwen3Config(**sizes(256, 2, 4, 1, 256, 97, 1e6, **shape), head_dim=24))
    make("grids_q", 3, GRIDS, transformers.Qwen3Config(**sizes(256, 2, 4, 1, 256, 97, 1e6, **shape), head_dim=16))


if __name__ == "__main__":
    main()
