"""The respond stage: incident versions in; clocks, duty and notices out. One core per partition of incidents.

Time is that of the incidents, and of the wall once everything has been read: deadlines come due also when no
telemetry does. What is told follows from an incident's version and its deadlines, so that it is the same
however late it is noticed, and after a restart; a fact that is known only after its deadline corrects what
was told. Notices have ids that follow from what they are about: told again, they are the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from config.catalogue import Catalogue
from config.catalogue_files import load_catalogue
from config.settings import Settings
from correlator import clocks, render, routing
from correlator.assignment import NOTHING, Assignment, Prediction, Record
from correlator.case import Case, case_of
from correlator.incident import Incident
from correlator.oncall import read_calendar
from correlator.response import CLOCK_STATES, Clock, Duty, Notice, Response
from streams.records.digest import digest_hex
from streams.records.messages import DeadLetter
from streams.records.stage import Output, PartitionCore
from streams.records.stage import Record as Input
from streams.records.telemetry import DEAD, EVICTED, CoreTelemetry, Tally

MOST_CASES = 20_000
LOUD = {"warned": "clock warned", "missed": "clock missed"}


class _Event(msgspec.Struct):
    data: Incident


_events = msgspec.json.Decoder(_Event)
_encoder = msgspec.json.Encoder()


class File(msgspec.Struct, array_like=True):
    """What is kept of one incident."""

    case: Case
    clocks: dict[str, Clock]
    """by name, as told last"""
    facts: dict[str, int]
    """name -> version of the incident that set the clock as it is"""
    duty: Duty | None = None
    level: int = 0
    predicted: Prediction = NOTHING
    waits_from: int = 0
    """it was opened, or reopened, then"""
    waits_until: int | None = None
    """somebody took it, or it was resolved, then"""


class Memory(msgspec.Struct, array_like=True):
    """Everything a core remembers."""

    next_offset: int
    now_ms: int
    files: list[File]
    assignment: Record
    evicted: int


_packer = msgspec.msgpack.Encoder()
_unpacker = msgspec.msgpack.Decoder(Memory)


def respond_factory(
    settings: Settings, catalogue: Catalogue | None = None
) -> Callable[[str, int], PartitionCore]:
    """Cores of the respond stage. Raises `ConfigError` or `CalendarError` for files that are no good."""
    known = load_catalogue(settings) if catalogue is None else catalogue
    calendars = {s.name: read_calendar(Path(s.calendar)) for s in settings.respond.schedules if s.calendar}

    def core(topic: str, partition: int) -> PartitionCore:
        return RespondCore(settings, known, calendars)

    return core


class RespondCore:
    """State is a function of the partition's log and the time it was told."""

    def __init__(self, settings: Settings, catalogue: Catalogue, calendars: Mapping[str, bytes]) -> None:
        self._settings = settings
        self._catalogue = catalogue
        regulated = {s.service: s.business.regulated for s in catalogue.services.values()}
        self._policy = clocks.Policy(settings.respond, regulated)
        self._router = routing.Router(settings.respond, calendars)
        self._begin()

    def _begin(self) -> None:
        self.now_ms = 0
        self.files: dict[str, File] = {}
        self.assignment = Assignment()
        self.evicted = 0
        self._due: list[tuple[int, str]] = []
        """a heap; an entry counts while `_next` has the same"""
        self._next: dict[str, int] = {}
        self._next_offset = 0
        self._tally = Tally()

    def process(self, records: Sequence[Input]) -> Sequence[Output]:
        """Absorb incident versions."""
        out: list[Output] = []
        for record in records:
            if record.offset < self._next_offset:
                continue
            self._next_offset = record.offset + 1
            if record.value is None:
                continue
            try:
                incident = _events.decode(record.value).data
            except msgspec.DecodeError as error:
                out.append(self._dead(record, error))
                continue
            # First what was due before this became known, by its own time.
            # A sender whose clock is ahead does not hurry the deadlines of others.
            known = record.timestamp_ms if record.timestamp_ms > 0 else incident.updated_at
            self._fire(min(incident.updated_at, known), out)
            self._take(incident, out)
        return out

    def tick(self, now_ms: int, at_end: bool) -> Sequence[Output]:
        """By the wall clock only once everything has been read: a fact on its way may still stop a clock."""
        out: list[Output] = []
        if at_end:
            self._fire(now_ms, out)
        return out

    def needed_offset(self, next_offset: int) -> int:
        return next_offset

    def snapshot(self) -> bytes:
        return _packer.encode(
            Memory(
                self._next_offset,
                self.now_ms,
                list(self.files.values()),
                self.assignment.record,
                self.evicted,
            )
        )

    def restore(self, blob: bytes) -> None:
        self._begin()
        m = _unpacker.decode(blob)
        self._next_offset, self.now_ms, self.evicted = m.next_offset, m.now_ms, m.evicted
        self.assignment = Assignment(m.assignment)
        for file in m.files:
            self.files[file.case.id] = file
            self._wait(file)

    def telemetry(self) -> CoreTelemetry:
        """See `streams.records.telemetry`."""
        totals = Tally()
        totals.count(EVICTED, "cases", self.evicted)
        running = sum(
            c.state in ("running", "warned") for f in self.files.values() for c in f.clocks.values()
        )
        levels = {"cases": float(len(self.files)), "running_clocks": float(running)}
        return CoreTelemetry({**self._tally, **totals}, levels, {}, None)

    # -- one incident ---------------------------------------------------------------------------

    def _take(self, incident: Incident, out: list[Output]) -> None:
        case = case_of(incident)
        known = self.files.pop(case.id, None)
        if known is not None and known.case.version >= case.version:
            self.files[case.id] = known
            return
        case.team = self._router.team(case).name
        file = known or File(case, {}, {}, waits_from=case.opened_at)
        if known is None:
            file.predicted = self.assignment.predict(case.signs)
        elif case.state == "reopened" and known.case.state != "reopened":
            file.waits_from, file.waits_until, file.level = case.updated_at, None, 0
        closes = case.closed_at is not None and (known is None or known.case.closed_at is None)
        if not case.waits and file.waits_until is None:
            file.waits_until = case.updated_at
        file.case = case
        self.files[case.id] = file  # most recently changed last
        while len(self.files) > MOST_CASES:
            closed = (id for id, f in self.files.items() if f.case.closed_at is not None)
            gone = next(closed, next(iter(self.files)))
            del self.files[gone]
            self._next.pop(gone, None)
            self.evicted += 1
        self._look(file, out)
        if closes and case.kind == "incident" and case.state == "closed":
            self.assignment.learn(case.signs, case.team, file.predicted.team)
        self._wait(file)

    def _fire(self, now_ms: int, out: list[Output]) -> None:
        """Everything that comes due up to and including `now_ms`, in order of time."""
        while self._due and self._due[0][0] <= now_ms:
            at_ms, id = heapq.heappop(self._due)
            file = self.files.get(id)
            if file is None or self._next.get(id) != at_ms:
                continue
            del self._next[id]
            self.now_ms = max(self.now_ms, at_ms)
            self._look(file, out)
            self._wait(file)
        self.now_ms = max(self.now_ms, now_ms)

    def _wait(self, file: File) -> None:
        """Come back when time alone changes something."""
        now_ms = self.now_ms
        moments = [
            at
            for one in clocks.deadlines(file.case, self._policy)
            if (at := clocks.next_change(one, now_ms)) is not None
        ]
        if file.case.waits:
            steps = routing.steps(self._router.policy(file.case), file.waits_from)
            moments += [step.at_ms for step in steps if step.at_ms > now_ms]
        id = file.case.id
        if not moments:
            self._next.pop(id, None)
        elif self._next.get(id) != min(moments):
            self._next[id] = min(moments)
            heapq.heappush(self._due, (min(moments), id))
            if len(self._due) > 2 * len(self._next) + 100:
                self._due = [(at, known) for known, at in self._next.items()]
                heapq.heapify(self._due)

    def _look(self, file: File, out: list[Output]) -> None:
        """Tell of what stands otherwise than it was told."""
        self._clocks(file, out)
        self._duty(file, out)

    def _clocks(self, file: File, out: list[Output]) -> None:
        case = file.case
        found = {one.name: one for one in clocks.deadlines(case, self._policy)}
        for name, one in found.items():
            before = file.clocks.get(name)
            clock = clocks.clock(case, one, file.facts.get(name, case.version), self.now_ms)
            if before is None or before.state == "cancelled" or not _same_facts(before, clock):
                file.facts[name] = case.version
                clock = clocks.clock(case, one, case.version, self.now_ms)
            if clock != before:
                file.clocks[name] = clock
                out.append(self._said(clock, f"clock.{clock.state}", clock.version, clock.at_ms))
                self._ring(case, clock, before, out)
        for name in [name for name in file.clocks if name not in found]:
            before = file.clocks[name]
            if before.state in ("running", "paused", "warned"):
                gone = msgspec.structs.replace(
                    before,
                    state="cancelled",
                    version=case.version * len(CLOCK_STATES) + clocks.RANK["cancelled"],
                    at_ms=case.updated_at,
                )
                file.clocks[name] = gone
                out.append(self._said(gone, "clock.cancelled", gone.version, gone.at_ms))

    def _ring(self, case: Case, clock: Clock, before: Clock | None, out: list[Output]) -> None:
        """A clock that warns or was missed is worth telling; one that stopped in time is not."""
        kind = LOUD.get(clock.state)
        told = before is not None and before.state == clock.state and before.due_at == clock.due_at
        if kind is None or told:
            return
        due = datetime.fromtimestamp(clock.due_at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        what = "is due" if clock.state == "warned" else "was due"
        notice = Notice(
            id=digest_hex("clock", clock.id, clock.state, str(clock.due_at)),
            incident=case.id,
            domain=case.domain,
            kind=kind,
            severity=case.severity,
            title=case.title,
            text=f"{clock.name} of {case.priority} “{case.title}” {what} {due}: {clock.basis}.",
            to=(case.team,) if case.team else (),
            at_ms=clock.at_ms,
            clock=clock.id,
        )
        out.append(self._said(notice, "notice", 1, notice.at_ms))

    def _duty(self, file: File, out: list[Output]) -> None:
        case = file.case
        if case.state == "merged":
            return
        team = self._router.team(case)
        policy = self._router.policy(case)
        steps = routing.steps(policy, file.waits_from)
        until = self.now_ms if file.waits_until is None else min(self.now_ms, file.waits_until)
        level = sum(step.at_ms <= until for step in steps) if case.kind == "incident" else 0
        before = file.duty
        for number in range(file.level + 1, level + 1):
            step = steps[number - 1]
            people = self._router.people(step.tier.to, step.at_ms)
            notice = routing.escalation(case, number, step, people, len(steps))
            out.append(self._said(notice, "notice", 1, notice.at_ms))
        file.level = level
        asked = steps[level - 1] if 0 < level <= len(steps) else None
        people = self._router.people(asked.tier.to, asked.at_ms) if asked is not None else ()
        following = steps[level].at_ms if case.waits and level < len(steps) else None
        entry = self._catalogue.get(case.suspect)
        duty = Duty(
            incident=case.id,
            version=case.version * (len(steps) + 1) + level,
            domain=case.domain,
            team=team.name,
            reason=team.reason,
            on_call=people,
            level=level,
            levels=len(steps),
            policy=policy.name if policy is not None else "",
            next_at=following,
            acknowledged=case.acknowledged_at is not None,
            predicted_team=file.predicted.team,
            predicted_confidence=file.predicted.confidence,
            predicted_accuracy=self.assignment.accuracy if before is None else before.predicted_accuracy,
            predicted_n=self.assignment.record.checked if before is None else before.predicted_n,
            runbook=case.runbook,
            containment=entry.containment if entry is not None else (),
            at_ms=max(file.waits_from, asked.at_ms if asked is not None else 0),
        )
        if before is None or msgspec.structs.replace(duty, version=before.version) != before:
            file.duty = duty
            out.append(self._said(duty, "duty", duty.version, duty.at_ms))

    # -- messages -------------------------------------------------------------------------------

    def _said(self, said: Response, kind: str, version: int, at_ms: int) -> Output:
        when = datetime.fromtimestamp(at_ms / 1000, UTC)
        event = render.CloudEvent(
            specversion="1.0",
            id=f"{said.key}/{version}",
            source="tocsin/respond",
            type=f"tocsin.{kind}",
            subject=said.incident,
            time=when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            datacontenttype="application/json",
            data=said,
        )
        topic = self._settings.topics.response
        return Output(topic, _encoder.encode(event), said.key.encode(), headers=render.HEADERS)

    def _dead(self, record: Input, error: msgspec.DecodeError) -> Output:
        self._tally.count(DEAD, "undecodable")
        letter = DeadLetter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
            reason="undecodable",
            detail=f"expected an incident as a CloudEvent: {error}",
            value=record.value,
            key=record.key,
            headers=record.headers,
        )
        return Output(self._settings.topics.deadletters, _encoder.encode(letter), record.key)


def _same_facts(one: Clock, other: Clock) -> bool:
    """All but how it stands by now."""
    return all(
        getattr(one, name) == getattr(other, name)
        for name in Clock.__struct_fields__
        if name not in ("version", "state", "at_ms")
    )
