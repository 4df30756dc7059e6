"""Log signals: templates never seen before, and rates of lines, warnings and errors.

A template first seen after its service's learning period is an alert when its severity is WARN
or more or it carries an exception. Until it repeats (`Open.repeats`) it is mere evidence (severity "info"),
then a new version of the alert carries its severity: rare warnings and errors are part of how most
services talk. What is fatal counts at once. A new INFO template is
evidence (severity "info"), a few a
bucket and only from services whose lines are not new all the time. The alert resolves when the
template has not been seen for its quiet time: `log_quiet_ms`, or less for a template that was seen
at least `PACED` times, `PAUSES` of its usual intervals but no less than `QUIET_MIN_MS`. Everything
goes by exact event time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import msgspec

from config.logs import LogRules
from config.settings import Detect
from detectors.alert import Alert, alert_id
from detectors.buckets import Buckets, BucketState
from detectors.lines import ERROR, FATAL, WARN, Line, exception_of, has_stack, severity_of
from detectors.logpatterns import Names
from detectors.miner import Miner
from detectors.templates import MinerState
from detectors.words import clipped, clock
from streams.records.digest import digest_hex

QUIET_MIN_MS = 5_000
NEVER = -(2**62)
PACED, PAUSES = 4, 10
"""after so many lines a template has a pace, and so many of its intervals of silence end it"""
NO_RULES = LogRules()
MAX_SERVICES = 10_000
MAX_OPEN = 50
"""open template alerts of one service; more are counted, not raised"""
MAX_NEW_LOUD, MAX_NEW_QUIET = 5, 2
"""new alerts a service and bucket: WARN and above, below"""
RESTLESS = 10.0
"""new templates a bucket (decayed sum) beyond which new INFO templates say nothing"""
MAX_SAMPLES = 3
MAX_SAMPLE_CHARS = 500
_LOOK = {"critical": (1.0, 12.0), "error": (0.95, 10.0), "warning": (0.9, 6.0), "info": (0.3, 2.0)}
"""score and strength by severity"""


class Open(msgspec.Struct, array_like=True):
    """A template alert that has not resolved."""

    template: str
    text: str
    severity: str
    started: int
    last: int
    count: int
    instance: str
    resource: tuple[tuple[str, str], ...]
    exception: str
    samples: list[str]
    traces: list[str]
    due: int = 0
    """when it resolves unless seen before"""
    full: str = ""
    """severity once it has repeated"""
    version: int = 0
    """of the alert sent last"""
    before: tuple[int, int] = (NEVER, NEVER)
    """times of the two lines before the last, older first"""
    name: str = ""
    """given by the configuration"""

    def repeats(self, bucket_ms: int) -> bool:
        """Whether it has come often enough to be more than a stray line: three times, with an exception
        twice, within the length of a bucket."""
        return self.last - self.before[1 if self.exception else 0] <= bucket_ms

    def quiet_at(self, quiet_ms: int) -> int:
        """When it will have been silent for long enough, in ms."""
        if self.count >= PACED:
            pace = PAUSES * (self.last - self.started) // (self.count - 1)
            quiet_ms = min(quiet_ms, max(QUIET_MIN_MS, pace))
        return self.last + quiet_ms


class ServiceState(msgspec.Struct, array_like=True):
    """Snapshot of one service's templates."""

    first: int
    last: int
    bucket: int
    loud: int
    quiet: int
    fresh: int
    novelty: float
    open: list[Open]
    miner: MinerState


class LogsState(msgspec.Struct, array_like=True):
    """Snapshot."""

    services: dict[str, ServiceState]
    buckets: BucketState


class _Service:
    __slots__ = (
        "bucket", "first", "fresh", "last", "loud", "merged", "miner", "novelty", "now", "open", "quiet",
    )  # fmt: skip

    def __init__(self, first: int, limit: int) -> None:
        self.first = first
        self.last = first
        self.miner = Miner(limit)
        self.open: dict[str, Open] = {}
        self.now: dict[str, str] = {}
        """open templates by what they became: one that is merged goes on under its first id"""
        self.merged = 0
        self.bucket = 0
        self.loud = self.quiet = self.fresh = 0
        """new alerts raised in this bucket, and new templates"""
        self.novelty = 0.0

    def entry(self, template: str) -> Open | None:
        """The open alert that lines of a template belong to."""
        if self.miner.merged != self.merged:
            self.follow()
        return self.open.get(self.now.get(template, template)) or self.open.get(template)

    def follow(self) -> None:
        """Templates were merged: the oldest of the open ones gets the lines, the others fall silent."""
        self.merged = self.miner.merged
        self.now = {}
        for entry in sorted(self.open.values(), key=lambda e: (e.started, e.template)):
            self.now.setdefault(self.miner.current(entry.template), entry.template)

    def turn(self, bucket: int) -> None:
        """Begin a bucket: new budgets, and what was new counts less and less."""
        if bucket != self.bucket:
            self.novelty = (self.novelty + self.fresh) * 0.8 ** min(bucket - self.bucket, 64)
            self.bucket = bucket
            self.loud = self.quiet = self.fresh = 0


class Logs:
    """Log lines of one shard, in order of (ts, service, instance, body)."""

    def __init__(self, config: Detect, rules: LogRules = NO_RULES) -> None:
        self.config = config
        self._names = Names(rules)
        self.buckets = Buckets(config.log_bucket_ms)
        self.counters: dict[str, int] = {
            "repeated_lines": 0, "suppressed_new_templates": 0, "evicted_log_services": 0,
        }  # fmt: skip
        self._services: dict[str, _Service] = {}
        self._due: list[tuple[int, str, str]] = []
        """heap of (when it resolves unless seen, service, template)"""
        self._fresh: list[tuple[str, str]] = []
        """alerts raised in the step of `_fresh_end`, sent when the step is complete"""
        self._fresh_end = 0

    def run(self, lines: Iterable[Line], to_ms: int) -> list[tuple[int, Alert]]:
        """Take sorted lines up to the step end `to_ms`; alerts with the step end that decided them."""
        out: list[tuple[int, Alert]] = []
        before: Line | None = None
        for line in lines:
            # Ingest delivers at least once: a line that equals another in everything is the same line.
            if line == before:
                self.counters["repeated_lines"] += 1
                continue
            before = line
            if line.ts > self._fresh_end:
                self._flush(out)
            self._resolve(line.ts - 1, out)
            self._line(line)
        self._flush(out)
        self._resolve(to_ms, out)
        return out

    @property
    def evicted_templates(self) -> int:
        """Templates evicted by the services known now."""
        return sum(service.miner.evicted for service in self._services.values())

    @property
    def services(self) -> int:
        """Services whose templates are known."""
        return len(self._services)

    def _line(self, line: Line) -> None:
        severity = severity_of(line.severity, line.body)
        self.buckets.line(line.ts, line.service, line.resource, severity >= ERROR, WARN <= severity < ERROR)
        service = self._services.get(line.service)
        if service is None:
            service = self._admit(line)
        service.last = line.ts
        template = service.miner.learn(line.body)
        known = service.entry(template.id)
        if known is not None:
            self._seen(known, line)
            if known.severity != known.full and known.repeats(self.config.log_bucket_ms):
                known.severity = known.full
                self._tell(line, known.template)
            due = known.quiet_at(self.config.log_quiet_ms)
            if due < known.due:  # its pace is known by now
                known.due = due
                heapq.heappush(self._due, (due, line.service, known.template))
            return
        if not template.is_new:
            return
        service.turn((line.ts - 1) // self.config.log_bucket_ms)
        service.fresh += 1
        if line.ts - service.first <= self.config.log_learning_ms:
            return
        exception = line.exception or (
            exception_of(line.body) if severity >= WARN or has_stack(line.body) else ""
        )
        level = _level(severity, exception)
        if not self._admissible(service, level):
            self.counters["suppressed_new_templates"] += 1
            return
        opened = Open(
            template.id,
            template.text,
            level if level == "critical" else "info",
            line.ts,
            line.ts,
            0,
            line.instance,
            line.resource,
            exception,
            [],
            [],
            full=level,
            name=self._names.of(line),
        )
        service.open[template.id] = opened
        self._seen(opened, line)
        opened.due = opened.quiet_at(self.config.log_quiet_ms)
        heapq.heappush(self._due, (opened.due, line.service, template.id))
        self._tell(line, template.id)

    def _tell(self, line: Line, template: str) -> None:
        """A version of an alert is due at the end of this line's step."""
        self._fresh_end = -(-line.ts // self.config.step_ms) * self.config.step_ms
        if (line.service, template) not in self._fresh:
            self._fresh.append((line.service, template))

    def _admit(self, line: Line) -> _Service:
        if len(self._services) >= MAX_SERVICES:
            idle = min(self._services, key=lambda name: (self._services[name].last, name))
            del self._services[idle]
            self.counters["evicted_log_services"] += 1
        service = _Service(line.ts, self.config.max_templates_per_service)
        self._services[line.service] = service
        return service

    @staticmethod
    def _admissible(service: _Service, level: str) -> bool:
        if len(service.open) >= MAX_OPEN:
            return False
        if level != "info":
            service.loud += 1
            return service.loud <= MAX_NEW_LOUD
        service.quiet += 1
        return service.quiet <= MAX_NEW_QUIET and service.novelty <= RESTLESS

    @staticmethod
    def _seen(entry: Open, line: Line) -> None:
        if entry.count:
            entry.before = entry.before[1], entry.last
        entry.last = line.ts
        entry.count += 1
        if len(entry.samples) < MAX_SAMPLES:
            entry.samples.append(line.body[:MAX_SAMPLE_CHARS])
        if line.trace_id and len(entry.traces) < MAX_SAMPLES and line.trace_id not in entry.traces:
            entry.traces.append(line.trace_id)

    def _flush(self, out: list[tuple[int, Alert]]) -> None:
        """The step of the alerts raised last is complete."""
        for name, template in self._fresh:
            service = self._services.get(name)
            if service is not None and template in service.open:
                entry = service.open[template]
                entry.version += 1
                out.append((self._fresh_end, _alert(name, entry, None)))
        self._fresh.clear()

    def _resolve(self, to_ms: int, out: list[tuple[int, Alert]]) -> None:
        """Resolve templates whose quiet time ended at or before `to_ms`."""
        while self._due and self._due[0][0] <= to_ms:
            at, name, template = heapq.heappop(self._due)
            service = self._services.get(name)
            entry = service.open.get(template) if service else None
            if service is None or entry is None or entry.due != at:
                continue
            due = entry.quiet_at(self.config.log_quiet_ms)
            if due > at:
                entry.due = due
                heapq.heappush(self._due, (due, name, template))
                continue
            del service.open[template]
            end = -(-at // self.config.step_ms) * self.config.step_ms
            entry.version += 1
            out.append((end, _alert(name, entry, at)))

    def export(self) -> LogsState:
        """State for a snapshot; taken between runs, when no step is half done."""
        services = {
            name: ServiceState(
                s.first, s.last, s.bucket, s.loud, s.quiet, s.fresh, s.novelty,
                list(s.open.values()), s.miner.export(),
            )
            for name, s in self._services.items()
        }  # fmt: skip
        return LogsState(services, self.buckets.export())

    def load(self, state: LogsState) -> None:
        """Take over what `export` gave, into a fresh object."""
        for name, saved in state.services.items():
            service = self._services[name] = _Service(saved.first, self.config.max_templates_per_service)
            service.last, service.bucket, service.novelty = saved.last, saved.bucket, saved.novelty
            service.loud, service.quiet, service.fresh = saved.loud, saved.quiet, saved.fresh
            service.open = {entry.template: entry for entry in saved.open}
            service.miner.load(saved.miner)
            service.follow()
            for entry in saved.open:
                heapq.heappush(self._due, (entry.due, name, entry.template))
        self.buckets.load(state.buckets)


def _level(severity: int, exception: str) -> str:
    if severity >= FATAL:
        return "critical"
    if severity >= ERROR or (exception and severity < WARN):
        return "error"
    return "warning" if severity >= WARN else "info"


def _alert(service: str, entry: Open, resolved_at: int | None) -> Alert:
    fingerprint = digest_hex(service, entry.template)
    score, strength = _LOOK[entry.severity]
    what = entry.exception.rpartition(".")[2] or {"info": "line", "warning": "warning"}.get(
        entry.severity, "error"
    )
    seen = f"{entry.count} so far" if resolved_at is None else f"{entry.count}, last {clock(entry.last)}"
    named = f"{entry.name}: {entry.text}" if entry.name else entry.text
    return Alert(
        id=alert_id(fingerprint, "log", entry.started),
        version=entry.version,
        state="firing" if resolved_at is None else "resolved",
        kind="log",
        fingerprint=fingerprint,
        service=service,
        metric=entry.text[:300],
        severity=entry.severity,
        started_at=entry.started,
        detected_at=entry.started,
        last_seen_at=entry.last,
        resolved_at=resolved_at,
        summary=clipped(f"{service} logs a new {what}, {seen}: {named}"),
        value=float(entry.count),
        expected=0.0,
        score=score,
        strength=strength,
        unit="lines",
        instance=entry.instance,
        labels=(("exception", entry.exception),) if entry.exception else (),
        resource=entry.resource,
        samples=tuple(entry.samples),
        trace_ids=tuple(entry.traces),
        count=entry.count,
    )
