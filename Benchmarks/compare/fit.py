"""How a time grows."""

import math


def exponent(points):
    """The exponent `k` and the coefficient of determination of `y = c x^k`, fitted to (x, y) by least squares of logarithms.

    None for less than two points with positive numbers.
    """
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len({x for x, _ in logs}) < 2:
        return None
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    spread_x = sum((x - mean_x) ** 2 for x, _ in logs)
    spread_y = sum((y - mean_y) ** 2 for _, y in logs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread_x
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in logs)
    return slope, 1 - rest / spread_y if spread_y > 1e-12 else 1.0
