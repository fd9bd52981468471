"""llama.cpp, through the low-level interface of llama-cpp-python: the calls that its own llama-bench makes.

Variant `norepack`: weights stay in the order of the file.
"""

import ctypes
import time

import numpy as np

from peer import Peer, best, timed

peer = Peer()
options = peer.options
start = time.monotonic()
import llama_cpp as llama  # noqa: E402  (importing loads the library: part of the time until it is ready)


@llama.llama_log_callback
def ignore(level, text, data):
    pass


llama.llama_log_set(ignore, ctypes.c_void_p(0))
llama.llama_backend_init()
load_start = time.monotonic()
model_options = llama.llama_model_default_params()
if options.variant == "norepack":
    if not hasattr(model_options, "use_extra_bufts"):
        raise SystemExit("this llama.cpp can't be told not to repack")
    model_options.use_extra_bufts = False
model = llama.llama_model_load_from_file(options.model.encode(), model_options)
if not model:
    raise SystemExit(f"llama.cpp can't load {options.model}")

# Texts run together up to so many tokens, llama.cpp's own default: attention costs the square of them.
TOKENS_TOGETHER = 512

context_options = llama.llama_context_default_params()
context_options.n_ctx = max(options.depth + options.prompt + options.generate + 64, 512)
context_options.n_batch = 2048
context_options.n_ubatch = TOKENS_TOGETHER
context_options.n_threads = options.threads
context_options.n_threads_batch = options.threads
if peer.batches:
    longest = max(length for _, length in peer.batches)
    context_options.n_ubatch = max(TOKENS_TOGETHER, longest)
    context_options.n_ctx = context_options.n_ubatch
    context_options.n_seq_max = min(256, max(texts for texts, _ in peer.batches))
    context_options.embeddings = True
    if hasattr(context_options, "kv_unified"):
        context_options.kv_unified = True


def make_context():
    made = llama.llama_init_from_model(model, context_options)
    if not made:
        raise SystemExit("llama.cpp can't make a context")
    return made


context = make_context()
if peer.batches and llama.llama_pooling_type(context) == llama.LLAMA_POOLING_TYPE_NONE:
    # A decoder's file that doesn't say otherwise: its vectors are those of the last tokens.
    llama.llama_free(context)
    context_options.pooling_type = llama.LLAMA_POOLING_TYPE_LAST
    context = make_context()
peer.loaded(load_start)
peer.result["versions"]["llama-cpp-python"] = llama.__version__
peer.result["note"] = llama.llama_print_system_info().decode().strip()
size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))


def forget():
    memory = llama.llama_get_memory(context)
    if memory:
        llama.llama_memory_clear(memory, True)


def read(ids):
    for first in range(0, len(ids), 512):
        part = ids[first : first + 512]
        array = (llama.llama_token * len(part))(*part)
        if llama.llama_decode(context, llama.llama_batch_get_one(array, len(part))) != 0:
            raise SystemExit("llama_decode failed")
    llama.llama_synchronize(context)


def logits():
    return np.ctypeslib.as_array(llama.llama_get_logits_ith(context, -1), shape=(size,))


def prompt():
    forget()
    ids = peer.stream.next(options.prompt)
    return timed(lambda: read(ids))


def generate(count):
    # The token that follows is the first that is generated: one token more stands before.
    forget()
    read(peer.stream.next(options.depth + 1))
    begin = time.perf_counter()
    for _ in range(count):
        read([int(logits().argmax())])
    logits().argmax()
    return time.perf_counter() - begin


def embed(texts):
    """The vectors of texts of one length, as the model's pooling makes them, normalised."""
    together = max(1, min(context_options.n_seq_max, context_options.n_ubatch // len(texts[0])))
    vectors = []
    for first in range(0, len(texts), together):
        vectors += embed_together(texts[first : first + together])
    return vectors


def embed_together(texts):
    forget()
    count = sum(len(text) for text in texts)
    batch = llama.llama_batch_init(count, 0, 1)
    position = 0
    for sequence, text in enumerate(texts):
        for place, token in enumerate(text):
            batch.token[position] = token
            batch.pos[position] = place
            batch.n_seq_id[position] = 1
            batch.seq_id[position][0] = sequence
            batch.logits[position] = 1
            position += 1
    batch.n_tokens = count
    failed = llama.llama_decode(context, batch) != 0
    llama.llama_synchronize(context)
    llama.llama_batch_free(batch)
    if failed:
        raise SystemExit("llama_decode failed")
    width = llama.llama_model_n_embd(model)
    vectors = []
    for sequence in range(len(texts)):
        place = llama.llama_get_embeddings_seq(context, sequence)
        if not place:
            raise SystemExit("llama.cpp gives no vector: the model has no pooling")
        vector = np.ctypeslib.as_array(place, shape=(width,)).copy()
        vectors.append(vector / np.linalg.norm(vector))
    return vectors


if peer.check_tokens:
    if peer.batches:
        peer.result["check"] = {"embedding": [float(x) for x in embed([peer.check_tokens])[0]]}
    else:
        read(peer.check_tokens)
        peer.result["check"] = best(logits())
if options.prompt:
    forget()
    read(peer.stream.next(min(64, options.prompt)))
    peer.measure(f"pp{options.prompt}", prompt)
if options.generate:
    if options.depth == 0:
        generate(2)
    peer.measure(f"tg{options.generate}", lambda: generate(options.generate))
peer.measure_embedding(embed)
peer.finish()
