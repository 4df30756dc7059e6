"""The labelled series of the development data, one shape for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.common import data
from bench.nabscore import Labelled

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Curve:
    """One series with its labels."""

    name: str
    group: str
    """NAB's category, the cloud series' domain, the KPI"""
    ts: npt.NDArray[np.int64]
    value: F64
    label: Flags = field(default_factory=lambda: np.zeros(0, np.bool_))
    test: Flags = field(default_factory=lambda: np.zeros(0, np.bool_))
    """rows that are measured; the others are history"""
    windows: tuple[tuple[int, int], ...] = ()
    """NAB: first and last time stamp of each label window"""
    bits: F64 = field(default_factory=lambda: np.zeros((0, 0)))
    credits: Any = None

    @property
    def nab(self) -> Labelled:
        return Labelled(self.name, self.ts, self.windows)

    @property
    def segments(self) -> list[tuple[int, int]]:
        """[start, stop) of each run of labelled rows among the measured ones."""
        return runs(self.label & self.test)

    @property
    def days(self) -> float:
        """Length of the measured part."""
        ts = self.ts[self.test]
        return float(ts[-1] - ts[0]) / 86_400_000 if len(ts) > 1 else 0.0


def runs(flags: Flags) -> list[tuple[int, int]]:
    """[start, stop) of each run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _series(folder: str, name: str, build: Callable[[str, Any], Curve]) -> list[Curve]:
    import pyarrow.parquet as pq

    table = pq.read_table(data(folder) / "series.parquet").to_pandas()
    return [build(str(key), rows) for key, rows in table.groupby(name, sort=True)]


def nab() -> list[Curve]:
    """The files of the Numenta Anomaly Benchmark, rows in their own order."""
    windows = json.loads((data("nab") / "windows.json").read_text())

    def build(name: str, rows: Any) -> Curve:
        limits = tuple((int(a), int(b)) for a, b in windows[name]["windows"])
        values = rows.value.to_numpy(np.float64)
        return Curve(name, str(rows.category.iloc[0]), rows.ts.to_numpy(np.int64), values, windows=limits)

    return _series("nab", "file", build)


def kpi18() -> list[Curve]:
    """The KPIs: the train part is history, the test part is measured."""

    def build(name: str, rows: Any) -> Curve:
        label, test = rows.label.to_numpy().astype(np.bool_), (rows.part == "test").to_numpy()
        return Curve(name, name, rows.ts.to_numpy(np.int64), rows.value.to_numpy(np.float64), label, test)

    return _series("kpi18", "kpi", build)


def mscloud() -> list[Curve]:
    """The cloud-service series, measured from the first row."""

    def build(name: str, rows: Any) -> Curve:
        label, ts = rows.label.to_numpy().astype(np.bool_), rows.ts.to_numpy(np.int64)
        domain = str(rows.domain.iloc[0])
        return Curve(name, domain, ts, rows.value.to_numpy(np.float64), label, np.ones(len(ts), np.bool_))

    return _series("mscloud", "file", build)
