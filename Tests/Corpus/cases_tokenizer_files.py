"""`tokenizer.json`, `tokenizer.model` and `vocab.txt` that make no tokenizer, or one of another kind."""
import models
import protobuf as proto
from corpus import EMBED, INSPECT, LOGITS, TOKENIZE, Case, everywhere, write
from json_text import DELETE, Raw, dump, put


def statuses(status):
    found = everywhere(status)
    found[INSPECT] = 0 if status == 69 else status
    return found


def document(name, message, change, status=65, bert=False):
    """The little byte-level tokenizer (or BERT's), with a change or in the form of another text."""
    def build(directory):
        model = models.bert_directory() if bert else models.decoder_directory("qwen3_moe")
        if callable(change):
            change(model.documents["tokenizer.json"])
        model.write(directory)
        if not callable(change):
            write(directory, "tokenizer.json", change)
        return directory
    found = statuses(status)
    if bert:
        del found[LOGITS]
    return Case(f"tokenizer.json/{name}", build, found, message)


def putting(path, value):
    return lambda value_of: put(value_of, path, value)


def text_cases():
    for name, text in [("empty", " "), ("array", "[]"), ("null", "null"), ("cut", '{"model":'), ("number", "1"),
                       ("not-utf8", b'{"a":"\xff"}'), ("nested-100000-deep", "[" * 100000), ("utf16", "{}".encode("utf-16")),
                       ("model-twice", '{"model":{},"model":{}}')]:
        yield document(name, "tokenizer.json", text)
    yield document("no-model", "model", "{}")
    yield document("model-null", "model", '{"model":null}')
    yield document("model-array", "model", '{"model":[]}')


def model_cases():
    yield document("model-type-number", "model.type", putting("model.type", 1))
    yield document("model-type-unheard-of", "model", putting("model.type", "WordLevel"), 69)
    for name, vocabulary in [
            ("array", ["a"]), ("text", "a"), ("id-text", {"a": "0"}), ("id-negative", {"a": -1}),
            ("id-fraction", {"a": 0.5}), ("id-1e30", {"a": Raw("1e30")}), ("id-1e400", {"a": Raw("1e400")}),
            ("id-2^31", {"a": 1 << 31}), ("id-2000000000", {"a": 2_000_000_000}), ("id-2^63", {"a": 1 << 63}),
            ("id-twice", {"a": 0, "b": 0}), ("id-null", {"a": None}), ("id-object", {"a": {}})]:
        yield document(f"vocab-{name}", "model.vocab", putting("model.vocab", vocabulary))
    yield document("vocab-null", "vocab", putting("model.vocab", None))
    yield document("vocab-missing", "vocab", putting("model.vocab", DELETE))
    yield document("token-twice", "only once", lambda value: put(value, "model.vocab", Raw('{"a":0,"b":1,"a":2}')))
    yield document("token-twice-with-an-escape", "only once",
                   lambda value: put(value, "model.vocab", Raw('{"a":0,"b":1,"\\u0061":2}')))
    for name, merges in [
            ("object", {}), ("text", "a b"), ("number", 1), ("of-numbers", [[1, 2]]), ("of-nulls", [None]), ("of-one", ["ab"]),
            ("of-three", ["a b c"]), ("of-three-strings", [["a", "b", "c"]]), ("of-no-strings", [[]]), ("empty", [""]),
            ("of-an-unknown-token", ["a z"]), ("into-an-unknown-token", ["b a"]), ("of-spaces", ["  "]),
            ("with-empty-part", [["a", ""]]), ("twice", ["a b", "a b"]), ("nested", [[["a", "b"]]])]:
        yield document(f"merges-{name}", "model.merges", putting("model.merges", merges))
    yield document("merges-missing", "merges", putting("model.merges", DELETE))
    yield document("merges-none", "", putting("model.merges", []), 0)
    yield document("dropout", "model.dropout", putting("model.dropout", 0.1), 69)
    yield document("prefix", "continuing_subword_prefix", putting("model.continuing_subword_prefix", "##"), 69)
    yield document("suffix", "end_of_word_suffix", putting("model.end_of_word_suffix", "</w>"), 69)
    yield document("suffix-number", "end_of_word_suffix", putting("model.end_of_word_suffix", 1))
    yield document("unknown-token-not-there", "model.unk_token", putting("model.unk_token", "<unk>"))
    yield document("unknown-token-number", "model.unk_token", putting("model.unk_token", 0))
    yield document("ignore_merges-text", "model.ignore_merges", putting("model.ignore_merges", "yes"))
    yield document("fuse_unk-number", "model.fuse_unk", putting("model.fuse_unk", 1))
    beyond = document("tokens-beyond-the-model's-rows", "tokenizer",
                      lambda value: value["model"]["vocab"].update({f"z{index}": 20 + index for index in range(60)}))
    beyond.statuses.update({INSPECT: 0, TOKENIZE: 0})
    yield beyond


def added_cases():
    def added(*tokens):
        return putting("added_tokens", list(tokens))

    def token(**members):
        return dict({"id": 20, "content": "<x>", "single_word": False, "lstrip": False, "rstrip": False,
                     "normalized": False, "special": True}, **members)
    for name, tokens in [
            ("object", {}), ("of-numbers", [1]), ("without-id", [{"content": "x"}]), ("without-content", [{"id": 20}]),
            ("content-number", [token(content=1)]), ("id-text", [token(id="20")]), ("id-negative", [token(id=-1)]),
            ("id-2^31", [token(id=1 << 31)]), ("id-99999999", [token(id=99999999)]), ("id-1e30", [token(id=Raw("1e30"))]),
            ("id-of-another", [token(id=1)]), ("id-unlike-the-model's", [token(content="a", id=20)]),
            ("id-twice", [token(), token(content="<y>")]), ("content-twice", [token(), token(id=21)]),
            ("special-number", [token(special=1)]), ("lstrip-text", [token(lstrip="no")])]:
        yield document(f"added-tokens-{name}", "added_tokens", putting("added_tokens", tokens))
    yield document("added-tokens-null", "", putting("added_tokens", None), 0)
    yield document("added-token-of-a-megabyte", "", added(token(content="<" + "x" * (1 << 20))), 0)
    yield document("added-token-empty", "", added(token(content="")), 0)


def step_cases():
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        for name, value, status in [("array", [], 65), ("text", "NFC", 65), ("no-type", {}, 65), ("type-number", {"type": 1}, 65),
                                    ("type-unheard-of", {"type": "Unheard"}, 69)]:
            yield document(f"{part}-{name}", part, putting(part, value), status)
    for name, value, status in [
            ("sequence-without-parts", {"type": "Sequence"}, 65), ("sequence-of-numbers", {"type": "Sequence", "normalizers": [1]}, 65),
            ("sequence-object", {"type": "Sequence", "normalizers": {}}, 65),
            ("replace-nothing", {"type": "Replace", "pattern": {"String": ""}, "content": ""}, 65),
            ("replace-by-regex", {"type": "Replace", "pattern": {"Regex": "(a+)+b"}, "content": ""}, 69),
            ("replace-no-content", {"type": "Replace", "pattern": {"String": "a"}}, 65),
            ("bert-flag-number", {"type": "BertNormalizer", "lowercase": 1}, 65),
            ("precompiled-not-base64", {"type": "Precompiled", "precompiled_charsmap": "AA=A"}, 65),
            ("precompiled-too-short", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, 65),
            ("precompiled-beyond-its-end", {"type": "Precompiled", "precompiled_charsmap": "////fwAAAAA="}, 65),
            ("precompiled-number", {"type": "Precompiled", "precompiled_charsmap": 1}, 65),
            ("prepend-number", {"type": "Prepend", "prepend": 1}, 65)]:
        yield document(f"normalizer-{name}", "normalizer", putting("normalizer", value), status)
    deep = {"type": "NFC"}
    for _ in range(40):
        deep = {"type": "Sequence", "normalizers": [deep]}
    yield document("normalizer-sequences-40-deep", "tokenizer.json", putting("normalizer", deep))
    deep = {"type": "NFC"}
    for _ in range(20):
        deep = {"type": "Sequence", "normalizers": [deep]}
    yield document("normalizer-sequences-20-deep-are-fine", "", putting("normalizer", deep), 0)
    for name, value, status in [
            ("split-catastrophic", {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}, 69),
            ("split-bad-regex", {"type": "Split", "pattern": {"Regex": "(((("}, "behavior": "Isolated"}, 69),
            ("split-number", {"type": "Split", "pattern": {"Regex": 1}, "behavior": "Isolated"}, 65),
            ("split-no-pattern", {"type": "Split", "behavior": "Isolated"}, 65),
            ("split-removed", {"type": "Split", "pattern": {"Regex": models.SPLIT}, "behavior": "Removed"}, 69),
            ("sequence-of-numbers", {"type": "Sequence", "pretokenizers": [1]}, 65),
            ("metaspace-empty", {"type": "Metaspace", "replacement": ""}, 65),
            ("metaspace-scheme", {"type": "Metaspace", "replacement": "_", "prepend_scheme": "often"}, 65),
            ("byte-level-flag-text", {"type": "ByteLevel", "add_prefix_space": "no"}, 65)]:
        yield document(f"pre_tokenizer-{name}", "pre_tokenizer", putting("pre_tokenizer", value), status)
    a, b = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    special = {"SpecialToken": {"id": "x", "type_id": 0}}
    for name, single, pair, tokens in [
            ("without-text", [], [a, b], {}), ("of-B-alone", [a], [b], {}), ("of-C", [{"Sequence": {"id": "C"}}], [a, b], {}),
("of-an-unknown-token", [special, a], [a, b], {}),
            ("of-an-id-out-of-range", [special, a], [a, b], {"x": {"id": "x", "ids": [4000], "tokens": ["x"]}}),
            ("of-a-negative-id", [special, a], [a, b], {"x": {"id": "x", "ids": [-1], "tokens": ["x"]}}),
            ("of-numbers", [1], [a, b], {}), ("null", None, None, {})]:
        yield document(f"template-{name}", "post_processor", putting(
            "post_processor", {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}))
    for name, sep, cls in [("id-out-of-range", ["x", 4000], ["y", 1]), ("short", ["x"], ["y", 1]), ("text", "x", ["y", 1])]:
        yield document(f"bert-processing-{name}", "post_processor", putting(
            "post_processor", {"type": "BertProcessing", "sep": sep, "cls": cls}))
    for name, value, status in [
            ("strip-nothing", {"type": "Strip", "content": "", "start": 1, "stop": 0}, 65),
            ("strip-negative", {"type": "Strip", "content": " ", "start": -1, "stop": 0}, 65),
            ("sequence-of-numbers", {"type": "Sequence", "decoders": [1]}, 65),
            ("word-piece-prefix-number", {"type": "WordPiece", "prefix": 1, "cleanup": True}, 65)]:
        yield document(f"decoder-{name}", "decoder", putting("decoder", value), status)
    unigram = {"type": "Unigram", "unk_id": 0, "vocab": [["a", -1]]}
    for name, members in [
            ("no-unknown", {"unk_id": DELETE}), ("unknown-out-of-range", {"unk_id": 1}), ("unknown-negative", {"unk_id": -1}),
            ("score-1e999", {"vocab": [["a", Raw("1e999")]]}), ("score-text", {"vocab": [["a", "-1"]]}),
            ("score-missing", {"vocab": [["a"]]}), ("token-number", {"vocab": [[1, -1]]}), ("vocab-empty", {"vocab": []}),
            ("vocab-object", {"vocab": {"a": -1}}), ("token-twice", {"vocab": [["a", 0], ["a", 0]]})]:
        def change(value, members=members):
            value["model"] = dict(unigram)
            for key, member in members.items():
                put(value["model"], key, member)
            value.update(pre_tokenizer=None, decoder=None, normalizer=None, added_tokens=[])
        yield document(f"unigram-{name}", "" if name == "score-1e999" else "model", change)


def bert_cases():
    yield document("bert-valid", "", lambda value: None, 0, bert=True)
    for name, path, value in [("no-unknown-token", "model.unk_token", DELETE), ("unknown-token-not-there", "model.unk_token", "[?]"),
                              ("word-length-negative", "model.max_input_chars_per_word", -1),
                              ("word-length-text", "model.max_input_chars_per_word", "100"),
                              ("prefix-number", "model.continuing_subword_prefix", 1), ("vocab-empty", "model.vocab", {})]:
        yield document(f"bert-{name}", "" if value is DELETE else "model", putting(path, value), 65, bert=True)

    def vocabulary(name, message, text, status=65):
        def build(directory):
            model = models.bert_directory()
            del model.documents["tokenizer.json"]
            model.files["vocab.txt"] = text
            return model.write(directory)
        found = statuses(status)
        del found[LOGITS]
        return Case(f"vocab.txt/{name}", build, found, message)
    good = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n##b\n"
    yield vocabulary("empty", "vocab.txt", "")
    yield vocabulary("token-twice", "line 8", good + "a\n")
    yield vocabulary("no-separator", "sep_token", good.replace("[SEP]", "[S]"))
    yield vocabulary("no-beginning", "cls_token", good.replace("[CLS]", "[C]"))
    yield vocabulary("no-unknown-token", "unk_token", good.replace("[UNK]", "[U]"))
    yield vocabulary("not-utf8", "vocab.txt", good.encode() + b"\xff\n")
    yield vocabulary("nul", "vocab.txt", b"\0" * 1000)
    yield vocabulary("only-line-ends", "vocab.txt", "\n" * 100)
    yield vocabulary("carriage-returns-are-fine", "", good.replace("\n", "\r\n"), 0)


def sentencepiece_cases():
    def model(name, message, data, status=65):
        def build(directory):
            parts = models.decoder_directory("qwen3_moe")
            del parts.documents["tokenizer.json"]
            parts.files["tokenizer.model"] = data
            return parts.write(directory)
        return Case(f"tokenizer.model/{name}", build, statuses(status), message)
    whole = proto.model()
    pieces = [proto.piece("<unk>", 0, 2), proto.piece("\u2581", -1), proto.piece("a", -2), proto.piece("b", -3)]
    assert whole.startswith(b"".join(pieces))
    yield model("valid", "", whole, 0)
    yield model("valid-unigram", "", proto.model(kind=1), 0)
    yield model("empty", "tokenizer.model", b"")
    # A cut between two pieces leaves a smaller model.
    ends = {len(b"".join(pieces[:count])) for count in range(len(pieces) + 1)}
    for count in sorted(set(range(1, len(whole), 9)) - ends):
        yield model(f"cut-after-{count}-bytes", "tokenizer.model", whole[:count])
    yield model("length-2^62", "length", b"\x0a" + proto.varint(1 << 62))
    yield model("length-beyond-the-end", "length", b"\x0a\x7f")
    yield model("varint-of-11-bytes", "64 bits", b"\x10" + b"\xff" * 11)
    yield model("varint-unfinished", "end", b"\x10\x80")
    yield model("field-0", "field number", b"\x02\x00")
    yield model("group", "wire type", b"\x0b")
    yield model("wire-type-7", "wire type", b"\x0f")
    yield model("text", "tokenizer.model", b"a model of text")
    yield model("json", "tokenizer.model", dump({"a": 1}).encode())
    yield model("zeros", "tokenizer.model", bytes(500))
    yield model("pieces-as-integers", "bytes", b"\x08\x01")
    for name, score in [("nan", float("nan")), ("infinite", float("inf")), ("minus-infinite", -float("inf"))]:
        yield model(f"score-{name}", "finite score", proto.model(more=proto.piece("c", score)))
    for kind in (0, 7, 1 << 40):
        yield model(f"piece-type-{kind}", "type", proto.model(more=proto.piece("c", 0, kind)))
    yield model("piece-empty", "piece", proto.model(more=proto.piece("")))
    yield model("piece-twice", "only once", proto.model(more=proto.piece("ab")))
    yield model("piece-not-utf8", "UTF-8", proto.model(more=proto.piece(b"\xe2\x96")))
    yield model("no-unknown-piece", "unknown piece", proto.model(pieces=proto.piece("a")))
    yield model("two-unknown-pieces", "unknown piece", proto.model(more=proto.piece("?", 0, 2)))
    yield model("byte-without-fallback", "bytes", proto.model(more=proto.piece("<0x41>", 0, 6)))
    yield model("byte-that-is-none", "byte", proto.model(more=proto.piece("A", 0, 6)))
    yield model("bytes-missing", "found no <0xFF>", proto.model(
        more=b"".join(proto.piece(f"<0x{byte:02X}>", 0, 6) for byte in range(255)), trainer=proto.integer(35, 1)))
    for kind, status in [(0, 65), (3, 69), (4, 69), (9, 65), (1 << 60, 65)]:
        yield model(f"model-type-{kind}", "", proto.model(kind=kind), status)
    yield model("spaces-behind-words", "spaces", proto.model(trainer=proto.integer(24, 1)), 69)
    for name, data in [("too-short", b"\1\0\0"), ("beyond-its-end", b"\xff\xff\xff\x7f\0\0\0\0\0"), ("unaligned", b"\5\0\0\0" + bytes(9))]:
        yield model(f"map-{name}", "compiled map", proto.model(normalizer=proto.message(2, data)))


def cases():
    for group in (text_cases, model_cases, added_cases, step_cases, bert_cases, sentencepiece_cases):
        yield from group()
