"""Makes what ONNX Runtime and OpenVINO run of a BERT directory: export_onnx.py SOURCE DESTINATION CALIBRATION.txt

DESTINATION/model.onnx         float32
DESTINATION/model-int8.onnx    ONNX Runtime's dynamic quantisation, weights of 8 bits per channel
DESTINATION/openvino-int8.xml  NNCF's quantisation after training, calibrated on the lines of a text

Prints a line for each part that couldn't be made, and leaves it out.
"""

import os
import sys

import torch
import transformers

source, destination, calibration = sys.argv[1:]
os.makedirs(destination, exist_ok=True)
plain = os.path.join(destination, "model.onnx")
model = transformers.AutoModel.from_pretrained(source, attn_implementation="eager", dtype=torch.float32).eval()


class Hidden(torch.nn.Module):
    """The hidden states alone."""

    def __init__(self):
        super().__init__()
        self.model = model.requires_grad_(False)

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def part(name, make):
    if os.path.exists(os.path.join(destination, name)):
        return
    try:
        make(os.path.join(destination, name))
    except Exception as error:  # whatever a peer's tools throw: its rows will be missing, and named
        print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", flush=True)


def export(path):
    ids = torch.ones((2, 16), dtype=torch.int64)
    axes = {0: "batch", 1: "length"}
    torch.onnx.export(
        Hidden(),
        (ids, ids),
        path,
        input_names=["input_ids", "attention_mask"],
        output_names=["hidden"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "hidden": axes},
        dynamo=False,
        opset_version=17,
    )


def quantize_onnxruntime(path):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(plain, path, weight_type=QuantType.QInt8, per_channel=True)


def quantize_openvino(path):
    import nncf
    import numpy as np
    import openvino

    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    with open(calibration, encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.strip()]

    def sample(line):
        ids = np.array([tokenizer(line, truncation=True, max_length=128)["input_ids"]], dtype=np.int64)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    quantized = nncf.quantize(
        openvino.Core().read_model(plain),
        nncf.Dataset(lines, sample),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(lines),
    )
    openvino.save_model(quantized, path, compress_to_fp16=False)


part("model.onnx", export)
part("model-int8.onnx", quantize_onnxruntime)
part("openvino-int8.xml", quantize_openvino)
