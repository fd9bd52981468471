"""The models of a run: made when they are missing, and what they cost a token."""

import json
import os
import re
import subprocess

# Peers of a model whose weights are multiplied as floats have the peak of floats as ceiling, the others that of int8.
FLOAT_TYPES = ("F32", "F16", "BF16")


class Model:
    """A model's file and its cost.

    macs_per_token: multiply-adds with weights of a prompt's token, the output head left out: it meets the last alone.
    bytes_per_token: bytes that a generated token reads of the file, the head and the chosen experts included.
    cache_bytes: bytes of keys and values of one position, as 16-bit numbers.
    """

    def __init__(self, name, path, weights):
        self.name = name
        self.path = path
        self.weights = weights
        self.is_float = weights in FLOAT_TYPES

    def measure(self, salangane):
        done = subprocess.run(
            [salangane, "inspect", "--tensors", "--format", "json", self.path], capture_output=True, text=True, check=True
        )
        self.__dict__.update(cost(json.loads(done.stdout)))

    def facts(self):
        return {key: value for key, value in self.__dict__.items() if key != "path"}


def cost(report):
    """The facts of a model that limits are computed from, out of `salangane inspect --tensors`."""
    metadata = report["metadata"]

    def number(name):
        for key, value in metadata.items():
            if (key.endswith("." + name) or key == name) and isinstance(value, (int, float)):
                return value
        return None

    experts, used = number("expert_count"), number("expert_used_count")
    macs = bytes_read = head = 0
    embedding = 0
    layers = set()
    for tensor in report["tensors"]:
        name, shape = tensor["name"], tensor["shape"]
        elements = 1
        for size in shape:
            elements *= size
        block = re.search(r"(?:blk|layer|layers)\.(\d+)\.", name)
        if block:
            layers.add(int(block.group(1)))
            if len(shape) < 2:
                continue
            share = used / experts if "_exps" in name and experts else 1
            macs += elements * share
            bytes_read += tensor["bytes"] * share
        elif name in ("output.weight", "lm_head.weight"):
            head = tensor["bytes"]
        elif name in ("token_embd.weight", "model.embed_tokens.weight"):
            embedding = tensor["bytes"]
    vocabulary = next(
        (t["shape"][0] for t in report["tensors"] if re.search(r"(token_embd|embed_tokens|word_embeddings)\.weight$", t["name"])),
        None,
    )
    heads = number("attention.head_count_kv") or 0
    width = (number("attention.key_length") or 0) + (number("attention.value_length") or 0)
    rank = number("attention.kv_lora_rank")
    rotary = number("rope.dimension_count") or 0
    values = rank + rotary if rank else heads * width
    return {
        "bytes": report["bytes"],
        "parameters": report["parameters"],
        "layers": len(layers),
        "vocabulary": vocabulary,
        "macs_per_token": int(macs),
        "bytes_per_token": int(bytes_read + (head or embedding)),
        "cache_bytes": int(len(layers) * values * 2),
    }


def synthesize(salangane, folder, shape, weights, layers=None, log=print):
    """A model with random weights in a real one's shape."""
    cut = f"-{layers}layers" if layers else ""
    name = f"{shape}{cut}-{weights}"
    path = os.path.join(folder, name + ".gguf")
    if not os.path.exists(path):
        log(f"making {name}")
        arguments = [salangane, "synthesize", shape, path, "--type", weights]
        subprocess.run(arguments + (["--layers", str(layers)] if layers else []), check=True)
    return Model(name, path, weights)


def minilm(salangane, folder, directory, log=print):
    """all-MiniLM-L6-v2 as it is, and as GGUF files for those who read nothing else."""
    models = {"directory": Model("all-MiniLM-L6-v2", directory, "F32")}
    for weights in ("F32", "Q8_0"):
        path = os.path.join(folder, f"all-MiniLM-L6-v2-{weights}.gguf")
        if not os.path.exists(path):
            log(f"making {os.path.basename(path)}")
            subprocess.run([salangane, "quantize", directory, path, "--type", weights], check=True, stdout=subprocess.DEVNULL)
        models[weights] = Model(f"all-MiniLM-L6-v2-{weights}", path, weights)
    return models
