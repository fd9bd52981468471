"""Models whose numbers are NaN or infinite: a result must never hold one with status 0."""
import struct

import models
from corpus import EMBED, INSPECT, LOGITS, TOKENIZE, Case, single

PATTERNS = [("nan", struct.pack("<f", float("nan"))), ("infinite", struct.pack("<f", float("inf"))),
            ("minus-infinite", struct.pack("<f", -float("inf")))]
# Finite, but sums of their products aren't.
HUGE = struct.pack("<f", 3e38)

TENSORS = ["token_embd.weight", "output_norm.weight", "output.weight", "blk.0.attn_norm.weight",
           "blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.attn_output.weight",
           "blk.0.ffn_norm.weight", "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight", "blk.0.ffn_down.weight"]


def statuses(status, embed=None):
    return {INSPECT: 0, TOKENIZE: 0, EMBED: status if embed is None else embed, LOGITS: status}


def cases():
    for name in TENSORS:
        for label, pattern in PATTERNS:
            def data(name=name, pattern=pattern):
                file = models.llama()
                tensor = file.tensor(name)
                tensor.data = pattern * (len(tensor.data) // 4)
                return file.bytes()
            # An embedding doesn't pass through the output matrix.
            yield Case(f"weights/{name}-{label}", single("model.gguf", data),
                       statuses(65, 0 if name == "output.weight" else None), "finite")
    for name in ("blk.0.attn_q.weight", "blk.0.ffn_down.weight", "token_embd.weight"):
        for position in (0, 100):
            def data(name=name, position=position):
                file = models.llama()
                tensor = file.tensor(name)
                # In the row of a token that is run: the table's others don't take part.
                start = 4 * (16 + position % 16) if name == "token_embd.weight" else 4 * position
                tensor.data = tensor.data[:start] + PATTERNS[0][1] + tensor.data[start + 4:]
                return file.bytes()
            yield Case(f"weights/{name}-one-nan-at-{position}", single("model.gguf", data),
                       statuses(65), "finite")
    for name in ("blk.0.ffn_norm.weight", "output_norm.weight"):
        def data(name=name):
            file = models.llama()
            tensor = file.tensor(name)
            tensor.data = HUGE * (len(tensor.data) // 4)
            return file.bytes()
        yield Case(f"weights/{name}-so-large-that-sums-overflow", single("model.gguf", data), statuses(65, OVERFLOWS[name]),
                   "finite")
    # Blocks with scales that aren't numbers.
    for golden, tensor in [("bert", "blk.0.attn_q.weight"), ("bert", "blk.1.ffn_down.weight")]:
        for label, scale in [("nan", b"\x00\x7e"), ("infinite", b"\x00\x7c")]:
            def data(tensor=tensor, scale=scale):
                file = models.bert()
                item = file.tensor(tensor)
                block = 18 if item.kind == 2 else 34
                item.data = b"".join(scale + item.data[at + 2:at + block] for at in range(0, len(item.data), block))
                return file.bytes()
            yield Case(f"weights/{golden}-{tensor}-{label}-scales", single("model.gguf", data),
                       {INSPECT: 0, TOKENIZE: 0, EMBED: 65}, "finite")
    for label, dtype, pattern in [("bf16-nan", "BF16", b"\xc0\x7f"), ("bf16-infinite", "BF16", b"\x80\x7f")]:
        for name in ("model.layers.0.self_attn.q_proj.weight", "model.norm.weight", "model.layers.1.mlp.down_proj.weight"):
            def build(directory, name=name, pattern=pattern, dtype=dtype):
                model = models.decoder_directory("qwen3")
                file = models.weights("decoders", "qwen3", "model.safetensors")
                stored = next(key for key in file.header if key.endswith(name))
                width = {"BF16": 2, "F32": 4, "F16": 2}[file.header[stored]["dtype"]]
                value = pattern if width == 2 and file.header[stored]["dtype"] == dtype else b"\0\0" + pattern
                file.fill(stored, value * (len(file.part(stored)) // len(value)))
                model.files["model.safetensors"] = file.bytes()
                return model.write(directory)
            yield Case(f"weights/safetensors-{name}-{label}", build, statuses(65), "finite")


# Norms divide by what comes in, so that an embedding may stay finite.
OVERFLOWS = {"blk.0.ffn_norm.weight": None, "output_norm.weight": None}
