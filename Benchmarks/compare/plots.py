"""Draws results: plots.py RESULTS.json FOLDER. Each picture is written as PNG and SVG."""

import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.patches import Patch  # noqa: E402

import report  # noqa: E402
from fit import exponent  # noqa: E402
from peers import OURS  # noqa: E402

# An engine keeps its colour, hatch and marker in all pictures, whatever the precision: they are told apart without
# colour too.
STYLES = {
    OURS: ("#0b5563", "", "o"),
    "llama.cpp": ("#e8a33d", "//", "s"),
    "llama.cpp, no repack": ("#f3d19c", "\\\\", "D"),
    "OpenVINO GenAI": ("#9a8fc7", "..", "^"),
    "OpenVINO": ("#9a8fc7", "..", "^"),
    "PyTorch": ("#d9705f", "xx", "v"),
    "ONNX Runtime": ("#8fb26b", "--", "P"),
}
INK, FAINT = "#26323a", "#d8dee2"
plt.rcParams.update(
    {
        "font.family": "DejaVu Sans", "font.size": 10, "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK,
        "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "axes.grid.axis": "y", "grid.color": FAINT, "axes.axisbelow": True, "hatch.linewidth": 0.6,
        "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left", "legend.frameon": False,
        "svg.hashsalt": "salangane", "figure.dpi": 110, "savefig.dpi": 150, "savefig.bbox": "tight",
    }
)


def style(engine):
    return STYLES.get(engine.removesuffix(" int8"), ("#999999", "oo", "X"))


def save(figure, folder, name, note):
    figure.text(0.005, -0.02, note, fontsize=7.5, color="#6b7780", va="top")
    for kind in ("png", "svg"):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(os.path.join(folder, f"{name}.{kind}"), metadata=metadata)
    plt.close(figure)


def legend(figure, engines, limit=False, lines=False):
    """One legend above all panels."""
    handles = []
    for engine in engines:
        colour, hatch, marker = style(engine)
        if lines:
            handles.append(Line2D([], [], color=colour, marker=marker, label=engine, markeredgecolor=INK))
        else:
            handles.append(Patch(facecolor=colour, hatch=hatch, edgecolor=INK, linewidth=0.6, label=engine))
    if limit:
        handles.append(Line2D([], [], color=INK, linewidth=1.6, linestyle=(0, (2, 1)), label="the machine's limit"))
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=min(len(handles), 6), fontsize=9)


def bars(axis, groups, engines, value=lambda row: row["median"], spread=True, limits=True, cap=None):
    """Groups of bars. `groups`: [(label, {engine: row})]. Limits above `cap` times the highest bar are written instead."""
    width = 0.82 / max((len(found) for _, found in groups), default=1)
    tops = [value(row) for _, found in groups for row in found.values()]
    highest = max(tops, default=1)
    for index, (label, found) in enumerate(groups):
        # Without gaps for engines that a group doesn't have.
        present = [engine for engine in engines if engine in found and value(found[engine]) is not None]
        for place, engine in enumerate(present):
            row = found[engine]
            colour, hatch, _ = style(engine)
            x = index + (place - (len(present) - 1) / 2) * width
            height = value(row)
            axis.bar(x, height, width * 0.94, color=colour, hatch=hatch, edgecolor=INK, linewidth=0.6)
            error = 0
            if spread and row["high"] > row["low"]:
                axis.errorbar(
                    x, height, [[height - row["low"]], [row["high"] - height]], color=INK, linewidth=0.9, capsize=2
                )
                error = row["high"] - height
            axis.annotate(
                report.number(height, 2 if height < 100 else 3), (x, height + error), xytext=(0, 2),
                textcoords="offset points", ha="center", fontsize=6.5, va="bottom",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3, "alpha": 0.85},
                rotation=90 if sum(len(found) for _, found in groups) > 16 else 0,
            )
        limit = next((row["limit"] for row in found.values() if row.get("limit")), None)
        if limits and limit:
            if cap is None or limit <= cap * highest:
                axis.plot([index - 0.44, index + 0.44], [limit] * 2, color=INK, linewidth=1.6, linestyle=(0, (2, 1)))
            else:
                axis.annotate(
                    f"limit {report.number(limit)}", (index, 1.0), xycoords=("data", "axes fraction"), ha="center",
                    va="bottom", fontsize=7, color="#6b7780",
                )
    axis.set_xticks(range(len(groups)), [label for label, _ in groups])
    axis.margins(x=0.02, y=0.2)
    axis.set_ylim(bottom=0)
    axis.tick_params(axis="x", length=0)


def grouped(rows, label):
    """[(label, {engine: row})] in the order of the rows."""
    groups = {}
    for row in rows:
        groups.setdefault(label(row), {})[row["peer"]] = row
    return list(groups.items())


def shapes_of(rows):
    return list(dict.fromkeys((row["shape"], row["layers"]) for row in rows))


class Pictures:
    """All pictures of one file of results."""

    def __init__(self, data, folder):
        self.data = data
        self.folder = folder
        self.rows = report.rows(data)
        info = data["machine"]
        self.note = f"{info['cpu']}, {data['options']['threads']} threads, {data['created'][:10]}, {data['commit'][:10]}"

    def section(self, name, test=lambda test: True):
        return [row for row in self.rows if row["section"] == name and test(row["test"])]

    def by_type(self, name, kind, test, words):
        """Dense models: a panel a shape, a group a type of weights."""
        rows = self.section("decoders", test)
        if not rows:
            return
        engines = report.order(rows)
        shapes = shapes_of(rows)
        figure, axes = plt.subplots(1, len(shapes), figsize=(5.6 * len(shapes), 3.6), squeeze=False, layout="constrained")
        for axis, shape in zip(axes[0], shapes):
            mine = [row for row in rows if (row["shape"], row["layers"]) == shape]
            bars(axis, grouped(mine, lambda row: row["weights"]), engines, cap=1.6)
            axis.set_title(f"{report.SHAPES[shape[0]]}: {words(mine)}", pad=14)
            axis.set_xlabel("type of the weights")
        axes[0][0].set_ylabel("tokens / s")
        legend(figure, engines, limit=True)
        save(figure, self.folder, name, f"{kind}. Median; lines show the spread. {self.note}")

    def prefill(self):
        self.by_type(
            "prefill", "Reading a prompt", report.is_prompt,
            lambda rows: f"a prompt of {report.test_words(rows, 'pp')} tokens",
        )

    def decode(self):
        self.by_type(
            "decode", "Generating, one token after the other", report.is_generation,
            lambda rows: f"{report.test_words(rows, 'tg')} generated tokens",
        )

    def overview(self):
        """What the README shows: one model, prompts and generation side by side."""
        panels = []
        for test, title in ((report.is_prompt, "Reading a prompt"), (report.is_generation, "Generating")):
            rows = [row for row in self.section("decoders", test) if row["shape"] == "qwen3-0.6b"]
            if rows:
                panels.append((rows, title))
        if len(panels) < 2:
            return
        engines = report.order([row for rows, _ in panels for row in rows])
        figure, axes = plt.subplots(1, 2, figsize=(11, 3.5), layout="constrained")
        for axis, (rows, title) in zip(axes, panels):
            bars(axis, grouped(rows, lambda row: row["weights"]), engines, cap=1.6)
            axis.set_title(f"{title}: Qwen3-0.6B", pad=14)
            axis.set_ylabel("tokens / s")
            axis.set_xlabel("type of the weights")
        legend(figure, engines, limit=True)
        save(figure, self.folder, "overview", f"Median; lines show the spread. {self.note}")

    def depth(self):
        rows = self.section("depth")
        if not rows:
            return
        same = {(row["shape"], row["weights"]) for row in rows}
        flat = [row for row in self.section("decoders", report.is_generation) if (row["shape"], row["weights"]) in same]
        engines = report.order(rows)
        figure, axis = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
        for engine in engines:
            points = sorted((row["depth"], row["median"], row["low"], row["high"]) for row in flat + rows if row["peer"] == engine)
            colour, _, marker = style(engine)
            x, y = [p[0] for p in points], [p[1] for p in points]
            spread = [[p[1] - p[2] for p in points], [p[3] - p[1] for p in points]]
            axis.errorbar(x, y, spread, color=colour, marker=marker, markeredgecolor=INK, markersize=7, linewidth=2, capsize=3)
            axis.annotate(report.number(y[-1]), (x[-1], y[-1]), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8)
        limits = sorted({(row["depth"], row["limit"]) for row in flat + rows if row["limit"]})
        highest = max(row["high"] for row in flat + rows)
        if limits and limits[0][1] <= 2.5 * highest:
            axis.plot(*zip(*limits), color=INK, linewidth=1.6, linestyle=(0, (2, 1)))
        axis.set_ylim(bottom=0)
        axis.set_xlabel("tokens before")
        axis.set_ylabel("generated tokens / s")
        some = rows[0]
        axis.set_title(f"{report.SHAPES[some['shape']]} {some['weights']}: generating behind a long text")
        legend(figure, engines, limit=bool(limits) and limits[0][1] <= 2.5 * highest, lines=True)
        save(figure, self.folder, "depth", self.note)

    def moe(self):
        rows = self.section("moe")
        if not rows:
            return
        engines = report.order(rows)
        figure, axes = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
        for axis, test, title in zip(axes, (report.is_prompt, report.is_generation), ("reading a prompt", "generating")):
            mine = [row for row in rows if test(row["test"])]
            label = lambda row: f"{report.SHAPES[row['shape']]}\n{row['weights']}, {row['layers']} layers"  # noqa: E731
            bars(axis, grouped(mine, label), engines, cap=1.6)
            axis.set_title(f"Mixtures of experts: {title}", pad=14)
            axis.set_ylabel("tokens / s")
        legend(figure, engines, limit=True)
        save(figure, self.folder, "moe", f"Median; lines show the spread. {self.note}")

    def embedding(self):
        panels = []
        for weights, title in (("F32", "in floats"), ("int8", "in 8 bits")):
            rows = [row for row in self.section("embed") if row["weights"] == weights]
            if rows:
                panels.append((rows, f"all-MiniLM-L6-v2 {title}"))
        rows = self.section("qwen-embed")
        if rows:
            panels.append((rows, "Qwen3-Embedding-0.6B's shape"))
        if not panels:
            return
        figure, axes = plt.subplots(
            len(panels), 1, figsize=(8.2, 3.1 * len(panels)), squeeze=False, layout="constrained"
        )
        engines = []
        for axis, (rows, title) in zip(axes[:, 0], panels):
            mine = report.order(rows)
            engines += [e.removesuffix(" int8") for e in mine if e.removesuffix(" int8") not in engines]
            bars(axis, grouped(rows, self.embed_label), mine, cap=1.6)
            axis.set_title(title, pad=14)
            axis.set_xlabel("texts x tokens of each")
            axis.set_ylabel("tokens / s")
        legend(figure, engines, limit=True)
        save(figure, self.folder, "embedding", f"Median; lines show the spread. {self.note}")

    @staticmethod
    def embed_label(row):
        size = row["test"].removeprefix("embed").replace("x", " x ")
        return f"{row['weights']}\n{size}" if row["section"] == "qwen-embed" else size

    def cost(self, name, field, unit, title, label):
        """Something that every process has, by model."""
        rows = [row for row in self.section("decoders", report.is_prompt) if row[field]]
        if not rows:
            return
        engines = report.order(rows)
        shapes = shapes_of(rows)
        figure, axes = plt.subplots(1, len(shapes), figsize=(5.6 * len(shapes), 3.4), squeeze=False, layout="constrained")
        for axis, shape in zip(axes[0], shapes):
            mine = [row for row in rows if (row["shape"], row["layers"]) == shape]
            bars(
                axis, grouped(mine, lambda row: row["weights"]), engines, lambda row: row[field] and row[field] / unit,
                spread=False, limits=False,
            )
            axis.set_title(f"{report.SHAPES[shape[0]]}: {title}")
            axis.set_xlabel("type of the weights")
        axes[0][0].set_ylabel(label)
        legend(figure, engines)
        save(figure, self.folder, name, self.note)

    def load(self):
        self.cost("load", "ready_seconds", 1, "until it can run", "seconds from the start of the process")

    def memory(self):
        self.cost("memory", "peak_bytes", 1e9, "peak memory", "GB, mapped pages of files included")

    def growth(self):
        found = report.growths(self.rows)
        titles = list(dict.fromkeys((title, unit) for title, unit, _ in found))
        if not titles:
            return
        columns = min(3, len(titles))
        lines = (len(titles) + columns - 1) // columns
        figure, axes = plt.subplots(lines, columns, figsize=(4 * columns, 3.1 * lines), squeeze=False, layout="constrained")
        engines = []
        for axis, (title, unit) in zip(axes.flat, titles):
            for (other, _, peer), points in found.items():
                if other != title:
                    continue
                engines += [peer] if peer not in engines else []
                colour, _, marker = style(peer)
                x, y = [p[0] for p in points], [1e3 * p[1] for p in points]
                fitted = exponent(points)
                text = f"~ $x^{{{fitted[0]:.2f}}}$" if fitted else ""
                axis.plot(x, y, color=colour, marker=marker, markeredgecolor=INK, linewidth=2, markersize=6, label=text)
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
            ticks = sorted({x for (other, _, _), points in found.items() if other == title for x, _ in points})
            axis.set_xticks(ticks, [report.number(t) if t < 1000 else f"{t}" for t in ticks])
            axis.minorticks_off()
            values = [1e3 * y for (other, _, _), points in found.items() if other == title for _, y in points if y > 0]
            axis.set_yticks(*log_ticks(min(values), max(values)))
            axis.set_ylim(min(values) / 1.5, max(values) * 1.9)
            axis.legend(fontsize=8.5, loc="best", handlelength=2.2)
            axis.set_title(f"time of {title}".replace("time of what", "what"), fontsize=9.5)
            axis.set_xlabel(unit)
            axis.set_ylabel("milliseconds")
        for axis in list(axes.flat)[len(titles) :]:
            axis.set_visible(False)
        legend(figure, engines, lines=True)
        save(figure, self.folder, "growth", f"Qwen3-0.6B Q4_K_M, both axes logarithmic, with fitted exponents. {self.note}")


def log_ticks(low, high):
    """1, 2, 5, 10, ... from below `low` to above `high`, with their labels."""
    ticks = [m * 10.0**e for e in range(-4, 8) for m in (1, 2, 5) if low / 1.6 <= m * 10.0**e <= high * 2]
    return ticks, [f"{t:g}" for t in ticks]


def main():
    path, folder = sys.argv[1:]
    with open(path) as file:
        data = json.load(file)
    os.makedirs(folder, exist_ok=True)
    pictures = Pictures(data, folder)
    for name in report.PICTURES:
        getattr(pictures, name)()


if __name__ == "__main__":
    main()
