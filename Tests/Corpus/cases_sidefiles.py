"""The smaller files around a model: sentence-transformers' modules, generation settings, special tokens."""
import os

import models
from corpus import EMBED, INSPECT, LOGITS, TOKENIZE, Case, write
from json_text import DELETE, Raw, put


def bert(name, file, message, change, status=65, commands=(EMBED,)):
    """`change` takes the parsed file, or is the text of another one; only the named commands read it."""
    def build(directory):
        model = models.bert_directory()
        if callable(change):
            change(model.documents[file])
        model.write(directory)
        if not callable(change):
            write(directory, file, change)
        return directory
    found = {command: status if command in commands else 0 for command in (INSPECT, TOKENIZE, EMBED)}
    return Case(f"{file.replace('/', '-')}/{name}", build, found, message)


def putting(path, value):
    return lambda document: put(document, path, value)


def embedder_cases():
    file = "modules.json"
    for name, text in [("object", "{}"), ("cut", "["), ("of-numbers", "[1]"), ("of-strings", '["a"]'), ("empty-text", " ")]:
        yield bert(name, file, file, text)
    yield bert("no-pooling", file, "Pooling", "[]")
    yield bert("type-number", file, "[0].type", putting("0.type", 1))
    yield bert("type-missing", file, "[1].type", putting("1.type", DELETE))
    yield bert("type-dense", file, "[2].type", putting("2.type", "sentence_transformers.models.Dense"), 69)
    for name, path in [("parent", "../1_Pooling"), ("absolute", "/etc"), ("deep-parent", "a/../../b"), ("number", 1)]:
        yield bert(f"path-{name}", file, "", putting("1.path", path), 66 if name == "absolute" else 65)
    yield bert("path-of-nothing", file, "2_Pooling", putting("1.path", "2_Pooling"), 66)

    file = "1_Pooling/config.json"
    yield bert("array", file, file, "[]")
    yield bert("no-mode", file, "pooling_mode", "{}")
    yield bert("mode-number", file, "pooling_mode", '{"pooling_mode":1}')
    yield bert("mode-array-of-numbers", file, "pooling_mode", '{"pooling_mode":[1]}')
    yield bert("mode-max", file, "pooling_mode", '{"pooling_mode":"max"}', 69)
    yield bert("two-modes", file, "pooling_mode", '{"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true}', 69)
    yield bert("flag-text", file, "pooling_mode_cls_token", '{"pooling_mode_cls_token":"true"}')
    yield bert("without-prompts", file, "include_prompt", '{"pooling_mode":"mean","include_prompt":false}', 69)

    file = "sentence_bert_config.json"
    for name, value in [("zero", 0), ("negative", -5), ("text", "40"), ("fraction", 1.5), ("1e30", Raw("1e30"))]:
        yield bert(f"max_seq_length-{name}", file, "max_seq_length", putting("max_seq_length", value))
    yield bert("array", file, file, "[]")

    file = "config_sentence_transformers.json"
    yield bert("array", file, file, "[]")
    for name, value in [("array", []), ("of-numbers", {"query": 1}), ("text", "query: ")]:
        yield bert(f"prompts-{name}", file, "prompts", putting("prompts", value))
    for name, value in [("unknown", "no-such-prompt"), ("number", 1)]:
        yield bert(f"default_prompt_name-{name}", file, "default_prompt_name", putting("default_prompt_name", value))

    file = "tokenizer_config.json"
    everyone = (INSPECT, TOKENIZE, EMBED)
    yield bert("array", file, file, "[]", commands=everyone)
    yield bert("cut", file, file, '{"a":', commands=everyone)
    for part in ("bos", "eos", "unk", "pad", "cls", "sep", "mask"):
        yield bert(f"{part}_token-number", file, f"{part}_token", '{"%s_token":5}' % part, commands=everyone)
    yield bert("cls_token-empty-object", file, "cls_token", '{"cls_token":{}}', commands=everyone)
    yield bert("special_tokens_map-array", "special_tokens_map.json", "special_tokens_map.json", "[]", commands=everyone)
    # Only where no other file names the length.
    for name, value in [("zero", "0"), ("negative", "-1"), ("half", "0.5")]:
        def build(directory, value=value):
            models.bert_directory().write(directory)
            os.remove(directory + "/sentence_bert_config.json")
            write(directory, "tokenizer_config.json", '{"model_max_length":%s}' % value)
            return directory
        yield Case(f"tokenizer_config.json/model_max_length-{name}", build, {INSPECT: 0, TOKENIZE: 0, EMBED: 65},
                   "model_max_length")


def generation_cases():
    for name, text in [("array", "[]"), ("id-text", '{"eos_token_id":"x"}'), ("id-negative", '{"eos_token_id":-1}'),
                       ("id-2^40", '{"eos_token_id":1099511627776}'), ("ids-mixed", '{"eos_token_id":[1,null]}'),
                       ("id-object", '{"eos_token_id":{}}'), ("cut", "{")]:
        def build(directory, text=text):
            models.decoder_directory("qwen3_moe").write(directory)
            write(directory, "generation_config.json", text)
            return directory
        # Embeddings don't end.
        status = 0 if name == "array" else 65
        yield Case(f"generation_config.json/{name}", build, {INSPECT: 0, TOKENIZE: 0, EMBED: 0, LOGITS: status},
                   "generation_config.json")


def cases():
    for group in (embedder_cases, generation_cases):
        yield from group()
