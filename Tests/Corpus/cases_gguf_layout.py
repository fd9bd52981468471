"""GGUF files that break the format: header, metadata, tensor descriptions, data, split sets."""
import struct

import gguf_file as gguf
import models
from corpus import Case, everywhere, single, write
from gguf_file import ARRAY, BOOL, F32, I8, I32, STRING, U8, U16, U32, U64


def case(name, message, spoil, status=65, statuses=None):
    """A tiny model, spoiled by a function that changes it or gives other bytes in its place."""
    def data():
        file = models.llama()
        other = spoil(file)
        return file.bytes() if other is None else other
    return Case(f"gguf/{name}", single("model.gguf", data), statuses or everywhere(status), message)


def setting(**attributes):
    """Changes parts of the file."""
    def spoil(file):
        for key, value in attributes.items():
            setattr(file, key, value)
    return spoil


def value(kind, payload, key="x"):
    """Adds a value."""
    return lambda file: file.set(key, kind, payload)


def tensor(index=0, **attributes):
    """Changes parts of a tensor."""
    def spoil(file):
        for key, item in attributes.items():
            setattr(file.tensors[index], key, item)
    return spoil


def cut_to(count):
    return lambda file: file.bytes()[:count]


def header_cases():
    yield case("valid", "", lambda file: None, 0)
    yield case("valid-version-2", "", setting(version=2), 0)
    yield case("valid-bytes-behind-the-data", "", setting(tail=b"x" * 1000), 0)
    yield case("empty-file", "found an empty file", cut_to(0))
    for count in (1, 3, 4, 7, 8, 15, 16, 23, 24, 30):
        yield case(f"cut-after-{count}-bytes", "model.gguf: ", cut_to(count))
    for name, magic in [("of-ggml", b"GGML"), ("reversed", b"FUGG"), ("of-ggjt", b"tjgg"), ("zeros", b"\0\0\0\0"),
                        ("lower-case", b"gguf")]:
        yield case(f"magic-{name}", "starts with the bytes GGUF", setting(magic=magic))
    yield case("version-0", "version: ", setting(version=0))
    for version in (1, 4, 255, 1 << 31):
        yield case(f"version-{version}", "version: ", setting(version=version), 69)
    for version in (1, 2, 3):
        yield case(f"big-endian-version-{version}", "big-endian", setting(version=version << 24), 69)
    for count in (1 << 24, 1 << 32, 1 << 60, 1 << 63, (1 << 64) - 1):
        yield case(f"tensor-count-{count:x}", "tensors within the file", setting(tensor_count=count))
        yield case(f"value-count-{count:x}", "metadata values within the file", setting(value_count=count))
    yield case("one-tensor-too-many", "", lambda file: setattr(file, "tensor_count", len(file.tensors) + 1))
    yield case("one-tensor-too-few", "blk.0.ffn_down.weight", lambda file: setattr(file, "tensor_count",
                                                                                  len(file.tensors) - 1),
               statuses=dict(everywhere(65), inspect=0, tokenize=0))
    yield case("one-value-too-many", "", lambda file: setattr(file, "value_count", len(file.values) + 1))
    yield case("one-value-too-few", "", lambda file: setattr(file, "value_count", len(file.values) - 1))
    yield case("no-values", "", setting(values=[]))
    yield case("only-zeros", "starts with the bytes GGUF", lambda file: bytes(4096))
    yield case("text-file", "starts with the bytes GGUF", lambda file: b"a model\n" * 40)
    yield case("magic-twice", "version", lambda file: b"GGUF" + file.bytes(), 69)


def value_cases():
    yield case("key-empty", "metadata key 1: ", lambda file: file.values[1].__setitem__(0, b""))
    yield case("key-not-utf8", "metadata key 1: ", lambda file: file.values[1].__setitem__(0, b"a\xff"))
    yield case("key-of-65536-bytes", "metadata key 1: ", lambda file: file.values[1].__setitem__(0, b"a" * 65536))
    yield case("key-twice", "llama.block_count: ", lambda file: file.values.append(list(file.values[1])))
    yield case("key-twice-with-another-value", "llama.block_count: ",
               lambda file: file.values.append([b"llama.block_count", U32, gguf.number(U32, 7)]))
    # A tokenizer needs no architecture.
    for name, spoil in [("missing", lambda file: file.drop("general.architecture")),
                        ("empty", value(STRING, "", "general.architecture")),
                        ("number", value(U32, 1, "general.architecture")),
                        ("array", value(ARRAY, gguf.array(STRING, ["llama"]), "general.architecture"))]:
        yield case(f"architecture-{name}", "general.architecture: ", spoil, statuses=dict(everywhere(65), tokenize=0))
    for kind in (13, 14, 255, 1 << 31, (1 << 32) - 1):
        yield case(f"value-type-{kind}", "x: expected a value type", value(kind, bytes(64)))
        yield case(f"element-type-{kind}", "x: expected a value type",
                   value(ARRAY, gguf.number(U32, kind) + gguf.number(U64, 1) + bytes(64)))
    for number in (2, 127, 255):
        yield case(f"boolean-{number}", "x: expected booleans", value(BOOL, bytes([number])))
    yield case("boolean-255-in-an-array", "x: expected booleans", value(ARRAY, gguf.array(BOOL, [b"\1", b"\xff"])))
    for name, text in [("cut", b"a\xe2\x96"), ("overlong", b"\xc0\xaf"), ("surrogate", b"\xed\xa0\x80"),
                       ("beyond-unicode", b"\xf4\x90\x80\x80"), ("bare-continuation", b"\x80")]:
        yield case(f"string-utf8-{name}", "x: expected valid UTF-8", value(STRING, gguf.string(text)))
    for count in (1 << 20, 1 << 31, 1 << 32, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 8):
        yield case(f"string-of-{count:x}-bytes", "x: ", value(STRING, gguf.number(U64, count)))
        for kind, name in [(U8, "bytes"), (U64, "numbers"), (STRING, "strings"), (ARRAY, "arrays"), (BOOL, "booleans")]:
            yield case(f"array-of-{count:x}-{name}", "x: ", value(ARRAY, gguf.array(kind, [], count)))
    yield case("array-nested-4-deep", "x: expected at most", value(ARRAY, nested(4)))
    yield case("array-nested-1000-deep", "x: expected at most", value(ARRAY, nested(1000)))
    yield case("array-nested-3-deep-is-fine", "", value(ARRAY, nested(3)), 0)
    yield case("array-empty-is-fine", "", value(ARRAY, gguf.array(STRING, [])), 0)
    for alignment in (0, 1, 4, 7, 12, 33, 48, 1 << 17, 1 << 31, (1 << 32) - 1):
        yield case(f"alignment-{alignment}", "general.alignment: ", value(U32, alignment, "general.alignment"))
    for kind, name in [(U64, "uint64"), (I32, "int32"), (F32, "float32"), (STRING, "string")]:
        yield case(f"alignment-as-{name}", "general.alignment: ",
                   value(kind, gguf.string("32") if kind == STRING else gguf.number(kind, 32), "general.alignment"))
    yield case("alignment-other-than-the-data's", "", value(U32, 256, "general.alignment"))


def nested(depth):
    payload = gguf.array(U8, [1])
    for _ in range(depth):
        payload = gguf.number(U32, ARRAY) + gguf.number(U64, 1) + payload
    return payload


def tensor_cases():
    yield case("tensor-name-empty", "tensor 0: ", tensor(name=b""))
    yield case("tensor-name-not-utf8", "tensor 0: ", tensor(name=b"\xe9"))
    yield case("tensor-name-of-513-bytes", "tensor 0: ", tensor(name=b"a" * 513))
    yield case("tensor-twice", "token_embd.weight: ", tensor(1, name=b"token_embd.weight"))
    for count in (5, 255, 1 << 31, (1 << 32) - 1):
        yield case(f"tensor-of-{count}-dimensions", "token_embd.weight: expected at most 4 dimensions",
                   lambda file, count=count: patched_dimensions(file, count))
    for name, size in [("0", 0), ("2^63", 1 << 63), ("2^64-1", (1 << 64) - 1)]:
        yield case(f"tensor-size-{name}", "token_embd.weight: expected dimensions", tensor(sizes=[16, size]))
    for name, sizes in [("product-overflows", [1 << 31] * 3), ("bytes-overflow", [1 << 31, 1 << 31]),
                        ("product-wraps-to-a-small-one", [1 << 32, 1 << 32]),
                        ("product-just-below-2^63-bytes", [16, (1 << 57)])]:
        yield case(f"tensor-{name}", "token_embd.weight: ", tensor(sizes=sizes))
    yield case("tensor-one-row-too-many", "blk.0.ffn_down.weight: expected", tensor(-1, sizes=[24, 17]))
    yield case("tensor-of-a-gigabyte", "token_embd.weight: expected", tensor(sizes=[16, 1 << 24]))
    for kind in (4, 5, 9999, 77, 1000, 1 << 31, (1 << 32) - 1):
        yield case(f"tensor-type-{kind}", "token_embd.weight: expected a known tensor type", tensor(kind=kind), 69)
    for kind, name in [(2, "Q4_0"), (8, "Q8_0"), (12, "Q4_K"), (14, "Q6_K"), (16, "IQ2_XXS")]:
        yield case(f"tensor-rows-of-half-a-block-of-{name}", "token_embd.weight: expected rows of whole",
                   tensor(kind=kind))
    for offset in (1, 31, 33, (1 << 63) + 1, (1 << 64) - 1):
        yield case(f"tensor-offset-{offset:x}", "token_embd.weight: expected an offset divisible",
                   tensor(offset=offset))
    for offset in (1 << 20, 1 << 40, 1 << 63, (1 << 64) - 32):
        yield case(f"tensor-offset-{offset:x}-behind-the-data", "token_embd.weight: expected 2048 bytes",
                   tensor(offset=offset))
    yield case("tensors-overlap-by-32-bytes", "shared with", tensor(2, offset=2048 + 32))
    yield case("tensors-at-one-place", "shared with", tensor(1, offset=0))
    yield case("tensors-all-at-0", "shared with",
               lambda file: [setattr(item, "offset", 0) for item in file.tensors] and None)
    for count in (1, 32, 1000, 4000):
        yield case(f"data-cut-by-{count}-bytes", "expected", setting(cut=count))
    yield case("data-missing", "found only 0 bytes of data", cut_before_data)
    yield case("descriptions-cut", "tensor", lambda file: cut_before_data(file)[:-300])
    yield case("million-tensors-in-few-bytes", "tensors within the file",
               lambda file: struct.pack("<4sIQQ", b"GGUF", 3, 1 << 20, 0) + bytes(4096))


def cut_before_data(file):
    whole = len(file.bytes())
    data = sum(len(item.data) + -len(item.data) % 32 for item in file.tensors[:-1]) + len(file.tensors[-1].data)
    return file.bytes()[:whole - data]


def patched_dimensions(file, count):
    """Only the number of dimensions is changed: the sizes behind it are those of the file."""
    data = bytearray(file.bytes())
    at = data.index(b"token_embd.weight") + len("token_embd.weight")
    data[at:at + 4] = struct.pack("<I", count)
    return bytes(data)


# MARK: split sets

def split_case(name, message, spoil, status=65, opened="model-00001-of-00002.gguf"):
    def build(directory):
        whole = models.llama()
        first, second = whole.copy(), gguf.GGUF()
        first.tensors, second.tensors = whole.tensors[:5], whole.tensors[5:]
        for number, part in enumerate((first, second)):
            part.set("split.no", U16, number)
            part.set("split.count", U16, 2)
            part.set("split.tensors.count", I32, len(whole.tensors))
        parts = {"model-00001-of-00002.gguf": first, "model-00002-of-00002.gguf": second}
        spoil(parts, first, second)
        for file_name, part in parts.items():
            write(directory, file_name, part if isinstance(part, bytes) else part.bytes())
        return f"{directory}/{opened}"
    return Case(f"gguf-split/{name}", build, everywhere(status), message)


def rename(parts, old, new):
    parts[new] = parts.pop(old)


def split_cases():
    one, two = "model-00001-of-00002.gguf", "model-00002-of-00002.gguf"
    yield split_case("valid", "", lambda parts, first, second: None, 0)
    yield split_case("part-missing", two, lambda parts, first, second: parts.pop(two), 66)
    yield split_case("part-empty", two, lambda parts, first, second: parts.update({two: b""}))
    yield split_case("part-cut", two, lambda parts, first, second: setattr(second, "cut", 64))
    yield split_case("part-of-another-kind", two, lambda parts, first, second: parts.update({two: b"text" * 99}))
    yield split_case("first-part-again-as-second", "split.no: ",
                     lambda parts, first, second: parts.update({two: first}))
    for number in (0, 2, 65535):
        yield split_case(f"part-with-number-{number}", "split.no: ",
                         lambda parts, first, second, number=number: second.set("split.no", U16, number))
    for count in (0, 1, 3, 65535):
        yield split_case(f"part-of-{count}", "split.count: ",
                         lambda parts, first, second, count=count: second.set("split.count", U16, count))
    yield split_case("part-without-number", "split.no: ", lambda parts, first, second: second.drop("split.no"))
    yield split_case("part-without-count", "split.count: ", lambda parts, first, second: second.drop("split.count"))
    for count in (0, 1, 11, 13, 1 << 30, -1):
        def spoil(parts, first, second, count=count):
            first.set("split.tensors.count", I32, count)
            second.drop("split.tensors.count")
        yield split_case(f"set-of-{count}-tensors", "split.tensors.count: ", spoil)
    yield split_case("parts-disagree-on-tensors", "split.tensors.count: ",
                     lambda parts, first, second: second.set("split.tensors.count", I32, 99))
    yield split_case("tensor-in-two-parts", "token_embd.weight: ",
                     lambda parts, first, second: setattr(second.tensors[0], "name", b"token_embd.weight"))
    yield split_case("part-of-another-architecture", "general.architecture: ",
                     lambda parts, first, second: second.set("general.architecture", STRING, "bert"))
    yield split_case("count-of-3-with-2-files", "",
                     lambda parts, first, second: first.set("split.count", U16, 3))
    yield split_case("count-of-a-million", "split.count: ",
                     lambda parts, first, second: first.set("split.count", U32, 1_000_000))
    yield split_case("count-negative", "split.count: ", lambda parts, first, second: first.set("split.count", I8, -2))
    yield split_case("count-as-text", "split.count: ", lambda parts, first, second: first.set("split.count", STRING, "2"))
    yield split_case("number-as-text", "split.no: ", lambda parts, first, second: first.set("split.no", STRING, "0"))
    yield split_case("number-beyond-the-count", "split.no: ", lambda parts, first, second: first.set("split.no", U16, 2))
    yield split_case("second-part-opened", "split.no: ", lambda parts, first, second: None, opened=two)
    yield split_case("first-part-renamed", "split.count: ",
                     lambda parts, first, second: rename(parts, one, "whole.gguf"), opened="whole.gguf")
    yield split_case("name-of-another-set", "", lambda parts, first, second: rename(parts, one, "model-00001-of-00003.gguf"),
                     opened="model-00001-of-00003.gguf")


def cases():
    for group in (header_cases, value_cases, tensor_cases, split_cases):
        yield from group()
