"""Rows, tables and texts made of results."""

import os
import re
import statistics

from fit import exponent
from machine import best_ceilings
from models import FLOAT_TYPES
from peers import OURS
from spread import deviations, interval

SHAPES = {
    "qwen3-0.6b": "Qwen3-0.6B", "qwen3-1.7b": "Qwen3-1.7B", "qwen3-30b-a3b": "Qwen3-30B-A3B",
    "glm-4.7-flash": "GLM-4.7-Flash", "minilm": "all-MiniLM-L6-v2",
}


def number(value, digits=3):
    """A number with so many significant digits, and no exponent."""
    if value is None:
        return "–"
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return text if "e" not in text else f"{value:.6f}".rstrip("0")


def tokens_of(test, batch=1):
    """How many tokens a test has: pp512, tg32, embed32x128."""
    kind, first, second = re.fullmatch(r"([a-z]+)(\d+)(?:x(\d+))?", test).groups()
    return int(first) * (int(second) if kind == "embed" else batch)


def rate(test, seconds, batch=1):
    return tokens_of(test, batch) / seconds


def case_facts(key):
    """The parts of a case's key: see Case.key."""
    section, shape, weights, work = key.split("/")
    facts = {"section": section, "weights": weights, "depth": 0, "batch": 1, "threads": 0, "layers": 0, "shape": shape}
    cut = re.fullmatch(r"(.+)-(\d+)layers", shape)
    if cut:
        facts["shape"], facts["layers"] = cut.group(1), int(cut.group(2))
    for name, letter in (("depth", "d"), ("batch", "b"), ("threads", "t")):
        found = re.search(rf"(?:^|-){letter}(\d+)(?=-|$)", work)
        if found:
            facts[name] = int(found.group(1))
    facts["model"] = "all-MiniLM-L6-v2" if shape == "minilm" else f"{shape}-{weights}"
    return facts


def kind_of(key):
    """What rows share that scatter alike: the engine, and whether it reads, generates or embeds."""
    _, peer, test = key
    return peer, re.match("[a-z]+", test).group()


def rows(data):
    """One row for every case, peer and test, with all rates, their median and spread, and the share of the limit."""
    together = {}
    for run in data["runs"]:
        for test, seconds in run["tests"].items():
            row = together.setdefault((run["case"], run["peer"], test), {"seconds": [], "rounds": [], "runs": []})
            row["seconds"] += seconds
            row["rounds"].append(1 / statistics.median(seconds))
            row["runs"].append(run)
    scatter = deviations((kind_of(key), found["rounds"]) for key, found in together.items())
    result = []
    for (case, peer, test), found in together.items():
        facts = case_facts(case)
        rates = sorted(rate(test, s, facts["batch"]) for s in found["seconds"])
        median = statistics.median(rates)
        low, high = interval(median, rates, len(found["rounds"]), scatter.get(kind_of((case, peer, test))))
        row = {
            **facts, "case": case, "peer": peer, "test": test, "rates": rates, "median": median,
            "low": low, "high": high, "seconds": statistics.median(found["seconds"]),
        }
        for name in ("load_seconds", "ready_seconds", "peak_bytes"):
            values = [run[name] for run in found["runs"] if run.get(name)]
            row[name] = statistics.median(values) if values else None
        row["limit"], row["of"] = limit(data, row)
        row["share"] = row["median"] / row["limit"] if row["limit"] else None
        result.append(row)
    return result


def limit(data, row):
    """Tokens a second that the machine's ceilings allow, and the ceiling's name.

    Prompts and texts: the peak of multiply-adds over those with weights that a token needs. Generated tokens: the rate
    of memory over the bytes of weights, keys and values that a token meets; several sequences share the weights, and
    then the peak of multiply-adds may be the lower limit.
    """
    ceilings = best_ceilings(data["ceilings"], row["threads"])
    model = data["models"].get(row["model"])
    if not ceilings or not model:
        return None, None
    is_float = row["weights"] in FLOAT_TYPES
    # A float's multiply-add counts as two operations.
    peak = ceilings["f32_gflop_per_s"] / 2 if is_float else ceilings["int8_gmac_per_s"]
    name = "f32" if is_float else "int8"
    by_peak = peak * 1e9 / model["macs_per_token"] if model["macs_per_token"] else None
    if not row["test"].startswith("tg"):
        return by_peak, name
    batch = row["batch"]
    positions = row["depth"] + tokens_of(row["test"]) / 2
    by_read = batch * ceilings["read_gb_per_s"] * 1e9 / (model["bytes_per_token"] + batch * positions * model["cache_bytes"])
    return (by_peak, name) if batch > 1 and by_peak and by_peak < by_read else (by_read, "read")


def percent(share):
    return "–" if share is None else f"{share * 100:.0f} %"


def table(head, lines):
    text = "| " + " | ".join(head) + " |\n|" + "|".join([" --- "] + [" ---: "] * (len(head) - 1)) + "|\n"
    return text + "".join("| " + " | ".join(line) + " |\n" for line in lines)


def order(found):
    """Engines, ours first, then as they come."""
    names = list(dict.fromkeys(row["peer"] for row in found))
    return sorted(names, key=lambda name: name != OURS)


def cell(row, bold=False):
    """Median, spread and share of the limit."""
    if row is None:
        return "–"
    median = f"**{number(row['median'])}**" if bold else number(row["median"])
    spread = "" if row["low"] == row["high"] else f" ({number(row['low'])}–{number(row['high'])})"
    return f"{median}{spread}, {percent(row['share'])}"


def comparison(found, label, tests, title):
    """A table with a line a model or test and a column an engine; the best of a line is bold."""
    engines = order(found)
    keys = list(dict.fromkeys((label(row), row["test"]) for row in found if tests(row["test"])))
    lines = []
    for key in keys:
        line = {row["peer"]: row for row in found if (label(row), row["test"]) == key}
        best = max(line.values(), key=lambda row: row["median"])
        some = next(iter(line.values()))
        cells = [cell(line.get(engine), line.get(engine) is best) for engine in engines]
        lines.append([key[0] or key[1], *cells, f"{number(some['limit'])} ({some['of']})" if some["limit"] else "–"])
    return table([title, *engines, "limit"], lines) if lines else ""


def model_name(row):
    layers = f", {row['layers']} layers" if row["layers"] else ""
    return f"{SHAPES.get(row['shape'], row['shape'])} {row['weights']}{layers}"


def is_prompt(test):
    return test.startswith("pp")


def is_generation(test):
    return test.startswith("tg")


def test_words(found, kind):
    tests = sorted({tokens_of(row["test"]) for row in found if row["test"].startswith(kind)})
    return " or ".join(str(t) for t in tests)


def sections(data):
    """The tables by name: what stands between the markers of documents."""
    every = rows(data)
    of = {}
    for row in every:
        of.setdefault(row["section"], []).append(row)
    parts = {"machine": machine_table(data), "versions": version_table(data)}
    dense = of.get("decoders", [])
    if dense:
        parts["prefill"] = comparison(dense, model_name, is_prompt, f"prompt of {test_words(dense, 'pp')} tokens")
        parts["decode"] = comparison(dense, model_name, is_generation, f"{test_words(dense, 'tg')} generated tokens")
        parts["load"] = memory_table(dense, "ready_seconds", 1, "s until the model can run")
        parts["memory"] = memory_table(dense, "peak_bytes", 1e6, "peak memory, MB")
    deep = of.get("depth", [])
    if deep:
        same = {(row["shape"], row["weights"]) for row in deep}
        flat = [row for row in dense if (row["shape"], row["weights"]) in same and is_generation(row["test"])]
        flat = [row for row in flat if row["peer"] in {r["peer"] for r in deep}]
        parts["depth"] = comparison(flat + deep, lambda row: str(row["depth"]), is_generation, "tokens before")
    mixtures = of.get("moe", [])
    if mixtures:
        parts["moe"] = comparison(
            mixtures, lambda row: model_name(row) + (", prompt" if is_prompt(row["test"]) else ", generated"),
            lambda test: True, "tokens/s",
        )
    for weights, name in (("F32", "embed-f32"), ("int8", "embed-int8")):
        found = [row for row in of.get("embed", []) if row["weights"] == weights]
        if found:
            parts[name] = comparison(found, lambda row: row["test"].removeprefix("embed"), lambda test: True, "texts x tokens")
    found = of.get("qwen-embed", [])
    if found:
        parts["qwen-embed"] = comparison(
            found, lambda row: f"{model_name(row)}, {row['test'].removeprefix('embed')}", lambda test: True, "tokens/s"
        )
    if of.get("batch"):
        parts["batch"] = comparison(of["batch"], lambda row: str(row["batch"]), is_generation, "sequences")
    parts["growth"] = growth_table(every)
    parts["phases"] = phase_table(data)
    parts["checks"] = check_table(data)
    parts["overview"] = overview(every)
    parts["losses"] = losses(every)
    return {name: text for name, text in parts.items() if text}


def memory_table(found, field, unit, title):
    engines = order(found)
    lines = []
    for name in dict.fromkeys(model_name(row) for row in found):
        line = {row["peer"]: row[field] for row in found if model_name(row) == name and row[field]}
        best = min(line.values(), default=None)
        cells = []
        for engine in engines:
            value = line.get(engine)
            text = "–" if value is None else number(value / unit)
            cells.append(f"**{text}**" if value is not None and value == best else text)
        lines.append([name, *cells])
    return table([title, *engines], lines)


def growths(every):
    """What grows with what: (title, unit of x, peer) -> [(x, seconds)]."""
    result = {}

    def add(title, unit, row, x, seconds):
        result.setdefault((title, unit, row["peer"]), {})[x] = seconds

    base = {
        row["peer"]: row["seconds"] for row in every
        if row["section"] == "decoders" and row["shape"] == "qwen3-0.6b" and row["weights"] == "Q4_K_M"
        and is_generation(row["test"])
    }
    most = max((row["threads"] for row in every), default=1)
    for row in every:
        tokens = tokens_of(row["test"])
        if row["section"] == "growth":
            if is_prompt(row["test"]) and not row["layers"] and row["threads"] == most:
                add("a prompt, with its tokens", "tokens", row, tokens, row["seconds"])
            if is_generation(row["test"]) and row["threads"] == most:
                layers = row["layers"] or 28
                add("a generated token, with the layers", "layers", row, layers, row["seconds"] / tokens)
            if not row["layers"] and is_generation(row["test"]):
                add("a generated token, with the threads", "threads", row, row["threads"], row["seconds"] / tokens)
            if not row["layers"] and row["test"] == "pp128":
                add("a prompt, with the threads", "threads", row, row["threads"], row["seconds"])
        if row["section"] == "depth" and row["peer"] in base:
            extra = row["seconds"] - base[row["peer"]]
            add("what depth adds to a generated token", "tokens before", row, row["depth"], extra / tokens)
        if row["section"] == "batch":
            add("a step of all sequences, with their number", "sequences", row, row["batch"], row["seconds"] / tokens)
    return {key: sorted(points.items()) for key, points in result.items() if len(points) > 1}


def growth_table(every):
    lines = []
    for (title, unit, peer), points in growths(every).items():
        fitted = exponent(points)
        measured = ", ".join(f"{number(x)}: {number(1e3 * y)}" for x, y in points)
        lines.append([title, peer, measured, "–" if fitted is None else f"{fitted[0]:.2f}"])
    return table(["time of", "engine", "milliseconds", "exponent"], lines) if lines else ""


def check_table(data):
    lines = []
    for check in data["checks"]:
        facts = case_facts(check["case"])
        if "cosine" in check:
            result = f"cosine {check['cosine']:.6f}"
        elif check["ours"] == check["theirs"]:
            result = "same best token"
        else:
            result = f"another best token, {check['gap']:.3f} standard deviations apart" + (
                ": a near tie" if check["is_near_tie"] else ""
            )
        lines.append([model_name(facts), check["peer"], result if check["agrees"] else f"**{result}: disagrees**"])
    return table(["model", "engine", "against Salangane"], lines) if lines else ""


def phase_table(data):
    """Where the time of one model goes, for a prompt and for generated tokens."""
    if "phases" not in data:
        return ""
    facts = case_facts(data["phases"]["case"])
    tests = data["phases"]["tests"]
    names = list(dict.fromkeys(phase["phase"] for test in tests for phase in test["phases"]))
    head = [model_name(facts)]
    for test in tests:
        head += [f"{test['test']}, ms", "share", "GB/s"]
    lines = []
    for name in names:
        line = [name]
        for test in tests:
            whole = sum(test["samples"]) / len(test["samples"])
            found = next((phase for phase in test["phases"] if phase["phase"] == name), None)
            if found is None:
                line += ["", "", ""]
                continue
            rate_of_bytes = found["bytes"] / found["seconds"] / 1e9 if found["bytes"] else None
            line += [number(found["seconds"] * 1e3), percent(found["seconds"] / whole)]
            line.append(number(rate_of_bytes) if rate_of_bytes else "")
        lines.append(line)
    return table(head, lines)


def machine_table(data):
    info = data["machine"]
    ceilings = best_ceilings(data["ceilings"], data["options"]["threads"])
    lines = [
        ["CPU", f"{info['cpu']}, {info['cores']} cores" + (", virtual" if info.get("is_virtual") else "")],
        ["instructions", " ".join(info["flags"])],
        ["memory", f"{info['memory_bytes'] / 2**30:.0f} GiB"],
        ["system", f"{info.get('system', '')}, Linux {info['kernel']}"],
        ["threads", str(data["options"]["threads"])],
    ]
    if ceilings:
        lines += [
            ["reading memory", f"{ceilings['read_gb_per_s']:.1f} GB/s"],
            ["int8", f"{ceilings['int8_gmac_per_s']:.0f} GMAC/s"],
            ["f32", f"{ceilings['f32_gflop_per_s']:.0f} GFLOP/s"],
        ]
    lines.append(["commit", data["commit"][:12] + (", changed" if data["is_changed"] else "")])
    lines.append(["measured", data["created"]])
    return "| | |\n| --- | --- |\n" + "".join(f"| {name} | {value} |\n" for name, value in lines)


def version_table(data):
    names = [n for n in data["versions"] if n != "swift"]
    text = ", ".join(f"{name} {data['versions'][name]}" for name in names)
    text += f". {data['versions'].get('swift', '')}.\n" if names else ""
    missing = "".join(f"- not measured: {key}: {reason}\n" for key, reason in data["missing"].items())
    return text + ("\n" + missing if missing else "")


def overview(every):
    """The one table of the README: where ours and the best peer stand."""
    lines = []
    for ours, best in compared(every):
        section, test = ours["section"], ours["test"]
        if section in ("growth", "qwen-embed") or ours["shape"] == "qwen3-1.7b":
            continue
        if section == "decoders" and ours["weights"] not in ("Q4_0", "Q8_0", "Q4_K_M"):
            continue
        if section == "embed" and test not in ("embed1x16", "embed32x128"):
            continue
        what = {"pp": "prompt", "tg": "generated"}.get(test[:2], f"{test.removeprefix('embed').replace('x', ' x ')} tokens")
        behind = f" behind {ours['depth']}" if ours["depth"] else ""
        wins = ours["median"] >= best["median"]
        numbers = [number(ours["median"]), number(best["median"])]
        numbers[0 if wins else 1] = f"**{numbers[0 if wins else 1]}**"
        limit_share = percent(ours["share"]) + (f" of {ours['of']}" if ours["of"] else "")
        ratio = f"{ours['median'] / best['median']:.2f}"
        lines.append(
            [f"{model_name(ours)}, {what}{behind}", numbers[0], f"{numbers[1]} ({best['peer']})", ratio, limit_share]
        )
    return table(["tokens/s", "Salangane", "best peer", "ratio", "of the machine's limit"], lines) if lines else ""


def compared(every):
    """Rows of the same work, of which one is ours and others aren't: [(ours, the best peer's)]."""
    groups = {}
    for row in every:
        groups.setdefault((row["case"], row["test"]), []).append(row)
    for found in groups.values():
        ours = next((row for row in found if row["peer"] == OURS), None)
        others = [row for row in found if row["peer"] != OURS]
        if ours and others:
            yield ours, max(others, key=lambda row: row["median"])


def losses(every):
    """Where a peer's median is above ours, the greatest difference first."""
    lost = [(ours["median"] / best["median"], ours, best) for ours, best in compared(every)]
    lost = sorted((entry for entry in lost if entry[0] < 1), key=lambda entry: entry[0])
    lines = []
    for ratio, ours, best in lost:
        depth = f" behind {ours['depth']}" if ours["depth"] else ""
        lines.append(
            [f"{model_name(ours)}, {ours['test']}{depth}", number(ours["median"]), f"{number(best['median'])} ({best['peer']})", f"{ratio:.2f}"]
        )
    if not lines:
        return "Nothing, in these rows.\n" if any(True for _ in compared(every)) else ""
    return table(["tokens/s", "Salangane", "best peer", "ratio"], lines)


TITLES = {
    "machine": "The machine", "versions": "Versions", "prefill": "Reading a prompt", "decode": "Generating",
    "depth": "Generating behind a long text", "moe": "Mixtures of experts", "embed-f32": "all-MiniLM-L6-v2 in floats",
    "embed-int8": "all-MiniLM-L6-v2 in 8 bits", "qwen-embed": "Qwen3-Embedding's shape", "batch": "Several sequences",
    "load": "Loading", "memory": "Memory", "growth": "How time grows", "losses": "What we lose at", "phases": "Where the time goes", "checks": "Do they agree?",
}


def markdown(data):
    """The whole report."""
    text = f"# Results: {data['name']}\n\n"
    text += "Tokens a second: median (spread), share of what the machine allows. docs/Benchmarks.md says how.\n".replace(
        "docs/", "../../Docs/"
    )
    parts = sections(data)
    for name, title in TITLES.items():
        if name in parts:
            text += f"\n## {title}\n\n{parts[name]}"
    return text


def update_documents(root, data, path):
    """Puts tables between `<!-- bench:NAME -->` and `<!-- /bench -->` in README.md and the guides."""
    parts = sections(data)
    folder = os.path.relpath(os.path.splitext(path)[0], root)
    for name in ("README.md", "Docs/Benchmarks.md", "Docs/Profile.md"):
        place = os.path.join(root, name)
        with open(place) as file:
            text = file.read()
        up = os.path.relpath(os.path.join(root, folder), os.path.dirname(place))

        def fill(match):
            wanted = match.group(1)
            if wanted.startswith("picture "):
                picture = wanted.split()[1]
                alt = PICTURES[picture]
                there = os.path.exists(os.path.join(root, folder, picture + ".png"))
                body = f"![{alt}]({up}/{picture}.png)\n" if there else ""
            elif wanted == "source":
                body = f"Results: [{os.path.basename(path)}]({up}.json), [all tables]({up}.md).\n"
            else:
                body = parts.get(wanted, "")
            return f"<!-- bench:{wanted} -->\n{body or 'Not measured yet.' + chr(10)}<!-- /bench -->"

        new = re.sub(r"<!-- bench:([^>]*?) -->\n.*?<!-- /bench -->", fill, text, flags=re.S)
        if new != text:
            with open(place, "w") as file:
                file.write(new)
            print(f"{name}: refreshed")


PICTURES = {
    "overview": "Tokens a second of Salangane and its peers, reading prompts and generating",
    "prefill": "Tokens a second of prompts, by engine and type of the weights",
    "decode": "Generated tokens a second, by engine and type of the weights",
    "depth": "Generated tokens a second by the number of tokens before",
    "moe": "Tokens a second of mixtures of experts, by engine",
    "embedding": "Embedded tokens a second by batch and length, by engine",
    "load": "Seconds until a model can run, by engine",
    "memory": "Peak memory, by engine",
    "growth": "How time grows with tokens, depth, sequences, layers and threads",
}
