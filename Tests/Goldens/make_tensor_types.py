"""Writes Tests/Goldens/tensor_types.json: the types that llama.cpp gives to the tensors of models it quantises.

The models have the names, counts and row lengths of real ones, two rows a matrix, and no sense. For each, the file
has what the choice depends on, the tensors, and a string for each scheme with a letter for each tensor: its type is
at the letter's place in TYPES.

Types come from llama.cpp's own quantiser, in llama-cpp-python (0.3.36).

Usage: python3 Tests/Goldens/make_tensor_types.py
"""

import ctypes
import json
import pathlib
import tempfile

import gguf
import llama_cpp
import numpy as np

OUTPUT = pathlib.Path(__file__).resolve().parent / "tensor_types.json"
TYPES = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4".split()
SCHEMES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12,
    "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ4_NL": 25, "IQ4_XS": 30,
    "BF16": 32, "MXFP4_MOE": 38,
}


def dense(hidden, inner, layers, *, tied, norms=(), fused=False):
    """Tensors of a decoder: name and shape, outermost dimension first."""
    tensors = {"token_embd.weight": [4, hidden], "output_norm.weight": [hidden]}
    if not tied:
        tensors["output.weight"] = [4, hidden]
    for layer in range(layers):
        block = {"attn_norm.weight": [hidden], "ffn_norm.weight": [hidden]}
        for name in ["attn_qkv"] if fused else ["attn_q", "attn_k", "attn_v"]:
            block[f"{name}.weight"] = [2, hidden]
            block[f"{name}.bias"] = [2]
        for name in ["attn_output", "ffn_up"] if fused else ["attn_output", "ffn_gate", "ffn_up"]:
            block[f"{name}.weight"] = [2, hidden]
        block["ffn_down.weight"] = [2, inner]
        for name in norms:
            block[f"{name}.weight"] = [2, hidden]
        tensors.update({f"blk.{layer}.{name}": shape for name, shape in block.items()})
    return tensors


def sparse(hidden, inner, layers, experts, dense_layers=0):
    """Tensors of a decoder with experts."""
    tensors = dense(hidden, inner, layers, tied=False)
    for layer in range(dense_layers, layers):
        for name in ["gate", "up", "down"]:
            shape = tensors.pop(f"blk.{layer}.ffn_{name}.weight")
            tensors[f"blk.{layer}.ffn_{name}_exps.weight"] = [experts, *shape]
        tensors[f"blk.{layer}.ffn_gate_inp.weight"] = [experts, hidden]
    return tensors


def encoder(hidden, inner, layers):
    """Tensors of BERT."""
    tensors = {"token_embd.weight": [4, hidden], "position_embd.weight": [4, hidden], "token_types.weight": [2, hidden]}
    for layer in range(layers):
        for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_up"]:
            tensors[f"blk.{layer}.{name}.weight"] = [2, hidden]
        tensors[f"blk.{layer}.ffn_down.weight"] = [2, inner]
    return tensors


# Name: architecture, layers, heads, key and value heads, experts, tensors.
MODELS = {
    "qwen2.5-0.5b": ("qwen2", 24, 14, 2, 0, dense(896, 4864, 24, tied=True)),
    "qwen3-0.6b": ("qwen3", 28, 16, 8, 0, dense(1024, 3072, 28, tied=True, norms=["attn_q_norm", "attn_k_norm"])),
    "llama-3-8b": ("llama", 32, 32, 8, 0, dense(4096, 14336, 32, tied=False)),
    "llama-3-70b": ("llama", 80, 64, 8, 0, dense(512, 1024, 80, tied=False)),
    "llama-65b": ("llama", 80, 64, 64, 0, dense(512, 1024, 80, tied=False)),
    "mixtral-8x7b": ("llama", 32, 32, 8, 8, sparse(512, 1024, 32, 8)),
    "qwen3-30b-a3b": ("qwen3moe", 48, 32, 4, 16, sparse(512, 768, 48, 16)),
    "odd": ("qwen3moe", 17, 32, 32, 6, sparse(288, 416, 17, 6, dense_layers=2)),
    "narrow": ("qwen3", 9, 4, 4, 0, dense(80, 48, 9, tied=True)),
    "glm-4-9b": ("chatglm", 40, 32, 2, 0, dense(4096, 13696, 40, tied=False, fused=True)),
    "minilm": ("bert", 6, 12, 12, 0, encoder(384, 1536, 6)),
}


def outside(tensors):
    """The tensors outside of layers, in order."""
    return [[name, shape] for name, shape in tensors.items() if not name.startswith("blk.")]


def blocks(tensors, layers):
    """Runs of equal layers: how many, and their tensors in order, without the prefix of the layer."""
    runs = []
    for layer in range(layers):
        prefix = f"blk.{layer}."
        block = [[name.removeprefix(prefix), shape] for name, shape in tensors.items() if name.startswith(prefix)]
        if runs and runs[-1][1] == block:
            runs[-1][0] += 1
        else:
            runs.append([1, block])
    return runs


def ordered(tensors, layers):
    """The names in the order of the file: outside of layers, then layer by layer."""
    names = [name for name, _ in outside(tensors)]
    for layer in range(layers):
        names += [name for name in tensors if name.startswith(f"blk.{layer}.")]
    return names


@llama_cpp.llama_log_callback
def silent(level, text, data):
    pass


def write_model(path, architecture, layers, heads, key_value_heads, experts, tensors):
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(layers)
    writer.add_context_length(128)
    writer.add_embedding_length(tensors["token_embd.weight"][1])
    writer.add_feed_forward_length(256)
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_value_heads)
    writer.add_key_length(64)
    writer.add_value_length(64)
    writer.add_rope_dimension_count(64)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_layer_norm_eps(1e-6)
    writer.add_vocab_size(4)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
        writer.add_expert_feed_forward_length(256)
    for name, shape in tensors.items():
        writer.add_tensor(name, np.zeros(shape, np.float32 if len(shape) == 1 else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def types(source, destination, scheme):
    """The types of all tensors by name after quantising."""
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = scheme
    options.nthread = 1
    status = llama_cpp.llama_model_quantize(source.encode(), destination.encode(), ctypes.byref(options))
    assert status == 0, (source, scheme)
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(destination).tensors}


def main():
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    models = {}
    with tempfile.TemporaryDirectory() as folder:
        source, destination = f"{folder}/source.gguf", f"{folder}/destination.gguf"
        for name, (architecture, layers, heads, key_value_heads, experts, tensors) in MODELS.items():
            write_model(source, architecture, layers, heads, key_value_heads, experts, tensors)
            chosen = {scheme: types(source, destination, number) for scheme, number in SCHEMES.items()}
            models[name] = {
                "architecture": architecture,
                "layers": layers,
                "experts": experts,
                "heads": heads,
                "key_value_heads": key_value_heads,
                "outside": outside(tensors),
                "blocks": blocks(tensors, layers),
                "types": {
                    scheme: "".join(chr(ord("a") + TYPES.index(by_name[tensor])) for tensor in ordered(tensors, layers))
                    for scheme, by_name in chosen.items()
                },
            }
    OUTPUT.write_text(json.dumps({"types": TYPES, "models": models}, separators=(",", ":")) + "\n")


main()
