"""What a picture shows of each series, read back from a scored table: thinned to what a screen can tell."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cli.columns import ADDED, NAMES, NO_TIME, to_ms, to_number
from cli.dataset import parquet
from cli.errors import CliError
from cli.scorer import Scored
from detectors.bank import STATES
from detectors.gate import FIRING, WARMING
from streams.records.pages import F64, I64

MOST_POINTS = 20_000
"""rows of a series drawn as they are; longer ones are drawn by `COLUMNS` stretches of time"""
COLUMNS = 4_000
ROWS = 50_000
_FIGURES = ADDED[:4]


class Curve(NamedTuple):
    """One series. Where rows were joined: least and most value, highest score, any alert or label."""

    name: str
    alerts: int
    fire: float
    joined: int
    """rows a point stands for, about"""
    ts: I64
    low: F64
    high: F64
    expected: F64
    lower: F64
    upper: F64
    score: F64
    state: npt.NDArray[np.uint8]
    label: npt.NDArray[np.bool_]


class Windows(NamedTuple):
    """Labelled stretches of time by name of a series, [start, end] in ms."""

    of: dict[str, list[tuple[int, int]]]

    def inside(self, name: str, ts: I64) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(ts), np.bool_)
        for start, end in self.of.get(name, ()):
            found |= (ts >= start) & (ts <= end)
        return found


def windows_from(path: Path) -> Windows:
    """JSON `{series: [[start, end], ...]}` or `{series: {"windows": [...]}}`; times as in a table.

    Raises `CliError`.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CliError(f"{path}: {error}", 'labels are JSON: {"series": [[start, end], ...]}') from None
    found: dict[str, list[tuple[int, int]]] = {}
    try:
        for name, told in raw.items():
            pairs = told["windows"] if isinstance(told, dict) else told
            found[name] = [(to_ms(start), to_ms(end)) for start, end in pairs]
        untimed = [name for name, pairs in found.items() if any(NO_TIME in pair for pair in pairs)]
    except (AttributeError, KeyError, TypeError, ValueError):
        untimed = [""]
    if untimed:
        raise CliError(
            f"{path}: labels could not be read", 'expected {"series": [[start, end], ...]} with times'
        )
    return Windows(found)


class _Raw:
    """All rows of a series, as they are."""

    def __init__(self) -> None:
        self.parts: list[list[Any]] = []

    def take(self, *columns: Any) -> None:
        self.parts.append(list(columns))

    def columns(self) -> list[Any]:
        ts, value, *rest = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        order = np.argsort(ts, kind="stable")
        return [column[order] for column in (ts, value, value, *rest)]


class _Joined:
    """Rows of a long series, by stretch of time."""

    def __init__(self, first_ms: int, last_ms: int) -> None:
        self.first = first_ms
        self.width = max(1, -(-(last_ms - first_ms + 1) // COLUMNS))
        self.low, self.high = np.full(COLUMNS, np.inf), np.full(COLUMNS, -np.inf)
        self.figures = np.full((4, COLUMNS), np.nan)
        self.state, self.label = np.zeros(COLUMNS, np.uint8), np.zeros(COLUMNS, np.bool_)

    def take(self, ts: I64, value: F64, *rest: Any) -> None:
        at = (ts - self.first) // self.width
        np.fmin.at(self.low, at, value)
        np.fmax.at(self.high, at, value)
        for row, column in zip(self.figures[1:], rest[:3], strict=True):
            row[at] = column
        np.fmax.at(self.figures[0], at, rest[3])
        np.maximum.at(self.state, at, rest[4])
        np.logical_or.at(self.label, at, rest[5])

    def columns(self) -> list[Any]:
        there = np.isfinite(self.low)
        ts = self.first + self.width * np.arange(COLUMNS, dtype=np.int64) + self.width // 2
        score, expected, lower, upper = self.figures
        parts = (ts, self.low, self.high, expected, lower, upper, score, self.state, self.label)
        return [part[there] for part in parts]


def curves(path: Path, wanted: Sequence[Scored], windows: Windows | None) -> list[Curve]:
    """The wanted series of a scored table, in that order."""
    held: dict[str, _Raw | _Joined] = {
        one.name: _Raw() if one.rows <= MOST_POINTS else _Joined(one.first_ms, one.last_ms) for one in wanted
    }
    for names, ts, value, figures, state, label in _scored_rows(path, held):
        for name in dict.fromkeys(names):
            if name not in held:
                continue
            mine = (np.array(names) == name) & (ts != NO_TIME) & np.isfinite(value)
            told = label[mine] if windows is None else windows.inside(name, ts[mine])
            score, expected, lower, upper = figures[:, mine]
            held[name].take(ts[mine], value[mine], expected, lower, upper, score, state[mine], told)
    found = []
    for one in wanted:
        ts, low, high, expected, lower, upper, score, state, label = held[one.name].columns()
        expected, lower, upper = (np.where(state == WARMING, np.nan, c) for c in (expected, lower, upper))
        joined = max(1, round(one.rows / max(1, len(ts))))
        found.append(
            Curve(
                one.name,
                one.alerts,
                one.control.fire,
                joined,
                ts,
                low,
                high,
                expected,
                lower,
                upper,
                score,
                state,
                label,
            )
        )
    return found


def alert_spans(curve: Curve) -> list[tuple[int, int]]:
    """[first, last] point of each stretch in which an alert is open."""
    firing = np.concatenate([[0], (curve.state == FIRING).astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(firing))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _scored_rows(
    path: Path, wanted: Mapping[str, Any]
) -> Iterator[tuple[list[str], I64, F64, F64, Any, Any]]:
    """(names, ts, value, figures, state, label) of the wanted rows of a scored table, chunk by chunk."""
    for header, columns in _columns(path):
        plain = [name.strip().lower() for name in header]
        place = {
            what: next((plain.index(name) for name in NAMES.get(what, (what,)) if name in plain), None)
            for what in (*NAMES, *ADDED)
        }
        named = [columns[at] for what in ("service", "metric", "series") if (at := place[what]) is not None]
        if named:
            texts = ([("" if cell is None else str(cell)) for cell in cells] for cells in named)
            names = [" ".join(filter(None, parts)) for parts in zip(*texts, strict=True)]
        else:
            names = [""] * len(columns[0])
        keep = [i for i, name in enumerate(names) if name in wanted]
        if not keep:
            continue

        def cells(what: str, at: Any = place, rows: Any = columns, which: list[int] = keep) -> list[Any]:
            return [] if at[what] is None else [rows[at[what]][i] for i in which]

        yield (
            [names[i] for i in keep],
            np.array([to_ms(cell) for cell in cells("ts")], np.int64),
            _numbers(cells("value")),
            np.array([_numbers(cells(what)) for what in _FIGURES]),
            np.array([STATES.index(cell) for cell in cells("state")], np.uint8),
            np.nan_to_num(_numbers(cells("label") or [0] * len(keep))) > 0,
        )


def _numbers(cells: list[Any]) -> F64:
    truth = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
    return np.array(
        [
            np.nan if c is None else truth.get(c.lower(), to_number(c)) if isinstance(c, str) else float(c)
            for c in cells
        ]
    )


def _columns(path: Path) -> Iterator[tuple[list[str], list[list[Any]]]]:
    """Chunks of a table we have written ourselves, by column."""
    import csv
    from itertools import islice

    if path.suffix.lower() != ".csv":
        file = parquet().ParquetFile(path)
        for batch in file.iter_batches(ROWS):
            yield batch.schema.names, [column.to_pylist() for column in batch.columns]
        return
    with path.open(newline="", encoding="utf-8") as text:
        reader = csv.reader(text)
        header = next(reader)
        while rows := list(islice(reader, ROWS)):
            yield header, [list(column) for column in zip(*rows, strict=True)]
