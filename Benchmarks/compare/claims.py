"""Checks what documents say about speed against results.

A sentence about speed is followed, on its line, by a comment with what makes it true:

    <!-- claim: decoders qwen3-0.6b Q4_0 pp512 / llama.cpp > 2 -->

Section, shape (with `-4layers` if it was cut), weights and test say which row; `d1024` and `b4` a depth and a number of
sequences. The number is ours, or after `/ PEER` ours over that peer's, or with `share` the share of the limit, or
after `/ TYPE` ours over ours with weights of another type. Compared with `>`, `<` or a range `1.2..1.5`.
"""

import glob
import os
import re
import sys

from peers import OURS

# What makes a sentence one about speed: a rate, or a comparison of speeds.
SPEED = re.compile(
    r"\d\S* ?(tokens/s|tokens a second|GB/s|GFLOP|GMAC)|\b(is|are|gets?|runs?|reads?|writes?)\b[^.:;,]{0,40} (faster|slower|quicker)\b"
    r"|\b(faster|slower|quicker|as fast) (than|by|as)\b|\btimes (the speed|as (fast|long)|faster|slower)\b"
)
CLAIM = re.compile(r"<!-- claim: (.*?) -->")


def evaluate(claim, every):
    """True, False, or a text that says why it can't be told; with the number that was found."""
    words = re.fullmatch(
        r"(\S+) (\S+) (\S+) (\S+)((?: [dbt]\d+)*)( share)?(?: / (.+?))? (?:([<>]) ([\d.]+)|([\d.]+)\.\.([\d.]+))", claim
    )
    if not words:
        return "not understood", None
    section, shape, weights, test, rest, share, peer, sign, bound, low, high = words.groups()
    wanted = {letter: int(n) for letter, n in re.findall(r" ([dbt])(\d+)", rest)}
    found = [
        row for row in every
        if (row["section"], row["test"]) == (section, test) and row["weights"] in (weights, peer)
        and shape == row["shape"] + (f"-{row['layers']}layers" if row["layers"] else "")
        and row["depth"] == wanted.get("d", 0) and row["batch"] == wanted.get("b", 1)
        and row["threads"] == wanted.get("t", row["threads"])
    ]

    def of(name, kind):
        return next((row for row in found if (row["peer"], row["weights"]) == (name, kind)), None)

    ours = of(OURS, weights)
    theirs = (of(peer, weights) or of(OURS, peer)) if peer else None
    if ours is None or (peer and theirs is None):
        return "no such row", None
    value = ours["share"] if share else ours["median"] / theirs["median"] if theirs else ours["median"]
    if sign:
        return (value > float(bound) if sign == ">" else value < float(bound)), value
    return float(low) <= value <= float(high), value


def sentences(text):
    """The lines of a document that speak of speed, without code and generated tables: (line number, line)."""
    inside = False
    for index, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            inside = not inside
        if "<!-- bench:" in line:
            inside = True
        if "<!-- /bench -->" in line:
            inside = False
        if not inside and (SPEED.search(line) or CLAIM.search(line)):
            yield index, line


def check(root, every):
    """Prints every sentence and whether it holds. 1 if one doesn't, or has nothing to be checked against."""
    wrong = 0
    for path in [os.path.join(root, "README.md")] + sorted(glob.glob(os.path.join(root, "Docs", "*.md"))):
        with open(path) as file:
            text = file.read()
        for index, line in sentences(text):
            place = f"{os.path.relpath(path, root)}:{index}"
            found = CLAIM.findall(line)
            if not found and "<!-- no claim" not in line:
                wrong += 1
                print(f"{place}: speaks of speed without a claim: {line.strip()[:110]}")
            for claim in found:
                holds, value = evaluate(claim, every)
                wrong += holds is not True
                word = {True: "holds", False: "WRONG"}.get(holds, holds)
                print(f"{place}: {word}: {claim}" + (f" (measured {value:.3g})" if value is not None else ""))
    print(f"{wrong} to look at", file=sys.stderr)
    return 1 if wrong else 0
