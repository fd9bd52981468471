"""Whether two runs say the same."""

import statistics


def compare(first, second):
    """Pairs of the rows that both runs have, and whether their spreads overlap."""
    others = {(row["case"], row["peer"], row["test"]): row for row in second}
    pairs = []
    for row in first:
        other = others.get((row["case"], row["peer"], row["test"]))
        if other:
            overlap = row["low"] <= other["high"] and other["low"] <= row["high"]
            pairs.append((row, other, overlap))
    return pairs


def check(first, second, log=print):
    """Says which rows of two runs don't agree within their spreads; the number of these decides the status."""
    pairs = compare(first, second)
    if not pairs:
        log("the two runs have no row in common")
        return 1
    apart = [pair for pair in pairs if not pair[2]]
    for row, other, _ in apart:
        log(
            f"{row['case']} {row['peer']} {row['test']}: {row['median']:.4g} ({row['low']:.4g} to {row['high']:.4g}) and "
            f"{other['median']:.4g} ({other['low']:.4g} to {other['high']:.4g})"
        )
    distances = sorted(abs(other["median"] / row["median"] - 1) for row, other, _ in pairs)
    log(
        f"{len(pairs) - len(apart)} of {len(pairs)} rows agree within their spreads; medians differ by "
        f"{statistics.median(distances):.1%} in the median, {distances[-1]:.1%} at most"
    )
    return 1 if apart else 0
