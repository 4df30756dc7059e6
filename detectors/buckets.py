"""Rates of log lines per service and bucket of event time, zeros included.

A bucket's rates are stated for every service that has sent any telemetry within the last
`ALIVE_BUCKETS` buckets, as long as log lines of any service came within them: silence counts as
zero only where log collection is known to work.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from streams.records.digest import fingerprint
from streams.records.pages import Kind, Series

ALIVE_BUCKETS = 6
METRICS = ("log.errors", "log.warnings", "log.lines")
MAX_SERVICES = 20_000


class _Counts(msgspec.Struct, array_like=True):
    fps: tuple[int, int, int]
    alive: int
    """newest bucket with telemetry"""
    resource: tuple[tuple[str, str], ...] | None = None
    """what all its log lines have in common; None before the first"""
    stated: tuple[tuple[str, str], ...] | None = None
    """the resource its rates were last described with"""
    errors: int = 0
    warnings: int = 0
    lines: int = 0


class BucketState(msgspec.Struct, array_like=True):
    """Snapshot."""

    services: dict[str, _Counts]
    current: int | None
    logged: int


class Buckets:
    """Counts of the open bucket by service. `line` and `alive` come in order of buckets."""

    def __init__(self, bucket_ms: int) -> None:
        self.bucket_ms = bucket_ms
        self.evicted = 0
        self._services: dict[str, _Counts] = {}
        self._current: int | None = None
        """number of the open bucket; bucket b is (b * bucket_ms, (b + 1) * bucket_ms]"""
        self._logged = -(2**62)
        """newest bucket with a log line of any service"""
        self._rows: list[tuple[int, int, float]] = []
        self._described: list[tuple[int, Series]] = []
        self._of: dict[int, tuple[str, str]] = {}
        """fingerprint of a rate to service and metric"""
        self._activity: list[tuple[int, str]] = []

    def begin(self, activity: Mapping[int, set[str]]) -> None:
        """What services sent metrics in which buckets of the run that begins."""
        self._activity = sorted(((b, name) for b, names in activity.items() for name in names), reverse=True)

    def line(
        self, ts: int, service: str, resource: tuple[tuple[str, str], ...], is_error: bool, is_warning: bool
    ) -> None:
        """Count one line; lines come in order of time."""
        bucket = (ts - 1) // self.bucket_ms
        if bucket != self._current:
            self._close_before(bucket)
        self._logged = bucket
        counts = self._touch(service, bucket)
        if counts.resource != resource:
            counts.resource = (
                resource if counts.resource is None else tuple(p for p in counts.resource if p in resource)
            )
        counts.lines += 1
        counts.errors += is_error
        counts.warnings += is_warning

    def finish(self, to_ms: int) -> tuple[list[tuple[int, int, float]], list[tuple[int, Series]]]:
        """Close buckets that end at or before `to_ms`: (fp, ts, rate per second), and descriptions
        that are new or have changed, with the bucket end they hold from."""
        self._close_before(to_ms // self.bucket_ms)
        while self._activity:
            bucket, name = self._activity.pop()
            self._touch(name, bucket)
        rows, described = self._rows, self._described
        self._rows, self._described = [], []
        return rows, described

    def gauge(self, fp: int) -> tuple[Series, bool] | None:
        """Description of a rate, and that it is sparse; None for a fingerprint that is not ours."""
        if fp not in self._of:
            return None
        service, metric = self._of[fp]
        stated = self._services[service].stated or ()
        return Series(fp, service, metric, (), "1/s", Kind.GAUGE, (), stated), True

    def _touch(self, service: str, bucket: int) -> _Counts:
        counts = self._services.get(service)
        if counts is None:
            if len(self._services) >= MAX_SERVICES:
                idle = min(self._services, key=lambda name: (self._services[name].alive, name))
                for fp in self._services.pop(idle).fps:
                    del self._of[fp]
                self.evicted += 1
            errors, warnings, lines = (fingerprint(service, metric, ()) for metric in METRICS)
            counts = self._services[service] = _Counts((errors, warnings, lines), bucket)
            self._index(service, counts)
        counts.alive = max(counts.alive, bucket)
        return counts

    def _index(self, service: str, counts: _Counts) -> None:
        self._of.update((fp, (service, metric)) for fp, metric in zip(counts.fps, METRICS, strict=True))

    def _close_before(self, bucket: int) -> None:
        """Close the open bucket and the ones after it, up to but without `bucket`."""
        if self._current is None:
            self._current = bucket
        while self._current < bucket:
            while self._activity and self._activity[-1][0] <= self._current:
                at, name = self._activity.pop()
                self._touch(name, at)
            if self._logged <= self._current - ALIVE_BUCKETS:
                # Nothing is stated until lines come again.
                self._current = bucket
                break
            self._state_rates(self._current)
            self._current += 1

    def _state_rates(self, bucket: int) -> None:
        end = (bucket + 1) * self.bucket_ms
        seconds = self.bucket_ms / 1000.0
        for name, counts in self._services.items():
            if counts.alive <= bucket - ALIVE_BUCKETS:
                continue
            resource = counts.resource or ()
            if counts.stated != resource:
                counts.stated = resource
                self._described += [
                    (end, Series(fp, name, metric, (), "1/s", Kind.GAUGE, (), resource))
                    for fp, metric in zip(counts.fps, METRICS, strict=True)
                ]
            values = (counts.errors, counts.warnings, counts.lines)
            self._rows += [(fp, end, n / seconds) for fp, n in zip(counts.fps, values, strict=True)]
            counts.errors = counts.warnings = counts.lines = 0

    def export(self) -> BucketState:
        """State for a snapshot."""
        return BucketState(self._services, self._current, self._logged)

    def load(self, state: BucketState) -> None:
        """Take over what `export` gave."""
        self._services, self._current, self._logged = state.services, state.current, state.logged
        for service, counts in self._services.items():
            self._index(service, counts)
