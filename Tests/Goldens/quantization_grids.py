"""Writes Sources/Quantization/GridTables.swift: the grids of the IQ formats, in compact form.

The grids are facts of ggml's file formats (iq2xxs_grid and its like in ggml-common.h); this script takes them
from the gguf package on PyPI (0.19), and checks that they are what the Swift code supposes: sets of vectors in
ascending order, the first element being the least significant digit.

Usage: python3 Tests/Goldens/quantization_grids.py
"""

import pathlib
import textwrap

import gguf.quants as quants

GRIDS = {
    "iq2XXS": (quants.IQ2_XXS, "The 256 vectors of `IQ2_XXS`, of 8 digits below 3."),
    "iq2XS": (quants.IQ2_XS, "The 512 vectors of `IQ2_XS`, of 8 digits below 3."),
    "iq2S": (quants.IQ2_S, "The 1,024 vectors of `IQ2_S`, of 8 digits below 3."),
    "iq3XXS": (quants.IQ3_XXS, "The 256 vectors of `IQ3_XXS`, of 4 digits below 8."),
    "iq3S": (quants.IQ3_S, "The 512 vectors of `IQ3_S`, of 4 digits below 8."),
    "iq1": (quants.IQ1_S, "The 2,048 vectors of `IQ1_S` and `IQ1_M`, of 8 digits below 3."),
}


def members(format):
    """The numbers whose digits are the grid's vectors, in the grid's order."""
    format.init_grid()
    digits = {float(value): digit for digit, value in enumerate(format.grid_map)}
    base = len(digits)
    length = format.grid_shape[1]
    numbers = [
        sum(digits[float(value)] * base**place for place, value in enumerate(vector))
        for vector in format.grid.reshape(format.grid_shape)
    ]
    assert numbers == sorted(set(numbers)), format
    return numbers, base**length


def characters(numbers, limit):
    """Membership of every number below the limit, six to a character, the lowest in the lowest bit."""
    present = set(numbers)
    return "".join(
        chr(ord("0") + sum(((first + bit) in present) << bit for bit in range(6))) for first in range(0, limit, 6)
    )


def main():
    lines = [
        "// Written by Tests/Goldens/quantization_grids.py out of ggml's tables; don't edit.",
        "",
        "/// The sets of vectors behind the grids, in the form that `Grid` unpacks: each character, less \"0\", tells",
        "/// of six numbers whether they belong, lowest bit first; a number's digits, lowest first, are a vector.",
        "enum GridTables {",
    ]
    for name, (format, summary) in GRIDS.items():
        text = characters(*members(format))
        lines += [f"  /// {summary}", f'  static let {name}: StaticString = #"""']
        lines += ["    " + line for line in textwrap.wrap(text, 100, break_on_hyphens=False)]
        lines += ['    """#', ""]
    lines[-1] = "}"
    root = pathlib.Path(__file__).resolve().parents[2]
    (root / "Sources/Quantization/GridTables.swift").write_text("\n".join(lines) + "\n")


main()
