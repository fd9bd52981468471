"""Just enough of protocol buffers to write SentencePiece models, right ones and wrong ones."""
import struct


def varint(value):
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def tag(field, wire):
    return varint(field << 3 | wire)


def message(field, data):
    return tag(field, 2) + varint(len(data)) + data


def integer(field, value):
    return tag(field, 0) + varint(value)


def float32(field, value):
    return tag(field, 5) + struct.pack("<f", value)


def piece(text, score=0.0, kind=None):
    """A member of `ModelProto.pieces`: text, score, type."""
    body = message(1, text if isinstance(text, bytes) else text.encode()) + float32(2, score)
    return message(1, body + (b"" if kind is None else integer(3, kind)))


def model(pieces=None, more=b"", kind=2, trainer=b"", normalizer=b""):
    """A BPE model (kind 2) or a unigram one (1) of a few pieces."""
    if pieces is None:
        pieces = piece("<unk>", 0, 2) + piece("\u2581", -1) + piece("a", -2) + piece("b", -3) + piece("ab", -4)
    return (pieces + more + message(2, integer(3, kind) + trainer)
            + message(3, message(1, b"identity") + integer(3, 0) + normalizer))
