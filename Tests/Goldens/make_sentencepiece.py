"""Trains tiny SentencePiece models, writes them in every form that is read here, and what the reference
implementations make of some texts.

    make_sentencepiece.py                    writes Tests/Goldens/sentencepiece
    make_sentencepiece.py DIRECTORY COUNT    writes another directory, with COUNT random texts and the full
                                             maps of characters; run the tests with
                                             SALANGANE_SENTENCEPIECE_CASES=DIRECTORY to check them

Needs sentencepiece, tokenizers, gguf, numpy and llama-cpp-python.
"""

import base64
import ctypes
import io
import json
import pathlib
import random
import sys

import gguf
import llama_cpp
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizers import (
    AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors)

MARK = "\u2581"

SENTENCES = """
The swiftlet builds its nest in caves and finds its way by clicking in the dark.
A small bird, a long cave, and no light at all: how does it know where the walls are?
Water runs over the stones, and the stones have been there longer than the river has had a name.
She counted 1, 2, 3, 14, 159, 2653 steps before the door; then she stopped counting.
If the tokens are the same, the numbers are the same, and if the numbers differ, look at the tokens.
for index in range(10):
    if values[index] > limit:
        return values[index] - limit
    total += values[index]
let length = text.utf8.count; print("length: \\(length)")
Der Vogel wohnt in der H\u00f6hle, und die H\u00f6hle geh\u00f6rt dem Berg; gr\u00fc\u00dfe bitte alle \u00d6chslein.
L'oiseau b\u00e2tit son nid l\u00e0-haut, o\u00f9 la lumi\u00e8re n'arrive pas; \u00e7a va, gar\u00e7on?
El p\u00e1jaro peque\u00f1o volvi\u00f3 ma\u00f1ana por la ma\u00f1ana, \u00bfno es verdad?
\u041c\u0430\u043b\u0435\u043d\u044c\u043a\u0430\u044f \u043f\u0442\u0438\u0446\u0430 \u043b\u0435\u0442\u0438\u0442 \u0432 \u0442\u0435\u043c\u043d\u043e\u0442\u0435 \u0438 \u043d\u0430\u0445\u043e\u0434\u0438\u0442 \u0434\u043e\u0440\u043e\u0433\u0443.
\u5c0f\u9ce5\u5728\u9ed1\u6697\u7684\u5c71\u6d1e\u91cc\u98de\u7fd4\uff0c\u627e\u5230\u4e86\u56de\u5bb6\u7684\u8def\u3002
\u5c0f\u3055\u306a\u9ce5\u306f\u6697\u3044\u6d1e\u7a9f\u306e\u4e2d\u3092\u98db\u3073\u307e\u3059\u3002
\uc791\uc740 \uc0c8\uac00 \uc5b4\ub450\uc6b4 \ub3d9\uad74\uc744 \ub0a0\uc544\uac04\ub2e4.
\u0627\u0644\u0637\u0627\u0626\u0631 \u0627\u0644\u0635\u063a\u064a\u0631 \u064a\u0637\u064a\u0631 \u0641\u064a \u0627\u0644\u0638\u0644\u0627\u0645
The words repeat: the bird, the bird, the bird; the cave, the cave; the way, the way, the way home.
aaaa aaaaaaaa aaaaaaaaaaaaaaaa bb bbbb abab abababab
""".strip("\n").split("\n")

# A map of characters that stays small: what is replaced, and by what, as code points.
RULES = """
9\t20
A\t20
D\t20
20 20 20\t20
A0\t20
3000\t20
AD\t
200B\t
FB01\t66 69
2122\t54 4D
FF21\t41
FF42\t62
65 301\tE9
61 308\tE4
61 308 304\t1DF
1100 1161\tAC00
337F\t682A 5F0F 4F1A 793E
41 2D 42\t2192
C4\t41
FDFA\t635 644 649 20 627 644 644 647 20 639 644 64A 647
""".strip("\n").split("\n")


def train(directory, name, full_maps, **options):
    """Trains a model and returns its message."""
    buffer = io.BytesIO()
    rules = directory / "rules.tsv"
    rules.write_text("".join(rule + "\n" for rule in RULES))
    if options.pop("normalizes", False):
        if full_maps:
            options["normalization_rule_name"] = "nmt_nfkc"
        else:
            options["normalization_rule_tsv"] = str(rules)
    else:
        options["normalization_rule_name"] = "identity"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 4), model_writer=buffer, num_threads=1,
        hard_vocab_limit=False, minloglevel=2, max_sentence_length=100_000, **options)
    rules.unlink()
    (directory / name).mkdir(exist_ok=True)
    (directory / name / "tokenizer.model").write_bytes(buffer.getvalue())
    message = pb.ModelProto()
    message.ParseFromString(buffer.getvalue())
    return message


def merges(message):
    """Merges in the order of ranks, as converters derive them from pieces and scores."""
    ids = {piece.piece: index for index, piece in enumerate(message.pieces)}
    pairs = []
    for index, piece in enumerate(message.pieces):
        for cut in range(1, len(piece.piece)):
            left, right = piece.piece[:cut], piece.piece[cut:]
            if left in ids and right in ids:
                pairs.append((-piece.score, index, ids[left], ids[right], left, right))
    return [(pair[4], pair[5]) for pair in sorted(pairs, key=lambda pair: pair[:4])]


def save(tokenizer, directory, name, message, normalized_token=None):
    special = [p.piece for p in message.pieces if p.type in (p.UNKNOWN, p.CONTROL)]
    tokenizer.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in special])
    defined = [p.piece for p in message.pieces if p.type == p.USER_DEFINED]
    tokenizer.add_tokens([AddedToken(s, normalized=False) for s in defined])
    if normalized_token:
        tokenizer.add_tokens([AddedToken(normalized_token, normalized=True)])
    (directory / name).mkdir(exist_ok=True)
    tokenizer.save(str(directory / name / "tokenizer.json"), pretty=False)
    return tokenizer


def bpe_json(message, byte_fallback=True):
    vocabulary = {piece.piece: index for index, piece in enumerate(message.pieces)}
    return Tokenizer(models.BPE(
        vocabulary, merges(message), unk_token="<unk>", fuse_unk=True, byte_fallback=byte_fallback))


def byte_decoder():
    return decoders.Sequence([
        decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def legacy_llama(message):
    """The layout of Llama 2's tokenizer.json."""
    tokenizer = bpe_json(message)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    tokenizer.decoder = byte_decoder()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tokenizer


def metaspace_llama(message):
    """The layout of Mistral's newer tokenizer.json."""
    tokenizer = bpe_json(message)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(MARK, prepend_scheme="first", split=False)
    tokenizer.decoder = byte_decoder()
    return tokenizer


def unknown_bpe(message):
    """BPE without bytes, in pieces that begin with a space."""
    tokenizer = bpe_json(message, byte_fallback=False)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(True, True)])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(MARK, prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(MARK, prepend_scheme="always")
    return tokenizer


def xlm_roberta(message, layout):
    """The layouts of XLM-RoBERTa's tokenizer.json, old and new."""
    tokenizer = Tokenizer(models.Unigram(
        [(piece.piece, piece.score) for piece in message.pieces], unk_id=0,
        byte_fallback=message.trainer_spec.byte_fallback))
    precompiled = normalizers.Precompiled(message.normalizer_spec.precompiled_charsmap)
    if layout == "old":
        tokenizer.normalizer = precompiled
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(MARK, prepend_scheme="always")])
    else:
        tokenizer.normalizer = normalizers.Sequence([
            precompiled, normalizers.Strip(False, True), normalizers.Replace(Regex(" {2,}"), MARK)])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(MARK, prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(MARK, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return tokenizer


def write_gguf(path, message, model, **flags):
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.piece for piece in message.pieces])
    writer.add_token_scores([piece.score for piece in message.pieces])
    writer.add_token_types([piece.type for piece in message.pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(flags.get("add_space_prefix", message.normalizer_spec.add_dummy_prefix))
    if model == "t5":
        writer.add_remove_extra_whitespaces(message.normalizer_spec.remove_extra_whitespaces)
        if message.normalizer_spec.precompiled_charsmap:
            writer.add_precompiled_charsmap(message.normalizer_spec.precompiled_charsmap)
    if "add_bos" in flags:
        writer.add_add_bos_token(flags["add_bos"])
        writer.add_add_eos_token(flags["add_eos"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


class Llama:
    """The vocabulary of a GGUF file in llama.cpp."""

    def __init__(self, path):
        llama_cpp.llama_log_set(SILENT, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)

    def encode(self, text, special):
        data = text.encode()
        ids = (ctypes.c_int32 * (4 * len(data) + 16))()
        count = llama_cpp.llama_tokenize(
            self.vocabulary, data, len(data), ids, len(ids), special, special)
        assert count >= 0
        return list(ids[:count])


@llama_cpp.llama_log_callback
def SILENT(level, text, data):
    pass


def random_text(generator, pieces):
    text = ""
    for _ in range(generator.randint(0, 24)):
        kind = generator.randrange(16)
        if kind < 4:
            sentence = generator.choice(SENTENCES)
            start = generator.randrange(len(sentence))
            text += sentence[start:start + generator.randint(1, 20)]
        elif kind < 6:
            text += generator.choice(pieces)
        elif kind == 6:
            text += generator.choice([" ", "  ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u200b"])
        elif kind == 7:
            text += generator.choice([MARK, MARK * 2, "a" * generator.randint(1, 40), "\u0301", "\u0308\u0304"])
        elif kind == 8:
            text += generator.choice("e\u0301 a\u0308 \ufb01 \u2122 \uff21\uff42 \u1100\u1161 \u337f A-B \ufdfa".split())
        elif kind == 9:
            text += generator.choice(
                ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u00e9", "1\ufe0f\u20e3"])
        elif kind == 10:
            text += chr(generator.randrange(0x20, 0x250))
        elif kind == 11:
            text += chr(generator.choice([
                generator.randrange(0x250, 0x2000), generator.randrange(0x2000, 0x3400),
                generator.randrange(0x3400, 0xd800), generator.randrange(0xe000, 0xfffe),
                generator.randrange(0x10000, 0x110000)]))
        elif kind == 12:
            text += "".join(chr(generator.randrange(0x300, 0x370)) for _ in range(generator.randint(1, 3)))
        elif kind == 13:
            text += generator.choice(["<s>", "</s>", "<unk>", "<0x41>", "->", "<|end|>", "new word", "  ->"])
        elif kind == 14:
            text += str(generator.randrange(100000))
        else:
            text += chr(generator.randrange(1, 0x20))
    return text


def main():
    here = pathlib.Path(__file__).resolve().parent / "sentencepiece"
    full = len(sys.argv) > 1
    directory = pathlib.Path(sys.argv[1]) if full else here
    count = int(sys.argv[2]) if full else 60
    directory.mkdir(exist_ok=True, parents=True)

    bytes_bpe = train(
        directory, "bpe", full, model_type="bpe", vocab_size=620, byte_fallback=True, split_digits=True,
        remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
        user_defined_symbols=["->", MARK * 2, "return"], control_symbols=["<|end|>"])
    plain_bpe = train(
        directory, "bpe-unknown", full, model_type="bpe", vocab_size=330, normalizes=True,
        character_coverage=0.98, user_defined_symbols=["->", "A-B"])
    unigram = train(
        directory, "unigram", full, model_type="unigram", vocab_size=330, normalizes=True,
        character_coverage=0.98, user_defined_symbols=["->", "fly\u00a0home"], control_symbols=["<|end|>"])
    bytes_unigram = train(
        directory, "unigram-bytes", full, model_type="unigram", vocab_size=560, byte_fallback=True,
        normalizes=True, add_dummy_prefix=False, remove_extra_whitespaces=False)

    generator = random.Random(20)
    pieces = [piece.piece for piece in bytes_bpe.pieces if piece.type == piece.NORMAL]
    texts = ["", " ", "  ", MARK, "a", " a ", "a  b", "\n", "->", " ->x", "A-B", "\u00e9", "e\u0301", "\ufb01",
             "x" * 200, "a" * 300, "ab" * 200, "the bird " * 20, " " * 70, "<s>", "a<s> b</s>c", "<unk>x"]
    texts += [sentence for sentence in SENTENCES]
    texts += [random_text(generator, pieces) for _ in range(count)]

    families = []

    def add(name, path, special, ids, decoded=None, skip=()):
        """What a reference makes of the texts; those in `skip` are left out."""
        families.append({
            "name": name, "path": path, "special": special,
            "ids": [None if index in skip else value for index, value in enumerate(ids)],
            "decoded": decoded})

    for name in ["bpe", "bpe-unknown", "unigram", "unigram-bytes"]:
        processor = sentencepiece.SentencePieceProcessor(str(directory / name / "tokenizer.model"))
        ids = [processor.encode(text) for text in texts]
        add("sentencepiece " + name, name, False, ids, [processor.decode(value) for value in ids])

    json_layouts = {
        "bpe-legacy": (legacy_llama(bytes_bpe), bytes_bpe, "new word"),
        "bpe-metaspace": (metaspace_llama(bytes_bpe), bytes_bpe, "new word"),
        "bpe-nfkc": (unknown_bpe(plain_bpe), plain_bpe, None),
        "unigram-old": (xlm_roberta(unigram, "old"), unigram, None),
        "unigram-new": (xlm_roberta(unigram, "new"), unigram, None),
        "unigram-bytes-json": (xlm_roberta(bytes_unigram, "new"), bytes_unigram, None),
    }
    for name, (tokenizer, message, extra) in json_layouts.items():
        save(tokenizer, directory, name, message, extra)
        tokenizer = Tokenizer.from_file(str(directory / name / "tokenizer.json"))
        ids = [tokenizer.encode(text).ids for text in texts]
        add("tokenizers " + name, name, True, ids, [tokenizer.decode(value) for value in ids])

    gguf_layouts = {
        "bpe.gguf": (bytes_bpe, "llama", {}),
        "bpe-noprefix.gguf": (bytes_bpe, "llama", {"add_space_prefix": False, "add_bos": False, "add_eos": True}),
        "unigram.gguf": (unigram, "t5", {"add_bos": True, "add_eos": True}),
    }
    # llama.cpp doesn't take the marks at the end of a text for the spaces that they stand for.
    def ends_in_mark(text):
        return MARK in text
    for name, (message, model, flags) in gguf_layouts.items():
        write_gguf(directory / name, message, model, **flags)
        llama = Llama(directory / name)
        skip = {index for index, text in enumerate(texts) if model == "t5" and ends_in_mark(text)}
        for special in [False, True]:
            add(f"llama.cpp {name}", name, special, [llama.encode(text, special) for text in texts], skip=skip)

    (directory / "cases.json").write_text(json.dumps({"texts": texts, "families": families}, separators=(",", ":")))


if __name__ == "__main__":
    main()
