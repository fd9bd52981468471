"""What is measured: every case is one model and one kind of work, by all engines that can do it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One kind of work. `shape`, `weights` and `layers` say which model: shape `minilm` is the real one."""

    section: str
    shape: str
    weights: str
    peers: tuple = ()
    layers: int = 0
    prompt: int = 0
    generate: int = 0
    depth: int = 0
    batch: int = 1
    embed: tuple = ()
    threads: int = 0
    checks: bool = False

    @property
    def key(self):
        """What tells a case from all others, and stays the same from run to run."""
        parts = [self.section, self.shape + (f"-{self.layers}layers" if self.layers else ""), self.weights]
        work = [f"p{self.prompt}" if self.prompt else "", f"n{self.generate}" if self.generate else ""]
        work += [f"d{self.depth}" if self.depth else "", f"b{self.batch}" if self.batch > 1 else ""]
        work += [f"t{self.threads}", *self.embed]
        return "/".join(parts) + "/" + "-".join(w for w in work if w)


SECTIONS = {
    "decoders": "prompts and generated tokens of dense models",
    "depth": "generated tokens behind long texts",
    "moe": "mixtures of experts",
    "embed": "all-MiniLM-L6-v2 by batch and length",
    "qwen-embed": "the shape of Qwen3-Embedding",
    "batch": "several sequences generated together",
    "growth": "how time grows with tokens, layers and threads",
}
TYPES = ("Q4_0", "Q8_0", "Q4_K_M", "Q6_K", "F16")
LLAMA = ("llama.cpp",)
NO_REPACK = ("llama.cpp, no repack",)
OPENVINO = ("OpenVINO GenAI",)


def peers_of(weights, shape):
    """Who runs a dense model's file: PyTorch only what doesn't have to be decoded first."""
    if weights == "F16":
        return LLAMA + OPENVINO + (("PyTorch",) if shape == "qwen3-0.6b" else ())
    return LLAMA + (NO_REPACK if shape == "qwen3-0.6b" else ()) + OPENVINO


def full(threads):
    """All cases, the most important first."""
    small, large = "qwen3-0.6b", "qwen3-1.7b"
    for weights in TYPES:
        yield Case(
            "decoders", small, weights, peers_of(weights, small), prompt=512, generate=32, threads=threads, checks=True
        )
    for weights in TYPES:
        yield Case(
            "decoders", large, weights, peers_of(weights, large), prompt=512, generate=32, threads=threads, checks=True
        )
    for depth in (1024, 4096):
        yield Case("depth", small, "Q4_K_M", LLAMA + OPENVINO, generate=32, depth=depth, threads=threads)
    for shape in ("qwen3-30b-a3b", "glm-4.7-flash"):
        yield Case(
            "moe", shape, "Q4_K_M", LLAMA + NO_REPACK, layers=4, prompt=512, generate=32, threads=threads, checks=True
        )
    yield from embedding(("1x16", "1x128", "32x128", "256x32"), threads)
    for weights in ("Q8_0", "F16"):
        yield Case("qwen-embed", small, weights, LLAMA, embed=("1x512",), threads=threads)
    for batch in (1, 2, 4, 8, 16):
        yield Case("batch", small, "Q4_K_M", generate=32, batch=batch, threads=threads)
    yield from growth(threads, tokens=(32, 128, 512, 2048), layers=(4, 8, 16))


def quick(threads):
    """What shows the most in a few minutes."""
    small = "qwen3-0.6b"
    for weights in ("Q4_0", "Q8_0", "Q4_K_M"):
        peers = LLAMA + (OPENVINO if weights != "Q4_0" else ())
        yield Case("decoders", small, weights, peers, prompt=256, generate=16, threads=threads, checks=True)
    yield Case("depth", small, "Q4_K_M", LLAMA, generate=16, depth=1024, threads=threads)
    yield Case("moe", "qwen3-30b-a3b", "Q4_K_M", LLAMA, layers=2, prompt=256, generate=16, threads=threads, checks=True)
    yield from embedding(("1x16", "32x128"), threads)
    for batch in (1, 4):
        yield Case("batch", small, "Q4_K_M", generate=16, batch=batch, threads=threads)
    yield from growth(threads, tokens=(32, 128), layers=(4,))


def embedding(batches, threads):
    """The real model in floats and in 8 bits."""
    floats = ("PyTorch", "ONNX Runtime", "OpenVINO", "llama.cpp")
    small = ("PyTorch int8", "ONNX Runtime int8", "OpenVINO int8", "llama.cpp")
    yield Case("embed", "minilm", "F32", floats, embed=batches, threads=threads, checks=True)
    yield Case("embed", "minilm", "int8", small, embed=batches, threads=threads, checks=True)


def growth(threads, tokens, layers):
    """Ours alone, one thing changed at a time; what other sections measure anyway isn't measured again."""
    small = "qwen3-0.6b"
    for prompt in tokens:
        yield Case("growth", small, "Q4_K_M", LLAMA, prompt=prompt, threads=threads)
    for count in layers:
        yield Case("growth", small, "Q4_K_M", layers=count, prompt=128, generate=16, threads=threads)
    yield Case("growth", small, "Q4_K_M", prompt=128, generate=16, threads=threads)
    number = 1
    while number < threads:
        yield Case("growth", small, "Q4_K_M", prompt=128, generate=16, threads=number)
        number *= 2
