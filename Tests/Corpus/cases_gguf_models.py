"""GGUF files that keep to the format, but whose hyper-parameters or tensors don't make a model."""
import struct

import gguf_file as gguf
import models
from corpus import EMBED, INSPECT, LOGITS, TOKENIZE, Case, single
from gguf_file import ARRAY, BOOL, F32, F64, I32, STRING, U32, U64

NAN, INFINITY = float("nan"), float("inf")
MISSING = object()


def statuses(architecture, status, inspect=None, tokenize=0):
    """`inspect` refuses what it can tell without weights; the tokenizer doesn't look at hyper-parameters."""
    found = {INSPECT: status if inspect is None else inspect, TOKENIZE: tokenize, EMBED: status}
    if architecture != "bert":
        found[LOGITS] = status
    return found


def base(architecture):
    return models.bert() if architecture == "bert" else models.decoder(models.DECODERS[architecture])


def key_case(architecture, key, name, kind, value, status=65, message=None):
    """A hyper-parameter with another value, or without any."""
    full = key if key.startswith("tokenizer.") else f"{architecture}.{key}"

    def data():
        file = base(architecture)
        if value is MISSING:
            file.drop(full)
        else:
            file.set(full, kind, value)
        return file.bytes()
    return Case(f"gguf-{architecture}/{key}-{name}", single("model.gguf", data),
                statuses(architecture, status, inspect=0 if status == 69 else None), full if message is None else message)


# For every decoder: key, what is wrong, type, value, status.
DECODER_KEYS = [
    ("block_count", "missing", None, MISSING), ("block_count", "0", U32, 0), ("block_count", "1025", U32, 1025),
    ("block_count", "as-text", STRING, "2"), ("block_count", "2^63", U64, 1 << 63),
    ("block_count", "negative", I32, -1), ("block_count", "as-float", F32, 2.0),
    ("embedding_length", "missing", None, MISSING), ("embedding_length", "0", U32, 0),
    ("embedding_length", "2^31", U32, 1 << 31),
    ("attention.head_count", "missing", None, MISSING), ("attention.head_count", "0", U32, 0),
    ("attention.head_count", "2^32-1", U32, (1 << 32) - 1),
    ("context_length", "missing", None, MISSING), ("context_length", "0", U32, 0),
    ("context_length", "2^64-1", U64, (1 << 64) - 1),
    ("attention.layer_norm_rms_epsilon", "missing", None, MISSING),
    ("attention.layer_norm_rms_epsilon", "nan", F32, NAN),
    ("attention.layer_norm_rms_epsilon", "infinite", F32, INFINITY),
    ("attention.layer_norm_rms_epsilon", "negative", F32, -1e-6),
    ("attention.layer_norm_rms_epsilon", "as-text", STRING, "1e-6"),
    ("rope.freq_base", "nan", F32, NAN), ("rope.freq_base", "0", F32, 0.0), ("rope.freq_base", "negative", F32, -1e4),
    ("rope.freq_base", "infinite", F64, INFINITY), ("rope.freq_base", "as-array", ARRAY, gguf.array(F32, [1e4])),
    ("rope.scaling.factor", "0", F32, 0.0), ("rope.scaling.factor", "nan", F32, NAN),
    ("rope.scaling.type", "as-number", U32, 1),
]
NO_LATENT_KEYS = [
    ("attention.head_count_kv", "0", U32, 0), ("attention.head_count_kv", "not-a-divisor", U32, 4095),
    ("attention.head_count_kv", "as-array", ARRAY, gguf.array(U32, [2, 2])),
    ("attention.key_length", "0", U32, 0), ("attention.key_length", "2^31", U32, 1 << 31),
    ("rope.dimension_count", "odd", U32, 3), ("rope.dimension_count", "beyond-the-head", U32, 4096),
    ("rope.dimension_count", "0", U32, 0),
]
EXPERT_KEYS = [
    ("expert_count", "missing", None, MISSING), ("expert_count", "0", U32, 0), ("expert_count", "2^31", U32, 1 << 31),
    ("expert_used_count", "missing", None, MISSING), ("expert_used_count", "0", U32, 0),
    ("expert_used_count", "more-than-there-are", U32, 7),
    ("expert_feed_forward_length", "0", U32, 0), ("expert_feed_forward_length", "2^32-1", U32, (1 << 32) - 1),
    ("expert_weights_scale", "nan", F32, NAN), ("expert_weights_scale", "negative", F32, -2.0),
    ("expert_weights_norm", "as-number", U32, 1),
]
LATENT_KEYS = [
    ("attention.kv_lora_rank", "missing", None, MISSING), ("attention.kv_lora_rank", "0", U32, 0),
    ("attention.kv_lora_rank", "2^31", U32, 1 << 31), ("attention.q_lora_rank", "2^31", U32, 1 << 31),
    ("attention.key_length_mla", "0", U32, 0), ("attention.key_length_mla", "all-rotated", U32, 8),
    ("attention.value_length_mla", "0", U32, 0), ("rope.dimension_count", "odd", U32, 7),
    ("rope.dimension_count", "0", U32, 0), ("rope.dimension_count", "missing", None, MISSING),
    ("expert_group_count", "not-a-divisor", U32, 4), ("expert_group_count", "more-than-experts", U32, 7),
    ("expert_group_used_count", "0", U32, 0), ("expert_group_used_count", "more-than-groups", U32, 4),
    ("leading_dense_block_count", "negative", I32, -1), ("nextn_predict_layers", "all", U32, 3),
    ("expert_shared_count", "2^31", U32, 1 << 31),
]
BERT_KEYS = [
    ("block_count", "missing", None, MISSING), ("block_count", "0", U32, 0), ("block_count", "1025", U32, 1025),
    ("embedding_length", "0", U32, 0), ("embedding_length", "missing", None, MISSING),
    ("attention.head_count", "0", U32, 0), ("attention.head_count", "not-a-divisor", U32, 3),
    ("attention.head_count", "1025", U32, 1025), ("attention.head_count", "missing", None, MISSING),
    ("feed_forward_length", "0", U32, 0), ("feed_forward_length", "2^32-1", U32, (1 << 32) - 1),
    ("context_length", "0", U32, 0), ("context_length", "2^31-1", U32, (1 << 31) - 1),
    ("attention.layer_norm_epsilon", "nan", F32, NAN), ("attention.layer_norm_epsilon", "2", F32, 2.0),
    ("attention.causal", "as-number", U32, 0),
    ("tokenizer.ggml.token_type_count", "0", U32, 0), ("tokenizer.ggml.token_type_count", "2^31", U32, 1 << 31),
]
UNSUPPORTED_KEYS = [
    ("rope.scaling.type", "unknown", STRING, "magic"), ("attention.value_length", "unlike-keys", U32, 2),
]


def key_cases():
    for architecture in models.DECODERS:
        has_latents, has_experts = architecture == "deepseek2", base(architecture).has(f"{architecture}.expert_count")
        keys = DECODER_KEYS + (LATENT_KEYS if has_latents else NO_LATENT_KEYS) + (EXPERT_KEYS if has_experts else [])
        for key, name, kind, value in keys:
            if value is MISSING and not base(architecture).has(f"{architecture}.{key}"):
                continue
            yield key_case(architecture, key, name, kind, value)
        for key, name, kind, value in UNSUPPORTED_KEYS[:1 if has_latents else 2]:
            yield key_case(architecture, key, name, kind, value, 69)
    for key, name, kind, value in BERT_KEYS:
        yield key_case("bert", key, name, kind, value)
    yield key_case("bert", "attention.causal", "true", BOOL, 1, 69)
    for kind in (0, 4, 99):
        yield Case(f"gguf-bert/pooling_type-{kind}", single("model.gguf", with_key("bert", "pooling_type", U32, kind)),
                   {INSPECT: 0, TOKENIZE: 0, EMBED: 69}, "bert.pooling_type")
    yield key_case("deepseek2", "expert_gating_func", "9", U32, 9, 69)
    yield key_case("deepseek2", "expert_gating_func", "as-text", STRING, "softmax")
    yield key_case("qwen2", "expert_count", "of-a-dense-model", U32, 8, 69)
    yield key_case("llama", "expert_count", "of-a-dense-model", U32, 8, 69)
    for name in ("gpt2", "unheard-of", "LLAMA", "bert\n"):
        def data(name=name):
            file = models.llama()
            file.set("general.architecture", STRING, name)
            return file.bytes()
        label = name.strip() + ("-with-a-line-end" if "\n" in name else "")
        yield Case(f"gguf-llama/architecture-{label}", single("model.gguf", data),
                   {INSPECT: 0, TOKENIZE: 0, EMBED: 69, LOGITS: 69}, "general.architecture")


def with_key(architecture, key, kind, value):
    def data():
        file = base(architecture)
        file.set(f"{architecture}.{key}", kind, value)
        return file.bytes()
    return data


# MARK: tensors

def tensor_case(architecture, tensor, name, spoil, status=65, message=None, inspect=0):
    """A model with such tensors is refused when it is run; `inspect` shows what is in the file."""
    def data():
        file = base(architecture)
        spoil(file)
        return file.bytes()
    return Case(f"gguf-{architecture}/{tensor}-{name}", single("model.gguf", data),
                statuses(architecture, status, inspect=inspect), tensor if message is None else message)


def without(name):
    return lambda file: file.tensors.remove(file.tensor(name))


def transposed(name):
    return lambda file: file.tensor(name).sizes.reverse()


def flattened(name):
    def spoil(file):
        tensor = file.tensor(name)
        tensor.sizes = [tensor.sizes[0] * tensor.sizes[1]]
    return spoil


def widened(name):
    """One value of the innermost dimension too many, and the bytes for it."""
    def spoil(file):
        tensor = file.tensor(name)
        tensor.sizes[0] += 1
        tensor.data += bytes(4 * (tensor.sizes[1] if len(tensor.sizes) > 1 else 1))
    return spoil


def retyped(name, kind, bytes_per_value):
    def spoil(file):
        tensor = file.tensor(name)
        count = 1
        for size in tensor.sizes:
            count *= size
        tensor.kind, tensor.data = kind, bytes(count * bytes_per_value)
    return spoil


def tensor_cases():
    for architecture in list(models.DECODERS) + ["bert"]:
        file = base(architecture)
        names = ["token_embd.weight", "blk.0.attn_output.weight", "blk.0.ffn_down.weight"]
        names += [name for name in ("blk.0.attn_q.weight", "blk.0.attn_qkv.weight", "blk.0.attn_q_a.weight",
                                    "blk.1.ffn_gate_inp.weight", "blk.1.ffn_up_exps.weight",
                                    "blk.1.ffn_gate_shexp.weight", "blk.0.attn_kv_b.weight", "blk.0.attn_k_b.weight",
                                    "output_norm.weight", "token_embd_norm.weight", "position_embd.weight",
                                    "blk.0.attn_norm.weight", "blk.0.attn_q_norm.weight")
                  if file.has_tensor(name)]
        for name in names:
            if not file.has_tensor(name):
                continue
            # What mixtures and latents may have instead is named in its place.
            message = "" if name in ("blk.0.attn_qkv.weight", "blk.0.attn_q_norm.weight", "blk.0.attn_kv_b.weight",
                                     "blk.0.attn_k_b.weight", "blk.0.attn_q_a.weight") else name
            if name == "blk.1.ffn_up_exps.weight":
                message = "blk.1.ffn_up"
            optional = name == "blk.0.attn_q_norm.weight" and architecture == "glm4moe"
            if not optional:
                yield tensor_case(architecture, name, "missing", without(name), message=message)
            sizes = file.tensor(name).sizes
            if len(sizes) == 2 and sizes[0] != sizes[1] and file.tensor(name).kind in (0, 1, 30):
                yield tensor_case(architecture, name, "transposed", transposed(name))
            if len(sizes) == 2 and file.tensor(name).kind in (0, 1, 30):
                # Where no key does, the table says how many tokens there are.
                counts = name == "token_embd.weight" and not file.has(f"{architecture}.vocab_size")
                yield tensor_case(architecture, name, "flattened", flattened(name), inspect=65 if counts else 0)
            if len(sizes) == 1:
                yield tensor_case(architecture, name, "one-value-too-many", widened(name))
        for kind, label, width in [(24, "int8", 1), (26, "int32", 4), (27, "int64", 8)]:
            yield tensor_case(architecture, "token_embd.weight", f"as-{label}",
                              retyped("token_embd.weight", kind, width), status=69)
    for name in ("output.weight", "output_norm.weight"):
        yield tensor_case("llama", name, "in-another-layer's-place", misplaced(name),
                          message="" if name == "output.weight" else name)


def misplaced(name):
    def spoil(file):
        if file.has_tensor(name):
            file.tensor(name).name = b"blk.7." + name.encode()
            if name == "output.weight":
                # Without an output matrix the embedding table takes its place: spoil that too.
                file.tensor("token_embd.weight").sizes.reverse()
    return spoil


def frequency_cases():
    """The divisors of rotary frequencies that Llama 3 has."""
    for name, values in [("nan", [NAN] * 6), ("zeros", [0.0] * 6), ("negative", [-1.0] * 6), ("too-few", [1.0] * 5),
                         ("infinite", [INFINITY] * 6)]:
        def data(values=values):
            file = base("llama")
            count = file.get("llama.rope.dimension_count") // 2 if file.has("llama.rope.dimension_count") else 6
            numbers = values if len(values) == 5 else values[:1] * count
            file.tensors.append(gguf.Tensor("rope_freqs.weight", [len(numbers)], 0,
                                            struct.pack(f"<{len(numbers)}f", *numbers)))
            return file.bytes()
        yield Case(f"gguf-llama/rope_freqs-{name}", single("model.gguf", data), statuses("llama", 65),
                   "rope_freqs.weight")


def cases():
    for architecture in list(models.DECODERS) + ["bert"]:
        yield Case(f"gguf-{architecture}/valid", single("model.gguf", lambda a=architecture: base(a).bytes()),
                   statuses(architecture, 0))
    yield from key_cases()
    yield from tensor_cases()
    yield from frequency_cases()
