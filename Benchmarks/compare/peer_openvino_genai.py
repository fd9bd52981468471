"""OpenVINO GenAI on a GGUF file. It keeps prompts that it has seen, so every prompt is a fresh one."""

import time

import numpy as np

from peer import Peer

peer = Peer()
options = peer.options
import openvino as ov  # noqa: E402
import openvino_genai as genai  # noqa: E402

load_start = time.monotonic()
pipe = genai.LLMPipeline(options.model, "CPU", INFERENCE_NUM_THREADS=options.threads, enable_save_ov_model=False)
peer.loaded(load_start)
peer.result["versions"]["openvino-genai"] = genai.__version__


def run(ids, count):
    """Generates exactly `count` tokens, the most probable ones."""
    config = genai.GenerationConfig()
    config.max_new_tokens = count
    config.min_new_tokens = count
    config.ignore_eos = True
    config.do_sample = False
    result = pipe.generate(ov.Tensor(np.array([ids], dtype=np.int64)), config)
    if result.perf_metrics.get_num_generated_tokens() != count:
        raise SystemExit(f"OpenVINO generated {result.perf_metrics.get_num_generated_tokens()} tokens, not {count}")
    return result


def prompt():
    # One token comes with the prompt; a second one is asked for, since OpenVINO reports no time with one only.
    return run(peer.stream.next(options.prompt), 2).perf_metrics.get_ttft().mean / 1e3


def generate():
    metrics = run(peer.stream.next(options.depth + 1), options.generate + 1).perf_metrics
    return options.generate * metrics.get_tpot().mean / 1e3


if peer.check_tokens:
    peer.result["check"] = {"top": [[int(run(peer.check_tokens, 1).tokens[0][0]), None]]}
if options.prompt:
    run(peer.stream.next(min(64, options.prompt)), 2)
    peer.measure(f"pp{options.prompt}", prompt)
if options.generate:
    peer.measure(f"tg{options.generate}", generate)
peer.finish()
