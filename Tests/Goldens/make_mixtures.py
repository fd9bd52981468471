"""Makes the goldens of mixtures of experts and of attention over latents: python3 make_mixtures.py.

As make_decoders.py does for dense decoders, in the same directory. Between them, the files hold experts in all the
ways in which they are stored: a tensor for each matrix, gate and up in one, all experts in one. Sizes aren't
multiples of 16, nor are ranks.
"""
import json
import os
import shutil

import numpy
import torch
import transformers
from safetensors.torch import save_file

from make_decoders import (
    GGUF_NAMES, PROMPTS, Tie, block_scaled, gguf_tensors, here, keys_of, permuted, published, random_weights, reference,
    sizes, write_gguf)

SHARED = {"shared_expert": "shexp", "shared_experts": "shexp"}
GGUF_NAMES |= {
    "mlp.gate": "ffn_gate_inp", "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
    "mlp.experts.gate_proj": "ffn_gate_exps", "mlp.experts.up_proj": "ffn_up_exps",
    "mlp.experts.gate_up_proj": "ffn_gate_up_exps", "mlp.experts.down_proj": "ffn_down_exps",
    "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.q_b_proj": "attn_q_b",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "self_attn.kv_b_proj": "attn_kv_b",
} | {
    f"mlp.{name}.{part}_proj": f"ffn_{part}_{short}" for name, short in SHARED.items() for part in ("gate", "up", "down")
}


def separate(tensors):
    """Experts with tensors of their own, as published."""
    result = {}
    for name, value in tensors.items():
        if not name.endswith((".experts.gate_up_proj", ".experts.down_proj")):
            result[name] = value
            continue
        prefix, part = name.rsplit(".", 1)
        for expert, matrix in enumerate(value):
            if part == "down_proj":
                result[f"{prefix}.{expert}.down_proj.weight"] = matrix
            else:
                size = matrix.shape[0] // 2
                result[f"{prefix}.{expert}.gate_proj.weight"] = matrix[:size]
                result[f"{prefix}.{expert}.up_proj.weight"] = matrix[size:]
    return result


def stacked(tensors, reference):
    """The opposite of `separate`, for a state of these names and shapes."""
    result = {}
    for name, value in reference.items():
        prefix, part = name.rsplit(".", 1)
        if part == "down_proj":
            parts = [tensors[f"{prefix}.{expert}.down_proj.weight"] for expert in range(value.shape[0])]
        elif part == "gate_up_proj":
            parts = [
                torch.cat([tensors[f"{prefix}.{expert}.{kind}_proj.weight"] for kind in ("gate", "up")])
                for expert in range(value.shape[0])]
        else:
            result[name] = tensors[name]
            continue
        result[name] = torch.stack(parts)
    return result


def write(name, seed, *arguments, **options):
    while True:
        try:
            return write_seeded(name, seed, *arguments, **options)
        except Tie:
            seed += 100


def write_seeded(
    name, seed, model_class, config, own, layout=separate, fp8=None, prepare=lambda model: None, skipped=lambda t: {}):
    """One model: its directory, its reference, and its tensors by transformers' names.

    `layout` gives the tensors of the file, `prepare` changes the model before it computes, and `skipped` makes
    tensors that nothing reads.
    """
    directory = os.path.join(here, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    model = model_class(config).eval()
    model.set_attn_implementation("eager")
    model.set_experts_implementation("eager")
    tensors = random_weights(model, torch.Generator().manual_seed(seed))
    if fp8:
        decoded, stored = block_scaled(separate(tensors), fp8)
        tensors = stacked(decoded, tensors)
        model.load_state_dict(tensors)
    else:
        stored = {key: value.to(torch.bfloat16) for key, value in layout(tensors | skipped(tensors)).items()}
    stored = {key: value.float() if "correction_bias" in key else value for key, value in stored.items()}
    save_file({key: value.contiguous() for key, value in stored.items()}, os.path.join(directory, "model.safetensors"))
    with open(os.path.join(directory, "config.json"), "w") as file:
        json.dump(own, file, indent=1)
        file.write("\n")
    prepare(model)
    arrays = reference(model, seed, False)
    check(model, arrays)
    numpy.savez(os.path.join(directory, "ref.npz"), **arrays)
    return directory, tensors


def check(model, arrays):
    """Another seed is needed if rounding decides which experts are chosen."""
    model = model.double()
    with torch.no_grad():
        for index in range(len(PROMPTS)):
            ids = torch.from_numpy(arrays[f"p{index}_ids"]).long()[None]
            exact = model(ids, use_cache=False).logits[0].numpy()
            if numpy.abs(exact - arrays[f"p{index}_logits"]).max() > 3e-5:
                raise Tie
    model.float()


def mixture_tensors(tensors, parts=True):
    """GGUF's tensors: experts stacked, gates and up projections apart if `parts`."""
    split = {}
    for name, value in tensors.items():
        if name.endswith(".experts.gate_up_proj") and parts:
            size = value.shape[1] // 2
            split[name.replace("gate_up", "gate") + ".weight"] = value[:, :size]
            split[name.replace("gate_up", "up") + ".weight"] = value[:, size:]
        elif ".experts." in name:
            split[name + ".weight"] = value
        elif "correction_bias" not in name:
            split[name] = value
    named = gguf_tensors(split)
    for name, value in tensors.items():
        if "correction_bias" in name:
            named[f"blk.{name.split('.')[2]}.exp_probs_b.bias"] = value
    return named


def latent_tensors(tensors, heads, own, value):
    """The weights of keys, transposed, and of values in tensors of their own."""
    named = mixture_tensors(tensors)
    for name in [name for name in named if ".attn_kv_b." in name]:
        whole = named.pop(name)
        whole = whole.reshape(heads, own + value, whole.shape[1])
        named[name.replace("attn_kv_b", "attn_k_b")] = whole[:, :own].transpose(1, 2).contiguous()
        named[name.replace("attn_kv_b", "attn_v_b")] = whole[:, own:].contiguous()
    return named


def mixture_keys(config, used, size, **extra):
    return keys_of(config) | {
        "expert_count": 6, "expert_used_count": used, "expert_feed_forward_length": size} | extra


def qwen2_moe():
    options = sizes(24, 2, 4, 2, 28, 67, 10000.0, tie_word_embeddings=False) | dict(
        moe_intermediate_size=20, shared_expert_intermediate_size=36, num_experts=6, num_experts_per_tok=3,
        norm_topk_prob=False)
    config = transformers.Qwen2MoeConfig(**options)
    own = published(
        config, "qwen2_moe", "Qwen2MoeForCausalLM", moe_intermediate_size=20, shared_expert_intermediate_size=36,
        num_experts=6, num_experts_per_tok=3, norm_topk_prob=False, decoder_sparse_step=1, use_sliding_window=False,
        sliding_window=4, max_window_layers=0)
    directory, tensors = write("qwen2_moe", 21, transformers.Qwen2MoeForCausalLM, config, own)
    write_gguf(
        directory, "qwen2moe", mixture_keys(config, 3, 20, expert_shared_feed_forward_length=36),
        mixture_tensors(tensors))
    # Dense layers in between, which GGUF can't say.
    config = transformers.Qwen2MoeConfig(
        **(options | dict(num_hidden_layers=4, norm_topk_prob=True)), decoder_sparse_step=2, mlp_only_layers=[3])
    write(
        "qwen2_moe_mixed", 22, transformers.Qwen2MoeForCausalLM, config,
        own | dict(num_hidden_layers=4, norm_topk_prob=True, decoder_sparse_step=2, mlp_only_layers=[3]))


def qwen3_moe():
    config = transformers.Qwen3MoeConfig(
        **sizes(24, 2, 4, 1, 28, 67, 1000000.0, tie_word_embeddings=False), head_dim=12, moe_intermediate_size=24,
        num_experts=6, num_experts_per_tok=2, norm_topk_prob=True)
    own = published(
        config, "qwen3_moe", "Qwen3MoeForCausalLM", head_dim=12, moe_intermediate_size=24, num_experts=6,
        num_experts_per_tok=2, norm_topk_prob=True, mlp_only_layers=[], decoder_sparse_step=1, attention_bias=False)
    # All experts in one tensor.
    directory, tensors = write(
        "qwen3_moe", 23, transformers.Qwen3MoeForCausalLM, config, own, layout=lambda tensors: tensors)
    write_gguf(
        directory, "qwen3moe",
        mixture_keys(config, 2, 24) | {"attention.key_length": 12, "attention.value_length": 12},
        mixture_tensors(tensors))


class Open(torch.nn.Module):
    """A gate that lets everything through."""

    def forward(self, x):
        return torch.full((*x.shape[:-1], 1), torch.inf, dtype=x.dtype)


def deepseek():
    # The model's own code isn't in transformers; without the shared expert's gate Qwen2-MoE computes the same.
    config = transformers.Qwen2MoeConfig(
        **sizes(24, 3, 4, 4, 28, 67, 10000.0, tie_word_embeddings=False), moe_intermediate_size=20,
        shared_expert_intermediate_size=40, num_experts=6, num_experts_per_tok=3, norm_topk_prob=False, qkv_bias=False,
        mlp_only_layers=[0])
    own = published(
        config, "deepseek", "DeepseekForCausalLM", moe_intermediate_size=20, n_shared_experts=2, n_routed_experts=6,
        num_experts_per_tok=3, norm_topk_prob=False, first_k_dense_replace=1, moe_layer_freq=1, scoring_func="softmax")

    def renamed(tensors):
        return {
            name.replace("shared_expert.", "shared_experts."): value for name, value in separate(tensors).items()
            if "shared_expert_gate" not in name}

    def prepare(model):
        for layer in model.model.layers[1:]:
            layer.mlp.shared_expert_gate = Open()

    directory, tensors = write(
        "deepseek", 24, transformers.Qwen2MoeForCausalLM, config, own, layout=renamed, prepare=prepare)
    tensors = {name: value for name, value in tensors.items() if "shared_expert_gate" not in name}
    for name in tensors:
        if ".q_proj." in name or ".k_proj." in name:
            tensors[name] = permuted(tensors[name], 4)
    named = {}
    # Experts with tensors of their own, as in files from before they were stacked.
    for name, value in mixture_tensors(tensors).items():
        if "_exps." in name:
            for expert in range(6):
                named[name.replace("_exps.", f".{expert}.")] = value[expert].contiguous()
        else:
            named[name] = value
    keys = mixture_keys(
        config, 3, 20, expert_shared_count=2, leading_dense_block_count=1, expert_weights_scale=1.0, vocab_size=67)
    write_gguf(directory, "deepseek", keys | {"rope.dimension_count": 6}, named)


LATENT = dict(kv_lora_rank=20, qk_nope_head_dim=12, qk_rope_head_dim=8, v_head_dim=14, moe_intermediate_size=20,
              n_routed_experts=6, first_k_dense_replace=1)


def yarn(mscale, mscale_all):
    return {
        "rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 16, "beta_fast": 32, "beta_slow": 1,
        "mscale": mscale, "mscale_all_dim": mscale_all}


def latent_sizes(layers, rope={}):
    return sizes(24, layers, 3, 3, 28, 67, 10000.0, rope=dict(rope), tie_word_embeddings=False) | LATENT


def latent_own(config, model_type, architecture, rope, **extra):
    scaling = {"rope_scaling": {"type": "yarn"} | {k: v for k, v in rope.items() if k != "rope_type"}} if rope else {}
    return published(config, model_type, architecture, **(LATENT | scaling | {"moe_layer_freq": 1} | extra))


def latent_keys(config, rope, used, shared, scale, **extra):
    keys = mixture_keys(
        config, used, 20, expert_shared_count=shared, expert_weights_scale=scale, leading_dense_block_count=1,
        vocab_size=67) | {
            "attention.head_count_kv": 1, "attention.kv_lora_rank": 20, "attention.key_length": 28,
            "attention.value_length": 20, "attention.key_length_mla": 20, "attention.value_length_mla": 14,
            "rope.dimension_count": 8}
    if rope:
        keys |= {
            "rope.scaling.type": "yarn", "rope.scaling.factor": 40.0, "rope.scaling.original_context_length": 16,
            "rope.scaling.yarn_beta_fast": 32.0, "rope.scaling.yarn_beta_slow": 1.0,
            "rope.scaling.yarn_log_multiplier": 0.1 * rope["mscale_all_dim"]}
    return keys | extra


def deepseek_v2():
    rope = yarn(0.707, 0.707)
    router = dict(
        n_shared_experts=2, num_experts_per_tok=3, topk_method="group_limited_greedy", n_group=3, topk_group=2,
        routed_scaling_factor=2.5, norm_topk_prob=False, scoring_func="softmax")
    config = transformers.DeepseekV2Config(**latent_sizes(2, rope), q_lora_rank=18, **router)
    directory, tensors = write(
        "deepseek_v2", 25, transformers.DeepseekV2ForCausalLM, config,
        latent_own(config, "deepseek_v2", "DeepseekV2ForCausalLM", rope, q_lora_rank=18, **router))
    keys = latent_keys(config, rope, 3, 2, 2.5, expert_group_count=3, expert_group_used_count=2, expert_gating_func=1)
    write_gguf(
        directory, "deepseek2", keys | {"attention.q_lora_rank": 18}, latent_tensors(tensors, 3, 12, 14))


def deepseek_v2_lite():
    router = dict(
        n_shared_experts=1, num_experts_per_tok=2, topk_method="greedy", routed_scaling_factor=1.0, norm_topk_prob=False)
    rope = yarn(0.707, 0.707)
    config = transformers.DeepseekV2Config(**latent_sizes(2, rope), q_lora_rank=None, **router)
    directory, tensors = write(
        "deepseek_v2_lite", 26, transformers.DeepseekV2ForCausalLM, config,
        latent_own(
            config, "deepseek_v2", "DeepseekV2ForCausalLM", rope, q_lora_rank=None, scoring_func="softmax", n_group=1,
            topk_group=1, **router))
    # As files were before the weights of keys and values came apart.
    keys = latent_keys(config, rope, 2, 1, 1.0) | {
        "attention.head_count_kv": 3, "attention.key_length": 20, "attention.value_length": 14}
    del keys["attention.key_length_mla"], keys["attention.value_length_mla"]
    write_gguf(directory, "deepseek2", keys, mixture_tensors(tensors))


def prediction_layer(layer):
    """What files have of a layer for multi-token prediction: nothing reads it."""
    def tensors(state):
        prefix = f"model.layers.{layer - 1}."
        last = {name.replace(prefix, f"model.layers.{layer}."): torch.zeros_like(value)
                for name, value in state.items() if name.startswith(prefix)}
        return last | {f"model.layers.{layer}.eh_proj.weight": torch.zeros(24, 48)}
    return tensors


def prediction_gguf(named, layer):
    last = {
        name.replace(f"blk.{layer - 1}.", f"blk.{layer}."): torch.zeros_like(value) for name, value in named.items()
        if name.startswith(f"blk.{layer - 1}.")}
    return named | last | {f"blk.{layer}.nextn.eh_proj.weight": torch.zeros(24, 48)}


V3_ROUTER = dict(
    n_shared_experts=1, num_experts_per_tok=3, n_group=3, topk_group=2, routed_scaling_factor=2.5, norm_topk_prob=True)


def deepseek_v3():
    rope = yarn(1.0, 1.0)
    config = transformers.DeepseekV3Config(**latent_sizes(2, rope), q_lora_rank=18, **V3_ROUTER)
    own = latent_own(
        config, "deepseek_v3", "DeepseekV3ForCausalLM", rope, q_lora_rank=18, scoring_func="sigmoid",
        topk_method="noaux_tc", num_nextn_predict_layers=1, **V3_ROUTER)
    directory, tensors = write(
        "deepseek_v3", 27, transformers.DeepseekV3ForCausalLM, config, own, skipped=prediction_layer(2))
    keys = latent_keys(
        config, rope, 3, 1, 2.5, expert_group_count=3, expert_group_used_count=2, expert_gating_func=2,
        expert_weights_norm=True, block_count=3, nextn_predict_layers=1)
    write_gguf(
        directory, "deepseek2", keys | {"attention.q_lora_rank": 18},
        prediction_gguf(latent_tensors(tensors, 3, 12, 14), 2))
    # FP8, sharpened rotary features, and those rotated together lie half of them apart.
    rope = yarn(1.0, 0.5)
    config = transformers.DeepseekV3Config(
        **latent_sizes(2, rope), q_lora_rank=18, rope_interleave=False, attention_bias=True, **V3_ROUTER)
    quantization = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [16, 32], "activation_scheme": "dynamic"}
    write(
        "deepseek_v3_fp8", 28, transformers.DeepseekV3ForCausalLM, config,
        latent_own(
            config, "deepseek_v3", "DeepseekV3ForCausalLM", rope, q_lora_rank=18, scoring_func="sigmoid",
            rope_interleave=False, attention_bias=True, quantization_config=quantization, **V3_ROUTER),
        fp8=(16, 32))


GLM_ROUTER = dict(
    n_shared_experts=1, num_experts_per_tok=3, n_group=1, topk_group=1, routed_scaling_factor=1.8, norm_topk_prob=True)


def glm4_moe():
    config = transformers.Glm4MoeConfig(
        **sizes(24, 2, 4, 2, 28, 67, 10000.0, rope={"partial_rotary_factor": 0.5}, tie_word_embeddings=False),
        head_dim=12, attention_bias=True, use_qk_norm=True, moe_intermediate_size=20, n_routed_experts=6,
        first_k_dense_replace=1, **GLM_ROUTER)
    own = published(
        config, "glm4_moe", "Glm4MoeForCausalLM", head_dim=12, attention_bias=True, use_qk_norm=True,
        partial_rotary_factor=0.5, moe_intermediate_size=20, n_routed_experts=6, first_k_dense_replace=1,
        num_nextn_predict_layers=1, **GLM_ROUTER)
    directory, tensors = write(
        "glm4_moe", 29, transformers.Glm4MoeForCausalLM, config, own, skipped=prediction_layer(2))
    named = {
        name.replace("ffn_norm", "post_attention_norm"): value
        for name, value in mixture_tensors(tensors, parts=False).items()}
    keys = mixture_keys(
        config, 3, 20, expert_shared_count=1, leading_dense_block_count=1, expert_gating_func=2,
        expert_weights_scale=1.8, expert_weights_norm=True, block_count=3, nextn_predict_layers=1) | {
            "attention.key_length": 12, "attention.value_length": 12, "rope.dimension_count": 6}
    write_gguf(directory, "glm4moe", keys, prediction_gguf(named, 2))


def glm4_moe_lite():
    options = latent_sizes(2) | {"rms_norm_eps": 1e-5}
    del options["first_k_dense_replace"]
    config = transformers.Glm4MoeLiteConfig(**options, q_lora_rank=18, **GLM_ROUTER)
    directory, tensors = write(
        "glm4_moe_lite", 30, transformers.Glm4MoeLiteForCausalLM, config,
        latent_own(
            config, "glm4_moe_lite", "Glm4MoeLiteForCausalLM", {}, q_lora_rank=18, num_nextn_predict_layers=1,
            **GLM_ROUTER),
        skipped=prediction_layer(2))
    # No gate is named: the bias tells.
    keys = latent_keys(config, {}, 3, 1, 1.8, expert_weights_norm=True) | {"attention.q_lora_rank": 18}
    write_gguf(directory, "deepseek2", keys, latent_tensors(tensors, 3, 12, 14))


def routers():
    """The choices of transformers' routers for random logits, which identity weights let through."""
    from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2TopkRouter
    from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3TopkRouter
    from transformers.models.qwen2_moe.modeling_qwen2_moe import Qwen2MoeTopKRouter

    generator = torch.Generator().manual_seed(31)
    experts, rows = 12, 40
    logits = 2 * torch.randn(rows, experts, generator=generator)
    bias = 0.3 * torch.randn(experts, generator=generator)
    arrays = {"logits": logits.numpy(), "bias": bias.numpy()}

    def run(name, router):
        router.weight.data = torch.eye(experts)
        if hasattr(router, "e_score_correction_bias"):
            router.e_score_correction_bias.data = bias
        with torch.no_grad():
            _, weights, chosen = router(logits)
        # Some sort by weight, some don't sort: here by index.
        order = chosen.argsort(dim=-1)
        arrays[name + "_chosen"] = chosen.gather(1, order).numpy().astype(numpy.int32)
        arrays[name + "_weights"] = weights.gather(1, order).numpy()

    for name, normalizes in (("softmax", False), ("normalized", True)):
        run(name, Qwen2MoeTopKRouter(transformers.Qwen2MoeConfig(
            num_experts=experts, num_experts_per_tok=4, norm_topk_prob=normalizes, hidden_size=experts)))
    run("v2", DeepseekV2TopkRouter(transformers.DeepseekV2Config(
        **latent_sizes(1) | dict(hidden_size=experts, n_routed_experts=experts), num_experts_per_tok=3, n_group=4,
        topk_group=2, topk_method="group_limited_greedy", routed_scaling_factor=16.0)))
    run("v3", DeepseekV3TopkRouter(transformers.DeepseekV3Config(
        **latent_sizes(1) | dict(hidden_size=experts, n_routed_experts=experts), num_experts_per_tok=4, n_group=3,
        topk_group=2, routed_scaling_factor=2.5, norm_topk_prob=True)))
    numpy.savez(os.path.join(os.path.dirname(here), "routers.npz"), **arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for make in (
        qwen2_moe, qwen3_moe, deepseek, deepseek_v2, deepseek_v2_lite, deepseek_v3, glm4_moe, glm4_moe_lite,
        routers
    ):
        make()
        print(make.__name__)
