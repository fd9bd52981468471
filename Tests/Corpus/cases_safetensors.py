"""safetensors files and sets that break their format, and tensors that don't fit the model."""
import json
import os
import struct

import models
from corpus import EMBED, INSPECT, LOGITS, TOKENIZE, Case, write
from safetensors_file import Safetensors

ONE = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}


def statuses(status, inspect=None):
    """The tokenizer's files are others."""
    return {INSPECT: status if inspect is None else inspect, TOKENIZE: 0, EMBED: status, LOGITS: status}


def case(name, message, spoil, status=65, inspect=None, embed=None):
    """The weights of a golden model, spoiled by a function that changes them or gives others in their place."""
    def build(directory):
        model = models.decoder_directory("qwen3_moe")
        file = models.weights("decoders", "qwen3_moe", "model.safetensors")
        other = spoil(file)
        model.files["model.safetensors"] = file.bytes() if other is None else other
        return model.write(directory)
    found = statuses(status, inspect)
    if embed is not None:
        found[EMBED] = embed
    return Case(f"safetensors/{name}", build, found, message)


def setting(**attributes):
    def spoil(file):
        for key, value in attributes.items():
            setattr(file, key, value)
    return spoil


def text(header, size=0):
    """A file with this header and so many bytes behind it."""
    def spoil(file):
        return headed(header, size)
    return spoil


def headed(header, size):
    file = Safetensors(data=bytes(index & 0xFF for index in range(size)))
    file.text = header
    return file.bytes()


def member(value, size=4):
    return text('{"a":' + value + "}", size)


def header_cases():
    yield case("valid", "", lambda file: None, 0)
    yield case("valid-header-with-spaces-behind", "", lambda file: setattr(file, "text", json.dumps(file.header) + " " * 77), 0)
    yield case("empty-file", "found an empty file", lambda file: setattr(file, "cut", len(file.bytes())))
    for count in (1, 7, 8, 9, 20):
        yield case(f"cut-after-{count}-bytes", "header", lambda file, count=count: file.bytes()[:count])
    for length in (0, 1, 100_000_001, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 8):
        yield case(f"header-of-{length:x}-bytes", "", setting(length=length))
    yield case("header-length-one-short", "", lambda file: setattr(file, "length", len(json.dumps(file.header)) - 1))
    yield case("header-length-one-long", "", lambda file: setattr(file, "length", len(json.dumps(file.header)) + 1))
    for name, header in [("array", "[]"), ("number", "1"), ("string", '"a"'), ("null", "null"), ("space-in-front", " {}"),
                         ("byte-order-mark", "\ufeff{}"), ("not-closed", '{"a":'),
                         ("single-quotes", "{'a':1}"), ("comment", "{/* */}"), ("trailing-comma", '{"a":1,}'),
                         ("text-behind", "{}{}"), ("nan", '{"a":NaN}'), ("control-character", '{"a\n":1}'),
                         ("half-a-surrogate", '{"\\ud800":1}'), ("bad-escape", '{"\\x":1}')]:
        yield case(f"header-{name}", "", text(header))
    yield case("header-empty-object", "expected a tensor", text("{}"), inspect=0)
    yield case("header-not-utf8", "UTF-8", lambda file: headed(b'{"a\xff":1}', 0))
    yield case("header-nested-10000-deep", "nesting", text('{"a":' + "[" * 10000 + "]" * 10000 + "}"))
    yield case("header-nested-10-deep", "nesting", text('{"a":' + "[" * 10 + "]" * 10 + "}"))
    for name, value in [("array", "[]"), ("string", '"pt"'), ("null", "null"), ("of-numbers", '{"a":1}'),
                        ("of-objects", '{"a":{}}')]:
        yield case(f"metadata-{name}", "__metadata__", text('{"__metadata__":' + value + "}"))
    yield case("tensor-name-empty", "names that aren't empty", text('{"":' + json.dumps(ONE) + "}", 1))
    pair = '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"%s":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}'
    yield case("tensor-twice", "a: expected the key only once", text(pair % "a", 2))
    yield case("tensor-twice-with-an-escape", "a: expected the key only once", text(pair % "\\u0061", 2))


def tensor_cases():
    def described(dtype="F32", shape="[1]", offsets="[0,4]"):
        return '{"dtype":"%s","shape":%s,"data_offsets":%s}' % (dtype, shape, offsets)
    for name, value in [("number", "1"), ("string", '"F32"'), ("array", "[]"), ("null", "null"), ("empty", "{}"),
                        ("no-dtype", '{"shape":[1],"data_offsets":[0,4]}'),
                        ("no-shape", '{"dtype":"F32","data_offsets":[0,4]}'),
                        ("no-offsets", '{"dtype":"F32","shape":[1]}'),
                        ("dtype-number", '{"dtype":1,"shape":[1],"data_offsets":[0,4]}')]:
        yield case(f"tensor-{name}", "a: ", member(value))
    for shape in ("[-1]", "[1.0]", "[1e0]", "[1e30]", "[9223372036854775808]", "[18446744073709551617]", '["1"]', "[null]",
                  "[[1]]", "1", "{}", "[true]", "[4294967296,4294967296]", "[4611686018427387904]", "[1,1,1,1,1,1,1,1,1]",
                  "[2]", "[0]", "[3037000500,3037000500]"):
        yield case(f"tensor-shape-{shape}", "a: ", member(described(shape=shape)))
    for offsets in ("[]", "[0]", "[0,4,4]", "[4,0]", "[0,8]", "[-4,0]", "[0,4.0]", '["0","4"]', "{}", "null",
                    "[0,9223372036854775807]", "[0,9223372036854775808]", "[18446744073709551612,0]", "[1,5]", "[0,3]",
                    "[4,8]"):
        yield case(f"tensor-offsets-{offsets}", "a: ", member(described(offsets=offsets)))
    for dtype in ("F128", "F4", "F6_E2M3", "f32", "", "F32 ", "BF16\\u0000"):
        yield case(f"tensor-dtype-{dtype.replace(chr(92), '')}-unknown", "a: expected one of the types",
                   member(described(dtype=dtype)), 69)
    yield case("bytes-behind-the-last-tensor", "", member(described(), 6))
    yield case("hole-at-the-start", "a: ", member(described(offsets="[4,8]"), 8))
    pair = ('{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]},"b":{"dtype":"U8","shape":[%d],'
            '"data_offsets":[%d,%d]}}')
    yield case("hole-between-tensors", "b: ", text(pair % (1, 1, 1, 2, 3), 3))
    yield case("tensors-overlap", "b: ", text(pair % (2, 2, 2, 1, 3), 3))
    yield case("tensors-at-one-place", "", text(pair % (1, 1, 1, 0, 1), 1))
    for count in (1, 2, 100, 30000):
        yield case(f"data-cut-by-{count}-bytes", "", setting(cut=count))


# MARK: tensors that don't fit the model

def model_cases():
    def renamed(old, new):
        def spoil(file):
            file.header = {new if key == old else key: value for key, value in file.header.items()}
        return spoil

    def reshaped(name, change):
        def spoil(file):
            file.header[name]["shape"] = change(file.header[name]["shape"])
        return spoil

    def retyped(name, dtype):
        def spoil(file):
            file.header[name]["dtype"] = dtype
        return spoil
    layer = "model.layers.0."
    for name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight", layer + "self_attn.q_proj.weight",
                 layer + "self_attn.o_proj.weight", layer + "input_layernorm.weight", layer + "mlp.gate.weight",
                 layer + "self_attn.k_norm.weight"):
        # Embeddings don't come from the output matrix.
        embed = 0 if name == "lm_head.weight" else None
        yield case(f"{name}-missing", name, renamed(name, "another." + name), 65, 0, embed)
        yield case(f"{name}-of-8-dimensions", name, reshaped(name, lambda shape: shape + [1] * (8 - len(shape))), 65, 0, embed)
        yield case(f"{name}-as-integers", name, retyped(name, "I16"), 69, 0, embed)
    for name in ("model.embed_tokens.weight", "lm_head.weight", layer + "self_attn.q_proj.weight",
                 layer + "self_attn.o_proj.weight", layer + "mlp.gate.weight"):
        embed = 0 if name == "lm_head.weight" else None
        yield case(f"{name}-transposed", name, reshaped(name, lambda shape: shape[::-1]), 65, 0, embed)
        yield case(f"{name}-flattened", name, reshaped(name, lambda shape: [shape[0] * shape[1]]), 65, 0, embed)


# MARK: sets

def index_case(name, message, index, shards=None, status=65, spoil=None):
    """A golden model in two files, with an index; `index` changes the index or gives another text."""
    def build(directory):
        model = models.decoder_directory("qwen3_moe")
        model.links = {}
        whole = models.weights("decoders", "qwen3_moe", "model.safetensors")
        names = [key for key in whole.header if key != "__metadata__"]
        files, weight_map = {}, {}
        for number, part in enumerate((names[::2], names[1::2])):
            shard = Safetensors()
            for tensor in part:
                data = whole.part(tensor)
                shard.header[tensor] = dict(whole.header[tensor], data_offsets=[len(shard.data), len(shard.data) + len(data)])
                shard.data += data
                weight_map[tensor] = f"model-0000{number + 1}-of-00002.safetensors"
            files[f"model-0000{number + 1}-of-00002.safetensors"] = shard
        document = {"metadata": {"total_size": 1}, "weight_map": weight_map}
        found = index(document, files) or json.dumps(document)
        model.files["model.safetensors.index.json"] = found
        for file_name, shard in files.items():
            model.files[file_name] = shard if isinstance(shard, bytes) else shard.bytes()
        model.write(directory)
        if spoil:
            spoil(directory)
        return directory
    return Case(f"index/{name}", build, statuses(status), message)


def index_cases():
    one, two = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    yield index_case("valid", "", lambda document, files: None, status=0)
    for name, content in [("empty", ""), ("array", "[]"), ("no-map", "{}"), ("map-array", '{"weight_map":[]}'),
                          ("map-empty", '{"weight_map":{}}'), ("map-null", '{"weight_map":null}'), ("cut", '{"weight_map":{'),
                          ("map-text", '{"weight_map":"model.safetensors"}')]:
        yield index_case(f"{name}", "index.json", lambda document, files, content=content: content or " ")

    def first(value):
        def change(document, files):
            document["weight_map"]["model.norm.weight"] = value
        return change
    for name, value in [("parent", "../" + one), ("two-levels-up", "../../x.safetensors"), ("absolute", "/etc/passwd"),
                        ("absolute-safetensors", "/model.safetensors"), ("dot", "."), ("dots", ".."), ("empty", ""),
                        ("in-a-folder", "shards/" + one), ("backslash", "..\\" + one), ("nul", one + "\0"),
                        ("line-end", one + "\n"), ("of-300-bytes", "a" * 300), ("number", 1), ("null", None), ("array", [one]),
                        ("home", "~/" + one + "/x")]:
        yield index_case(f"shard-name-{name}", "weight_map.model.norm.weight", first(value))
    yield index_case("shard-of-pickled-weights", "model.norm.weight", first("pytorch_model.bin"))
    yield index_case("shard-missing", two, lambda document, files: files.pop(two) and None, status=66)
    yield index_case("shard-cut", two, lambda document, files: setattr(files[two], "cut", 10))
    yield index_case("shard-empty", two, lambda document, files: files.update({two: b""}))
    yield index_case("tensor-in-no-shard", "another", lambda document, files: document["weight_map"].update(another=one))
    yield index_case("tensor-not-in-the-index", "model.norm.weight",
                     lambda document, files: document["weight_map"].pop("model.norm.weight") and None)
    yield index_case("tensor-in-the-other-shard", "model.norm.weight", swapped)
    yield index_case("first-shard-twice", "", lambda document, files: files.update({two: files[one]}))
    yield index_case("tensor-twice-in-the-index", "only once",
                     lambda document, files: json.dumps(document)[:-2] + ', "model.norm.weight": "%s"}}' % one)
    yield index_case("shard-is-a-directory", one, lambda document, files: files.pop(one) and None, status=66,
                     spoil=lambda directory: os.mkdir(os.path.join(directory, one)))
    yield index_case("shard-is-a-pipe", one, lambda document, files: files.pop(one) and None, status=66,
                     spoil=lambda directory: os.mkfifo(os.path.join(directory, one)))
    yield index_case("shard-is-a-broken-link", one, lambda document, files: files.pop(one) and None, status=66,
                     spoil=lambda directory: os.symlink("nowhere", os.path.join(directory, one)))
    yield index_case("shard-is-a-link-to-itself", one, lambda document, files: files.pop(one) and None, status=66,
                     spoil=lambda directory: os.symlink(one, os.path.join(directory, one)))


def swapped(document, files):
    for tensor, shard in document["weight_map"].items():
        if tensor == "model.norm.weight":
            document["weight_map"][tensor] = shard.replace("00001-", "0000x-").replace("00002-", "00001-").replace("0000x-", "00002-")


# MARK: other paths

def place_cases():
    def made(name, status, message, build, tokenize=None):
        found = statuses(status)
        found[TOKENIZE] = status if tokenize is None else tokenize
        return Case(f"place/{name}", build, found, message)
    yield made("nothing", 66, "model.gguf", lambda directory: directory + "/model.gguf")
    yield made("nothing-in-nothing", 66, "model.gguf", lambda directory: directory + "/no/model.gguf")
    yield made("empty-directory", 66, "", lambda directory: directory)
    yield made("file-as-a-directory", 66, "", lambda directory: write(directory, "file", "x") + "/model.gguf")
    yield made("text", 65, "notes.txt", lambda directory: write(directory, "notes.txt", "some text"))
    yield made("zip", 69, "model.pt", lambda directory: write(directory, "model.pt", b"PK\3\4" + bytes(100)))
    yield made("pickle", 65, "model.bin", lambda directory: write(directory, "model.bin", b"\x80\2}q\0." + bytes(100)))

    def pipe(directory):
        os.mkfifo(directory + "/model.gguf")
        return directory + "/model.gguf"
    yield made("pipe", 66, "model.gguf", pipe)

    def loop(directory):
        os.symlink("model.gguf", directory + "/model.gguf")
        return directory + "/model.gguf"
    yield made("link-to-itself", 66, "model.gguf", loop)

    def broken(directory):
        os.symlink("nowhere", directory + "/model.gguf")
        return directory + "/model.gguf"
    yield made("broken-link", 66, "model.gguf", broken)
    yield made("device", 66, "/dev/null", lambda directory: "/dev/null")
    yield made("endless-device", 66, "/dev/zero", lambda directory: "/dev/zero")

    def sparse(directory):
        path = write(directory, "model.gguf", models.llama().bytes()[:24].replace(b"\x0c\0\0\0\0\0\0\0", struct.pack("<Q", 1 << 30)))
        os.truncate(path, 1 << 40)
        return path
    yield made("sparse-terabyte", 65, "model.gguf", sparse)

    def sparse_weights(directory):
        models.decoder_directory("qwen3_moe").write(directory)
        os.remove(directory + "/model.safetensors")
        path = write(directory, "model.safetensors", struct.pack("<Q", 90_000_000) + b"{")
        os.truncate(path, 1 << 40)
        return directory
    yield made("sparse-terabyte-of-safetensors", 65, "model.safetensors", sparse_weights, tokenize=0)

    def only(*names):
        def build(directory):
            models.decoder_directory("qwen3_moe").write(directory)
            for name in ("config.json", "model.safetensors", "tokenizer.json"):
                if name not in names:
                    os.remove(os.path.join(directory, name))
            return directory
        return build
    yield made("no-weights", 66, "model.safetensors", only("config.json", "tokenizer.json"), tokenize=0)
    yield made("no-configuration", 66, "config.json", only("model.safetensors", "tokenizer.json"), tokenize=0)
    yield Case("place/no-tokenizer", only("config.json", "model.safetensors"),
               {INSPECT: 0, TOKENIZE: 66, EMBED: 66, LOGITS: 66}, "tokenizer.json")

    def pickled(directory):
        only("config.json", "tokenizer.json")(directory)
        write(directory, "pytorch_model.bin", b"PK\3\4")
        return directory
    yield made("weights-of-pytorch", 69, "pytorch_model.bin", pickled, tokenize=0)
    if os.geteuid() != 0:
        def unreadable(directory):
            path = write(directory, "model.gguf", models.llama().bytes())
            os.chmod(path, 0)
            return path
        yield made("unreadable", 66, "model.gguf", unreadable)


def cases():
    for group in (header_cases, tensor_cases, model_cases, index_cases, place_cases):
        yield from group()
