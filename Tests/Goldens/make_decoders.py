"""Makes the goldens of the dense decoders: python3 make_decoders.py (needs torch, transformers, gguf, safetensors).

Tiny random models in the layouts in which families are published, with the logits that transformers computes
from them in float32. Shapes are odd on purpose: heads that don't add up to the hidden size, one key-value head,
vocabularies that aren't multiples of 16, prompts longer than a block of the cache. Weights are exact in BF16 and
in F16, so that safetensors and GGUF hold the same numbers.
"""
import json
import os
import shutil

import gguf
import numpy
import torch
import transformers
from safetensors.torch import save_file

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "decoders")
PROMPTS = [1, 9, 140]
GREEDY = 8


def random_weights(model, generator):
    """Weights under which attention is sharp and logits spread over a few units."""
    state = model.state_dict()
    for name, tensor in state.items():
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.dim() == 1 and name.endswith("norm.weight") or "layernorm" in name:
            value = 1 + 0.2 * noise
        elif tensor.dim() == 1:
            value = 0.3 * noise
        elif "embed_tokens" in name and not model.config.tie_word_embeddings:
            value = noise
        else:
            value = 1.3 * noise / tensor.shape[-1] ** 0.5
        # No F16 is subnormal beyond this point, so that all bits of a BF16 survive.
        value = value.to(torch.bfloat16).to(torch.float32)
        state[name] = torch.where(value.abs() < 1e-3, torch.zeros_like(value), value)
    if model.config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


class Tie(Exception):
    """Two tokens so close that rounding decides: another seed is needed."""


def reference(model, seed, hidden_only):
    generator = torch.Generator().manual_seed(seed + 1000)
    vocabulary = model.config.vocab_size
    arrays = {}
    with torch.no_grad():
        for index, length in enumerate(PROMPTS):
            ids = torch.randint(0, vocabulary, (1, length), generator=generator)
            output = model(ids, output_hidden_states=True, use_cache=False)
            arrays[f"p{index}_ids"] = ids[0].numpy().astype(numpy.int32)
            values = output.hidden_states[-1] if hidden_only else output.logits
            arrays[f"p{index}_{'hidden' if hidden_only else 'logits'}"] = values[0].numpy()
        if not hidden_only:
            ids = torch.from_numpy(arrays["p1_ids"]).long()[None]
            greedy = []
            for _ in range(GREEDY):
                logits = model(ids, use_cache=False).logits[0, -1]
                best = torch.topk(logits, 2)
                if best.values[0] - best.values[1] < 1e-3:
                    raise Tie
                greedy.append(int(best.indices[0]))
                ids = torch.cat([ids, best.indices[:1][None]], dim=1)
            arrays["greedy"] = numpy.array(greedy, dtype=numpy.int32)
    return arrays


def write(name, seed, *arguments, **options):
    while True:
        try:
            return write_seeded(name, seed, *arguments, **options)
        except Tie:
            seed += 100


def write_seeded(name, seed, model_class, config, published, rename=lambda tensors: tensors, hidden_only=False, fp8=None):
    """One model: its directory, its reference, and its tensors by transformers' names."""
    directory = os.path.join(here, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    model = model_class(config).eval()
    model.set_attn_implementation("eager")
    tensors = random_weights(model, torch.Generator().manual_seed(seed))
    if fp8:
        tensors, stored = block_scaled(tensors, fp8)
        model.load_state_dict(tensors)
    else:
        stored = {key: value.to(torch.bfloat16) for key, value in tensors.items()}
        if config.tie_word_embeddings:
            del stored["lm_head.weight"]
        stored = rename(stored)
    save_file({key: value.contiguous() for key, value in stored.items()}, os.path.join(directory, "model.safetensors"))
    with open(os.path.join(directory, "config.json"), "w") as file:
        json.dump(published, file, indent=1)
        file.write("\n")
    numpy.savez(os.path.join(directory, "ref.npz"), **reference(model, seed, hidden_only))
    return directory, tensors


def block_scaled(tensors, tile):
    """Projections in E4M3 with a scale a tile, and what they decode to."""
    decoded, stored = dict(tensors), {}
    for name, value in tensors.items():
        if "_proj" not in name or value.dim() == 1:
            stored[name] = value.to(torch.bfloat16)
            continue
        rows, columns = value.shape
        down, across = -(-rows // tile[0]), -(-columns // tile[1])
        scales = torch.zeros(down, across)
        quantized = torch.zeros(rows, columns)
        for r in range(down):
            for c in range(across):
                part = (slice(r * tile[0], (r + 1) * tile[0]), slice(c * tile[1], (c + 1) * tile[1]))
                scales[r, c] = value[part].abs().max() / 448
                quantized[part] = value[part] / scales[r, c]
        bits = quantized.to(torch.float8_e4m3fn)
        spread = scales.repeat_interleave(tile[0], 0)[:rows].repeat_interleave(tile[1], 1)[:, :columns]
        decoded[name] = bits.to(torch.float32) * spread
        stored[name] = bits
        stored[name + "_scale_inv"] = scales
    return decoded, stored


def write_gguf(directory, arch, keys, tensors, divisors=None):
    writer = gguf.GGUFWriter(os.path.join(directory, "model.gguf"), arch)
    for key, value in keys.items():
        key = f"{arch}.{key}"
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_string(key, value)
    if divisors is not None:
        writer.add_tensor("rope_freqs.weight", divisors.astype(numpy.float32))
    for name, value in tensors.items():
        array = value.numpy()
        writer.add_tensor(name, array.astype(numpy.float16) if array.ndim > 1 else array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


GGUF_NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up",
    "post_self_attn_layernorm": "post_attention_norm", "post_mlp_layernorm": "post_ffw_norm",
}


def gguf_tensors(tensors, tied=False):
    named = {}
    for name, value in tensors.items():
        if name == "model.embed_tokens.weight":
            named["token_embd.weight"] = value
        elif name == "model.norm.weight":
            named["output_norm.weight"] = value
        elif name == "lm_head.weight":
            if not tied:
                named["output.weight"] = value
        else:
            _, _, layer, module = name.split(".", 3)
            module, kind = module.rsplit(".", 1)
            named[f"blk.{layer}.{GGUF_NAMES[module]}.{kind}"] = value
    return named


def permuted(value, heads):
    """Rows as GGUF has them for Llama: features that are rotated together are neighbours."""
    return value.reshape(heads, 2, value.shape[0] // heads // 2, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)


def fused(tensors, names):
    """The same tensors with query, key and value in one."""
    result = {}
    for name, value in tensors.items():
        if ".self_attn.q_proj." in name:
            parts = [tensors[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
            result[name.replace("q_proj", "qkv")] = torch.cat(parts)
        elif ".k_proj." not in name and ".v_proj." not in name:
            result[name] = value
    renamed = {}
    for name, value in result.items():
        for old, new in names:
            name = name.replace(old, new)
        renamed[name] = value
    return renamed


def published(config, model_type, architecture, **extra):
    """A configuration in the dialect of transformers 4, with what a family publishes."""
    values = {
        "architectures": [architecture], "model_type": model_type, "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_position_embeddings, "rms_norm_eps": config.rms_norm_eps,
        "hidden_act": "silu", "hidden_size": config.hidden_size, "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads, "num_key_value_heads": config.num_key_value_heads,
        "intermediate_size": config.intermediate_size, "rope_theta": config.rope_parameters["rope_theta"],
        "tie_word_embeddings": config.tie_word_embeddings, "torch_dtype": "bfloat16",
    }
    return values | extra


def keys_of(config, **extra):
    return {
        "block_count": config.num_hidden_layers, "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size, "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.freq_base": float(config.rope_parameters["rope_theta"]),
    } | extra


def sizes(hidden, layers, heads, kv, ffn, vocabulary, theta, **extra):
    rope = {"rope_type": "default", "rope_theta": theta} | extra.pop("rope", {})
    return dict(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv,
        intermediate_size=ffn, vocab_size=vocabulary, max_position_embeddings=256, rms_norm_eps=1e-6,
        rope_parameters=rope, bos_token_id=None, eos_token_id=None, pad_token_id=None, **extra)


def qwen():
    # Qwen's own code isn't in transformers; Qwen2 computes the same.
    config = transformers.Qwen2Config(**sizes(48, 2, 3, 3, 40, 131, 10000.0, tie_word_embeddings=False))
    names = [
        ("model.layers.", "transformer.h."), ("self_attn.qkv", "attn.c_attn"), ("self_attn.o_proj", "attn.c_proj"),
        ("input_layernorm", "ln_1"), ("post_attention_layernorm", "ln_2"), ("mlp.up_proj", "mlp.w1"),
        ("mlp.gate_proj", "mlp.w2"), ("mlp.down_proj", "mlp.c_proj"), ("model.norm", "transformer.ln_f"),
        ("model.embed_tokens", "transformer.wte"),
    ]
    own = {
        "architectures": ["QWenLMHeadModel"], "model_type": "qwen", "hidden_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 3, "kv_channels": 16, "intermediate_size": 80, "layer_norm_epsilon": 1e-6,
        "rotary_emb_base": 10000, "rotary_pct": 1.0, "seq_length": 256, "max_position_embeddings": 512,
        "use_dynamic_ntk": True, "use_logn_attn": True, "no_bias": True, "vocab_size": 131,
        "tie_word_embeddings": False,
    }
    directory, tensors = write("qwen", 1, transformers.Qwen2ForCausalLM, config, own, lambda t: fused(t, names))
    keys = keys_of(config, feed_forward_length=80)
    del keys["attention.head_count_kv"]
    write_gguf(directory, "qwen", keys, with_fused_names(tensors))


def with_fused_names(tensors):
    joined = fused(tensors, [])
    plain = gguf_tensors({name: value for name, value in joined.items() if ".qkv." not in name})
    for name, value in joined.items():
        if ".qkv." in name:
            layer, kind = name.split(".")[2], name.rsplit(".", 1)[1]
            plain[f"blk.{layer}.attn_qkv.{kind}"] = value
    return plain


def qwen2():
    config = transformers.Qwen2Config(**sizes(60, 3, 5, 1, 72, 150, 1000000.0, tie_word_embeddings=True))
    directory, tensors = write(
        "qwen2", 2, transformers.Qwen2ForCausalLM, config,
        published(config, "qwen2", "Qwen2ForCausalLM", use_sliding_window=False, sliding_window=4, max_window_layers=0))
    write_gguf(directory, "qwen2", keys_of(config), gguf_tensors(tensors, tied=True))


def qwen2_swa():
    config = transformers.Qwen2Config(
        **sizes(48, 3, 4, 2, 40, 131, 10000.0, tie_word_embeddings=False), use_sliding_window=True, sliding_window=5,
        max_window_layers=1)
    write(
        "qwen2_swa", 3, transformers.Qwen2ForCausalLM, config,
        published(config, "qwen2", "Qwen2ForCausalLM", use_sliding_window=True, sliding_window=5, max_window_layers=1))


def qwen2_yarn():
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    config = transformers.Qwen2Config(**(sizes(48, 2, 2, 1, 40, 131, 10000.0, rope=yarn, tie_word_embeddings=False) | {
        "max_position_embeddings": 64}))
    scaling = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    directory, tensors = write(
        "qwen2_yarn", 4, transformers.Qwen2ForCausalLM, config,
        published(config, "qwen2", "Qwen2ForCausalLM", rope_scaling=scaling))
    scaling = {
        "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}
    write_gguf(directory, "qwen2", keys_of(config) | scaling, gguf_tensors(tensors))


def qwen3():
    config = transformers.Qwen3Config(
        **sizes(56, 3, 6, 2, 52, 129, 1000000.0, tie_word_embeddings=True), head_dim=20, attention_bias=True)
    # The dialect of transformers 5.
    own = {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "dtype": "bfloat16", "attention_bias": True,
        "head_dim": 20, "hidden_act": "silu", "hidden_size": 56, "intermediate_size": 52,
        "layer_types": ["full_attention"] * 3, "max_position_embeddings": 256, "num_attention_heads": 6,
        "num_hidden_layers": 3, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}, "sliding_window": None,
        "tie_word_embeddings": True, "use_sliding_window": False, "vocab_size": 129,
    }
    directory, tensors = write("qwen3", 5, transformers.Qwen3ForCausalLM, config, own)
    write_gguf(
        directory, "qwen3", keys_of(config) | {"attention.key_length": 20, "attention.value_length": 20},
        gguf_tensors(tensors, tied=True))


def qwen3_embed():
    config = transformers.Qwen3Config(**sizes(40, 2, 4, 1, 36, 131, 1000000.0, tie_word_embeddings=True), head_dim=12)

    def without_prefix(tensors):
        return {name.removeprefix("model."): value for name, value in tensors.items()}

    write(
        "qwen3_embed", 6, transformers.Qwen3ForCausalLM, config,
        published(config, "qwen3", "Qwen3ForCausalLM", head_dim=12), without_prefix, hidden_only=True)


def qwen3_fp8():
    config = transformers.Qwen3Config(**sizes(48, 2, 4, 2, 40, 131, 1000000.0, tie_word_embeddings=False), head_dim=16)
    quantization = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [16, 32], "activation_scheme": "dynamic"}
    write(
        "qwen3_fp8", 7, transformers.Qwen3ForCausalLM, config,
        published(config, "qwen3", "Qwen3ForCausalLM", head_dim=16, quantization_config=quantization), fp8=(16, 32))


def llama3():
    scaling = {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64}
    config = transformers.LlamaConfig(
        **sizes(48, 2, 4, 2, 40, 150, 10000.0, rope=scaling, tie_word_embeddings=True), head_dim=16)
    directory, tensors = write(
        "llama3", 8, transformers.LlamaForCausalLM, config,
        published(config, "llama", "LlamaForCausalLM", rope_scaling=scaling, head_dim=16, attention_bias=False))
    frequencies = 10000.0 ** -(numpy.arange(0, 16, 2) / 16)
    wavelengths = 2 * numpy.pi / frequencies
    smooth = (64 / wavelengths - 1) / (4 - 1)
    divisors = numpy.where(wavelengths < 64 / 4, 1, numpy.where(wavelengths > 64 / 1, 8, 1 / ((1 - smooth) / 8 + smooth)))
    write_llama(directory, config, tensors, {"attention.key_length": 16, "attention.value_length": 16}, divisors)


def write_llama(directory, config, tensors, extra, divisors=None):
    tensors = dict(tensors)
    for name in tensors:
        for module, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
            if module in name:
                tensors[name] = permuted(tensors[name], heads)
    keys = keys_of(config) | {"vocab_size": config.vocab_size, "rope.dimension_count": 16} | extra
    write_gguf(directory, "llama", keys, gguf_tensors(tensors, tied=config.tie_word_embeddings), divisors)


def llama_linear():
    scaling = {"rope_type": "linear", "factor": 4.0}
    config = transformers.LlamaConfig(
        **sizes(48, 1, 3, 3, 40, 131, 100000.0, rope=scaling, tie_word_embeddings=False), attention_bias=True,
        mlp_bias=True)
    directory, tensors = write(
        "llama_linear", 9, transformers.LlamaForCausalLM, config,
        published(
            config, "llama", "LlamaForCausalLM", rope_scaling={"type": "linear", "factor": 4.0}, attention_bias=True,
            mlp_bias=True))
    write_llama(directory, config, tensors, {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0})


def glm():
    rope = {"partial_rotary_factor": 0.5}
    config = transformers.GlmConfig(
        **sizes(48, 2, 4, 2, 40, 131, 10000.0, rope=rope, tie_word_embeddings=False), head_dim=24, attention_bias=True)
    directory, tensors = write(
        "glm", 10, transformers.GlmForCausalLM, config,
        published(
            config, "glm", "GlmForCausalLM", head_dim=24, attention_bias=True, partial_rotary_factor=0.5))
    keys = {"rope.dimension_count": 12, "attention.key_length": 24, "attention.value_length": 24}
    write_gguf(directory, "chatglm", keys_of(config) | keys, gguf_tensors(tensors))


def chatglm():
    # The model's own code isn't in transformers; Glm computes the same.
    rope = {"partial_rotary_factor": 0.5}
    config = transformers.GlmConfig(
        **sizes(48, 2, 4, 2, 40, 144, 5000000.0, rope=rope, tie_word_embeddings=False), head_dim=12,
        attention_bias=True)
    names = [
        ("model.layers.", "transformer.encoder.layers."), ("self_attn.qkv", "self_attention.query_key_value"),
        ("self_attn.o_proj", "self_attention.dense"), ("mlp.gate_up_proj", "mlp.dense_h_to_4h"),
        ("mlp.down_proj", "mlp.dense_4h_to_h"), ("model.norm", "transformer.encoder.final_layernorm"),
        ("model.embed_tokens", "transformer.embedding.word_embeddings"), ("lm_head", "transformer.output_layer"),
    ]
    own = {
        "architectures": ["ChatGLMModel"], "model_type": "chatglm", "add_bias_linear": False, "add_qkv_bias": True,
        "apply_residual_connection_post_layernorm": False, "ffn_hidden_size": 40, "hidden_size": 48,
        "kv_channels": 12, "layernorm_epsilon": 1e-6, "multi_query_attention": True, "multi_query_group_num": 2,
        "num_attention_heads": 4, "num_layers": 2, "original_rope": True, "padded_vocab_size": 144,
        "post_layer_norm": True, "rmsnorm": True, "rope_ratio": 500.0, "seq_length": 256,
        "tie_word_embeddings": False,
    }

    def renamed(tensors):
        tensors = fused(tensors, names)
        tensors["transformer.rotary_pos_emb.inv_freq"] = torch.zeros(3, dtype=torch.bfloat16)
        return tensors

    directory, tensors = write("chatglm", 11, transformers.GlmForCausalLM, config, own, renamed)
    write_gguf(directory, "chatglm", keys_of(config) | {"rope.dimension_count": 6}, with_fused_names(tensors))


def glm4():
    rope = {"partial_rotary_factor": 0.5}
    config = transformers.Glm4Config(
        **sizes(48, 2, 4, 1, 40, 131, 10000.0, rope=rope, tie_word_embeddings=False), head_dim=16, attention_bias=True)
    directory, tensors = write(
        "glm4", 12, transformers.Glm4ForCausalLM, config,
        published(config, "glm4", "Glm4ForCausalLM", head_dim=16, attention_bias=True, partial_rotary_factor=0.5))
    keys = {"rope.dimension_count": 8, "attention.key_length": 16, "attention.value_length": 16}
    write_gguf(directory, "glm4", keys_of(config) | keys, gguf_tensors(tensors))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for make in (
        qwen, qwen2, qwen2_swa, qwen2_yarn, qwen3, qwen3_embed, qwen3_fp8, llama3, llama_linear, glm, chatglm, glm4
    ):
        make()
        print(make.__name__)
