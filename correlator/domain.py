"""The correlate stage: one core per partition of the alerts topic.

Alerts and edges wait in the inbox for their event time; timers run in the same order of time;
changes and actions are applied where they stand in the log. What other systems say waits in a second
inbox for the time at which it was said, so that it takes its place among our own alerts; what comes too
late for that is applied where it stands in the log. Where no telemetry has ever come, the times of
external alerts are all the time there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from config.catalogue import Catalogue
from config.catalogue_files import load_catalogue
from config.settings import Settings
from correlator import cloudevents, render
from correlator.atlas import Atlas
from correlator.drafts import templates_of
from correlator.engine import Engine, Version
from correlator.external import KIND as EXTERNAL_KIND
from correlator.external import External
from correlator.inbox import Inbox, ShardClock
from correlator.snapshot import Parts, dump, load
from correlator.snapshot import telemetry as telemetry_of
from correlator.suppress import Suppressor
from correlator.updating import Drafting
from correlator.way import EngineWay
from detectors.alert import Alert, share
from streams.records.messages import (
    Action,
    ActionResult,
    Change,
    DeadLetter,
    Edges,
    ExternalAlert,
    OutsideTime,
    ShardWatermark,
    SilenceAction,
)
from streams.records.pages import NO_WATERMARK
from streams.records.stage import Output, PartitionCore, Record
from streams.records.telemetry import DEAD, CoreTelemetry, Tally

MOST_HELD = 1_000_000
"""facts held back at most"""
LONGEST_LAG_MS = 86_400_000
"""an external alert does not wait for telemetry that is this much older"""

_Message = ShardWatermark | Edges | Change | Action | SilenceAction | ExternalAlert | OutsideTime
_decoder = msgspec.json.Decoder(Alert | _Message)
_encoder = msgspec.json.Encoder()


def domain_factory(
    settings: Settings, catalogue: Catalogue | None = None
) -> Callable[[str, int], PartitionCore]:
    """Cores of the correlate stage. `catalogue`: by default that which the settings name.

    Raises `ConfigError` when its files, or the templates of status updates, are not as they should be.
    """
    known = load_catalogue(settings) if catalogue is None else catalogue
    templates_of(settings.updates)

    def core(topic: str, partition: int) -> PartitionCore:
        return DomainCore(settings, known, partition)

    return core


class DomainCore:
    """State is a function of the partition's log alone (see docs/determinism.md)."""

    def __init__(self, settings: Settings, catalogue: Catalogue, partition: int = 0) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._partition = partition
        self._begin()

    def _begin(self) -> None:
        self.engine = Engine(self._settings.correlate, self._catalogue, self._settings.detect.step_ms)
        self.directory = self.engine.state.directory
        self.engine.state.writing.drafting = Drafting(
            self._settings.updates,
            templates_of(self._settings.updates),
            self._catalogue,
            self._settings.correlate.verify_ms,
        )
        self.atlas = Atlas(self.engine.state.topology, speaks=self._partition == 0)
        self.clock = ShardClock()
        self.inbox = Inbox(MOST_HELD)
        self._tally = Tally()
        self.external = External(self._settings.correlate.external_ttl_ms)
        self.outside = Inbox(MOST_HELD)
        """what other systems said"""
        self.way = EngineWay(self.engine, self._settings.topics, self._incident)
        self.suppressor = Suppressor(self._settings.correlate, self.way)
        self._next_offset = 0
        self._held_before: set[int] = set()
        """offsets below `_next_offset` that a restored snapshot held, not yet read again"""

    def process(self, records: Sequence[Record]) -> Sequence[Output]:
        """Absorb records; returns incident versions, answers to actions and dead letters."""
        out: list[Output] = []
        inbox = self.inbox
        for record in records:
            offset, value = record.offset, record.value
            again = offset < self._next_offset
            if not again:
                self._next_offset = offset + 1
            elif offset in self._held_before:
                self._held_before.discard(offset)
            else:
                continue
            if value is None:
                continue
            try:
                message = _decoder.decode(value)
            except msgspec.DecodeError as error:
                out.append(self._dead(record, error))
                continue
            if isinstance(message, Alert):
                share(message)
                # Of kind external: our own words, written here for the sinks.
                if message.kind != EXTERNAL_KIND and inbox.put(message, value, offset):
                    out += self._advance(inbox.released_ms)
            else:
                out += self._other(message, value, offset, again)
        return out

    def tick(self, now_ms: int, at_end: bool) -> Sequence[Output]:
        return ()

    def needed_offset(self, next_offset: int) -> int:
        return min([next_offset, *self._held()])

    def _held(self) -> list[int]:
        return sorted([*self.inbox.offsets(), *self.outside.offsets(), *self._held_before])

    def snapshot(self) -> bytes:
        """Everything but the held facts, which are read again from their offsets."""
        return dump(self._parts(), self._next_offset, self._held())

    def restore(self, blob: bytes) -> None:
        self._begin()
        self._next_offset, held = load(blob, self._parts())
        self._held_before = set(held)

    def telemetry(self) -> CoreTelemetry:
        """See `streams.records.telemetry`."""
        totals, levels = telemetry_of(self.engine, self.inbox, self.suppressor)
        mark = self.clock.watermark
        return CoreTelemetry({**self._tally, **totals}, levels, {}, None if mark == NO_WATERMARK else mark)

    def _parts(self) -> Parts:
        return Parts(
            self.engine, self.clock, self.inbox, self.external, self.outside, self.suppressor, self.atlas
        )

    def _other(self, message: _Message, value: bytes, offset: int, again: bool) -> Sequence[Output]:
        """Whatever is no alert of our own."""
        if isinstance(message, Edges):
            full = self.inbox.put(message, value, offset)
            return self._advance(self.inbox.released_ms) if full else ()
        if isinstance(message, ExternalAlert):
            self.outside.hold(message, value, offset)
            self.external.time_ms = max(self.external.time_ms, message.seen_at)
            return self._advance(self.inbox.released_ms)
        if again:
            return ()
        if isinstance(message, OutsideTime):
            self.external.marked(message.at_ms)
            return self._advance(self.inbox.released_ms)
        if isinstance(message, ShardWatermark):
            before = self.clock.watermark
            self.clock.observe(message)
            if self.clock.watermark > before:
                self.external.still_from = NO_WATERMARK
            return self._advance(self.clock.watermark)
        if isinstance(message, Change):
            change = self.directory.change(message)
            return [self._incident(v) for v in self.engine.change(change, self.inbox.released_ms)]
        versions: list[Version] = []
        answer: ActionResult
        if isinstance(message, SilenceAction):
            answer = self.suppressor.action(message, self._now())
        else:
            versions, answer = self.engine.action(message, self.inbox.released_ms)
        note = message.note if isinstance(message, Action) else message.silence.comment
        told = msgspec.structs.replace(
            answer, action=message.action, actor=message.actor, ts=message.ts, note=note
        )
        return [
            *(self._incident(v) for v in versions),
            *self.way.take(self.suppressor.holding),
            self._answer(told),
        ]

    def _advance(self, watermark: int) -> list[Output]:
        """Apply facts and timers up to the watermark, in the order of event time; facts first."""
        out: list[Output] = []
        engine, inbox = self.engine, self.inbox
        external = self.external
        own_time = external.time_ms if external.alone else NO_WATERMARK
        if watermark == NO_WATERMARK:
            timers_to, said_to = own_time, max(own_time, self.outside.released_ms)
        else:
            behind = external.time_ms - watermark > LONGEST_LAG_MS
            own_time = external.time_ms if behind else own_time
            timers_to, said_to = watermark, max(watermark, own_time, self.outside.released_ms)
        while True:
            due = [
                (at, rank)
                for rank, (at, limit) in enumerate(
                    (
                        (inbox.next_at(), watermark),
                        (self.outside.next_at(), said_to),
                        (engine.next_due(), timers_to),
                        (self.external.next_due(), timers_to),
                        (self.suppressor.next_due(), timers_to),
                        (self.atlas.next_due(), timers_to),
                    )
                )
                if at is not None and at <= limit
            ]
            if not due:
                break
            at_ms, rank = min(due)
            if rank == 0:
                self._facts(min([watermark, *(at for at, r in due if r in (1, 3))]), out)
            elif rank == 1:
                said_ms, fact = self.outside.pop()
                now_ms = max(said_ms, inbox.released_ms)
                if isinstance(fact, ExternalAlert):
                    out += self._outside(self.external.hear(fact, now_ms), now_ms)
            elif rank == 2:
                out += map(self._incident, engine.tick(at_ms))
            elif rank == 3:
                out += self._outside([self.external.expire()], at_ms)
            elif rank == 4:
                self.suppressor.fire()
            else:
                out += self._topology()
            out += self.way.take(self.suppressor.holding)
        inbox.released_ms = max(inbox.released_ms, watermark)
        return out

    def _facts(self, until_ms: int, out: list[Output]) -> None:
        """Apply held facts up to and including `until_ms`, with what else is due between them."""
        engine, inbox, suppressor, way = self.engine, self.inbox, self.suppressor, self.way
        directory, learned, said = self.directory, engine.state.knowledge.out, engine.state.writing.out
        timers, unopened = engine.state.timers, engine.unopened
        idle = suppressor.idle
        while (at_ms := inbox.next_at()) is not None and at_ms <= until_ms:
            ends = None if idle else suppressor.next_due()
            if ends is not None and ends >= at_ms:
                ends = None
            if timers.soonest < at_ms or ends is not None:
                self._between(at_ms, ends, out)
            else:
                _, fact = inbox.pop()
                if isinstance(fact, Alert):
                    alert = directory.alert(fact)
                    if idle:
                        suppressor.at_ms = max(suppressor.at_ms, at_ms)
                        out += map(self._incident, engine.observe(alert, at_ms))
                    else:
                        suppressor.observe(alert, at_ms)
                elif isinstance(fact, Edges):
                    out += self._edges(fact)
            if way.out or unopened or learned or said:
                out += way.take(suppressor.holding)

    def _between(self, at_ms: int, ends: int | None, out: list[Output]) -> None:
        """What is due before `at_ms`: timers of groups, or what ends then in suppression."""
        due = self.engine.next_due()
        if due is not None and due < at_ms and (ends is None or due <= ends):
            out += map(self._incident, self.engine.tick(at_ms - 1 if ends is None else ends))
        elif ends is not None:
            self.suppressor.fire()

    def _outside(self, alerts: Sequence[Alert], now_ms: int) -> list[Output]:
        """Versions of external alerts: to the sinks through our own topic, and into the groups."""
        out: list[Output] = []
        for alert in alerts:
            value, key = _encoder.encode(alert), alert.fingerprint.encode()
            out.append(Output(self._settings.topics.alerts, value, key, self._partition))
            self.suppressor.observe(self.directory.alert(alert), now_ms)
            out += self.way.take(self.suppressor.holding)
        return out

    def _edges(self, edges: Edges) -> list[Output]:
        """Calls that were seen; first what was to be told before them."""
        due = self.atlas.next_due()
        out = self._topology() if due is not None and due < edges.at_ms else []
        known = self.directory.edges(edges)
        self.engine.edges(known)
        self.atlas.follow(known)
        return out

    def _topology(self) -> list[Output]:
        """What readers are to be told of the topology."""
        topic = self._settings.topics.topology
        out = []
        for one in self.atlas.tell():
            headers = cloudevents.headers(f"{one.service}/{one.at_ms}", "service", one.service, one.at_ms)
            out.append(Output(topic, _encoder.encode(one), one.service.encode(), headers=headers))
        return out

    def _now(self) -> int:
        """Event time reached, for what is applied where it stands in the log."""
        alone = self.external.time_ms if self.external.alone else NO_WATERMARK
        return max(self.inbox.released_ms, self.outside.released_ms, alone)

    def _answer(self, answer: ActionResult) -> Output:
        topic = self._settings.topics.action_results
        about = answer.incident or answer.problem or answer.silence
        headers = cloudevents.headers(answer.id, "action_result", about)
        return Output(topic, _encoder.encode(answer), answer.id.encode(), headers=headers)

    def _incident(self, version: Version) -> Output:
        return Output(
            self._settings.topics.incidents,
            version.value,
            version.id.encode(),
            headers=render.HEADERS,
        )

    def _dead(self, record: Record, error: msgspec.DecodeError) -> Output:
        reason = "wrong-type" if isinstance(error, msgspec.ValidationError) else "undecodable"
        self._tally.count(DEAD, reason)
        letter = DeadLetter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
            reason=reason,
            detail=f"expected an alert, watermark, edges, change or action: {error}",
            value=record.value,
            key=record.key,
            headers=record.headers,
        )
        return Output(self._settings.topics.deadletters, _encoder.encode(letter), record.key)
