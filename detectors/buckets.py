"""Rates of log lines per service and bucket of event time, zeros included; errors by lines; silence.

A bucket's rates are stated for every service that has sent any telemetry within the last
`ALIVE_BUCKETS` buckets, as long as log lines of any service came within them: silence counts as
zero only where log collection is known to work. The share of errors is stated for buckets with at least
`LEAST_LINES` lines, answers with a status of 500 or more once a service's lines have told of any status.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from detectors import logrates
from detectors.alert import Alert
from detectors.logkinds import Kind as LineKind
from detectors.logparams import status_of
from detectors.logrates import Place, Places, Stated
from detectors.logspans import Requests, requests_of
from detectors.rules import SLOW_REQUESTS
from detectors.silence import WEIGHT, Voice, hear
from streams.records.digest import fingerprint
from streams.records.pages import Kind, Series

ALIVE_BUCKETS = 6
METRICS = ("log.errors", "log.warnings", "log.lines")
RATIO = "log.error_ratio"
FAILED = "log.param.status_5xx"
STATED = (*METRICS, RATIO, FAILED)
LEAST_LINES = 10
MAX_SERVICES = 20_000


class _Counts(msgspec.Struct, array_like=True):
    fps: tuple[int, ...]
    """of `STATED`"""
    alive: int
    """newest bucket with telemetry"""
    resource: tuple[tuple[str, str], ...] | None = None
    """what all its log lines have in common; None before the first"""
    stated: tuple[tuple[str, str], ...] | None = None
    """the resource its rates were last described with"""
    errors: int = 0
    warnings: int = 0
    lines: int = 0
    failed: int = 0
    """answers with a status of 500 or more"""
    statuses: bool = False
    """whether any line has told of a status"""
    told: tuple[tuple[str, str], ...] | None = None
    """the resource that rate was last described with"""
    voice: Voice = msgspec.field(default_factory=Voice)
    places: Places = msgspec.field(default_factory=Places)
    requests: Requests | None = None

    def all_fps(self) -> list[int]:
        """Of everything that may be stated of the service."""
        own = [*self.fps] if self.requests is None else [*self.fps, self.requests.fp]
        return [*own, *(fp for place in self.places.of.values() for fp in place.fps)]


class BucketState(msgspec.Struct, array_like=True):
    """Snapshot."""

    services: dict[str, _Counts]
    current: int | None
    logged: int
    usual: float = 0.0


class Buckets:
    """Counts of the open bucket by service. `line` and `alive` come in order of buckets."""

    def __init__(self, bucket_ms: int, rated: int = 0, silence: bool = True) -> None:
        self.bucket_ms = bucket_ms
        self.rated = rated
        """most kinds of lines of a service whose rates are stated"""
        self.silence = silence
        self.evicted = 0
        self._usual = 0.0
        """lines of a bucket, all services"""
        self._alerts: list[tuple[int, Alert]] = []
        self._services: dict[str, _Counts] = {}
        self._current: int | None = None
        """number of the open bucket; bucket b is (b * bucket_ms, (b + 1) * bucket_ms]"""
        self._logged = -(2**62)
        """newest bucket with a log line of any service"""
        self._rows: list[tuple[int, int, float]] = []
        self._described: list[tuple[int, Series]] = []
        self._of: dict[int, tuple[str, str]] = {}
        """fingerprint to service, and metric or id of a kind"""
        self._activity: list[tuple[int, str]] = []

    def begin(self, activity: Mapping[int, set[str]]) -> None:
        """What services sent metrics in which buckets of the run that begins."""
        self._activity = sorted(((b, name) for b, names in activity.items() for name in names), reverse=True)

    def line(
        self,
        ts: int,
        service: str,
        resource: tuple[tuple[str, str], ...],
        is_error: bool,
        is_warning: bool,
        kind: LineKind | None = None,
        body: str = "",
        request: str = "",
    ) -> None:
        """Count one line; lines come in order of time. `request`: what its request is known by."""
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
        if status := status_of(body):
            counts.statuses = True
            counts.failed += status >= 500
        if request:
            if counts.requests is None:
                counts.requests = requests_of(service)
                self._of[counts.requests.fp] = (service, SLOW_REQUESTS)
            counts.requests.see(request, ts)
        if kind is not None and self.rated:
            before = len(counts.places.of)
            gone = logrates.count(counts.places, service, kind, body, self.rated)
            if gone is not None:
                self._forget(gone)
            if gone is not None or len(counts.places.of) != before:
                self._of.update((fp, (service, kind.id)) for fp in counts.places.of[kind.id].fps)

    def _forget(self, place: Place) -> None:
        for fp in place.fps:
            self._of.pop(fp, None)

    @property
    def evicted_requests(self) -> int:
        """Requests that gave their place to later ones before they were over."""
        return sum(counts.requests.evicted for counts in self._services.values() if counts.requests)

    @property
    def evicted_rates(self) -> int:
        """Kinds of lines that gave their place to a busier one."""
        return sum(counts.places.evicted for counts in self._services.values())

    def alerts(self) -> list[tuple[int, Alert]]:
        """Services that fell silent, or log again, with the bucket end that decided it."""
        alerts, self._alerts = self._alerts, []
        return alerts

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
        counts = self._services[service]
        if metric == SLOW_REQUESTS and counts.requests is not None:
            return counts.requests.series(service), True
        place = counts.places.of.get(metric)
        if place is not None:
            return logrates.series_of(place, service)[place.fps.index(fp)], True
        return self._series(fp, service, metric, counts.stated or ()), True

    @staticmethod
    def _series(fp: int, service: str, metric: str, resource: tuple[tuple[str, str], ...]) -> Series:
        unit = "1" if metric == RATIO else "1/s"
        return Series(fp, service, metric, (), unit, Kind.GAUGE, (), resource)

    def _touch(self, service: str, bucket: int) -> _Counts:
        counts = self._services.get(service)
        if counts is None:
            if len(self._services) >= MAX_SERVICES:
                idle = min(self._services, key=lambda name: (self._services[name].alive, name))
                for fp in self._services.pop(idle).all_fps():
                    self._of.pop(fp, None)
                self.evicted += 1
            fps = tuple(fingerprint(service, metric, ()) for metric in STATED)
            counts = self._services[service] = _Counts(fps, bucket)
            self._index(service, counts)
        counts.alive = max(counts.alive, bucket)
        return counts

    def _index(self, service: str, counts: _Counts) -> None:
        self._of.update((fp, (service, metric)) for fp, metric in zip(counts.fps, STATED, strict=True))
        if counts.requests is not None:
            self._of[counts.requests.fp] = (service, SLOW_REQUESTS)
        for name, place in counts.places.of.items():
            self._of.update((fp, (service, name)) for fp in place.fps)

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
        total = sum(counts.lines for counts in self._services.values())
        for name, counts in self._services.items():
            resource = counts.resource or ()
            if self.silence and counts.voice.logged + counts.lines:
                self._hear(name, counts, total, end)
            if counts.alive <= bucket - ALIVE_BUCKETS:
                continue
            if counts.stated != resource:
                counts.stated = resource
                self._described += [
                    (end, self._series(fp, name, metric, resource))
                    for fp, metric in zip(counts.fps, STATED, strict=True)
                    if metric != FAILED
                ]
            values = (counts.errors, counts.warnings, counts.lines)
            self._rows += [(fp, end, n / seconds) for fp, n in zip(counts.fps, values, strict=False)]
            if counts.lines >= LEAST_LINES:
                self._rows.append((counts.fps[3], end, counts.errors / counts.lines))
            if counts.statuses:
                if counts.told != resource:
                    counts.told = resource
                    self._described.append((end, self._series(counts.fps[4], name, FAILED, resource)))
                self._rows.append((counts.fps[4], end, counts.failed / seconds))
            out = Stated(self._rows, self._described)
            if counts.requests is not None:
                counts.requests.state(name, resource, end, out)
            if counts.places.of:
                logrates.state(counts.places, name, resource, end, self.bucket_ms, out)
            counts.errors = counts.warnings = counts.lines = counts.failed = 0
        self._usual += WEIGHT * (total - self._usual)

    def _hear(self, name: str, counts: _Counts, total: int, end: int) -> None:
        voice = counts.voice
        if counts.lines:
            voice.beside = self._usual - voice.usual
        others = (total - counts.lines) / voice.beside if voice.beside > 0 else 0.0
        resource = counts.resource or ()
        alert = hear(voice, name, counts.fps[2], counts.lines, others, end, self.bucket_ms, resource)
        if alert is not None:
            self._alerts.append((end, alert))

    def export(self) -> BucketState:
        """State for a snapshot."""
        return BucketState(self._services, self._current, self._logged, self._usual)

    def load(self, state: BucketState) -> None:
        """Take over what `export` gave."""
        self._services, self._current, self._logged = state.services, state.current, state.logged
        self._usual = state.usual
        for service, counts in self._services.items():
            self._index(service, counts)
