"""What all peers share: options, the tokens of prompts, clocks and the one line of JSON that a peer prints.

A peer is a program that runs in a process of its own, with a Python that has its modules. It loads a model, computes
what `--check-tokens` asks for, measures, and prints:

    {"versions": {...}, "load_seconds": ..., "ready_seconds": ..., "tests": {"pp512": [seconds, ...]}, "check": {...},
     "peak_bytes": ..., "note": "..."}

`load_seconds` is the time of loading alone; `ready_seconds` counts from the start of the process, importing modules
included.
"""

import argparse
import json
import os
import sys
import time

MODULUS = 1 << 64


class TokenStream:
    """The same ids as `salangane bench --seed` gives: see Docs/Benchmarks.md."""

    def __init__(self, seed, vocabulary):
        self.state = seed
        self.vocabulary = vocabulary

    def next(self, count):
        ids = []
        for _ in range(count):
            self.state = (self.state * 6364136223846793005 + 1442695040888963407) % MODULUS
            ids.append((self.state >> 33) % self.vocabulary)
        return ids


class Peer:
    """The run of a peer: its options, and what it found out."""

    def __init__(self):
        parser = argparse.ArgumentParser()
        parser.add_argument("--model", required=True)
        parser.add_argument("--variant", default="")
        parser.add_argument("--prompt", type=int, default=0, help="tokens of a prompt")
        parser.add_argument("--generate", type=int, default=0, help="tokens to generate")
        parser.add_argument("--depth", type=int, default=0, help="tokens in the cache before")
        parser.add_argument("--embed", default="", help="batches to embed, such as 1x16,32x128")
        parser.add_argument("--threads", type=int, required=True)
        parser.add_argument("--repetitions", type=int, default=1)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--vocabulary", type=int, required=True)
        parser.add_argument("--check-tokens", default="", help="ids whose result is wanted for comparison")
        self.options = parser.parse_args()
        self.stream = TokenStream(self.options.seed, self.options.vocabulary)
        self.result = {"versions": {"python": sys.version.split()[0]}, "tests": {}}

    @property
    def check_tokens(self):
        return [int(i) for i in self.options.check_tokens.split(",") if i]

    @property
    def batches(self):
        """Pairs of (texts, tokens of each)."""
        return [tuple(int(n) for n in part.split("x")) for part in self.options.embed.split(",") if part]

    def loaded(self, start):
        """Tells that the model can run; `start` is the time.monotonic() before it was loaded."""
        now = time.monotonic()
        self.result["load_seconds"] = now - start
        self.result["ready_seconds"] = now - float(os.environ.get("SALANGANE_BENCH_START", start))

    def measure(self, test, body):
        """Calls `body`, which returns seconds, as often as asked for."""
        self.result["tests"].setdefault(test, []).extend(body() for _ in range(self.options.repetitions))

    def measure_embedding(self, embed):
        """Measures `embed`, which takes a list of lists of ids, for every batch; each is embedded once before."""
        for texts, length in self.batches:
            embed([self.stream.next(length) for _ in range(texts)])
            # Short batches are measured more often: a median of a few milliseconds needs it.
            inner = max(1, min(20, 2048 // (texts * length)))

            def body():
                seconds = []
                for _ in range(inner):
                    ids = [self.stream.next(length) for _ in range(texts)]
                    seconds.append(timed(lambda: embed(ids)))
                return sorted(seconds)[len(seconds) // 2]

            self.measure(f"embed{texts}x{length}", body)

    def finish(self):
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    self.result["peak_bytes"] = int(line.split()[1]) * 1024
        print(json.dumps(self.result), flush=True)


def timed(body):
    """The seconds that `body` takes."""
    start = time.perf_counter()
    body()
    return time.perf_counter() - start


def best(logits, count=10):
    """The best tokens with their logits, and the standard deviation of all: what a check needs."""
    import numpy as np

    logits = np.asarray(logits, dtype=np.float32)
    order = np.argsort(-logits, kind="stable")[:count]
    return {"top": [[int(i), float(logits[i])] for i in order], "deviation": float(logits.std())}
