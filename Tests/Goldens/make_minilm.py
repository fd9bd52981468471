#!/usr/bin/env python3
"""Makes minilm/: token ids and embeddings of all-MiniLM-L6-v2 for strings of every kind.

Needs: pip install torch transformers tokenizers numpy, and the model directory as its argument
(Scripts/fetch-minilm prints it).
"""
import json
import random
import re
import sys
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertModel

ROOT = Path(__file__).parent / "minilm"

SENTENCES = """The swiftlet builds its nest with saliva.
A cat sat on the mat, and the dog barked at it.
How do I reset my password?
Der schnelle braune Fuchs springt über den faulen Hund.
Le cœur a ses raisons que la raison ne connaît point.
El niño comió piñas y jalapeños en el jardín.
Быстрая коричневая лиса прыгает через ленивую собаку.
Ταχίστη αλώπηξ βαφής ψημένη γη, δρασκελίζει υπέρ νωθρού κυνός.
敏捷的棕色狐狸跳过了懒狗。
素早い茶色の狐がのろまな犬を飛び越える。カタカナ ｶﾀｶﾅ
빠른 갈색 여우가 게으른 개를 뛰어넘습니다.
الثعلب البني السريع يقفز فوق الكلب الكسول
השועל החום המהיר קופץ מעל הכלב העצלן
तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है।
সকল মানুষ স্বাধীনভাবে সমান মর্যাদা নিয়ে জন্মগ্রহণ করে।
สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ
நாய் மீது நரி தாவியது
ქართული ენა ძალიან ლამაზია
Հայերենը գեղեցիկ լեզու է
አማርኛ ቋንቋ
Tiếng Việt có nhiều dấu: ắ ằ ẳ ẵ ặ
İstanbul'da ığdır ILIK
ŁÓDŹ żółć gęślą jaźń
straße STRASSE ẞ ﬁ ﬂ ǅ
def f(x): return x ** 2  # comment
SELECT * FROM users WHERE id = 42;
https://example.com/path?query=1&x=%20
name@example.org, +1 (555) 010-9999
3.14159 1,000,000 1e-10 ½ ² ③ Ⅷ ٣ ३
C'est-à-dire: «oui» – “non” … ‚bitte‘
[CLS] [SEP] [MASK] [PAD] [UNK]
text [MASK] in the [SEP] middle[CLS]glued
[cls] [ MASK ] [MASK][MASK]
<s></s><|endoftext|>
😀😃🙈 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 ☺️ ✈
a\u0301 e\u0301\u0323 n\u0303 o\u0308\u0304 q\u0307\u0323 \u1e9b\u0323
zero\u200bwidth\u200djoiner\u2060word\ufeff
tab\tnew\nline\r\nnull\u0000bell\u0007del\u007f
soft\u00adhyphen nbsp\u00a0here ideographic\u3000space
\ufffd replaced \ue000 private \U000f0000
\u202eright to left\u202c \u2066isolate\u2069
𝕳𝖊𝖑𝖑𝖔 𝓦𝓸𝓻𝓵𝓭 Ａｂｃ ｆｕｌｌ
𠀀𠀁 CJK extension \u2f800 豈
\u0130\u0131 \u212a kelvin \u2126 ohm
ᾳ ᾼ ΐ Σίσυφος ΣΊΣΥΦΟΣ
각 \u1100\u1161\u11a8 \ua9c0
don't can't we'll I'm o'clock rock'n'roll
--- *** ___ ### !!! ??? ~~~ ``` $$$
antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis
the the the the the the the the""".split("\n")


def texts():
    strings = [unescape(s) for s in SENTENCES]
    strings += ["", " ", "   ", "\n", "\t \r\n", "\u00a0", "\u3000\u2003", "\u200b", "\u0000", "\u0301", ".", "a"]
    strings += ["x" * n for n in (99, 100, 101, 200)]
    strings += ["word " * 2000, "a" * 10_000, "😀" * 700, "。" * 600, "é" * 10_000, ("swift " * 251) + "end"]
    generator = random.Random(7)
    ranges = [(0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x530, 0x6FF), (0x900, 0xDFF),
              (0xE00, 0x137F), (0x1E00, 0x20CF), (0x2100, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF),
              (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFFFC), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF)]
    while len(strings) < 260:
        low, high = generator.choice(ranges)
        parts = []
        for _ in range(generator.randint(1, 60)):
            kind = generator.random()
            if kind < 0.2:
                parts.append(" ")
            elif kind < 0.35:
                parts.append(generator.choice(["the ", "swift", ", ", "un", "##ing", "[SEP]", "\u0301", "A"]))
            else:
                parts.append(chr(generator.randint(low, high)))
        strings.append("".join(parts))
    return strings


def unescape(text):
    """Only the escapes: the text itself holds characters beyond Latin-1."""
    return re.sub(r"\\(u[0-9a-f]{4}|U[0-9a-f]{8}|[tnr])", lambda m: m.group(0).encode().decode("unicode_escape"), text)


def main():
    model_path = Path(sys.argv[1])
    tokenizer = Tokenizer.from_file(str(model_path / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    model = BertModel.from_pretrained(model_path, add_pooling_layer=False).eval().float()
    strings = texts()
    ids, vectors = [], []
    for text in strings:
        encoded = tokenizer.encode(text).ids
        with torch.inference_mode():
            mean = model(input_ids=torch.tensor([encoded])).last_hidden_state[0].mean(0)
        ids.append(encoded)
        vectors.append(torch.nn.functional.normalize(mean, dim=0).numpy())
    ROOT.mkdir(exist_ok=True)
    (ROOT / "texts.json").write_text(json.dumps(strings))
    lengths = np.array([len(i) for i in ids], dtype=np.int64)
    np.savez(ROOT / "ref.npz", ids=np.concatenate(ids).astype(np.int32), lengths=lengths,
             embeddings=np.stack(vectors).astype(np.float32))
    print(len(strings), "strings,", lengths.sum(), "tokens")


main()
