"""Time and memory of the bootstrap and of the sign-flip test, on differences with many zeros.

    python tests/benchmarks/resampling.py

10,000 resamples of 100,000 listeners by 20 metrics, and as many flips.
"""

import resource
import sys
import time

import numpy as np

from setlist.evaluation.statistics import bootstrap, sign_flip

LISTENERS, METRICS, RESAMPLES = 100_000, 20, 10_000


def main() -> None:
    """Print the table."""
    generator = np.random.default_rng(1)
    values = generator.normal(0.001, 0.2, (LISTENERS, METRICS))
    values *= generator.random(values.shape) < 0.4
    print("| | seconds | peak MiB of the process |\n|---|--:|--:|")
    for name, run in (
        ("bootstrap", lambda: bootstrap(values, RESAMPLES)),
        ("sign-flip test", lambda: sign_flip(values, "less", RESAMPLES)),
    ):
        began = time.perf_counter()
        run()
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        mib = peak / (2**20 if sys.platform == "darwin" else 2**10)
        print(f"| {name} | {seconds:.1f} | {mib:,.0f} |")


if __name__ == "__main__":
    main()
