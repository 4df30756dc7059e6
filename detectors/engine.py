"""What one shard concludes from rows in event-time order: no pages, offsets or clocks here.

Rows of a run are turned into derived rows and log alerts in batches, whose results do not depend
on where a run ends; then the bank is fed step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from config.logs import LogRules
from config.settings import Detect
from detectors.admission import Admission, AdmissionState
from detectors.alert import Alert
from detectors.bank import Bank
from detectors.calls import Calls, CallsState, Seen
from detectors.derive import njit
from detectors.joint import Joint, JointState
from detectors.lines import Line
from detectors.logpatterns import Patterns, PatternsState
from detectors.logs import Logs, LogsState
from detectors.numbers import Numbers, NumbersState, Rows, merged
from detectors.objectives import Objectives, ObjectivesState
from detectors.release import Slice, step_ceil
from detectors.topology import Span, Topology, TopologyState
from streams.records.pages import I64, Series


class Due(NamedTuple):
    """All rows of a run: everything between the run before and its end."""

    numbers: list[Slice]
    histograms: list[Slice]
    lines: Sequence[Line]
    """sorted"""
    spans: Sequence[Span]
    """sorted"""


class Decided(NamedTuple):
    """One alert version, or the calls and services of a bucket, and the step that decided it."""

    step_end: int
    what: Alert | Seen

    def order(self) -> tuple[int, int, str, int]:
        """Sort key that does not depend on where runs end."""
        if isinstance(self.what, Alert):
            return self.step_end, 0, self.what.id, self.what.version
        return self.step_end, 1, f"{self.what.source}/{len(self.what.services) > 0}", self.what.at_ms


class EngineState(msgspec.Struct, array_like=True):
    """Snapshot of an engine."""

    numbers: NumbersState
    logs: LogsState
    topology: TopologyState
    bank: bytes
    advanced: int
    admission: AdmissionState = msgspec.field(default_factory=AdmissionState)
    objectives: ObjectivesState = msgspec.field(default_factory=ObjectivesState)
    joint: JointState = msgspec.field(default_factory=JointState)
    patterns: PatternsState = msgspec.field(default_factory=PatternsState)
    calls: CallsState = msgspec.field(default_factory=CallsState)


NO_STEP = -(2**62)
NO_LOG_RULES = LogRules()


class Engine:
    """Mutable state of one shard's decisions."""

    def __init__(
        self, config: Detect, max_series_per_service: int = 0, log_rules: LogRules = NO_LOG_RULES
    ) -> None:
        self.config = config
        self.admission = Admission(max_series_per_service, config.max_series_per_shard)
        self.objectives = Objectives(config.slos)
        self.calls = Calls(config.log_bucket_ms)
        self.numbers = Numbers(config.max_series_per_shard, self.objectives, self.calls)
        self.logs = Logs(config, log_rules)
        self.patterns = Patterns(config, log_rules)
        self.topology = Topology()
        self.bank = Bank(config)
        self.joint = Joint(config, self.bank.control_of)
        self._advanced = NO_STEP

    def known(self, fp: int) -> Series | None:
        """Description of a series that is watched or waits for its first row, or None."""
        waiting = self.admission.waiting.get(fp)
        return self.numbers.table.get(fp) if waiting is None else waiting.series

    def expected(self, fp: int) -> bool:
        """Whether a series waits for its first row."""
        return fp in self.admission.waiting

    def expect(self, series: Series, after_ms: int, row_ms: int) -> bool:
        """A new series with a row at `row_ms`, after `after_ms`: when that is due, its place is decided.

        False if it is refused at once because too many wait.
        """
        admission = self.admission
        if (refused_at := admission.refused_at(series.fp)) is not None:
            return refused_at < row_ms  # it has its chance at `row_ms`, or had it
        if admission.wait(series, after_ms):
            return True
        admission.refuse(series, row_ms)
        return False

    def describe_due(self, series: Series, after_ms: int, at_ms: int) -> None:
        """A description whose row at `at_ms` is due next: everything up to `after_ms` is decided.

        A series that is not watched gets its chance with that row, whatever was expected of it so far.
        """
        if self.numbers.table.get(series.fp) is None:
            self.admission.wait(series, after_ms, bounded=False)
        self.describe(series, at_ms)

    def crowded(self) -> bool:
        """Whether what is decided next may push series out, which must not depend on where runs end."""
        return self.admission.crowded(self.numbers.table)

    def admit(self, series: Series, at_ms: int) -> None:
        """Watch a new series from its first row on, or refuse it."""
        table = self.numbers.table
        if not self.admission.has_room(series, table):
            idle = self.admission.idle_of(series.service, table, at_ms)
            if idle is not None:
                self.numbers.forget(idle)
            if not self.admission.has_room(series, table):
                self.admission.refuse(series, at_ms)
                return
        self.admission.admitted(series.fp)
        self.describe(series, at_ms)

    def describe(self, series: Series, at_ms: int) -> None:
        """A newer description of a known series, effective from `at_ms`, or one that was let in."""
        waiting = self.admission.waiting.get(series.fp)
        if waiting is not None:
            waiting.series = series
            return
        for fp in self.numbers.describe(series, at_ms):
            if self.bank.known(np.array([fp], np.uint64))[0]:
                self._introduce(fp, at_ms)

    def run(self, due: Due, to_ms: int) -> list[Decided]:
        """Decide everything up to the step end `to_ms`."""
        for at_ms, series in self.admission.due([*due.numbers, *due.histograms]):
            self.admit(series, at_ms)
        numbers, dropped = self.admission.drop(due.numbers)
        histograms, more_dropped = self.admission.drop(due.histograms)
        rows, times, owners = self.numbers.run(numbers, histograms, to_ms)
        burning = self.objectives.finish(to_ms, self.numbers.common_resource)
        activity = self._activity(times, owners)
        self.logs.buckets.begin(activity)
        self.calls.active(activity)
        size = self.config.log_bucket_ms
        for bucket, service in {
            ((r.ts - 1) // size, r.service) for rows in (due.lines, due.spans) for r in rows
        }:
            self.calls.active({bucket: (service,)})
        decided = [Decided(end, alert) for end, alert in self.logs.run(due.lines, to_ms)]
        decided += [Decided(end, alert) for end, alert in self.patterns.run(due.lines, to_ms)]
        decided += [Decided(step_ceil(end, self.config.step_ms), alert) for end, alert in burning]
        made_rows, made_series = self.logs.buckets.finish(to_ms)
        silent = self.logs.buckets.alerts()
        decided += [Decided(step_ceil(end, self.config.step_ms), alert) for end, alert in silent]
        own_rows, own_series = self.admission.finish(dropped + more_dropped, self.numbers.table, to_ms)
        if own_rows:
            made_rows += own_rows
            made_series = sorted(made_series + own_series, key=lambda pair: pair[0])
        if made_rows:
            fps, ts, values = zip(*made_rows, strict=True)
            more = Rows(np.array(fps, np.uint64), np.array(ts, np.int64), np.array(values, np.float64))
            rows = merged([rows, more])
        seen = [Seen(end, edges) for end, edges in self.topology.run(due.spans, to_ms)]
        seen += self.calls.close(to_ms)
        decided += [Decided(step_ceil(one.at_ms, self.config.step_ms), one) for one in seen]
        decided += self._feed(rows, made_series, to_ms)
        return decided

    def sweep(self, at_ms: int) -> None:
        """Forget series without a row for `series_idle_ms` before `at_ms`."""
        self.numbers.sweep(at_ms - self.config.series_idle_ms)

    def _introduce(self, fp: int, at_ms: int) -> None:
        """Describe a series to the bank, right before its first row (or its first after it was forgotten)."""
        described = self.numbers.gauge(fp, at_ms) or self.logs.buckets.gauge(fp) or self.admission.gauge(fp)
        if described is not None:
            self.bank.describe(*described)
            self.joint.describe(*described, at_ms)

    def _activity(self, times: I64, owners: I64) -> dict[int, set[str]]:
        """Services that sent numbers, by log bucket."""
        buckets, services = np.empty(len(times), np.int64), np.empty(len(times), np.int64)
        names = list(self.numbers.table.services)
        k = _distinct(times, owners, self.config.log_bucket_ms, np.full(len(names), -1), buckets, services)
        activity: dict[int, set[str]] = {}
        for bucket, service in zip(buckets[:k].tolist(), services[:k].tolist(), strict=True):
            activity.setdefault(bucket, set()).add(names[service])
        return activity

    def _feed(self, rows: Rows, described: list[tuple[int, Series]], to_ms: int) -> list[Decided]:
        """The bank, step by step; steps without rows or a due time are skipped."""
        decided: list[Decided] = []
        step = self.config.step_ms
        if len(rows.ts):
            ends = -(-rows.ts // step) * step
            starts = np.flatnonzero(np.diff(ends, prepend=ends[0] - step))
            stops = np.append(starts[1:], len(ends))
            for end, a, b in zip(ends[starts].tolist(), starts.tolist(), stops.tolist(), strict=True):
                decided += self._advance_before(end)
                if self.joint:
                    decided += self._together(end)
                while described and described[0][0] <= end:
                    self.bank.describe(described.pop(0)[1], True)
                known = self.bank.known(rows.fps[a:b])
                if not known.all():
                    for fp in np.unique(rows.fps[a:b][~known]).tolist():
                        self._introduce(fp, end)
                if self.joint:
                    self.joint.feed(rows.fps[a:b], rows.ts[a:b], rows.values[a:b])
                alerts = self.bank.feed(rows.fps[a:b], rows.ts[a:b], rows.values[a:b])
                alerts += self.bank.advance(end)
                self.joint.hear(end, alerts)
                self._advanced = end
                decided += [Decided(end, alert) for alert in alerts]
        decided += self._advance_before(to_ms + step)
        if self.joint:
            decided += self._together(to_ms + step)
            decided += [Decided(to_ms, alert) for alert in self.joint.farewell(to_ms)]
        return decided

    def _together(self, limit: int) -> list[Decided]:
        """Joint behaviour in the windows that end before `limit`."""
        return [Decided(end, alert) for end, alert in self.joint.before(limit)]

    def _advance_before(self, limit: int) -> list[Decided]:
        """Steps that end before `limit` in which the bank has something to do without rows."""
        decided: list[Decided] = []
        while (due := self.bank.next_due()) is not None:
            end = max(step_ceil(due, self.config.step_ms), self._advanced + self.config.step_ms)
            if end >= limit:
                break
            alerts = self.bank.advance(end)
            self.joint.hear(end, alerts)
            decided += [Decided(end, alert) for alert in alerts]
            self._advanced = end
        return decided

    def counters(self) -> dict[str, int]:
        """Totals for telemetry about ourselves."""
        return {
            **self.numbers.counters,
            **self.logs.counters,
            **self.patterns.counters,
            **self.topology.counters,
            **self.calls.counters,
            **self.admission.counters,
            "refused_objectives": self.objectives.refused,
            "evicted_templates": self.logs.evicted_templates,
            "evicted_kinds": self.logs.evicted_kinds,
            "evicted_log_rates": self.logs.buckets.evicted_rates,
            "evicted_log_requests": self.logs.buckets.evicted_requests,
            **{f"joint_{name}": n for name, n in self.joint.counters.items()},
            **{f"bank_{name}": n for name, n in self.bank.counters.items()},
        }

    def snapshot(self) -> EngineState:
        """State between runs."""
        return EngineState(
            self.numbers.export(),
            self.logs.export(),
            self.topology.export(),
            self.bank.snapshot(),
            self._advanced,
            self.admission.export(),
            self.objectives.export(),
            self.joint.export(),
            self.patterns.export(),
            self.calls.export(),
        )

    def restore(self, state: EngineState) -> None:
        """Take over a snapshot, into a fresh engine."""
        self.objectives.load(state.objectives)
        self.numbers.load(state.numbers)
        self.logs.load(state.logs)
        self.topology.load(state.topology)
        self.bank.restore(state.bank)
        self._advanced = state.advanced
        self.admission.load(state.admission)
        self.joint.load(state.joint)
        self.patterns.load(state.patterns)
        self.calls.load(state.calls)


@njit
def _distinct(times: I64, owners: I64, bucket_ms: int, last: I64, buckets: I64, services: I64) -> int:
    """Pairs (bucket, service) of the rows, nearly without repeats; returns how many."""
    k = 0
    for i in range(len(times)):
        bucket = (times[i] - 1) // bucket_ms
        service = owners[i]
        if last[service] != bucket:
            last[service] = bucket
            buckets[k] = bucket
            services[k] = service
            k += 1
    return k
