"""Patterns of the configuration in log lines: alerts by count within a time, and names of templates.

An `alert` pattern is watched for each service apart. It fires at the line with which there have been more
than `more_than` matching lines within `within`, that one included (at the first line, if nothing is said of
a number): the half-open window (ts - within, ts]. The alert starts at the first line of that window and
resolves when no line has made it so for `within`, at least for `log_quiet_ms`. Everything goes by exact
event time; lines equal in everything are one line.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import msgspec

from config.durations import in_words, millis
from config.logs import ALERT, DEFAULT_WITHIN, NAME, LogRules, Pattern
from config.settings import Detect
from detectors.alert import Alert, alert_id
from detectors.lines import Line
from detectors.logalerts import LOOK, MAX_SAMPLE_CHARS, MAX_SAMPLES
from detectors.words import clipped, clock
from streams.decode.logs.expressions import Expression, possible
from streams.decode.logs.scope import Scope
from streams.records.digest import digest_hex

MAX_WATCHES = 10_000
"""pairs of pattern and service that are watched"""
MAX_TIMES = 2_000_000
"""times of lines they may remember together"""


class Watch(msgspec.Struct, array_like=True):
    """One pattern and one service. `version` 0: it is not firing."""

    times: list[int]
    """of the last `more_than` + 1 lines, oldest first"""
    last: int = 0
    count: int = 0
    """lines since the alert began"""
    started: int = 0
    detected: int = 0
    due: int = 0
    """when it resolves unless it goes on"""
    version: int = 0
    severity: str = ""
    limit: str = ""
    """in words; empty without one"""
    instance: str = ""
    resource: tuple[tuple[str, str], ...] = ()
    exception: str = ""
    samples: list[str] = []
    traces: list[str] = []

    @property
    def firing(self) -> bool:
        return self.severity != ""


class PatternsState(msgspec.Struct, array_like=True):
    """Snapshot."""

    watches: list[tuple[str, str, Watch]] = []
    """(pattern, service, state), least recently seen first"""


class _Asked:
    """What an alert pattern asks for."""

    def __init__(self, pattern: Pattern, quiet_ms: int) -> None:
        self.name = pattern.name
        self.severity = pattern.severity or "error"
        self.lines = (pattern.more_than or 0) + 1
        self.within = millis(pattern.within or DEFAULT_WITHIN) if pattern.more_than else 1
        self.limit = f"more than {pattern.more_than} in {in_words(self.within)}" if pattern.more_than else ""
        self.quiet = max(self.within, quiet_ms)


class Patterns:
    """Alert patterns of one shard; lines in order of (ts, service, instance, body)."""

    def __init__(self, config: Detect, rules: LogRules) -> None:
        self.config = config
        self.counters: dict[str, int] = {"evicted_pattern_services": 0, "refused_pattern_services": 0}
        chosen = [pattern for pattern in rules.patterns if pattern.do == ALERT]
        self._expressions = [Expression(pattern) for pattern in chosen]
        self._asked = [_Asked(pattern, config.log_quiet_ms) for pattern in chosen]
        self._scope = Scope(chosen)
        self._watches: dict[tuple[str, str], Watch] = {}
        """least recently seen first"""
        self._room: dict[str, int] = {asked.name: asked.lines for asked in self._asked}
        self._held = 0
        """times that may be remembered by what is watched"""
        self._due: list[tuple[int, str, str]] = []
        """heap of (when it resolves unless it goes on, pattern, service)"""
        self._fresh: list[tuple[str, str]] = []
        """what began to fire in the step of `_fresh_end`"""
        self._fresh_end = 0

    def run(self, lines: Sequence[Line], to_ms: int) -> list[tuple[int, Alert]]:
        """Take sorted lines up to the step end `to_ms`; alerts with the step end that decided them."""
        out: list[tuple[int, Alert]] = []
        if lines and self._asked:
            self._look(lines, out)
        self._flush(out)
        self._resolve(to_ms, out)
        return out

    def _look(self, lines: Sequence[Line], out: list[tuple[int, Alert]]) -> None:
        raw = [line.body.encode() for line in lines]
        places = possible(self._expressions, raw)
        before: Line | None = None
        for line, body in zip(lines, raw if places else (), strict=False):
            if before is not None and line.body == before.body and line.said == before.said:
                continue
            before = line
            for i in self._scope.of(line.service, line.instance, line.resource):
                if i in places and self._expressions[i].search(body) is not None:
                    if line.ts > self._fresh_end:
                        self._flush(out)
                    self._resolve(line.ts - 1, out)
                    self._hit(self._asked[i], line)

    def _hit(self, asked: _Asked, line: Line) -> None:
        key = (asked.name, line.service)
        watch = self._watches.pop(key, None) or self._admit(asked)
        if watch is None:
            return
        self._watches[key] = watch
        watch.last = line.ts
        watch.times.append(line.ts)
        del watch.times[: -asked.lines]
        _note(watch, line)
        if watch.firing:
            watch.count += 1
        if len(watch.times) < asked.lines or line.ts - watch.times[0] >= asked.within:
            return
        watch.due = line.ts + asked.quiet
        if watch.firing:
            return  # the heap has an earlier time, and will find this one
        watch.started, watch.detected, watch.count = watch.times[0], line.ts, len(watch.times)
        watch.severity, watch.limit = asked.severity, asked.limit
        watch.instance, watch.resource = line.instance, line.resource
        heapq.heappush(self._due, (watch.due, *key))
        self._fresh_end = -(-line.ts // self.config.step_ms) * self.config.step_ms
        self._fresh.append(key)

    def _admit(self, asked: _Asked) -> Watch | None:
        """Room for another one; the least recently seen that is not firing gives way."""
        while len(self._watches) >= MAX_WATCHES or self._held + asked.lines > MAX_TIMES:
            idle = next((key for key, watch in self._watches.items() if not watch.firing), None)
            if idle is None:
                self.counters["refused_pattern_services"] += 1
                return None
            self._forget(idle)
            self.counters["evicted_pattern_services"] += 1
        self._held += asked.lines
        return Watch([])

    def _forget(self, key: tuple[str, str]) -> None:
        del self._watches[key]
        self._held -= self._room.get(key[0], 0)

    def _flush(self, out: list[tuple[int, Alert]]) -> None:
        """The step of what began to fire last is complete."""
        for name, service in self._fresh:
            watch = self._watches[name, service]
            watch.version = 1
            out.append((self._fresh_end, _alert(name, service, watch, None)))
        self._fresh.clear()

    def _resolve(self, to_ms: int, out: list[tuple[int, Alert]]) -> None:
        """Resolve what was due at or before `to_ms`."""
        while self._due and self._due[0][0] <= to_ms:
            at, name, service = heapq.heappop(self._due)
            watch = self._watches[name, service]
            if watch.due > at:
                heapq.heappush(self._due, (watch.due, name, service))
                continue
            watch.version += 1
            end = -(-at // self.config.step_ms) * self.config.step_ms
            out.append((end, _alert(name, service, watch, at)))
            if name in self._room:
                self._watches[name, service] = Watch(watch.times, watch.last)
            else:
                self._forget((name, service))

    def export(self) -> PatternsState:
        """State for a snapshot; taken between runs, when no step is half done."""
        return PatternsState([(name, service, watch) for (name, service), watch in self._watches.items()])

    def load(self, state: PatternsState) -> None:
        """Take over what `export` gave, into a fresh object. What is asked for no more ends when due."""
        for name, service, watch in state.watches:
            if not watch.firing and name not in self._room:
                continue
            del watch.times[: -self._room.get(name, 1)]
            self._watches[name, service] = watch
            self._held += self._room.get(name, 0)
            if watch.firing:
                heapq.heappush(self._due, (watch.due, name, service))


def _note(watch: Watch, line: Line) -> None:
    """Keep some lines of the alert; before it fires, the newest."""
    if watch.firing and len(watch.samples) >= MAX_SAMPLES:
        return
    watch.samples = [*watch.samples, line.body[:MAX_SAMPLE_CHARS]][-MAX_SAMPLES:]
    watch.exception = watch.exception or line.exception
    if line.trace_id and line.trace_id not in watch.traces:
        watch.traces = [*watch.traces, line.trace_id][-MAX_SAMPLES:]


def _alert(name: str, service: str, watch: Watch, resolved_at: int | None) -> Alert:
    fingerprint = digest_hex(service, "pattern", name)
    score, strength = LOOK[watch.severity]
    seen = f"{watch.count} so far" if resolved_at is None else f"{watch.count}, last {clock(watch.last)}"
    what = ", ".join(part for part in (watch.limit, seen) if part)
    labels = {"pattern": name, "exception": watch.exception}
    return Alert(
        id=alert_id(fingerprint, "log", watch.started),
        version=watch.version,
        state="firing" if resolved_at is None else "resolved",
        kind="log",
        fingerprint=fingerprint,
        service=service,
        metric=name,
        severity=watch.severity,
        started_at=watch.started,
        detected_at=watch.detected,
        last_seen_at=watch.last,
        resolved_at=resolved_at,
        summary=clipped(f"{service} logs {name}, {what}: {watch.samples[0]}"),
        value=float(watch.count),
        expected=0.0,
        score=score,
        strength=strength,
        unit="lines",
        instance=watch.instance,
        labels=tuple((key, value) for key, value in labels.items() if value),
        resource=watch.resource,
        samples=tuple(watch.samples),
        trace_ids=tuple(watch.traces),
        count=watch.count,
    )


class Names:
    """Names that the configuration gives to templates, by the line a template is met in."""

    def __init__(self, rules: LogRules) -> None:
        chosen = [pattern for pattern in rules.patterns if pattern.do == NAME]
        self._expressions = [Expression(pattern) for pattern in chosen]
        self._scope = Scope(chosen)

    def of(self, line: Line) -> str:
        """Name of the first pattern that the line has; empty if it has none."""
        if not self._expressions:
            return ""
        body = line.body.encode()
        places = self._scope.of(line.service, line.instance, line.resource)
        return next(
            (self._expressions[i].pattern.name for i in places if self._expressions[i].search(body)), ""
        )
