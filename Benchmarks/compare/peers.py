"""The peers: which there are, what each needs, and how one is run."""

import json
import os
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = "Salangane"


class Engine:
    """A peer: its program in this folder, its variant, and the modules that a Python must have for it."""

    def __init__(self, script, modules, variant="", package=None):
        self.script = script
        self.modules = modules
        self.variant = variant
        self.package = package or modules[0]


GENERATING = {
    "llama.cpp": Engine("peer_llama.py", ["llama_cpp", "numpy"], package="llama-cpp-python"),
    "llama.cpp, no repack": Engine("peer_llama.py", ["llama_cpp", "numpy"], "norepack", "llama-cpp-python"),
    "OpenVINO GenAI": Engine("peer_openvino_genai.py", ["openvino_genai", "numpy"], package="openvino-genai"),
    "PyTorch": Engine("peer_torch.py", ["torch", "transformers", "gguf"], package="torch transformers gguf"),
}
EMBEDDING = {
    "llama.cpp": GENERATING["llama.cpp"],
    "PyTorch": Engine("peer_torch.py", ["torch", "transformers"], package="torch transformers"),
    "PyTorch int8": Engine("peer_torch.py", ["torch", "transformers"], "int8", "torch transformers"),
    "ONNX Runtime": Engine("peer_graph.py", ["onnxruntime", "numpy"], "onnxruntime"),
    "ONNX Runtime int8": Engine("peer_graph.py", ["onnxruntime", "numpy"], "onnxruntime-int8", "onnxruntime"),
    "OpenVINO": Engine("peer_graph.py", ["openvino", "numpy"], "openvino"),
    "OpenVINO int8": Engine("peer_graph.py", ["openvino", "numpy"], "openvino-int8", "openvino nncf"),
}


class Failure(Exception):
    """A process that didn't do what it was for; the text says why, on one line."""


def environment(threads):
    """The environment of all processes that are measured: the caller's, without what would change results."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS_", "SALANGANE_", "GGML_", "KMP_", "DNNL_"))}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        kept[name] = str(threads)
    kept.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", PYTHONWARNINGS="ignore")
    return kept


def run(command, threads, limit=1800):
    """Runs a command and returns its standard output.

    Raises Failure with the last line that the process left on standard error.
    """
    variables = environment(threads)
    variables["SALANGANE_BENCH_START"] = repr(time.monotonic())
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failure(f"not done after {limit} s") from None
    except OSError as error:
        raise Failure(str(error)) from None
    if done.returncode != 0:
        lines = [line for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
        raise Failure(lines[-1].strip()[:300] if lines else f"exit status {done.returncode}")
    return done.stdout


class Pythons:
    """The Pythons that may have peers."""

    def __init__(self, paths):
        self.paths = paths
        self.known = {}

    def find(self, modules):
        """The first Python that can import the modules; Failure says which is missing."""
        key = tuple(modules)
        if key not in self.known:
            self.known[key] = next((p for p in self.paths if self.can_import(p, modules)), None)
        if self.known[key] is None:
            raise Failure(f"no Python here has {', '.join(modules)}")
        return self.known[key]

    @staticmethod
    def can_import(path, modules):
        # Importing would load gigabytes: whether a module is there is enough.
        code = "import sys, importlib.util as u; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))"
        try:
            return subprocess.run([path, "-c", code, *modules], capture_output=True).returncode == 0
        except OSError:
            return False


def run_peer(engine, python, model, case, repetitions, seed, vocabulary, check_tokens):
    """One run of a peer; its line of JSON."""
    command = [
        python, os.path.join(HERE, engine.script), "--model", model, "--variant", engine.variant,
        "--prompt", str(case.prompt), "--generate", str(case.generate), "--depth", str(case.depth),
        "--embed", ",".join(case.embed), "--threads", str(case.threads), "--repetitions", str(repetitions),
        "--seed", str(seed), "--vocabulary", str(vocabulary),
        "--check-tokens", ",".join(str(i) for i in check_tokens or []),
    ]
    return json.loads(run(command, case.threads).strip().splitlines()[-1])


def run_ours(salangane, model, case, repetitions, seed, int8=False):
    """One run of ours: a process, or for embedding one for every batch, as JSON in a peer's form."""
    result = {"tests": {}, "versions": {}, "load_seconds": None, "peak_bytes": 0}
    common = ["--model", model, "-t", str(case.threads), "--seed", str(seed), "--format", "json"]
    calls = []
    if case.embed:
        for batch in case.embed:
            texts, length = batch.split("x")
            # As many measurements of short batches as peers take; they are summed up here in the same way.
            inner = max(1, min(20, 2048 // (int(texts) * int(length))))
            calls.append((["--embed", "-b", texts, "-p", length, *(["--int8"] if int8 else [])], inner))
    else:
        batch = ["-b", str(case.batch)] if case.batch > 1 else []
        calls.append((["-p", str(case.prompt), "-n", str(case.generate), "-d", str(case.depth), *batch], 1))
    for arguments, inner in calls:
        command = [salangane, "bench", *common, *arguments, "-r", str(repetitions * inner)]
        start = time.monotonic()
        for row in json.loads(run(command, case.threads)):
            samples = row["samples"]
            groups = [sorted(samples[i : i + inner]) for i in range(0, len(samples), inner)]
            result["tests"][row["test"]] = [group[len(group) // 2] for group in groups]
            result["peak_bytes"] = max(result["peak_bytes"], row.get("peak_bytes", 0))
            if result["load_seconds"] is None:
                result["load_seconds"] = result["ready_seconds"] = row["load_seconds"]
        result["seconds"] = time.monotonic() - start
    return result
