"""ONNX Runtime and OpenVINO on a BERT encoder: `--variant onnxruntime`, `onnxruntime-int8`, `openvino`,
`openvino-int8`. `--model` is a directory with `model.onnx` and `model-int8.onnx`, or `openvino-int8.xml`, as
export_onnx.py makes them."""

import os
import time

import numpy as np

from peer import Peer

peer = Peer()
options = peer.options
engine, _, precision = options.variant.partition("-")

if engine == "onnxruntime":
    import onnxruntime

    file = "model-int8.onnx" if precision == "int8" else "model.onnx"
    load_start = time.monotonic()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        os.path.join(options.model, file), settings, providers=["CPUExecutionProvider"]
    )
    peer.loaded(load_start)
    peer.result["versions"]["onnxruntime"] = onnxruntime.__version__

    def run(ids, mask):
        return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]

else:
    import openvino

    file = "openvino-int8.xml" if precision == "int8" else "model.onnx"
    load_start = time.monotonic()
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": options.threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision != "int8":
        # Without it OpenVINO would compute in bfloat16 where the CPU can.
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = core.compile_model(os.path.join(options.model, file), "CPU", settings)
    request = compiled.create_infer_request()
    peer.loaded(load_start)
    peer.result["versions"]["openvino"] = openvino.__version__

    def run(ids, mask):
        return request.infer({"input_ids": ids, "attention_mask": mask})[0]


def embed(texts):
    """Mean pooling and normalisation, as sentence-transformers has it for this model."""
    ids = np.array(texts, dtype=np.int64)
    pooled = run(ids, np.ones_like(ids)).mean(1)
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


if peer.check_tokens:
    peer.result["check"] = {"embedding": [float(x) for x in embed([peer.check_tokens])[0]]}
peer.measure_embedding(embed)
peer.finish()
