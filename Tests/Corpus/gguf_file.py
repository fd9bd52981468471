"""GGUF files in their parts, each of which a case may spoil; `bytes` writes them without any check."""
import copy
import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
_FORMATS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?",
            U64: "Q", I64: "q", F64: "d"}


def number(kind, value):
    """A number as the format writes it; one that doesn't fit is cut off."""
    if kind in (F32, F64):
        if kind == F32 and value not in (float("inf"), float("-inf")) and abs(value) > 3.5e38:
            value = float("inf")
        return struct.pack("<" + _FORMATS[kind], value)
    size = struct.calcsize(_FORMATS[kind])
    return (int(value) & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def string(text):
    """A string as the format writes it."""
    data = text if isinstance(text, bytes) else text.encode()
    return number(U64, len(data)) + data


def array(kind, items, count=None):
    """An array as the format writes it; `count` is what it claims, if not the truth."""
    body = b"".join(string(item) if kind == STRING else item if isinstance(item, bytes) else number(kind, item)
                    for item in items)
    return number(U32, kind) + number(U64, len(items) if count is None else count) + body


class Tensor:
    """A tensor: sizes innermost first, as in the file. `offset` overrides where it is said to be."""

    def __init__(self, name, sizes, kind, data, offset=None):
        self.name = name if isinstance(name, bytes) else name.encode()
        self.sizes = list(sizes)
        self.kind = kind
        self.data = data
        self.offset = offset


class GGUF:
    """A file: the header's numbers, values as `[key, type, bytes]`, tensors, and what is wrong with the whole."""

    def __init__(self):
        self.magic = b"GGUF"
        self.version = 3
        self.values = []
        self.tensors = []
        self.tensor_count = None
        self.value_count = None
        self.alignment = 32
        self.cut = 0
        self.tail = b""

    def copy(self):
        return copy.deepcopy(self)

    # MARK: values

    def set(self, key, kind, payload):
        """Puts a value in the place of the one for `key`, or behind all others."""
        if not isinstance(payload, bytes):
            payload = string(payload) if kind == STRING else number(kind, payload)
        name = key if isinstance(key, bytes) else key.encode()
        for value in self.values:
            if value[0] == name:
                value[1:] = [kind, payload]
                return
        self.values.append([name, kind, payload])

    def drop(self, key):
        count = len(self.values)
        self.values = [value for value in self.values if value[0] != key.encode()]
        assert len(self.values) < count, f"no {key} to drop"

    def get(self, key):
        """The value of a key that holds a number or a string."""
        for name, kind, payload in self.values:
            if name == key.encode():
                return payload[8:].decode() if kind == STRING else struct.unpack("<" + _FORMATS[kind], payload)[0]
        raise KeyError(key)

    def strings(self, key):
        for name, _, payload in self.values:
            if name == key.encode():
                count = int.from_bytes(payload[4:12], "little")
                items, at = [], 12
                for _ in range(count):
                    size = int.from_bytes(payload[at:at + 8], "little")
                    items.append(payload[at + 8:at + 8 + size].decode())
                    at += 8 + size
                return items
        raise KeyError(key)

    @property
    def architecture(self):
        return self.get("general.architecture")

    def has(self, key):
        return any(value[0] == key.encode() for value in self.values)

    def tensor(self, name):
        for tensor in self.tensors:
            if tensor.name == name.encode():
                return tensor
        raise KeyError(name)

    def has_tensor(self, name):
        return any(tensor.name == name.encode() for tensor in self.tensors)

    # MARK: bytes

    def bytes(self):
        out = bytearray(self.magic + number(U32, self.version))
        out += number(U64, len(self.tensors) if self.tensor_count is None else self.tensor_count)
        out += number(U64, len(self.values) if self.value_count is None else self.value_count)
        for key, kind, payload in self.values:
            out += string(key) + number(U32, kind) + payload
        data = bytearray()
        for tensor in self.tensors:
            data += bytes(-len(data) % self.alignment)
            offset = len(data) if tensor.offset is None else tensor.offset
            out += string(tensor.name) + number(U32, len(tensor.sizes))
            out += b"".join(number(U64, size) for size in tensor.sizes)
            out += number(U32, tensor.kind) + number(U64, offset)
            data += tensor.data
        if self.tensors:
            out += bytes(-len(out) % self.alignment) + data
        out += self.tail
        return bytes(out[:len(out) - self.cut])


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        piece = self.data[self.at:self.at + count]
        assert len(piece) == count
        self.at += count
        return piece

    def number(self, kind):
        size = struct.calcsize(_FORMATS[kind])
        return struct.unpack("<" + _FORMATS[kind], self.take(size))[0]

    def text(self):
        return self.take(self.number(U64))

    def skip(self, kind):
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            inner, count = self.number(U32), self.number(U64)
            for _ in range(count):
                self.skip(inner)
        else:
            self.take(struct.calcsize(_FORMATS[kind]))


def read(path):
    """Reads a valid file."""
    reader = _Reader(open(path, "rb").read())
    file = GGUF()
    assert reader.take(4) == file.magic
    file.version = reader.number(U32)
    tensors, values = reader.number(U64), reader.number(U64)
    for _ in range(values):
        key, kind, start = reader.text(), reader.number(U32), None
        start = reader.at
        reader.skip(kind)
        file.values.append([key, kind, reader.data[start:reader.at]])
    for _ in range(tensors):
        name = reader.text()
        sizes = [reader.number(U64) for _ in range(reader.number(U32))]
        file.tensors.append(Tensor(name, sizes, reader.number(U32), b"", reader.number(U64)))
    start = reader.at + -reader.at % file.alignment
    data = reader.data[start:]
    ends = sorted(tensor.offset for tensor in file.tensors) + [len(data)]
    for tensor in file.tensors:
        end = min(end for end in ends if end > tensor.offset)
        tensor.data = data[tensor.offset:end]
        tensor.offset = None
    return file
