"""safetensors files in their parts, each of which a case may spoil."""
import copy
import json
import struct


class Safetensors:
    """A file: the header's members in order, and the bytes behind it.

    `text` replaces the whole header, `length` what the file says of its length; `cut` bytes are left out at the end.
    """

    def __init__(self, header=None, data=b""):
        self.header = header or {}
        self.data = data
        self.text = None
        self.length = None
        self.cut = 0

    def copy(self):
        return copy.deepcopy(self)

    def bytes(self):
        text = self.text
        if text is None:
            text = json.dumps(self.header)
        if isinstance(text, str):
            text = text.encode()
        length = len(text) if self.length is None else self.length
        out = struct.pack("<Q", length) + text + self.data
        return out[:len(out) - self.cut]

    def part(self, name):
        """The bytes of a tensor."""
        start, end = self.header[name]["data_offsets"]
        return self.data[start:end]

    def fill(self, name, data):
        """Other bytes in the place of a tensor's."""
        start, end = self.header[name]["data_offsets"]
        assert len(data) == end - start
        self.data = self.data[:start] + data + self.data[end:]


def read(path):
    """Reads a valid file."""
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    return Safetensors(json.loads(data[8:8 + size]), data[8 + size:])
