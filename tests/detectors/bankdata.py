"""Series and feeding shared by the bank's tests."""

from __future__ import annotations

import numpy as np

from config.settings import Detect
from detectors.alert import Alert
from detectors.bank import Bank, Scores
from streams.records.digest import fingerprint
from streams.records.pages import Series

T0 = 1_700_000_000_000
"""a Tuesday, 22:13:20 UTC"""


def series(service: str = "checkout", metric: str = "queue.size", unit: str = "", **labels: str) -> Series:
    pairs = tuple(sorted(labels.items()))
    return Series(fingerprint(service, metric, pairs), service, metric, pairs, unit)


def feed(bank: Bank, one: Series, values: np.ndarray, start: int = T0, every: int = 60_000) -> list[Alert]:
    """The values of one series, `every` ms."""
    bank.describe(one)
    n = len(values)
    ts = start + every * np.arange(n, dtype=np.int64)
    return bank.feed(np.full(n, one.fp, np.uint64), ts, np.asarray(values, np.float64))


def scores(values: np.ndarray, every: int = 60_000, config: Detect | None = None) -> Scores:
    """Scores of one nameless series."""
    bank = Bank(config or Detect())
    one = series("", "")
    bank.describe(one)
    n = len(values)
    ts = T0 + every * np.arange(n, dtype=np.int64)
    return bank.feed_scored(np.full(n, one.fp, np.uint64), ts, np.asarray(values, np.float64))[1]


def noise(n: int, seed: int = 1, level: float = 100.0, spread: float = 5.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, spread, n)


def firing(alerts: list[Alert]) -> list[Alert]:
    return [alert for alert in alerts if alert.state == "firing" and alert.version == 1]
