"""JSON with members that Python's own writer wouldn't write."""
import json


class Raw(str):
    """A piece of text that stands in a document as it is."""


def dump(value):
    """The text of a document."""
    pieces = []

    def mark(item):
        if isinstance(item, Raw):
            pieces.append(str(item))
            return f"@raw-{len(pieces) - 1}@"
        if isinstance(item, dict):
            return {key: mark(member) for key, member in item.items()}
        if isinstance(item, (list, tuple)):
            return [mark(member) for member in item]
        return item

    text = json.dumps(mark(value), ensure_ascii=False)
    for index, piece in enumerate(pieces):
        text = text.replace(f'"@raw-{index}@"', piece)
    return text


def put(document, path, value):
    """Sets the member at a dotted path; `DELETE` removes it."""
    *parents, last = path.split(".")
    for key in parents:
        document = document[int(key) if isinstance(document, list) else key]
    if value is DELETE:
        del document[last]
    else:
        document[int(last) if isinstance(document, list) else last] = value


DELETE = object()
