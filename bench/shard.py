"""Points and log lines a second through one shard's core, pages in, alerts out, on one core.

Beside it, in the same run, the least that has to be done: `numpy.frombuffer` and one sort a step.

    python -m bench.shard [--series 10000] [--steps 60] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable

import numpy as np

from config.settings import Settings
from detectors.shard import ShardCore
from streams.records.digest import fingerprint
from streams.records.pages import (
    Histograms,
    Kind,
    Logs,
    Origin,
    Page,
    Series,
    decode_page,
    encode_page,
    f64,
    i64,
    u64,
)
from streams.records.stage import Record

T0 = 1_700_000_000_000
PAGE_ROWS = 5_000
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def numbers(series: int, steps: int, kinds: tuple[Kind, ...]) -> tuple[list[Record], int]:
    """Every series once a second, in pages of `PAGE_ROWS`."""
    names = [(f"svc-{i % 50}", f"metric-{i // 50}") for i in range(series)]
    known = [
        Series(fingerprint(service, metric, ()), service, metric, (), "1", kinds[i % len(kinds)])
        for i, (service, metric) in enumerate(names)
    ]
    fps = np.array([one.fp for one in known], np.uint64)
    dice = np.random.default_rng(1)
    total = np.cumsum(dice.poisson(50.0, (steps, series)), axis=0).astype(np.float64)
    counting = np.array([one.kind == Kind.COUNTER for one in known])
    values = np.where(counting, total, dice.normal(100.0, 5.0, (steps, series)))
    pages = []
    for step in range(steps):
        for a in range(0, series, PAGE_ROWS):
            b = min(a + PAGE_ROWS, series)
            ts = T0 + 1_000 * step + dice.integers(1, 900, b - a)
            pages.append(
                Page(
                    "in/0", 1, T0 + 1_000 * step, series=known[a:b] if not step else [],
                    fps=fps[a:b].tobytes(), ts=ts.tobytes(), values=values[step, a:b].tobytes(),
                )
            )  # fmt: skip
    return _records(pages), series * steps


def histograms(series: int, steps: int) -> tuple[list[Record], int]:
    """Cumulative HTTP histograms, one export of all a second."""
    known = []
    for i in range(series):
        labels = (("http.response.status_code", "200"), ("http.route", f"/r{i // 50}"))
        service, metric = f"svc-{i % 50}", "http.server.request.duration"
        known.append(
            Series(fingerprint(service, metric, labels), service, metric, labels, "s", Kind.HISTOGRAM, BOUNDS)
        )
    dice = np.random.default_rng(1)
    width = len(BOUNDS) + 1
    fps = np.array([one.fp for one in known], np.uint64).tobytes()
    counts = np.zeros((series, width))
    pages = []
    for step in range(steps):
        counts += dice.poisson(3.0, (series, width))
        part = Histograms(
            fps,
            np.full(series, T0 + 1_000 * step + 7).tobytes(),
            counts.sum(axis=1).tobytes(),
            np.full(series, width).tobytes(),
            counts.tobytes(),
        )
        pages.append(Page("in/0", 1, T0 + 1_000 * step, series=[] if step else known, histograms=part))
    return _records(pages), series * steps


def lines(per_step: int, steps: int) -> tuple[list[Record], int]:
    """Lines of 20 services in 40 templates with numbers and addresses in them."""
    dice = random.Random(1)
    verbs = ["GET", "PUT", "took", "sent", "order", "cart", "user", "stock"]
    templates = [
        " ".join(dice.choices(verbs, k=3)) + f" {chr(97 + i % 26)}{chr(97 + i // 26)}x" for i in range(40)
    ]
    origins = [Origin(f"svc-{i}", f"svc-{i}-1") for i in range(20)]
    pages = []
    for step in range(steps):
        bodies = [
            f"{dice.choice(templates)} {dice.randrange(10**6)} "
            f"from 10.0.{dice.randrange(256)}.7 in {dice.randrange(900)}ms"
            for _ in range(per_step)
        ]
        ts = T0 + 1_000 * step + np.sort(np.array([dice.randrange(1, 900) for _ in bodies]))
        part = Logs(
            origins,
            np.array([dice.randrange(20) for _ in bodies]).tobytes(),
            ts.tobytes(),
            bytes([9] * per_step),
            bodies,
            [""] * per_step,
            [""] * per_step,
        )
        pages.append(Page("in/0", 1, T0 + 1_000 * step, logs=part))
    return _records(pages), per_step * steps


def _records(pages: list[Page]) -> list[Record]:
    return [Record("tocsin.pages", 0, i, 0, None, encode_page(page)) for i, page in enumerate(pages)]


def through_core(records: list[Record], warm: int) -> float:
    """Seconds for the records after the first `warm`, page by page as a live worker would."""
    core = ShardCore(Settings(), 0)
    for record in records[:warm]:
        core.process([record])
    began = time.perf_counter()
    for record in records[warm:]:
        core.process([record])
    return time.perf_counter() - began


def bare(records: list[Record], warm: int) -> float:
    """Seconds for decoding the same pages and sorting their rows."""
    began = time.perf_counter()
    for record in records[warm:]:
        page = decode_page(record.value or b"")
        ts, fps, values = i64(page.ts), u64(page.fps), f64(page.values)
        order = np.lexsort((values, fps, ts))
        ts[order], fps[order], values[order]
    return time.perf_counter() - began


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    through_core(numbers(100, 40, (Kind.GAUGE, Kind.COUNTER))[0], 0)  # compiles
    through_core(histograms(100, 10)[0], 0)
    cases: dict[str, Callable[[], tuple[list[Record], int]]] = {
        "gauges, points/s": lambda: numbers(options.series, options.steps, (Kind.GAUGE,)),
        "gauges and counters, points/s": lambda: numbers(
            options.series, options.steps, (Kind.GAUGE, Kind.COUNTER)
        ),
        "histograms (11 buckets), points/s": lambda: histograms(options.series // 5, options.steps),
        "log lines/s": lambda: lines(2_000, options.steps),
    }
    figures: dict[str, float] = {}
    for name, case in cases.items():
        records, rows = case()
        warm = len(records) // 3
        share = rows * (len(records) - warm) / len(records)
        figures[name] = share / through_core(records, warm)
        if name == "gauges, points/s":
            figures["  bare frombuffer + sort, points/s"] = share / bare(records, warm)
    if options.json:
        print(json.dumps({name.strip(): round(value) for name, value in figures.items()}))
        return
    for name, value in figures.items():
        print(f"{name:<40}{value:>14,.0f}")


if __name__ == "__main__":
    main()
