"""`config.json` with values that no model has, for every architecture."""
import models
from corpus import EMBED, INSPECT, LOGITS, TOKENIZE, Case, write
from json_text import DELETE, Raw, put


def statuses(status, logits=True):
    found = {INSPECT: 0 if status == 69 else status, TOKENIZE: 0, EMBED: status}
    if logits:
        found[LOGITS] = status
    return found


def case(golden, path, name, value, status=65, message=None, more=None):
    def build(directory):
        model = models.bert_directory() if golden == "bert" else models.decoder_directory(golden)
        for key, other in (more or {}).items():
            put(model.documents["config.json"], key, other)
        put(model.documents["config.json"], path, value)
        return model.write(directory)
    return Case(f"config-{golden}/{path}-{name}", build, statuses(status, golden != "bert"),
                path.split(".")[-1] if message is None else message)


def text_case(name, message, text, status=65):
    """A whole other document."""
    def build(directory):
        models.decoder_directory("qwen3_moe").write(directory)
        write(directory, "config.json", text)
        return directory
    return Case(f"config/{name}", build, statuses(status), message)


NUMBERS = [("negative", -1), ("zero", 0), ("fraction", 2.5), ("1e30", Raw("1e30")), ("1e400", Raw("1e400")),
           ("2^64", Raw("18446744073709551616")), ("text", "24"), ("array", [24]), ("true", True), ("object", {}),
           ("deleted", DELETE), ("100-digits", Raw("9" * 100)), ("minus-zero", Raw("-0"))]

# The golden of every architecture, and what its files call the sizes.
COMMON = ["hidden_size", "num_hidden_layers", "num_attention_heads"]
DECODERS = {
    "qwen": ["seq_length"] + COMMON, "qwen2": COMMON + ["intermediate_size"], "qwen2_moe": COMMON + ["num_experts"],
    "qwen3": COMMON + ["max_position_embeddings"], "qwen3_moe": COMMON + ["num_experts_per_tok", "moe_intermediate_size"],
    "llama3": COMMON + ["vocab_size"], "chatglm": ["hidden_size", "num_layers", "num_attention_heads", "ffn_hidden_size"],
    "glm": COMMON + ["intermediate_size"], "glm4": COMMON, "glm4_moe": COMMON + ["n_routed_experts"],
    "deepseek": COMMON + ["n_routed_experts"], "deepseek_v2": COMMON + ["kv_lora_rank", "qk_rope_head_dim"],
    "deepseek_v3": COMMON + ["kv_lora_rank", "qk_nope_head_dim", "v_head_dim", "num_experts_per_tok"],
}


def size_cases():
    """Every number that is wrong for one size of one architecture, and two of them for all other sizes."""
    for index, (golden, keys) in enumerate(DECODERS.items()):
        yield Case(f"config-{golden}/valid", lambda directory, golden=golden: models.decoder_directory(golden).write(directory),
                   statuses(0))
        for place, key in enumerate(keys):
            chosen = [NUMBERS[(index + place + step) % len(NUMBERS)] for step in (0, 5, 8)]
            for name, value in NUMBERS if key == keys[-1] else chosen:
                # A vocabulary's size stands in the table too where no file says it.
                yield case(golden, key, name, value, message="")
    for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings"):
        for name, value in NUMBERS:
            yield case("bert", key, name, value)
    yield Case("config-bert/valid", lambda directory: models.bert_directory().write(directory), statuses(0, False))
    for key, name, value in [("type_vocab_size", "zero", 0), ("type_vocab_size", "huge", 1 << 40), ("layer_norm_eps", "2", 2),
                             ("layer_norm_eps", "text", "1e-5"), ("num_attention_heads", "not-a-divisor", 7),
                             ("vocab_size", "zero", 0)]:
        yield case("bert", key, name, value, message="")
    for key, value in [("vocab_size", 172), ("hidden_size", 72), ("intermediate_size", 51), ("max_position_embeddings", 42),
                       ("num_hidden_layers", 4), ("type_vocab_size", 3)]:
        unlike = case("bert", key, "unlike-the-tensors", value, message="model.safetensors" if key != "num_hidden_layers" else "")
        unlike.statuses[INSPECT] = 0
        yield unlike
    for key, value in [("hidden_act", "relu"), ("position_embedding_type", "relative_key"), ("is_decoder", True)]:
        yield case("bert", key, "unsupported", value, 69)
    for key, value in [("hidden_act", 1), ("position_embedding_type", []), ("is_decoder", "no")]:
        yield case("bert", key, "of-another-type", value)


def relation_cases():
    for golden in ("qwen2", "qwen3", "llama3", "glm4"):
        yield case(golden, "num_key_value_heads", "not-a-divisor", 4096)
        yield case(golden, "num_key_value_heads", "zero", 0)
    for golden in ("qwen3", "qwen3_moe", "glm4_moe", "llama3"):
        yield case(golden, "head_dim", "odd", 7, message="")
        yield case(golden, "head_dim", "zero", 0)
        yield case(golden, "head_dim", "4098", 4098)
    for golden in ("qwen2", "qwen3", "llama3"):
        for name, value in [("nan", Raw("NaN")), ("1e400", Raw("1e400")), ("-1", -1), ("2", 2), ("text", "small"),
                            ("null", None), ("array", [1e-6])]:
            yield case(golden, "rms_norm_eps", name, value)
        yield case(golden, "hidden_act", "relu", "relu", 69)
        yield case(golden, "hidden_act", "number", 1)
        yield case(golden, "tie_word_embeddings", "number", 1)
        yield case(golden, "tie_word_embeddings", "text", "true")
    for golden, key, name, value, status in [
            ("qwen3_moe", "num_experts_per_tok", "7-of-6", 7, 65), ("qwen3_moe", "decoder_sparse_step", "zero", 0, 65),
            ("qwen3_moe", "mlp_only_layers", "negative", [-1], 65), ("qwen3_moe", "mlp_only_layers", "text", "all", 65),
            ("qwen3_moe", "norm_topk_prob", "number", 1, 65), ("glm4_moe", "n_group", "not-a-divisor", 4, 65),
            ("glm4_moe", "n_group", "zero", 0, 65), ("deepseek_v3", "topk_group", "more-than-groups", 4, 65),
            ("deepseek_v3", "topk_group", "zero", 0, 65), ("deepseek_v3", "scoring_func", "unknown", "tanh", 69),
            ("deepseek_v3", "scoring_func", "number", 1, 65), ("deepseek_v3", "routed_scaling_factor", "negative", -1, 65),
            ("deepseek_v3", "routed_scaling_factor", "1e30", Raw("1e30"), 65), ("deepseek_v3", "n_shared_experts", "2000", 2000, 65),
            ("deepseek_v3", "first_k_dense_replace", "negative", -1, 65), ("deepseek_v3", "moe_layer_freq", "zero", 0, 65),
            ("deepseek_v3", "qk_rope_head_dim", "odd", 7, 65), ("deepseek_v3", "q_lora_rank", "negative", -1, 65),
            ("deepseek_v3", "v_head_dim", "5000", 5000, 65), ("qwen2", "use_sliding_window", "text", "no", 65),
            ("llama3", "attention_bias", "number", 1, 65), ("chatglm", "rmsnorm", "false", False, 69),
            ("chatglm", "rope_ratio", "zero", 0, 65), ("chatglm", "multi_query_group_num", "not-a-divisor", 3, 65)]:
        yield case(golden, key, name, value, status)
    yield case("qwen3", "quantization_config", "of-gptq", {"quant_method": "gptq"}, 69, "quant_method")
    yield case("deepseek_v3", "mlp_layer_types", "too-few", ["dense"])
    yield case("deepseek_v3", "mlp_layer_types", "unknown", ["dense", "crowded"])
    yield case("qwen3", "layer_types", "too-few", ["full_attention"], more={"use_sliding_window": True, "sliding_window": 4})
    yield case("qwen3", "layer_types", "unknown", ["full_attention", "full_attention", "lightning"], 69,
               more={"use_sliding_window": True, "sliding_window": 4})
    yield case("qwen3", "sliding_window", "zero", 0, more={"use_sliding_window": True})
    yield case("qwen3", "sliding_window", "negative", -4, more={"use_sliding_window": True})
    # Only what generates asks where a text ends.
    for name, value in [("negative", -1), ("2^40", 1 << 40), ("text", "<|end|>")]:
        end = case("qwen3", "eos_token_id", name, value)
        end.statuses.update({INSPECT: 0, EMBED: 0})
        yield end


def rope_cases():
    for name, value, message, status in [
            ("text", "linear", "", 0), ("array", [], "", 0), ("unknown-type", {"rope_type": "magic", "factor": 2}, "type", 69),
            ("type-number", {"rope_type": 1, "factor": 2}, "type", 65),
            ("linear-without-factor", {"rope_type": "linear"}, "factor", 65),
            ("linear-factor-zero", {"rope_type": "linear", "factor": 0}, "factor", 65),
            ("linear-factor-negative", {"rope_type": "linear", "factor": -2}, "factor", 65),
            ("linear-factor-1e400", {"rope_type": "linear", "factor": Raw("1e400")}, "factor", 65),
            ("linear-factor-1e300", {"rope_type": "linear", "factor": Raw("1e300")}, "factor", 65),
            ("linear-factor-nan", {"rope_type": "linear", "factor": Raw("NaN")}, "factor", 65),
            ("linear-factor-text", {"rope_type": "linear", "factor": "2"}, "factor", 65),
            ("linear-factor-1e-300", {"rope_type": "linear", "factor": Raw("1e-300")}, "factor", 65),
            ("llama3-without-low", {"rope_type": "llama3", "factor": 8, "high_freq_factor": 4,
                                    "original_max_position_embeddings": 64}, "low_freq_factor", 65),
            ("llama3-low-above-high", {"rope_type": "llama3", "factor": 8, "high_freq_factor": 1, "low_freq_factor": 4,
                                       "original_max_position_embeddings": 64}, "high_freq_factor", 65),
            ("llama3-low-is-high", {"rope_type": "llama3", "factor": 8, "high_freq_factor": 4, "low_freq_factor": 4,
                                    "original_max_position_embeddings": 64}, "high_freq_factor", 65),
            ("llama3-without-length", {"rope_type": "llama3", "factor": 8, "high_freq_factor": 4, "low_freq_factor": 1},
             "original_max_position_embeddings", 65),
            ("llama3-length-zero", {"rope_type": "llama3", "factor": 8, "high_freq_factor": 4, "low_freq_factor": 1,
                                    "original_max_position_embeddings": 0}, "original_max_position_embeddings", 65),
            ("yarn-without-factor", {"rope_type": "yarn"}, "factor", 65),
            ("yarn-factor-zero", {"rope_type": "yarn", "factor": 0}, "factor", 65),
            ("yarn-fast-below-slow", {"rope_type": "yarn", "factor": 2, "beta_fast": 1, "beta_slow": 32}, "beta_fast", 65),
            ("yarn-beta-zero", {"rope_type": "yarn", "factor": 2, "beta_fast": 0}, "beta_fast", 65),
            ("yarn-attention-factor-negative", {"rope_type": "yarn", "factor": 2, "attention_factor": -1}, "attention_factor", 65),
            ("yarn-mscale-negative", {"rope_type": "yarn", "factor": 2, "mscale": -1}, "mscale", 65),
            ("yarn-length-negative", {"rope_type": "yarn", "factor": 2, "original_max_position_embeddings": -64},
             "original_max_position_embeddings", 65),
            ("yarn-truncate-text", {"rope_type": "yarn", "factor": 2, "truncate": "yes"}, "truncate", 65),
            ("yarn-factor-1e12-is-fine", {"rope_type": "yarn", "factor": Raw("1e12")}, "", 0)]:
        yield case("qwen2", "rope_scaling", name, value, status, message)
    for name, value in [("zero", 0), ("negative", -1), ("nan", Raw("NaN")), ("1e400", Raw("1e400")), ("text", "10000"),
                        ("array", [10000]), ("1e-30", Raw("1e-30")), ("1e30", Raw("1e30"))]:
        yield case("qwen2", "rope_theta", name, value)
    yield case("qwen2", "rope_theta", "1-with-yarn", 1, 65, more={"rope_scaling": {"rope_type": "yarn", "factor": 2}})
    for name, value in [("zero", 0), ("2", 2), ("negative", -0.5), ("text", "half")]:
        yield case("glm4_moe", "partial_rotary_factor", name, value)
    yield case("glm4", "rope_scaling", "of-images", {"rope_type": "default", "mrope_section": [2, 2, 2]}, 69, "mrope_section")


def document_cases():
    good = '{"model_type":"qwen3_moe"'
    for name, text, status in [
            ("empty", b" ", 65), ("array", "[]", 65), ("null", "null", 65), ("cut", good, 65),
            ("no-type", "{}", 65), ("type-number", '{"model_type":1}', 65), ("type-empty", '{"model_type":""}', 65),
            ("type-unheard-of", '{"model_type":"unheard-of"}', 69), ("type-null", '{"model_type":null}', 65),
            ("byte-order-mark", "\ufeff" + good + "}", 65), ("not-utf8", good.encode() + b',"a":"\xff"}', 65),
            ("utf16", (good + "}").encode("utf-16"), 65), ("key-twice", good + ',"hidden_size":1,"hidden_size":2}', 65),
            ("trailing-comma", good + ",}", 65), ("comment", good + "/**/}", 65), ("nested-100000-deep", "[" * 100000, 65),
            ("objects-nested-100000-deep", '{"a":' * 100000, 65), ("nul", b"\0" * 100, 65),
            ("single-quotes", "{'model_type':'qwen3_moe'}", 65), ("infinity", good + ',"hidden_size":Infinity}', 65),
            ("hexadecimal", good + ',"hidden_size":0x18}', 65), ("leading-zero", good + ',"hidden_size":024}', 65),
            ("plus-sign", good + ',"hidden_size":+24}', 65), ("no-sizes", good + "}", 65), ("xml", "<config/>", 65)]:
        yield text_case(name, "config.json", text, status)


def cases():
    for group in (document_cases, size_cases, relation_cases, rope_cases):
        yield from group()
