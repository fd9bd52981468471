"""GGUF files with vocabularies that contradict themselves or the model."""
import gguf_file as gguf
import models
from corpus import EMBED, INSPECT, LOGITS, TOKENIZE, Case, everywhere, single
from gguf_file import ARRAY, BOOL, F32, F64, I8, I32, STRING, U8, U32, U64

COUNT = 32


def case(name, message, spoil, status=65, inspect=None, tokenize=None, base=None):
    def data():
        file = (base or models.llama)()
        spoil(file)
        return file.bytes()
    statuses = everywhere(status)
    statuses[INSPECT] = (0 if status == 69 else status) if inspect is None else inspect
    if tokenize is not None:
        statuses[TOKENIZE] = tokenize
    if base is models.bert:
        del statuses[LOGITS]
    return Case(f"gguf-tokenizer/{name}", single("model.gguf", data), statuses, message)


def put(key, kind, payload):
    return lambda file: file.set(f"tokenizer.ggml.{key}", kind, payload)


def drop(key):
    return lambda file: file.drop(f"tokenizer.ggml.{key}")


def tokens(change, key="tokens"):
    """Changes the list of tokens, or of merges."""
    def spoil(file):
        items = file.strings(f"tokenizer.ggml.{key}")
        items = change(items) or items
        file.set(f"tokenizer.ggml.{key}", ARRAY, gguf.array(STRING, items))
    return spoil


def types(values):
    return put("token_type", ARRAY, gguf.array(I32, values))


def sentencepiece(model="llama", **changes):
    """Another kind of vocabulary, with scores in the place of merges."""
    def spoil(file):
        for key in ("merges", "pre", "token_type"):
            file.drop(f"tokenizer.ggml.{key}")
        pieces = ["<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab"]
        pieces += [f"[unused{index}]" for index in range(COUNT - len(pieces))]
        settings = {
            "model": (STRING, model), "tokens": (ARRAY, gguf.array(STRING, pieces)),
            "scores": (ARRAY, gguf.array(F32, [-float(index) for index in range(COUNT)])),
            "token_type": (ARRAY, gguf.array(I32, [2, 3, 3] + [1] * (COUNT - 3))),
            "bos_token_id": (U32, 1), "eos_token_id": (U32, 2), "unknown_token_id": (U32, 0)}
        settings.update(changes)
        for key, setting in settings.items():
            if setting is None:
                continue
            file.set(f"tokenizer.ggml.{key}", *setting)
    return spoil


def byte_level_cases():
    yield case("model-missing", "tokenizer.ggml.model", drop("model"))
    yield case("model-number", "tokenizer.ggml.model", put("model", U32, 1))
    for name in ("rwkv", "unheard-of", ""):
        yield case(f"model-{name or 'empty'}", "tokenizer.ggml.model", put("model", STRING, name), 69)
    yield case("pre-missing", "tokenizer.ggml.pre", drop("pre"), 69)
    yield case("pre-unheard-of", "tokenizer.ggml.pre", put("pre", STRING, "unheard-of"), 69)
    yield case("pre-number", "tokenizer.ggml.pre", put("pre", U32, 0))
    yield case("tokens-missing", "tokenizer.ggml.tokens", drop("tokens"))
    yield case("tokens-string", "tokenizer.ggml.tokens", put("tokens", STRING, "abc"))
    yield case("tokens-numbers", "tokenizer.ggml.tokens", put("tokens", ARRAY, gguf.array(U32, range(COUNT))))
    yield case("tokens-empty-array", "tokenizer.ggml", put("tokens", ARRAY, gguf.array(STRING, [])))
    yield case("tokens-not-utf8", "tokenizer.ggml.tokens",
               put("tokens", ARRAY, gguf.array(STRING, [b"\xff"] + models.TOKENS[1:] + ["x%d" % i for i in range(17)])))
    yield case("tokens-arrays", "tokenizer.ggml.tokens",
               put("tokens", ARRAY, gguf.array(ARRAY, [gguf.array(STRING, ["a"])])))
    yield case("token-twice", "only once", tokens(lambda items: items.__setitem__(3, "a")))
    yield case("token-all-the-same", "only once", tokens(lambda items: ["a"] * COUNT))
    yield case("tokens-more-than-rows", "tokenizer: ", chain(
        tokens(lambda items: items + ["y", "z"]), types([1] * (COUNT + 2))), inspect=0, tokenize=0)
    yield case("types-missing", "", drop("token_type"), 0)
    yield case("types-too-few", "tokenizer.ggml.token_type", types([1] * (COUNT - 1)))
    yield case("types-too-many", "tokenizer.ggml.token_type", types([1] * (COUNT + 1)))
    yield case("types-none", "tokenizer.ggml.token_type", types([]))
    for value in (7, 255, -1, 1 << 30):
        yield case(f"type-{value}", "tokenizer.ggml.token_type", types([1] * (COUNT - 1) + [value]))
    yield case("types-floats", "tokenizer.ggml.token_type", put("token_type", ARRAY, gguf.array(F32, [1.0] * COUNT)))
    yield case("types-string", "tokenizer.ggml.token_type", put("token_type", STRING, "1"))
    yield case("merges-missing", "tokenizer.ggml.merges", drop("merges"))
    yield case("merges-numbers", "tokenizer.ggml.merges", put("merges", ARRAY, gguf.array(U32, [1, 2])))
    yield case("merges-string", "tokenizer.ggml.merges", put("merges", STRING, "a b"))
    for name, merge in [("of-one", "ab"), ("empty", ""), ("of-three", "a b c"), ("ends-in-space", "a "),
                        ("starts-with-space", " a"), ("of-an-unknown-token", "a zz"), ("into-an-unknown-token", "b a"),
                        ("twice", "a b"), ("of-spaces", "  "), ("with-a-tab", "a\tb")]:
        yield case(f"merge-{name}", "tokenizer.ggml.merges", tokens(lambda items, merge=merge: items + [merge], "merges"))
    yield case("merges-none", "", put("merges", ARRAY, gguf.array(STRING, [])), 0)
    yield case("merges-in-a-circle", "tokenizer.ggml.merges",
               tokens(lambda items: ["ab cd", "abcd ab", "a b"], "merges"))
    for key in ("bos", "eos", "eot", "eom", "unknown", "padding", "cls", "seperator", "mask"):
        name = f"{key}_token_id"
        for kind, value, label in [(U32, COUNT, "just-beyond"), (U32, (1 << 32) - 1, "2^32-1"), (I32, -1, "negative"),
                                   (STRING, "a", "as-text"), (F32, 1.0, "as-float")]:
            yield case(f"{name}-{label}", f"tokenizer.ggml.{name}", put(name, kind, value))
    for key in ("add_bos_token", "add_eos_token"):
        yield case(f"{key}-number", f"tokenizer.ggml.{key}", put(key, U32, 1))
        yield case(f"{key}-text", f"tokenizer.ggml.{key}", put(key, STRING, "true"))
    yield case("eos_token_id-array", "tokenizer.ggml.eos_token_id", put("eos_token_id", ARRAY, gguf.array(U32, [1])))
    yield case("token-of-a-megabyte", "", tokens(lambda items: items.__setitem__(-1, "z" * (1 << 20))), 0)


def chain(*spoils):
    def spoil(file):
        for step in spoils:
            step(file)
    return spoil


def sentencepiece_cases():
    for model in ("llama", "t5"):
        yield case(f"{model}-valid", "", sentencepiece(model), 0)
        yield case(f"{model}-scores-missing", "tokenizer.ggml.scores", sentencepiece(model, scores=None))
        for name, kind, values in [
                ("too-few", F32, [0.0] * (COUNT - 1)), ("too-many", F32, [0.0] * (COUNT + 1)), ("none", F32, []),
                ("as-doubles", F64, [0.0] * COUNT), ("as-integers", I32, [0] * COUNT),
                ("nan", F32, [float("nan")] * COUNT), ("infinite", F32, [float("inf")] + [0.0] * (COUNT - 1)),
                ("minus-infinity", F32, [0.0] * (COUNT - 1) + [-float("inf")])]:
            yield case(f"{model}-scores-{name}", "tokenizer.ggml.scores",
                       sentencepiece(model, scores=(ARRAY, gguf.array(kind, values))))
        yield case(f"{model}-scores-all-equal", "",
                   sentencepiece(model, scores=(ARRAY, gguf.array(F32, [0.0] * COUNT))), 0)
        yield case(f"{model}-scores-huge", "",
                   sentencepiece(model, scores=(ARRAY, gguf.array(F32, [3e38, -3e38] * (COUNT // 2)))), 0)
        yield case(f"{model}-types-too-few", "tokenizer.ggml.token_type",
                   sentencepiece(model, token_type=(ARRAY, gguf.array(I32, [1] * 3))))
        yield case(f"{model}-add_space_prefix-number", "tokenizer.ggml.add_space_prefix",
                   sentencepiece(model, add_space_prefix=(U32, 1)))
    yield case("t5-no-unknown-token", "tokenizer.ggml.unknown_token_id",
               sentencepiece("t5", unknown_token_id=None, token_type=(ARRAY, gguf.array(I32, [1] * COUNT))))
    for name, kind, value in [("string", STRING, "map"), ("of-floats", ARRAY, gguf.array(F32, [1.0])),
                              ("one-byte", ARRAY, gguf.array(U8, [1])),
                              ("beyond-its-end", ARRAY, gguf.array(U8, [255, 255, 255, 127, 0, 0, 0, 0])),
                              ("cut", ARRAY, gguf.array(I8, [8, 0, 0, 0, 1]))]:
        yield case(f"t5-precompiled_charsmap-{name}", "tokenizer.ggml.precompiled_charsmap",
                   sentencepiece("t5", precompiled_charsmap=(kind, value)))


def word_piece_cases():
    yield case("bert-no-unknown-token", "tokenizer.ggml.unknown_token_id", chain(
        drop("unknown_token_id"), tokens(lambda items: items.__setitem__(1, "[WHAT]"))), base=models.bert)
    yield case("bert-cls-out-of-range", "tokenizer.ggml.cls_token_id", put("cls_token_id", U32, 168), base=models.bert)
    yield case("bert-lowercase-number", "tokenizer.ggml.normalizer.lowercase",
               put("normalizer.lowercase", U64, 1), base=models.bert)
    yield case("bert-token-twice", "only once", tokens(lambda items: items.__setitem__(9, items[8])), base=models.bert)
    yield case("bert-tokens-too-few-for-types", "tokenizer.ggml.token_type", tokens(lambda items: items[:-1]),
               base=models.bert)


def cases():
    for group in (byte_level_cases, sentencepiece_cases, word_piece_cases):
        yield from group()
