"""What is known of the templates of a log file: bounded, however long the file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from cli.logfile import Event
from cli.logstamps import NO_TIME
from detectors.templates import Template

SLOTS = 512
"""stretches of time the file is divided into; their width doubles when they no longer reach"""
MAX_TEMPLATES = 10_000
"""templates with figures; the lines of others are counted together"""
FIRST_WIDTH = 1_000
"""ms of a stretch at first; of a file without times a stretch is a line at first"""
LEVELS = ((21, "fatal"), (17, "error"), (13, "warn"), (9, "info"), (5, "debug"), (1, "trace"))
NEVER = 2**62


def level_name(severity: int) -> str:
    """Name of an OpenTelemetry severity number, empty for 0."""
    return next((name for least, name in LEVELS if severity >= least), "")


class Row(NamedTuple):
    """One template."""

    id: str
    template: str
    lines: int
    share: float
    per_minute: float | None
    severity: int
    """highest seen"""
    first_ts: int | None
    last_ts: int | None
    first_line: int
    last_line: int
    new: bool
    """first seen after the learning period"""
    example: str
    trend: np.ndarray[tuple[int], np.dtype[np.int64]]
    """lines over the file's time"""


class Figures:
    """Of each template how often, when and how severe. Mutable."""

    def __init__(self) -> None:
        self.events = 0
        self.timed = 0
        self.left_out = 0
        """events of templates beyond `MAX_TEMPLATES`"""
        self.first_ts, self.last_ts = NEVER, -NEVER
        self._places: dict[str, int] = {}
        self._ids: list[str] = []
        self._texts: list[str] = []
        self._examples: list[str] = []
        self._counts = np.zeros(64, np.int64)
        self._first_line = np.full(64, NEVER)
        self._last_line = np.zeros(64, np.int64)
        self._first_ts = np.full(64, NEVER)
        self._last_ts = np.full(64, -NEVER)
        self._severity = np.zeros(64, np.int64)
        self._slots = np.zeros((64, SLOTS), np.int32)
        self._by_line = np.zeros((64, SLOTS), np.int32)
        self._width, self._origin = FIRST_WIDTH, 0
        self._line_width = 1
        self._began = False

    def add(self, events: Sequence[Event], templates: Sequence[Template]) -> None:
        """A batch of events and what the miner said of each."""
        self.events += len(events)
        places = np.array([self._place(t, e.text) for t, e in zip(templates, events, strict=True)], np.int64)
        kept = places >= 0
        self.left_out += int((~kept).sum())
        at = places[kept]
        numbers = np.array([event.number for event in events], np.int64)[kept]
        ts = np.array([event.ts for event in events], np.int64)[kept]
        severity = np.array([event.severity for event in events], np.int64)[kept]
        self._counts += np.bincount(at, minlength=len(self._counts))
        np.maximum.at(self._severity, at, severity)
        np.minimum.at(self._first_line, at, numbers)
        np.maximum.at(self._last_line, at, numbers)
        while len(numbers) and int(numbers[-1]) // self._line_width >= SLOTS:
            self._by_line, self._line_width = _halved(self._by_line, 0), 2 * self._line_width
        np.add.at(self._by_line, (at, numbers // self._line_width), 1)
        timed = ts != NO_TIME
        if timed.any():
            self._times(at[timed], ts[timed])

    def _times(self, at: Any, ts: Any) -> None:
        self.timed += len(ts)
        low, high = int(ts.min()), int(ts.max())
        self.first_ts, self.last_ts = min(self.first_ts, low), max(self.last_ts, high)
        np.minimum.at(self._first_ts, at, ts)
        np.maximum.at(self._last_ts, at, ts)
        if not self._began:
            self._began, self._origin = True, low // self._width
        while self.last_ts // self._width - min(self._origin, self.first_ts // self._width) >= SLOTS:
            self._slots = _halved(self._slots, self._origin % 2)
            self._width, self._origin = 2 * self._width, self._origin // 2
        first = self.first_ts // self._width
        if first < self._origin:
            by = self._origin - first
            self._slots = np.roll(self._slots, by, axis=1)
            self._origin = first
        np.add.at(self._slots, (at, ts // self._width - self._origin), 1)

    def ids(self) -> Sequence[str]:
        """Templates with figures, in the order they were met."""
        return self._ids

    def texts(self) -> dict[str, str]:
        """Text of each template, as it was seen last."""
        return dict(zip(self._ids, self._texts, strict=True))

    def _place(self, template: Template, text: str) -> int:
        place = self._places.get(template.id)
        if place is None:
            place = len(self._texts)
            if place >= MAX_TEMPLATES:
                return -1
            self._places[template.id] = place
            self._ids.append(template.id)
            self._texts.append(template.text)
            self._examples.append(text)
            if place == len(self._counts):
                self._grow()
        self._texts[place] = template.text
        return place

    def _grow(self) -> None:
        for name in ("_counts", "_last_line", "_severity", "_slots", "_by_line"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros_like(old)]))
        for name, value in (("_first_line", NEVER), ("_first_ts", NEVER), ("_last_ts", -NEVER)):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.full_like(old, value)]))

    @property
    def minutes(self) -> float:
        """Length of the file's time; 0 if it has none."""
        return (self.last_ts - self.first_ts) / 60_000 if self.timed else 0.0

    @property
    def has_times(self) -> bool:
        """Whether most lines have a time: if not, lines stand in for it."""
        return self.timed * 2 > self.events

    def rows(self, learned: float, became: dict[str, tuple[str, str]]) -> list[Row]:
        """All templates by count. `learned`: share of the file after which a template is new; `became`:
        what templates have become part of, as id and text."""
        merged: dict[str, list[int]] = {}
        texts: dict[str, str] = {}
        for id, place in self._places.items():
            now, text = became.get(id, (id, self._texts[place]))
            merged.setdefault(now, []).append(place)
            texts[now] = text
        last_line = int(self._last_line.max()) if self._texts else 0
        after = (
            self.first_ts + learned * (self.last_ts - self.first_ts)
            if self.has_times
            else learned * last_line
        )
        slots = self._slots if self.has_times else self._by_line
        used = np.flatnonzero(slots.sum(axis=0))
        span = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)
        rows = []
        for id, places in merged.items():
            count = int(self._counts[places].sum())
            first_line = int(self._first_line[places].min())
            first_ts, last_ts = int(self._first_ts[places].min()), int(self._last_ts[places].max())
            begun = first_ts if self.has_times else first_line
            rows.append(
                Row(
                    id,
                    texts[id],
                    count,
                    count / max(1, self.events),
                    count / self.minutes if self.has_times and self.minutes > 0 else None,
                    int(self._severity[places].max()),
                    first_ts if first_ts != NEVER else None,
                    last_ts if first_ts != NEVER else None,
                    first_line,
                    int(self._last_line[places].max()),
                    learned < 1 and after < begun < NEVER and last_line > 1,
                    self._examples[places[0]],
                    slots[places, span].sum(axis=0).astype(np.int64),
                )
            )
        return sorted(rows, key=lambda row: (-row.lines, row.first_line, row.id))


def _halved(slots: Any, odd: int) -> Any:
    """Two neighbouring stretches become one; `odd`: the first has its neighbour before it."""
    padded = np.pad(slots, ((0, 0), (odd, odd)))
    halves = np.zeros_like(slots)
    halves[:, : SLOTS // 2 + odd] = padded[:, 0::2] + padded[:, 1::2]
    return halves


def stretched(counts: Any, width: int) -> list[int]:
    """The counts in `width` stretches or fewer."""
    if len(counts) <= width:
        return [int(n) for n in counts]
    edges = np.linspace(0, len(counts), width + 1).astype(int)
    return [int(counts[a:b].sum()) for a, b in pairwise(edges.tolist())]
