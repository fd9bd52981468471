#!/usr/bin/env python3
"""Makes shares.json of what benchmarks reached: refresh.py SHARES.txt...

Each file has a line `name<tab>share` for every benchmark, as SALANGANE_BENCHMARK_SHARES names it. Of several runs the
least share counts, and the threshold is half of it: enough room for another machine's balance of ceilings, too little
for a kernel that has lost its instructions.
"""

import json
import os
import sys

MARGIN = 0.5


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    shares = {}
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            for line in file:
                name, share = line.rstrip("\n").split("\t")
                shares[name] = min(float(share), shares.get(name, float("inf")))
    thresholds = {name: float(f"{share * MARGIN:.2g}") for name, share in sorted(shares.items())}
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shares.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(thresholds, file, indent=2)
        file.write("\n")
    print(f"{len(thresholds)} thresholds in {path}")


if __name__ == "__main__":
    main()
