"""PyTorch with transformers.

Generation: the GGUF file, decoded by transformers, in bfloat16. Embedding: a directory, in float32, or with
variant `int8` and dynamically quantised linear layers.
"""

import os
import time

from peer import Peer, best, timed

peer = Peer()
options = peer.options
import torch  # noqa: E402
import transformers  # noqa: E402

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(options.threads)
load_start = time.monotonic()
if peer.batches:
    model = transformers.AutoModel.from_pretrained(options.model, attn_implementation="sdpa", dtype=torch.float32)
    if options.variant == "int8":
        model = torch.ao.quantization.quantize_dynamic(model.eval(), {torch.nn.Linear}, dtype=torch.qint8)
else:
    folder, name = os.path.split(options.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.bfloat16)
model.eval()
peer.loaded(load_start)
peer.result["versions"].update(torch=torch.__version__, transformers=transformers.__version__)
inference = torch.inference_mode()
inference.__enter__()


def embed(texts):
    """Mean pooling and normalisation, as sentence-transformers has it for this model."""
    hidden = model(input_ids=torch.tensor(texts)).last_hidden_state
    return torch.nn.functional.normalize(hidden.mean(1), dim=1)


def step(ids, past=None):
    return model(input_ids=torch.tensor([ids]), past_key_values=past, use_cache=True, logits_to_keep=1)


def prompt():
    ids = peer.stream.next(options.prompt)
    return timed(lambda: step(ids))


def generate(count):
    result = step(peer.stream.next(options.depth + 1))
    begin = time.perf_counter()
    for _ in range(count):
        result = step([int(result.logits[0, -1].argmax())], result.past_key_values)
    return time.perf_counter() - begin


if peer.check_tokens:
    if peer.batches:
        peer.result["check"] = {"embedding": embed([peer.check_tokens])[0].tolist()}
    else:
        peer.result["check"] = best(step(peer.check_tokens).logits[0, -1].float().numpy())
if options.prompt:
    step(peer.stream.next(min(64, options.prompt)))
    peer.measure(f"pp{options.prompt}", prompt)
if options.generate:
    generate(2)
    peer.measure(f"tg{options.generate}", lambda: generate(options.generate))
peer.measure_embedding(embed)
peer.finish()
