"""Speed and size of the bank: samples a second on one core through `Bank.feed`.

    python -m bench.detect [--series 1000 10000 100000 200000] [--json]

Pages of one sample a series (one step of a metrics export), values with noise and a daily rhythm,
after the warm-up. Beside it, in the same run on the same pages, the least any detector can do: an
exponentially weighted mean and variance with a z-score in vectorised numpy, over flat arrays, with the
series already resolved to slots. Then the anomaly detector most people would reach for in Python, river's
HalfSpaceTrees with its defaults behind its min-max scaler, one a series, learn and score a sample, on the
same values. Times are CPU times of the one thread, so other load does not count (but caches are shared).
"""

from __future__ import annotations

import argparse
import pickle
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
        values = values_of(rng, page, n)
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


def values_of(rng: np.random.Generator, page: int, n: int) -> npt.NDArray[np.float64]:
    """One step of `n` series."""
    return 100 + 30 * np.sin(page / 229) + rng.normal(0, 5, n)


def measure_trees(series: int = 20, pages: int = 400, warm: int = 260) -> dict[str, Any] | None:
    """river's HalfSpaceTrees, or None when river is not installed; the first window is not measured."""
    try:
        from river import anomaly, compose, preprocessing
    except ImportError:
        return None
    rng = np.random.default_rng(1)
    trees = [
        compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1)) for _ in range(series)
    ]
    spent = 0.0
    for page in range(warm + pages):
        values = values_of(rng, page, series).tolist()
        begun = time.thread_time()
        for tree, value in zip(trees, values, strict=True):
            sample = {"x": value}
            tree.score_one(sample)
            tree.learn_one(sample)
        if page >= warm:
            spent += time.thread_time() - begun
    return {
        "us_per_sample": round(1e6 * spent / (series * pages), 1),
        "bytes_per_series": round(sum(len(pickle.dumps(tree)) for tree in trees) / series),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--series", type=int, nargs="+", default=[1_000, 10_000, 100_000, 200_000])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = {
        "bytes_per_series": BYTES_PER_SERIES,
        "sizes": [measure(n) for n in args.series],
        "river_half_space_trees": measure_trees(),
        "ewma_bytes_per_series": 16,
    }
    if args.json:
        print_json(figures)
        return
    for row in figures["sizes"]:
        print("  ".join(f"{key} {value:,}" for key, value in row.items()))
    print(f"state in memory: {BYTES_PER_SERIES:,} bytes a series, without its description; EWMA 16")
    trees = figures["river_half_space_trees"]
    print(f"river HalfSpaceTrees (pickled bytes): {trees}" if trees else "river is not installed")


if __name__ == "__main__":
    main()
