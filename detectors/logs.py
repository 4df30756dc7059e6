"""Log signals: lines of a kind never seen before, bursts, lines that no longer come; rates by bucket.

A kind of line (`detectors.logkinds`) first seen after its service's learning period is an alert when its
severity is WARN or more or it carries an exception. Until it stands out from the service's mix of lines
(`Kinds.bursting`; repeats, `Open.repeats`, while that is not known) it is mere evidence (severity "info"),
then a new version of the alert carries its severity: rare warnings and errors are part of how most
services talk. What is fatal counts at once. A new INFO template is
evidence (severity "info"), a few a
bucket and only from services whose lines are not new all the time. A known kind of that sort is an alert
when it bursts; one that has fired `HABIT` times is part of how the service talks and mere evidence. The alert
resolves when the
template has not been seen for its quiet time: `log_quiet_ms`, or less for a template that was seen
at least `PACED` times, `PAUSES` of its usual intervals but no less than `QUIET_MIN_MS`; and after
`ACCEPT_MS` whatever comes. Everything goes by exact event time.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import msgspec

from config.logs import LogRules
from config.settings import Detect
from detectors.alert import Alert
from detectors.buckets import Buckets, BucketState
from detectors.joining import joined
from detectors.lines import ERROR, FATAL, WARN, Line, band_of, severity_of, site_of
from detectors.logalerts import BURST, MISSING, Open, log_alert
from detectors.logkinds import HABIT, Burst, Kind, Kinds, KindsState
from detectors.logpatterns import Names
from detectors.logspans import request_of
from detectors.miner import Miner
from detectors.stack import exception_of, frame_of, has_stack
from detectors.templates import MinerState, Template, mask
from streams.records.digest import digest_hex

ACCEPT_MS = 3_600_000
"""an alert open for so long is how the service talks now"""
NO_RULES = LogRules()
MAX_SERVICES = 10_000
MAX_OPEN = 50
"""open template alerts of one service; more are counted, not raised"""
MAX_NEW_LOUD, MAX_NEW_QUIET = 5, 2
"""new alerts a service and bucket: WARN and above, below"""
WILD = "<*>"
RESTLESS = 10.0
"""new templates a bucket (decayed sum) beyond which new INFO templates say nothing"""


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
    kinds: KindsState


class LogsState(msgspec.Struct, array_like=True):
    """Snapshot."""

    services: dict[str, ServiceState]
    buckets: BucketState


class _Service:
    __slots__ = (
        "bucket", "first", "fresh", "kinds", "last", "loud", "merged", "miner", "novelty", "open", "quiet",
    )  # fmt: skip

    def __init__(self, first: int, limit: int) -> None:
        self.first = first
        self.last = first
        self.miner = Miner(limit)
        self.merged = 0
        """templates merged when `kinds` was told last"""
        self.kinds = Kinds(limit)
        self.open: dict[str, Open] = {}
        self.bucket = 0
        self.loud = self.quiet = self.fresh = 0
        """new alerts raised in this bucket, and new templates"""
        self.novelty = 0.0

    def template(self, line: str) -> Template:
        """The line's template; kinds whose template became more general with it go on under its new id."""
        template = self.miner.learn(line)
        if self.miner.merged != self.merged:
            self.merged = self.miner.merged
            self.kinds.follow(self.miner.current)
        return template

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
        self.buckets = Buckets(config.log_bucket_ms, config.log_template_rates, config.log_silence)
        self.counters: dict[str, int] = {
            "repeated_lines": 0, "suppressed_new_templates": 0, "evicted_log_services": 0,
            "joined_lines": 0,
        }  # fmt: skip
        self._services: dict[str, _Service] = {}
        self._due: list[tuple[int, str, str]] = []
        """heap of (when it resolves unless seen, service, template)"""
        self._fresh: list[tuple[str, str]] = []
        """alerts raised in the step of `_fresh_end`, sent when the step is complete"""
        self._fresh_end = 0

    def run(self, lines: Sequence[Line], to_ms: int) -> list[tuple[int, Alert]]:
        """Take sorted lines up to the step end `to_ms`; alerts with the step end that decided them."""
        out: list[tuple[int, Alert]] = []
        before: Line | None = None
        if self.config.log_join:
            lines, taken_in = joined(lines, self.config.step_ms)
            self.counters["joined_lines"] += taken_in
        for line in lines:
            if before is not None and line.body == before.body and line.said == before.said:
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
    def evicted_kinds(self) -> int:
        """Kinds of lines evicted by the services known now."""
        return sum(service.kinds.evicted for service in self._services.values())

    @property
    def services(self) -> int:
        """Services whose templates are known."""
        return len(self._services)

    def _line(self, line: Line) -> None:
        severity = severity_of(line.severity, line.body)
        service = self._services.get(line.service)
        if service is None:
            service = self._admit(line)
        service.last = line.ts
        traced = "\n" in line.body and has_stack(line.body)
        template = service.template(line.body.partition("\n")[0] if traced else line.body)
        exception = line.exception or (exception_of(line.body) if traced or severity >= WARN else "")
        key = (template.id, band_of(severity), exception, site_of(line.body))
        kinds = service.kinds
        kind = kinds.find(key)
        new = kind is None
        if kind is None:
            kind = self._new_kind(service, key, template, line, severity)
        missing = kinds.heard(kind, line.ts, line.instance)
        is_error = severity >= ERROR
        self.buckets.line(
            line.ts,
            line.service,
            line.resource,
            is_error,
            severity >= WARN and not is_error,
            kind,
            line.body,
            request_of(line),
        )
        if missing is not None:
            self._missing(service, missing, kind, line)
        if kind.missing:
            kinds.back(kind)
            self._end(service, "-" + kind.id, line)
        elif kind.followers:
            self._still_missing(service, kind, line)
        if kind.open:
            self._again(service, service.open[kind.id], kind, line)
        elif new:
            if line.ts - service.first > self.config.log_learning_ms:
                self._first(service, kind, line)
        elif kind.level != "info" and line.ts - service.first > self.config.log_learning_ms:
            burst = kinds.bursting(kind)
            if burst is not None:
                self._burst(service, kind, burst, line)

    def _new_kind(
        self, service: _Service, key: tuple[str, int, str, str], template: Template, line: Line, severity: int
    ) -> Kind:
        service.turn((line.ts - 1) // self.config.log_bucket_ms)
        service.fresh += 1
        plain = template.is_new or not (key[1] or key[3])
        text = template.text if plain else " ".join(mask(line.body).split())[:300]
        text = at_site(text, key[3])
        name = service.kinds.name(digest_hex(*(str(part) for part in key)))
        kind = service.kinds.add(key, name, _level(severity, key[2]), text)
        kind.open = name in service.open  # evicted while its alert was open
        return kind

    def _first(self, service: _Service, kind: Kind, line: Line) -> None:
        """A kind of line never seen before."""
        if not self._admissible(service, kind.level):
            self.counters["suppressed_new_templates"] += 1
            return
        opened = self._open(service, kind, line)
        opened.severity = kind.level if kind.level == "critical" else "info"
        self._tell(line, kind.id)

    def _burst(self, service: _Service, kind: Kind, burst: Burst, line: Line) -> None:
        """More lines of a known kind than its share lets expect."""
        if not self._admissible(service, kind.level):
            self.counters["suppressed_new_templates"] += 1
            return
        opened = self._open(service, kind, line)
        opened.started, opened.detected = service.kinds.onset(kind), line.ts
        opened.sign, opened.ratio, opened.count = BURST, burst.ratio, kind.burst
        if kind.told >= HABIT:
            opened.full = opened.severity = "info"
        service.kinds.unlearn(kind, line.ts)
        self._tell(line, kind.id)

    def _missing(self, service: _Service, missing: Kind, leader: Kind, line: Line) -> None:
        """A line that always came after this one no longer does."""
        if "-" + missing.id in service.open:
            return
        if not self._admissible(service, "warning"):
            self.counters["suppressed_new_templates"] += 1
            return
        missing.missing = True
        # Beside errors that tell the same story it is evidence.
        level = "info" if any(entry.severity != "info" for entry in service.open.values()) else "warning"
        opened = self._open(service, missing, line, "-" + missing.id)
        opened.started, opened.detected, opened.count = missing.run_since, line.ts, missing.run
        opened.sign, opened.severity, opened.full, opened.leader = MISSING, level, level, leader.text
        opened.exception = opened.frame = ""
        self._tell(line, opened.template)

    def _open(self, service: _Service, kind: Kind, line: Line, name: str = "") -> Open:
        opened = Open(
            name or kind.id, kind.text, kind.level, line.ts, line.ts, 0, line.instance, line.resource,
            kind.key[2], [], [],
            full=kind.level, detected=line.ts, frame=frame_of(line.body),
             # A line that stands for one that is missing has a name of its own.
             name="" if name else self._names.of(line),
        )  # fmt: skip
        service.open[opened.template] = opened
        kind.open |= not name
        opened.see(line)
        opened.due = opened.quiet_at(self.config.log_quiet_ms)
        heapq.heappush(self._due, (opened.due, line.service, opened.template))
        return opened

    def _again(self, service: _Service, known: Open, kind: Kind, line: Line) -> None:
        """One more line of a kind whose alert is open."""
        known.see(line)
        if known.severity != known.full and (
            service.kinds.bursting(kind) is not None
            if service.kinds.settled
            else known.repeats(self.config.log_bucket_ms)
        ):
            known.severity = known.full
            if known.version:  # told of as evidence in an earlier step
                known.detected = line.ts
            service.kinds.unlearn(kind, line.ts)
            self._tell(line, known.template)
        if line.ts - known.started >= ACCEPT_MS:
            kind.lines += known.count
            self._end(service, known.template, line)
            return
        self._renew(known, line)

    def _still_missing(self, service: _Service, leader: Kind, line: Line) -> None:
        for follower in service.kinds.missing_after(leader):
            entry = service.open.get("-" + follower.id)
            if entry is None or entry.last == line.ts:
                continue
            entry.see(line)
            if line.ts - entry.started >= ACCEPT_MS:
                service.kinds.give_up(follower)
                self._end(service, entry.template, line)
            else:
                self._renew(entry, line)

    def _renew(self, entry: Open, line: Line) -> None:
        due = entry.quiet_at(self.config.log_quiet_ms)
        if due < entry.due:  # its pace is known by now
            entry.due = due
            heapq.heappush(self._due, (due, line.service, entry.template))

    def _end(self, service: _Service, template: str, line: Line) -> None:
        """This line ends an alert: it resolves at once."""
        entry = service.open.get(template)
        if entry is not None and entry.due != line.ts:
            entry.due = line.ts
            entry.over = True
            heapq.heappush(self._due, (line.ts, line.service, template))

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

    def _flush(self, out: list[tuple[int, Alert]]) -> None:
        """The step of the alerts raised last is complete."""
        for name, template in self._fresh:
            service = self._services.get(name)
            if service is not None and template in service.open:
                entry = service.open[template]
                entry.version += 1
                out.append((self._fresh_end, log_alert(name, entry, None)))
        self._fresh.clear()

    def _resolve(self, to_ms: int, out: list[tuple[int, Alert]]) -> None:
        """Resolve templates whose quiet time ended at or before `to_ms`."""
        while self._due and self._due[0][0] <= to_ms:
            at, name, template = heapq.heappop(self._due)
            service = self._services.get(name)
            entry = service.open.get(template) if service else None
            if service is None or entry is None or entry.due != at:
                continue
            due = at if entry.over else entry.quiet_at(self.config.log_quiet_ms)
            if due > at:
                entry.due = due
                heapq.heappush(self._due, (due, name, template))
                continue
            del service.open[template]
            if entry.sign != MISSING:
                service.kinds.closed(template)
            elif not entry.over:
                service.kinds.quiet(template[1:])
            end = -(-at // self.config.step_ms) * self.config.step_ms
            entry.version += 1
            out.append((end, log_alert(name, entry, at)))

    def export(self) -> LogsState:
        """State for a snapshot; taken between runs, when no step is half done."""
        services = {
            name: ServiceState(
                s.first, s.last, s.bucket, s.loud, s.quiet, s.fresh, s.novelty,
                list(s.open.values()), s.miner.export(), s.kinds.export(),
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
            service.merged = service.miner.merged
            service.kinds.load(saved.kinds)
            for entry in saved.open:
                heapq.heappush(self._due, (entry.due, name, entry.template))
        self.buckets.load(state.buckets)


def at_site(text: str, site: str) -> str:
    """The template with the place in the code where it stood, if that can still be told."""
    shape = mask(site)
    return text if shape in ("", site, WILD) else text.replace(shape, site, 1)


def _level(severity: int, exception: str) -> str:
    if severity >= FATAL:
        return "critical"
    if severity >= ERROR or (exception and severity < WARN):
        return "error"
    return "warning" if severity >= WARN else "info"
