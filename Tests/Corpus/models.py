"""The valid models that the corpus spoils: tiny ones made here, and the goldens of every architecture.

What is random in them comes from a fixed sequence, so that every run makes the same files.
"""
import functools
import json
import os
import struct

import gguf_file as gguf
import safetensors_file as safetensors

GOLDENS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "Goldens")

# Byte-level BPE: a few letters, the space (U+0120) and what merges make of them. The last two are special.
TOKENS = list("abcdefgh") + ["\u0120", "ab", "cd", "abcd", "\u0120ab", "<|end|>", "<|start|>"]
MERGES = ["a b", "c d", "ab cd", "\u0120 ab"]
END = TOKENS.index("<|end|>")
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def floats(count, scale=0.1, start=0.0):
    """Numbers around `start`, out of a small linear congruential sequence."""
    state, out = 12345 + count, bytearray()
    for _ in range(count):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        out += struct.pack("<f", start + scale * (state / 0x40000000 - 1))
    return bytes(out)


def add_tokenizer(file, rows):
    """Gives a GGUF model the little byte-level vocabulary, with unused tokens up to `rows`."""
    assert rows >= len(TOKENS)
    tokens = TOKENS + [f"[unused{index}]" for index in range(rows - len(TOKENS))]
    types = [3 if token.startswith("<|") else 5 if token.startswith("[unused") else 1 for token in tokens]
    file.set("tokenizer.ggml.model", gguf.STRING, "gpt2")
    file.set("tokenizer.ggml.pre", gguf.STRING, "qwen2")
    file.set("tokenizer.ggml.tokens", gguf.ARRAY, gguf.array(gguf.STRING, tokens))
    file.set("tokenizer.ggml.token_type", gguf.ARRAY, gguf.array(gguf.I32, types))
    file.set("tokenizer.ggml.merges", gguf.ARRAY, gguf.array(gguf.STRING, MERGES))
    file.set("tokenizer.ggml.eos_token_id", gguf.U32, END)
    file.set("tokenizer.ggml.add_bos_token", gguf.BOOL, 0)


@functools.cache
def _llama():
    file = gguf.GGUF()
    hidden, heads, inner, rows = 16, 2, 24, 32
    file.set("general.architecture", gguf.STRING, "llama")
    for key, value in [
            ("block_count", 1), ("context_length", 64), ("embedding_length", hidden), ("feed_forward_length", inner),
            ("attention.head_count", heads), ("attention.head_count_kv", 1)]:
        file.set("llama." + key, gguf.U32, value)
    file.set("llama.attention.layer_norm_rms_epsilon", gguf.F32, 1e-6)
    file.set("llama.rope.freq_base", gguf.F32, 10000.0)
    add_tokenizer(file, rows)
    for name, shape in [
            ("token_embd.weight", [rows, hidden]), ("output_norm.weight", [hidden]), ("output.weight", [rows, hidden]),
            ("blk.0.attn_norm.weight", [hidden]), ("blk.0.attn_q.weight", [hidden, hidden]),
            ("blk.0.attn_k.weight", [hidden // heads, hidden]), ("blk.0.attn_v.weight", [hidden // heads, hidden]),
            ("blk.0.attn_output.weight", [hidden, hidden]), ("blk.0.ffn_norm.weight", [hidden]),
            ("blk.0.ffn_gate.weight", [inner, hidden]), ("blk.0.ffn_up.weight", [inner, hidden]),
            ("blk.0.ffn_down.weight", [hidden, inner])]:
        count = shape[0] if len(shape) == 1 else shape[0] * shape[1]
        file.tensors.append(gguf.Tensor(name, shape[::-1], 0, floats(count, start=1.0 if len(shape) == 1 else 0.0)))
    return file


def llama():
    """A llama of one layer and 16 features, in float32."""
    return _llama().copy()


# Architectures by their names in GGUF, and the golden of each.
DECODERS = {
    "qwen": "qwen", "qwen2": "qwen2", "qwen2moe": "qwen2_moe", "qwen3": "qwen3", "qwen3moe": "qwen3_moe",
    "llama": "llama_linear", "chatglm": "chatglm", "glm4": "glm4", "glm4moe": "glm4_moe", "deepseek": "deepseek",
    "deepseek2": "deepseek_v3",
}


@functools.cache
def _decoder(golden):
    file = gguf.read(os.path.join(GOLDENS, "decoders", golden, "model.gguf"))
    add_tokenizer(file, file.tensor("token_embd.weight").sizes[1])
    return file


def decoder(golden):
    """A golden decoder as GGUF, with a tokenizer."""
    return _decoder(golden).copy()


@functools.cache
def _bert():
    return gguf.read(os.path.join(GOLDENS, "bert", "wide-q4_0.gguf"))


def bert():
    """A golden BERT as GGUF."""
    return _bert().copy()


def tokenizer_json():
    """The little byte-level vocabulary as a tokenizer.json."""
    plain = [token for token in TOKENS if not token.startswith("<|")]
    added = [token for token in TOKENS if token.startswith("<|")]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": TOKENS.index(token), "content": token, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True} for token in added],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": {token: index for index, token in enumerate(plain)}, "merges": list(MERGES)},
    }


class Directory:
    """A model directory: JSON documents by name, other files by name, links to files that nothing spoils."""

    def __init__(self, documents, files=None, links=None):
        self.documents = documents
        self.files = files or {}
        self.links = links or {}

    def write(self, directory):
        from corpus import write
        from json_text import dump
        for name, document in self.documents.items():
            write(directory, name, dump(document))
        for name, data in self.files.items():
            write(directory, name, data)
        for name, source in self.links.items():
            if name not in self.files:
                os.symlink(source, os.path.join(directory, name))
        return directory


def _json(*path):
    with open(os.path.join(GOLDENS, *path), encoding="utf-8") as file:
        return json.load(file)


def decoder_directory(golden):
    """A golden decoder as a directory, with a tokenizer."""
    return Directory(
        {"config.json": _json("decoders", golden, "config.json"), "tokenizer.json": tokenizer_json()},
        links={"model.safetensors": os.path.join(GOLDENS, "decoders", golden, "model.safetensors")})


BERT_DOCUMENTS = ["config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
                  "config_sentence_transformers.json", "tokenizer.json", "tokenizer_config.json"]


def bert_directory():
    """A golden BERT as a directory of sentence-transformers."""
    return Directory(
        {name: _json("bert", "odd", *name.split("/")) for name in BERT_DOCUMENTS},
        links={"model.safetensors": os.path.join(GOLDENS, "bert", "odd", "model.safetensors")})


def weights(*path):
    """A golden safetensors file."""
    return safetensors.read(os.path.join(GOLDENS, *path))
