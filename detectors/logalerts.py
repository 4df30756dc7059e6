"""Alerts from log lines: what an open one remembers, and how it is put in words."""

from __future__ import annotations

import msgspec

from detectors.alert import Alert, alert_id
from detectors.lines import Line, message_of, trace_of
from detectors.logparams import MAX_PARAMS, params_of
from detectors.words import clipped, clock, number
from streams.records.digest import digest_hex

QUIET_MIN_MS = 5_000
NEVER = -(2**62)
PACED, PAUSES = 4, 10
"""after so many lines a template has a pace, and so many of its intervals of silence end it"""
MAX_SAMPLES = 3
MAX_SAMPLE_CHARS = 500
LOOK = {"critical": (1.0, 12.0), "error": (0.95, 10.0), "warning": (0.9, 6.0), "info": (0.3, 2.0)}
"""score and strength by severity"""
RARE = 100.0
"""from so many times the usual on, the number says nothing"""
NEW, BURST, MISSING = "new", "burst", "missing"


class Open(msgspec.Struct, array_like=True):
    """A log alert that has not resolved."""

    template: str
    """id of the kind of line, or `-` and the id of the one that is missing"""
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
    detected: int = 0
    """when it became what it is, ms"""
    sign: str = NEW
    """new | burst | missing"""
    ratio: float = 0.0
    """burst: so many times as many as usual"""
    frame: str = ""
    last_line: str = ""
    leader: str = ""
    """missing: text of the line it used to follow"""
    over: bool = False
    """a line has ended it"""
    name: str = ""
    """given by the configuration"""
    params: list[tuple[str, str]] = []
    """status codes, hosts, ids of its sample lines; the first value of a name"""

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

    def see(self, line: Line) -> None:
        """One more line."""
        if self.count:
            self.before = self.before[1], self.last
        self.last = line.ts
        self.count += 1
        self.last_line = line.body[:MAX_SAMPLE_CHARS]
        if len(self.samples) < MAX_SAMPLES:
            self.samples.append(self.last_line)
            known = {name for name, _ in self.params}
            fresh = [pair for pair in params_of(line.body) if pair[0] not in known]
            self.params = (self.params + fresh)[:MAX_PARAMS]
        if len(self.traces) < MAX_SAMPLES and (trace := trace_of(line)) and trace not in self.traces:
            self.traces.append(trace)


def log_alert(service: str, entry: Open, resolved_at: int | None) -> Alert:
    """One version of an alert."""
    fingerprint = digest_hex(service, entry.template)
    score, strength = LOOK[entry.severity]
    labels = (("exception", entry.exception), ("frame", entry.frame), *entry.params)
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
        detected_at=entry.detected or entry.started,
        last_seen_at=entry.last,
        resolved_at=resolved_at,
        summary=clipped(_summary(service, entry, resolved_at is not None)),
        value=0.0 if entry.sign == MISSING else float(entry.count),
        expected=_expected(entry),
        score=score,
        strength=-strength if entry.sign == MISSING else strength,
        unit="lines",
        instance=entry.instance,
        labels=tuple(pair for pair in labels if pair[1]),
        resource=entry.resource,
        samples=tuple(entry.samples),
        trace_ids=tuple(entry.traces),
        count=entry.count,
        last_line=entry.last_line,
    )


def _expected(entry: Open) -> float:
    if entry.sign == MISSING:
        return float(entry.count)
    return round(entry.count / entry.ratio, 3) if entry.ratio else 0.0


def _summary(service: str, entry: Open, over: bool) -> str:
    text = message_of(entry.text)
    if entry.name:
        text = f"{entry.name}: {text}"
    if entry.sign == MISSING:
        times = f"{entry.count} times" + ("" if over else " so far")
        return f"{service} stopped logging `{text}`, due {times}"
    what = entry.exception.rpartition(".")[2] or {"info": "line", "warning": "warning"}.get(
        entry.severity, "error"
    )
    seen = f"{entry.count}, last {clock(entry.last)}" if over else f"{entry.count} so far"
    if entry.sign == BURST:
        if entry.ratio >= RARE:
            return f"{service} logs a rare {what} often, {seen}: {text}"
        return f"{service} logs {number(entry.ratio)}x its usual share of this {what}, {seen}: {text}"
    return f"{service} logs a new {what}, {seen}: {text}"
