"""Joint behaviour: whether the series of a service go together as they usually do.

Windows of event time of `detect.joint.window_ms`; one vector a service and window, of at most
`max_series` regular gauge-like series. What is learned from them is in `detectors.relations` and
`detectors.forest`; how a service is judged, in `detectors.joint_group`. A model is learned from the
vectors up to the end of one window and holds from the end of a later one on, whenever it was ready.

For what single series show, their own detectors are better and earlier: while one of them fires, no
joint alert begins. Not for services with fewer than two series that move.

State: 64 bytes a series and 4 bytes a number remembered (16 kB of 256 vectors of 16), twice: once what
is remembered, once what the model was learned from; and about 45 kB of trees, not in snapshots.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from config.settings import Detect
from detectors.alert import SEVERITIES, Alert
from detectors.compiled import kernel
from detectors.gate import FIRE, NOTHING, RAISE, RESOLVE
from detectors.index import Index
from detectors.joint_group import ACCEPT, LEFT, UNSEEN, WARNING, Group, GroupState, Run, Seen
from detectors.joint_words import GONE, METRIC, SILENT, ControlOf, joint_alert, parts, tell
from streams.records.pages import F64, I64, U64, Series

BOUND = 1e18
JOINED = 10
"""windows a vector may span when few series spoke"""
SILENT_WINDOWS = 40
"""a run ends when there was no vector for so many windows"""
IDLE_WINDOWS = 240
"""a service without a vector for so many windows gives way to a new one"""
HEARD_MS = 6 * 3_600_000
"""a single series that was forgotten while it fired is not heard of again"""
MOST_SEVERE = SEVERITIES.index("error")


class JointState(msgspec.Struct, array_like=True):
    """Snapshot."""

    window_ms: int = 0
    columns: int = 0
    memory: int = 0
    groups: list[GroupState] = []
    sums: bytes = b""
    counts: bytes = b""
    last: bytes = b""
    joined: bytes = b""
    filling: int = UNSEEN
    closed: int = UNSEEN
    heard: list[tuple[int, str, str, int]] = []
    single: list[tuple[str, str, int, int]] = []
    counters: dict[str, int] = {}


class Joint:
    """Mutable state of one shard."""

    def __init__(self, config: Detect, control_of: ControlOf) -> None:
        self.config = config.joint
        self._control_of = control_of
        self.groups: list[Group] = []
        self._place: dict[str, int] = {}
        """service to its row of the accumulators"""
        self._seat: dict[int, tuple[int, int]] = {}
        """fingerprint to (row, column)"""
        self._index = Index()
        self._room(4)
        self._filling = UNSEEN
        """end of the window that rows have been taken for"""
        self._closed = UNSEEN
        """end of the newest window taken in"""
        self._heard: list[tuple[int, str, str, int]] = []
        """(step end, service, alert id, severity or -1 when over) of single series, not yet taken in"""
        self._single: dict[str, dict[str, tuple[int, int]]] = {}
        """by service: alerts of its single series that fire, their severity and when it was heard"""
        self._orphans: list[tuple[str, Run]] = []
        self.counters: dict[str, int] = dict.fromkeys(
            ("vectors", "fits", "refused_series", "refused_services", "evicted_services", "evicted_series"), 0
        )
        self.scores: list[tuple[int, str, float]] | None = None
        """(end of the window, service, score), where wanted"""

    def __bool__(self) -> bool:
        return self.config.enabled or bool(self._orphans)

    def _room(self, groups: int) -> None:
        """Accumulators for so many groups, all anew."""
        shape = (groups, self.config.max_series)
        self.sums: F64 = np.zeros(shape)
        self.counts: F64 = np.zeros(shape)
        self.last: I64 = np.full(shape, UNSEEN, np.int64)
        self.joined: I64 = np.zeros(groups, np.int64)

    # series

    def describe(self, series: Series, sparse: bool, at_ms: int) -> None:
        """A series is watched from now on, or described anew."""
        if not self.config.enabled:
            return
        known = self._seat.get(series.fp)
        if sparse or not self._control_of(series).watch:
            if known is not None:
                self._vacate(series.fp)
            return
        if known is not None:
            self.groups[known[0]].seats[known[1]].series = series
            return
        place = self._place.get(series.service)
        if place is None:
            place = self._found(series.service, at_ms)
            if place is None:
                self.counters["refused_series"] += 1
                return
        group = self.groups[place]
        column, gone = group.seat(series, at_ms)
        if column < 0:
            self.counters["refused_series"] += 1
            return
        self._seat[series.fp] = (place, column)
        self.sums[place, column] = self.counts[place, column] = 0.0
        self.last[place, column] = UNSEEN
        if gone is None:
            at = np.array([place * self.config.max_series + column], np.int64)
            self._index.add(np.array([series.fp], np.uint64), at)
            return
        if self._seat.get(gone) == (place, column):
            self.counters["evicted_series"] += 1
            del self._seat[gone]
        self._reindex()

    def _vacate(self, fp: int) -> None:
        place, column = self._seat.pop(fp)
        self.groups[place].vacate(column)
        self.counts[place, column] = 0.0
        self._reindex()

    def _reindex(self) -> None:
        self._index.clear(len(self._seat))
        fps = np.array(list(self._seat), np.uint64)
        width = self.config.max_series
        at = np.array([place * width + column for place, column in self._seat.values()], np.int64)
        if len(fps):
            self._index.add(fps, at)

    def _found(self, service: str, at_ms: int) -> int | None:
        """A row for a new service; one that has long been idle gives way."""
        place = len(self.groups)
        if place >= self.config.max_services:
            limit = at_ms - IDLE_WINDOWS * self.config.window_ms
            idle = [i for i, group in enumerate(self.groups) if group.closed < limit and group.run is None]
            if not idle:
                self.counters["refused_services"] += 1
                return None
            place = min(idle, key=lambda i: (self.groups[i].closed, self.groups[i].service))
            self._forget(place)
        elif place >= len(self.joined):
            sums, counts, last, joined = self.sums, self.counts, self.last, self.joined
            self._room(2 * place)
            self.sums[:place], self.counts[:place] = sums, counts
            self.last[:place], self.joined[:place] = last, joined
        group = Group(service, self.config)
        group.closed = at_ms
        self.groups[place : place + 1] = [group]
        self._place[service] = place
        return place

    def _forget(self, place: int) -> None:
        gone = self.groups[place].service
        del self._place[gone]
        self._single.pop(gone, None)
        self._seat = {fp: at for fp, at in self._seat.items() if at[0] != place}
        self.sums[place] = self.counts[place] = 0.0
        self.joined[place] = 0
        self._reindex()
        self.counters["evicted_services"] += 1

    # rows

    def feed(self, fps: U64, ts: I64, values: F64) -> None:
        """Rows sorted by (ts, fp), all of one window that has not been taken in."""
        if not len(ts) or not self._seat:
            return
        if _add(
            self._index.lookup(fps), ts, values, self.sums.ravel(), self.counts.ravel(), self.last.ravel()
        ):
            window = self.config.window_ms
            self._filling = -(-int(ts[-1]) // window) * window

    def hear(self, step_end: int, alerts: Sequence[Alert]) -> None:
        """What single series say."""
        for alert in alerts:
            if alert.kind == "metric" and alert.service in self._place:
                level = SEVERITIES.index(alert.severity) if alert.state == "firing" else -1
                self._heard.append((step_end, alert.service, alert.id, level))

    # time

    def before(self, limit: int) -> list[tuple[int, Alert]]:
        """Take in the windows that end before `limit`: (end of the window, alert version)."""
        decided: list[tuple[int, Alert]] = []
        while (end := self._next()) is not None and end < limit:
            decided += [(end, alert) for alert in self._take_in(end)]
        return decided

    def farewell(self, at_ms: int) -> list[Alert]:
        """What was firing when a restart changed what is watched ends."""
        alerts = []
        for service, run in self._orphans:
            run.version += 1
            alerts.append(joint_alert(service, run, GONE, at_ms))
        self._orphans = []
        return alerts

    def _next(self) -> int | None:
        ends = [self._filling] if self._filling != UNSEEN else []
        if any(group.run is not None for group in self.groups):
            ends.append(self._closed + self.config.window_ms)
        return min(ends, default=None)

    def _take_in(self, end: int) -> list[Alert]:
        self._listen(end)
        if self._filling == end:
            self._filling = UNSEEN
        self._closed = end
        alerts: list[Alert] = []
        spoke = self.counts[: len(self.groups)].sum(axis=1) > 0.0
        for place, group in enumerate(self.groups):
            if spoke[place]:
                self.joined[place] += 1
                if group.enough(self.counts[place]) or self.joined[place] >= JOINED:
                    alerts += self._step(place, group, end)
            run = group.run
            if run is not None and end - group.closed > SILENT_WINDOWS * self.config.window_ms:
                group.run = None
                if run.version:
                    run.version += 1
                    alerts.append(joint_alert(group.service, run, SILENT, end))
        return alerts

    def _step(self, place: int, group: Group, end: int) -> list[Alert]:
        single = [
            level
            for level, at in self._single.get(group.service, {}).values()
            if level >= WARNING and end - at <= HEARD_MS
        ]

        def matters(seen: Seen) -> bool:
            found = parts(seen, group.seats, self._control_of)
            return bool(found) and found[0].material and not single

        row = group.vector(self.sums[place], self.counts[place])
        self.sums[place] = self.counts[place] = 0.0
        self.joined[place] = 0
        latest = group.fits[-1:]
        judged = group.step(end, row, matters)
        self.counters["vectors"] += 1
        self.counters["fits"] += latest != group.fits[-1:]
        if self.scores is not None:
            self.scores.append((end, group.service, judged.score))
        run, outcome = group.run, judged.outcome
        if run is None:
            return []
        if judged.worst is not None:
            tell(run, parts(judged.worst, group.seats, self._control_of), self._control_of)
        if outcome in (RESOLVE, ACCEPT):
            group.run = None
        elif outcome == NOTHING and single:
            outcome = group.escalate(min(MOST_SEVERE, max(single)))
        if outcome not in (FIRE, RAISE, RESOLVE, ACCEPT) or not run.version:
            return []
        return [joint_alert(group.service, run, outcome, end)]

    def _listen(self, end: int) -> None:
        """What single series said up to the end of a window."""
        later = []
        for one in self._heard:
            step_end, service, alert, severity = one
            if step_end > end:
                later.append(one)
            elif severity >= 0:
                self._single.setdefault(service, {})[alert] = (severity, step_end)
            elif service in self._single:
                self._single[service].pop(alert, None)
                if not self._single[service]:
                    del self._single[service]
        self._heard = later

    # state

    def export(self) -> JointState:
        """State between runs."""
        n = len(self.groups)
        config = self.config
        single = [(name, alert, *of) for name, alerts in self._single.items() for alert, of in alerts.items()]
        return JointState(
            config.window_ms, config.max_series, config.memory_windows,
            [group.export() for group in self.groups],
            self.sums[:n].tobytes(), self.counts[:n].tobytes(),
            self.last[:n].tobytes(), self.joined[:n].tobytes(),
            self._filling, self._closed, self._heard, single, self.counters,
        )  # fmt: skip

    def load(self, state: JointState) -> None:
        """Take over what `export` gave; with another shape of vectors, or switched off, begin anew."""
        config = self.config
        shape = (state.window_ms, state.columns, state.memory)
        same = shape == (config.window_ms, config.max_series, config.memory_windows)
        if not config.enabled or not same or len(state.groups) > config.max_services:
            firing = [(group.service, group.run) for group in state.groups if group.run is not None]
            self._orphans = [(service, run) for service, run in firing if run.version]
            return
        n = len(state.groups)
        self._room(max(4, n))
        for array, raw in (
            (self.sums, state.sums), (self.counts, state.counts),
            (self.last, state.last), (self.joined, state.joined),
        ):  # fmt: skip
            array[:n] = np.frombuffer(raw, array.dtype).reshape(n, *array.shape[1:])
        for place, one in enumerate(state.groups):
            group = Group.restored(one, config)
            self.groups.append(group)
            self._place[group.service] = place
            for column, seat in enumerate(group.seats):
                if seat.since != LEFT:
                    self._seat[seat.series.fp] = (place, column)
        self._reindex()
        self._filling, self._closed, self._heard = state.filling, state.closed, list(state.heard)
        for service, alert, level, at in state.single:
            self._single.setdefault(service, {})[alert] = (level, at)
        self.counters.update(state.counters)
        for fp, (place, column) in list(self._seat.items()):
            if not self._control_of(self.groups[place].seats[column].series).watch:
                self._vacate(fp)


@kernel
def _add(places: I64, ts: I64, values: F64, sums: F64, counts: F64, last: I64) -> bool:
    """Add rows in order to the sums of their places (-1: none); whether any was."""
    added = False
    for i in range(len(places)):
        at = places[i]
        if at >= 0 and ts[i] > last[at] and np.isfinite(values[i]):
            last[at] = ts[i]
            sums[at] += max(-BOUND, min(BOUND, values[i]))
            counts[at] += 1.0
            added = True
    return added


__all__ = ["METRIC", "Joint", "JointState"]
