#!/usr/bin/env python3
"""Makes the small tokenizers in Tests/Goldens/tokenizers and what the `tokenizers` library does with them.

Needs `pip install tokenizers==0.23.3`. Everything is trained on the text below; nothing is downloaded.
"""

import json
import pathlib
import random
import shutil
import struct

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent / "tokenizers"
TRAINING = """
The swiftlet finds its way in the dark: it clicks with its tongue, and listens. It's what bats do, too.
They'll nest in caves; we've seen them, I'm sure you'd like it. THE BIRDS DON'T MIND, THEY'RE USED TO IT!
for i in range(100): print("value =", i * 2 + 1)  # 3.14159, 2024-01-31
int main(void) {\n\treturn 0;\n}\n\n\nresult[index] += weights[row][column] * 0.5f;
Die Salangane baut ihr Nest aus Speichel. Äpfel, Öl und Übermut; große Straße.
L'hirondelle était déjà là, près du garçon naïf. ¿Dónde está el pájaro? Não sei, coração.
Ласточка летит быстро, и никто её не видит. Η χελιδόνα πετάει στο σκοτάδι, ΣΟΦΟΣ.
燕子在黑暗中飞行。它用舌头发出声音。 ツバメは暗い洞窟で飛びます。 제비는 어둠 속에서 난다.
السنونو يطير في الظلام. הסנונית עפה בחושך. गौरैया अंधेरे में उड़ती है। นกนางแอ่นบินในความมืด Chim én bay trong bóng tối.
"""

# The cased letters of DeepSeek-LLM's second split, as first-last.
CASED = """41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376-377 37B-37D 37F 386 388-38A 38C
38E-3A1 3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF 1D00-1D2B 1D6B-1D77
1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE
1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D 2124
2126 2128 212A-212D 212F-2134 2139 213C-213F 2145-2149 214E 2183-2184 2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2-2CF3
A640-A66D A680-A69B A722-A76F A771-A787 A78B-A78E AB70-ABBF FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F
104B0-104D3 104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943"""


def cased_letters():
    return "".join("-".join(chr(int(x, 16)) for x in item.split("-")) for item in CASED.split())


CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
EAST_ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
SPLITS = {
    "gpt-2": [GPT2],
    "qwen2": [CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL],
    "qwen35": [
        CONTRACTION + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + TAIL],
    "llama-bpe": [
        CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL],
    "deepseek-v3": [
        r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
        r"| ?[\p{P}\p{S}]+[\r\n]*|" + TAIL],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", EAST_ASIAN, None],
    "deepseek-llm": [
        "[\r\n]", r"\s?[" + cased_letters() + "]+", "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
        r"\s+$", EAST_ASIAN, None],
}


def pre_tokenizer(name):
    stages = [
        pre_tokenizers.Digits(individual_digits=True) if pattern is None
        else pre_tokenizers.Split(Regex(pattern), "isolated")
        for pattern in SPLITS[name]
    ]
    return pre_tokenizers.Sequence(stages)


def byte_level_model():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLITS["llama-bpe"][0]), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    trainer = trainers.BpeTrainer(
        vocab_size=256 + 180, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(TRAINING.strip().split("\n"), trainer)
    return json.loads(tokenizer.to_str())["model"]


def added(identifier, content, **flags):
    base = dict(id=identifier, content=content, single_word=False, lstrip=False, rstrip=False,
                normalized=False, special=True)
    return {**base, **flags}


def byte_level(name, model):
    """A tokenizer.json in the form of the family that uses this split."""
    size = len(model["vocab"])
    tokens = [added(size, "<|begin|>"), added(size + 1, "<|end|>"), added(size + 2, "<think>", special=False)]
    split = json.loads(pre_tokenizer(name).__getstate__())
    stages = split["pretokenizers"] + [
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]
    begins = name in ("llama-bpe", "deepseek-v3", "deepseek-llm", "deepseek-coder")
    first = [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}}] if begins else []
    processor = {
        "type": "TemplateProcessing",
        "single": first + [{"Sequence": {"id": "A", "type_id": 0}}],
        "pair": first + [{"Sequence": {"id": "A", "type_id": 0}}] + [
            {"SpecialToken": {"id": "<|begin|>", "type_id": 1}}][:len(first)] + [{"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|begin|>": {"id": "<|begin|>", "ids": [size], "tokens": ["<|begin|>"]}} if begins else {},
    }
    if name == "llama-bpe":
        processor = {"type": "Sequence", "processors": [
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}, processor]}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens,
        "normalizer": {"type": "NFC"} if name.startswith("qwen") else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": stages},
        "post_processor": processor,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {**model, "ignore_merges": name == "llama-bpe"},
    }


def word_piece(lowercase):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # The trainer breaks ties as its hash tables happen to be ordered: count out instead.
    words = sorted({w for w, _ in tokenizer.pre_tokenizer.pre_tokenize_str(
        tokenizer.normalizer.normalize_str(TRAINING))})
    letters = sorted({c for w in words for c in w})
    pieces = sorted({w for w in words if len(w) > 1 and len(w) < 6 and w.isascii()})
    endings = sorted({w[-n:] for w in words for n in (2, 3) if len(w) > n + 2})
    vocabulary = names + letters + ["##" + c for c in letters] + pieces + ["##" + e for e in endings]
    ids = {token: index for index, token in enumerate(dict.fromkeys(vocabulary))}
    template = [("[CLS]", 0), ("A", 0), ("[SEP]", 0), ("B", 1), ("[SEP]", 1)]
    parts = [
        {"Sequence": {"id": name, "type_id": kind}} if len(name) == 1
        else {"SpecialToken": {"id": name, "type_id": kind}} for name, kind in template]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(ids[name], name) for name in names],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": lowercase},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing", "single": parts[:3], "pair": parts,
            "special_tokens": {n: {"id": n, "ids": [ids[n]], "tokens": [n]} for n in ("[CLS]", "[SEP]")}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": ids},
    }


def texts():
    fixed = [
        "", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "\n \n", "\t\t\n\t", "\u00a0", "\u3000\u2028\u2029", "\u200b\u200d\ufeff",
        "Hello, world!", "hello  world", " leading", "trailing ", "tabs\tand\nlines\r\nend", "a\n\n\nb", "x   \n  y", "    four",
        "It's, they'LL, we'Ve, I'M, you'D, don'T, 'RE 's'", "'\u017f '\u017ft it'\u017f", "'", "''s", "'ll'll", "o'clock",
        "1", "12", "123", "1234", "12345678901234567890", "3.14159e-10", "2024-01-31T12:00:00Z", "\u0661\u0662\u0663\u0664", "\u00bd\u00b2\u2460\u2167",
        "!?...", "--- *** ---", "a-b_c/d\\e", "$100 + \u20ac5 = \u00a3?", "(){}[]<>", "#!/bin/sh\necho \"hi\"", "def f(x):\n    return x**2\n",
        "x"*99, "x"*100, "x"*101, "\u00e9"*100, "\u00e9"*101, "ab"*5000, "The swiftlet. "*715, " "*50 + "a", "\n"*50 + "a", "1"*1000,
        "\u00c4pfel \u00d6l gro\u00dfe STRASSE \u1e9e", "\u0130stanbul \u0131", "\u03a3\u039f\u03a6\u039f\u03a3 \u03c3\u03c2", "\ufb01nger \ufb03", "\u01c5 \u01f1",
        "e\u0301 \u00e9", "re\u0301sume\u0301", "a\u0301\u0323b", "a\u0323\u0301b", "\u1e69 s\u0323\u0307 s\u0307\u0323", "o\u0308\u0304\u0301\u0323", "\u0301abc", "a" + "\u0301"*40,
        "\u212b \u00c5 A\u030a", "\u0958 \u0929 \u0928\u093c", "\u1100\u1161\u11a8 \uac01", "\uac00\u11a8 \uac00\u11a7", "\u1112\u1161\u11ab\u1100\u1173\u11af", "\u30ab\u3099 \u30ac \uff76\uff9e",
        "\u0344 \u0340\u0341 \u0f73\u0f75\u0f81", "\ud55c\uad6d\uc5b4 \ub744\uc5b4\uc4f0\uae30", "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3067\u3059\u3002", "\u4e2d\u6587\u548cEnglish\u6df7\u5408123", "\u3400\u4db5\U00020000\U0002f800\uf900",
        "\u0627\u0644\u0633\u0644\u0627\u0645 \u0639\u0644\u064a\u0643\u0645", "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22", "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd", "\u10e5\u10d0\u10e0\u10d7\u10e3\u10da\u10d8", "\u13a0\u13a1\uab70",
        "Ti\u1ebfng Vi\u1ec7t c\u00f3 d\u1ea5u", "\u041f\u0440\u0438\u0432\u0435\u0442, \u0451\u0436\u0438\u043a \u0419", "\u1f08\u03b8\u1fc6\u03bd\u03b1\u03b9 \u1f7d\u1fd3\u1fdb",
        "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "\U0001f44d\U0001f3fd ok\u2764\ufe0f", "1\ufe0f\u20e3 #\ufe0f\u20e3", "text\U0001f600text \U0001f600 \U0001f600",
        "\x00", "a\x00b", "\x01\x02\x1f\x7f", "\x80\x85\x9f", "a\x0bb\x0cc", "\ufffd", "a\ufffdb", "\ufeffBOM", "\u202eRTL\u202c", "soft\u00adhyphen", "\u2060\u2064",
        "\U000e0001\U000e0041", "\U000e0100\U000e017e", "\ue000\uf8ff", "\U000f0000\U0010ffff", "\u0378\u0e49\u1c80", "\ud7ff\uf900", "\U0001d400\U0001d7ff", "\U00010400\U00010428", "\U0001e900\U0001e922",
        "[CLS]", "[SEP] [PAD]", "x[MASK]y", "[cls]", "[ CLS ]", "[CLS][CLS]", "[UNK]", "[CLS", "a [SEP] b [SEP]", "<|begin|>", "<|end|>text<|end|>", "<think>hm</think>", "<|begin|", "<|end|><think>", " <think> ",
        "https://example.org/a?b=c&d=%20#e", "user@example.com", "C:\\Windows\\System32", "<html>&amp;</html>", "{\"key\": [1, 2.5, null]}", "\u201cquotes\u201d \u2018and\u2019 \u2014 dashes \u2013 \u2026",
        "\uff21\uff22\uff23 \uff11\uff12\uff13 \uff01\uff1f", "\u3001\u3002\u300c\u300d", "\u00bfQu\u00e9? \u00a1No!", "\u06d4\u060c\u0964\u104a", "\u2070\u00b9\u2082\u2083", "a\u2000b\u2003c\u205fd", "\u1680\u180e\u2007\u202f",
        "don't do not  ca n't", "mixed\u4e2d\u6587and\u65e5\u672c\u8a9e", "caf\u00e9\u4e2dcafe\u0301", "\r\r\n\n\r", "a \r\n b", "word\u0300 \u0488\u20dd", "\ua66f\u0903\u093e\u0bbe", "\u302e\u302f\u3099", "\u1b44\u1bab\u0d4d",
    ]
    rng = random.Random(20240131)
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE80), (0x1100, 0x1200),
              (0x1E00, 0x2100), (0x2100, 0x2C00), (0x3000, 0x3100), (0x4E00, 0x4F00), (0xAC00, 0xAC80), (0xF900, 0xFB50),
              (0xFE00, 0x10000), (0x10400, 0x10500), (0x1D100, 0x1D200), (0x1F300, 0x1F700), (0xE0000, 0xE0200)]
    words = TRAINING.split() + ["[SEP]", "<|end|>", "'s", "'RE", "  ", "\n", "\n\n", "\t", "42", "1000000"]
    for _ in range(140):
        parts = []
        for _ in range(rng.choice([2, 4, 8, 14])):
            if rng.random() < 0.5:
                parts.append(rng.choice(words))
            else:
                low, high = rng.choice(blocks)
                parts.append("".join(chr(rng.randrange(low, high)) for _ in range(rng.choice([1, 1, 2, 4]))))
            parts.append(rng.choice(["", "", " ", " ", "  ", "\n"]))
        fixed.append("".join(parts))
    return fixed


def fnv(data):
    state = 0xCBF29CE484222325
    for byte in data:
        state = ((state ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{state:016x}"


def compact(ids):
    """Few ids as they are, many as their count and hash."""
    if len(ids) <= 40:
        return " ".join(map(str, ids))
    return f"{len(ids)} ids {fnv(struct.pack(f'<{len(ids)}i', *ids))}"


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace('],"', '],\n"') + "\n")


def families():
    shutil.rmtree(HERE, ignore_errors=True)
    model = byte_level_model()
    all_families = {"bert-uncased": word_piece(True), "bert-cased": word_piece(False)}
    all_families.update({name: byte_level(name, model) for name in SPLITS})
    strings = texts()
    expected = {"texts": strings, "families": {}}
    for name, definition in all_families.items():
        path = HERE / name / "tokenizer.json"
        write(path, definition)
        tokenizer = Tokenizer.from_file(str(path))
        plain = [tokenizer.encode(t, add_special_tokens=False).ids for t in strings]
        # The library also makes every overflowing part, which takes long for long texts.
        short = [t for t in strings if len(t) < 80]
        pairs = [tokenizer.encode(a, b) for a, b in zip(strings, strings[1:])]
        truncated = []
        for limit in (6, 9, 17):
            tokenizer.enable_truncation(limit)
            truncated += [compact(tokenizer.encode(a, b).ids) for a, b in zip(short, short[1:])]
            tokenizer.no_truncation()
        expected["families"][name] = {
            "ids": [compact(x) for x in plain],
            "special": fnv("\n".join(compact(tokenizer.encode(t).ids) for t in strings).encode()),
            "pairs": fnv("\n".join(compact(x.ids + x.type_ids) for x in pairs).encode()),
            "truncated": fnv("\n".join(truncated).encode()),
            "decoded": fnv("\n".join(tokenizer.decode(x, skip_special_tokens=False) for x in plain).encode()),
            "decodedText": fnv("\n".join(tokenizer.decode(x, skip_special_tokens=True) for x in plain).encode()),
        }
    write(HERE / "expected.json", expected)
    vocabulary = all_families["bert-uncased"]["model"]["vocab"]
    (HERE / "bert-uncased" / "vocab.txt").write_text("".join(token + "\n" for token in vocabulary))


def normalizer_stages():
    stages = {name: getattr(normalizers, name)() for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents")}
    for flags in range(16):
        bits = [bool(flags >> bit & 1) for bit in range(4)]
        stages[f"Bert{flags}"] = normalizers.BertNormalizer(
            clean_text=bits[0], handle_chinese_chars=bits[1], strip_accents=bits[2], lowercase=bits[3])
    return stages


def every_code_point():
    """Hashes of what becomes of all assigned parts of the code space, 4096 code points at a time."""
    starts = [s for s in range(0, 0x20000, 0x1000) if s != 0xD000] + [0x2F000, 0xE0000, 0x10F000]
    result = {"starts": starts, "pieces": {}, "normalized": {}}
    for name in list(SPLITS) + ["bert"]:
        split = pre_tokenizers.BertPreTokenizer() if name == "bert" else pre_tokenizer(name)
        result["pieces"][name] = [fnv(b"".join(
            struct.pack("<H", len(piece.encode()))
            for text in samples(s) for piece, _ in split.pre_tokenize_str(text))) for s in starts]
    for name, normalizer in normalizer_stages().items():
        result["normalized"][name] = [
            fnv("".join(normalizer.normalize_str(text) for text in samples(s)).encode()) for s in starts]
    write(HERE / "code-points.json", result)


def samples(start):
    """Texts of 16 code points each, with a letter, a digit, a mark and a space around every one."""
    for first in range(start, start + 0x1000, 16):
        scalars = [c for c in range(first, first + 16) if not 0xD800 <= c < 0xE000]
        yield "".join(f"a{chr(c)}1{chr(c)}\u0301 " for c in scalars)


families()
every_code_point()
