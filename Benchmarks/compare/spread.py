"""How far the median of a run may lie from that of another one."""

import math
import statistics

# Two-sided 95 % quantiles of Student's t distribution with few degrees of freedom; the series is good from five on.
FEW_DEGREES = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}
NORMAL_QUANTILE = 1.959964


def student_quantile(degrees):
    """The two-sided 95 % quantile of Student's t distribution: Abramowitz and Stegun, 26.7.5."""
    if degrees in FEW_DEGREES:
        return FEW_DEGREES[degrees]
    z = NORMAL_QUANTILE
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def deviations(groups):
    """The scatter between the rounds of a run: kind -> (standard deviation of logarithms, degrees of freedom).

    A row has two or three rounds, which say little by themselves. Those of one kind (an engine, and what it does) share
    what makes them scatter, mostly the other guests of the machine, so that their scatter is one number.

    groups: (kind, [a rate for each round]) of every row.
    """
    sums = {}
    for kind, rates in groups:
        logs = [math.log(r) for r in rates if r > 0]
        if len(logs) < 2:
            continue
        mean = statistics.fmean(logs)
        total, degrees = sums.get(kind, (0, 0))
        sums[kind] = total + sum((x - mean) ** 2 for x in logs), degrees + len(logs) - 1
    return {kind: (math.sqrt(total / degrees), degrees) for kind, (total, degrees) in sums.items()}


def interval(median, rates, rounds, deviation):
    """Where the median of another run is to be expected: (low, high).

    All that was measured lies within, and the 95 % interval of the mean of so many rounds.

    deviation: What `deviations` says of the row's kind, or None.
    """
    low, high = min(rates), max(rates)
    if deviation:
        factor = math.exp(student_quantile(deviation[1]) * deviation[0] / math.sqrt(rounds))
        low, high = min(low, median / factor), max(high, median * factor)
    return low, high
