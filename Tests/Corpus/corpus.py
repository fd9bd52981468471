"""What a case of the corpus is, and the list of all."""
import os

INSPECT, TOKENIZE, EMBED, LOGITS = COMMANDS = ("inspect", "tokenize", "embed", "logits")


class Case:
    """A model that must be refused, or be run.

    name: what is wrong, with the kind of file in front of a slash.
    build: called with an empty directory that is to be filled; returns the path to open.
    statuses: the exit status of each command that is to be tried.
    message: what the line on standard error must hold wherever the status isn't 0.
    """

    def __init__(self, name, build, statuses, message=""):
        assert name.count("/") == 1 and name == name.strip(), name
        self.name = name
        self.build = build
        self.statuses = dict(statuses)
        self.message = message

    @property
    def format(self):
        return self.name.split("/")[0]


def everywhere(status, *commands):
    """The same status for all commands."""
    return {command: status for command in (commands or COMMANDS)}


def write(directory, name, data):
    """Writes a file of a case."""
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
    return path


def single(name, data):
    """Builds a model of one file; `data` is called for its bytes."""
    return lambda directory: write(directory, name, data())


def all_cases():
    """Every case, in a fixed order."""
    import cases_config
    import cases_gguf_layout
    import cases_gguf_models
    import cases_gguf_tokenizers
    import cases_safetensors
    import cases_sidefiles
    import cases_tokenizer_files
    import cases_weights
    modules = (cases_gguf_layout, cases_gguf_models, cases_gguf_tokenizers, cases_weights, cases_safetensors,
               cases_config, cases_sidefiles, cases_tokenizer_files)
    cases = [case for module in modules for case in module.cases()]
    names = set()
    for case in cases:
        assert case.name not in names, f"two cases of one name: {case.name}"
        names.add(case.name)
    return cases
