"""Speed and size of the bank: samples a second on one core through `Bank.feed`.

    python -m bench.detect [--series 1000 10000 100000] [--json]

Pages of one sample a series (one step of a metrics export), values with noise and a daily rhythm,
after the warm-up. Beside it, in the same run on the same pages, the least any detector can do: an
exponentially weighted mean and variance with a z-score in vectorised numpy, over flat arrays, with the
series already resolved to slots. Times are CPU times of the one thread, so other load does not count.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.common import print_json
from config.settings import Detect
from detectors.bank import Bank
from detectors.state import BYTES_PER_SERIES
from streams.records.pages import Series

T0 = 1_700_000_000_000
EVERY = 60_000
SAMPLES = 3_000_000
"""measured samples a size, at least five pages"""


class Ewma:
    """The minimum: mean, variance, z."""

    def __init__(self, n: int) -> None:
        self.mean = np.zeros(n)
        self.variance = np.ones(n)

    def feed(self, slots: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> int:
        mean, variance = self.mean[slots], self.variance[slots]
        error = values - mean
        z = error / np.sqrt(variance)
        self.mean[slots] = mean + 0.01 * error
        self.variance[slots] = variance + 0.01 * (error * error - variance)
        return int((np.abs(z) > 6).sum())


def measure(n: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    fps = np.sort(rng.integers(0, 2**64 - 1, n, dtype=np.uint64))
    bank, ewma = Bank(Detect(max_series_per_shard=n)), Ewma(n)
    for i, fp in enumerate(fps.tolist()):
        bank.describe(Series(fp, f"service-{i % 100}", f"metric-{i // 100}"))
    slots = np.arange(n)
    warm, pages = 120, max(5, SAMPLES // n)
    spent = {"bank": 0.0, "advance": 0.0, "ewma": 0.0}
    for page in range(warm + pages):
        ts = np.full(n, T0 + page * EVERY, np.int64)
        values = 100 + 30 * np.sin(page / 229) + rng.normal(0, 5, n)
        begun = time.thread_time()
        bank.feed(fps, ts, values)
        fed = time.thread_time()
        bank.advance(int(ts[0]))
        bank.next_due()
        advanced = time.thread_time()
        ewma.feed(slots, values)
        ended = time.thread_time()
        if page >= warm:
            spent["bank"] += fed - begun
            spent["advance"] += advanced - fed
            spent["ewma"] += ended - advanced
    samples = n * pages
    begun = time.thread_time()
    blob = bank.snapshot()
    packed = time.thread_time() - begun
    return {
        "series": n,
        "samples_per_second": round(samples / spent["bank"]),
        "us_per_sample": round(1e6 * spent["bank"] / samples, 3),
        "advance_ms_per_step": round(1e3 * spent["advance"] / pages, 3),
        "ewma_samples_per_second": round(samples / spent["ewma"]),
        "times_the_ewma": round(spent["bank"] / spent["ewma"], 1),
        "snapshot_bytes_per_series": round(len(blob) / n),
        "snapshot_seconds": round(packed, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--series", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = {"bytes_per_series": BYTES_PER_SERIES, "sizes": [measure(n) for n in args.series]}
    if args.json:
        print_json(figures)
        return
    for row in figures["sizes"]:
        print("  ".join(f"{key} {value:,}" for key, value in row.items()))
    print(f"state in memory: {BYTES_PER_SERIES:,} bytes a series, without its description")


if __name__ == "__main__":
    main()
