"""Which series count towards which objective, and the counts of a shard on their way into its budgets.

What a series means to the objectives (its *role*) is found once, when it is described. Rows then add
to the counts of their tick, one row after the other, each origin (numbers, histograms) apart, so that
sums are equal to the bit however runs are cut; a tick is taken in when it has ended.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from config.control import Slo
from detectors.alert import Alert
from detectors.roles import BAD, COLUMNS, TOTAL, Part, Role, Slow, Told, columns_of
from detectors.slo import TICK_MS, Budget, Resource, idle
from streams.records.pages import F64, I64, Series

MOST_BUDGETS = 1_000
"""objectives times services of a shard; beyond, those with nothing left give way, or it is refused"""
NONE = -1
NUMBERS, HISTOGRAMS, ORIGINS = 0, 1, 2


class Flat(NamedTuple):
    """The parts of all roles, one role after another."""

    start: I64
    """by role"""
    length: I64
    place: I64
    """by part"""
    column: I64
    share: npt.NDArray[np.bool_]


class ObjectivesState(msgspec.Struct, array_like=True):
    """Snapshot."""

    budgets: list[Budget] = []
    open: list[tuple[int, bytes]] = []
    """tick and its counts, f64[ORIGINS, budgets, COLUMNS]"""
    closed: int = NONE
    refused: int = 0
    slow: list[tuple[int, float]] = []
    """fingerprint of a histogram, observations above its limit so far"""


class Objectives:
    """Mutable state of one shard's budgets."""

    def __init__(self, slos: tuple[Slo, ...]) -> None:
        self._told = {slo.name: Told(slo) for slo in slos}
        self.budgets: list[Budget] = []
        self._places: dict[tuple[str, str], int] = {}
        self._open: dict[int, F64] = {}
        self._closed = NONE
        """number of the last tick taken in"""
        self._orphans: list[Budget] = []
        """with an alert open, of objectives that are no longer declared"""
        self.refused = 0
        self._roles: list[Role] = []
        self._ids: dict[Role, int] = {}
        self._flat: Flat | None = None
        self._slow: dict[int, float] = {}
        self._slow_before: dict[int, float] = {}

    def __bool__(self) -> bool:
        return bool(self._told or self._orphans)

    # roles

    def begin(self) -> None:
        """All series are described anew."""
        self._roles, self._ids, self._flat = [], {}, None
        self._slow_before, self._slow = self._slow, {}

    def role(self, series: Series, at_ms: int) -> int:
        """Number of what rows of a series do; NONE: nothing."""
        role = self._role(series, at_ms) if self._told else ((), ())
        if not role[0]:
            return NONE
        if role[1] and series.fp in self._slow_before:
            self._slow[series.fp] = self._slow_before.pop(series.fp)
        known = self._ids.get(role)
        if known is None:
            known = self._ids[role] = len(self._roles)
            self._roles.append(role)
            self._flat = None
        return known

    def adds_to(self, role: int, place: int) -> bool:
        """Whether rows of this role count towards a budget."""
        return role != NONE and any(part.place == place for part in self._roles[role][0])

    def _role(self, series: Series, at_ms: int) -> Role:
        parts: list[Part] = []
        slow: list[Slow] = []
        for told in self._told.values():
            if told.slo.service not in ("", series.service):
                continue
            columns, share, limit = columns_of(told, series)
            if not columns:
                continue
            place = self._place(told, series.service, at_ms)
            if place == NONE:
                continue
            parts += [Part(place, column, share) for column in columns]
            if limit is not None:
                bounds = [bound for bound in series.bounds if bound <= limit * (1.0 + 1e-9)]
                slow.append(Slow(place, len(bounds)))
        return tuple(parts), tuple(slow)

    def _place(self, told: Told, service: str, at_ms: int) -> int:
        key = (told.slo.name, service)
        place = self._places.get(key)
        if place is not None:
            return place
        budget = Budget.of(told.objective, service)
        if len(self.budgets) < MOST_BUDGETS:
            self.budgets.append(budget)
            place = len(self.budgets) - 1
        else:
            waiting = {place for a in self._open.values() for place in np.flatnonzero(a.any(axis=(0, 2)))}
            free = [spare for spare in idle(self.budgets, at_ms) if spare not in waiting]
            if not free:
                self.refused += 1
                return NONE
            place = free[0]
            del self._places[(self.budgets[place].name, self.budgets[place].service)]
            self.budgets[place] = budget
        budget.last = at_ms
        self._places[key] = place
        return place

    # counts

    def count(self, origin: int, ts: I64, roles: I64, amounts: F64) -> None:
        """Amounts of rows in time order; rows without a role or an amount (NaN, negative) do nothing."""
        keep = np.flatnonzero((roles != NONE) & (amounts >= 0))
        if not len(keep):
            return
        flat = self._flattened()
        roles = roles[keep]
        lengths = flat.length[roles]
        rows = np.repeat(keep, lengths)
        before = np.repeat(np.cumsum(lengths) - lengths, lengths)
        parts = np.repeat(flat.start[roles], lengths) + np.arange(len(rows)) - before
        place, column, share, amount = flat.place[parts], flat.column[parts], flat.share[parts], amounts[rows]
        amount = np.where(share, np.where(column == TOTAL, 1.0, np.minimum(amount, 1.0)), amount)
        self._add(origin, ts[rows], place, column, amount)

    def count_slow(
        self, series: list[Series], ts: I64, roles: I64, observed: F64, buckets: list[F64]
    ) -> None:
        """Histogram rows in time order: what of each is above the limit of its role.

        `observed`: observations since the row before, NaN where unknown; `buckets`: as sent.
        """
        found = []
        for row, role in enumerate(roles.tolist()):
            for slow in self._roles[role][1] if role != NONE else ():
                so_far = float(buckets[row][slow.bucket :].sum())
                before = self._slow.get(series[row].fp)
                self._slow[series[row].fp] = so_far
                # Counted from zero: a delta, a new label set, or one that began again.
                whole = float(observed[row]) == float(buckets[row].sum())
                if observed[row] >= 0 and (whole or before is not None):
                    bad = so_far if whole or before is None else max(0.0, so_far - before)
                    found.append((int(ts[row]), slow.place, bad))
        if found:
            when, place, bads = (np.array(column) for column in zip(*found, strict=True))
            self._add(HISTOGRAMS, when, place, np.full(len(when), BAD), bads.astype(np.float64))

    def slow_roles(self, roles: I64) -> npt.NDArray[np.bool_]:
        """Which of these roles have a limit."""
        has = np.array([*(bool(slow) for _, slow in self._roles), False], np.bool_)
        return has[roles]

    def _add(self, origin: int, ts: I64, place: I64, column: I64, amount: F64) -> None:
        ticks = (ts - 1) // TICK_MS
        starts = np.flatnonzero(np.diff(ticks, prepend=ticks[0] - 1))
        stops = np.append(starts[1:], len(ticks))
        for a, b in zip(starts.tolist(), stops.tolist(), strict=True):
            counts = self._counts(int(ticks[a]))
            np.add.at(counts[origin], (place[a:b], column[a:b]), amount[a:b])

    def _flattened(self) -> Flat:
        if self._flat is None:
            parts = [part for role in self._roles for part in role[0]]
            lengths = np.array([len(role[0]) for role in self._roles], np.int64)
            self._flat = Flat(
                np.cumsum(lengths) - lengths,
                lengths,
                np.array([part.place for part in parts], np.int64),
                np.array([part.column for part in parts], np.int64),
                np.array([part.share for part in parts], np.bool_),
            )
        return self._flat

    def _counts(self, tick: int) -> F64:
        counts = self._open.get(tick)
        n = len(self.budgets)
        if counts is None:
            counts = self._open[tick] = np.zeros((ORIGINS, n, COLUMNS))
        elif counts.shape[1] < n:
            counts = self._open[tick] = np.pad(counts, ((0, 0), (0, n - counts.shape[1]), (0, 0)))
        return counts

    # time

    def finish(self, to_ms: int, resource_of: ResourceOf) -> list[tuple[int, Alert]]:
        """Take in the ticks that end by `to_ms`: (end of the tick, alert version), in order."""
        decided: list[tuple[int, Alert]] = []
        last = to_ms // TICK_MS - 1
        for orphan in self._orphans:
            decided += [(to_ms, alert) for alert in orphan.ended(to_ms, "no longer declared")]
        self._orphans = []
        tick = self._next()
        while tick is not None and tick <= last:
            decided += self._take_in(tick, resource_of)
            self._closed = tick
            tick = self._next()
        return decided

    def _next(self) -> int | None:
        """The next tick in which something can happen."""
        if any(budget.alert is not None for budget in self.budgets):
            return self._closed + 1
        return min(self._open, default=None)

    def _take_in(self, tick: int, resource_of: ResourceOf) -> list[tuple[int, Alert]]:
        end = (tick + 1) * TICK_MS
        counts = self._open.pop(tick, None)
        sums = np.zeros((len(self.budgets), COLUMNS))
        if counts is not None:
            sums[: counts.shape[1]] = counts.sum(axis=0)
        decided = []
        for place, budget in enumerate(self.budgets):
            total, bad, good = sums[place].tolist()
            if not total and budget.alert is None:
                continue
            told = self._told[budget.name]
            if told.good:
                bad = max(0.0, total - good)
            resource = resource_of(place, end) if bad else ()
            decided += [(end, alert) for alert in budget.step(told.objective, end, total, bad, resource)]
        return decided

    # state

    def export(self) -> ObjectivesState:
        """State for a snapshot."""
        n = len(self.budgets)
        opened = [(tick, self._counts(tick)[:, :n].tobytes()) for tick in sorted(self._open)]
        return ObjectivesState(self.budgets, opened, self._closed, self.refused, sorted(self._slow.items()))

    def load(self, state: ObjectivesState) -> None:
        """Take over what `export` gave, before series are described; the configuration of now holds."""
        kept = []
        for place, budget in enumerate(state.budgets):
            told = self._told.get(budget.name)
            if told is None or told.slo.service not in ("", budget.service):
                if budget.alert is not None:
                    self._orphans.append(budget)
                continue
            budget.fit(told.objective)
            self._places[(budget.name, budget.service)] = len(self.budgets)
            self.budgets.append(budget)
            kept.append(place)
        for tick, raw in state.open:
            counts = np.frombuffer(raw).reshape(ORIGINS, len(state.budgets), COLUMNS)
            self._open[tick] = counts[:, kept].copy()
        self._closed, self.refused = state.closed, state.refused
        self._slow_before = dict(state.slow)


class ResourceOf(Protocol):
    """What the series behind a budget have in common, as of a time."""

    def __call__(self, place: int, at_ms: int, /) -> Resource: ...
