"""The correlate stage: one core per partition of the alerts topic.

Alerts and edges wait in the inbox for their event time; timers run in the same order of time;
changes and actions are applied where they stand in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from config.settings import Settings
from correlator import render, snapshot
from correlator.engine import Engine, Version
from correlator.inbox import FIRING, Inbox, ShardClock
from correlator.topology import declared_edges
from detectors.alert import Alert
from streams.records.messages import Action, Change, DeadLetter, Edges, ShardWatermark
from streams.records.pages import NO_WATERMARK
from streams.records.stage import Output, PartitionCore, Record
from streams.records.telemetry import DEAD, CoreTelemetry, Tally

MOST_HELD = 1_000_000
"""facts held back at most"""

_decoder = msgspec.json.Decoder(Alert | ShardWatermark | Edges | Change | Action)
_encoder = msgspec.json.Encoder()


def domain_factory(
    settings: Settings, edges: Sequence[tuple[str, str]] | None = None
) -> Callable[[str, int], PartitionCore]:
    """Cores of the correlate stage. `edges`: declared calls, read from the settings' file by default.

    Raises `OSError` or `ValueError` when that file cannot be read.
    """
    declared = declared_edges(settings.correlate.topology) if edges is None else list(edges)

    def core(topic: str, partition: int) -> PartitionCore:
        return DomainCore(settings, declared)

    return core


class DomainCore:
    """State is a function of the partition's log alone (see docs/determinism.md)."""

    def __init__(self, settings: Settings, declared: Sequence[tuple[str, str]]) -> None:
        self._settings = settings
        self._declared = declared
        self.engine = Engine(settings.correlate, declared)
        self.clock = ShardClock()
        self.inbox = Inbox(MOST_HELD)
        self._tally = Tally()
        self._next_offset = 0
        self._held_before: set[int] = set()
        """offsets below `_next_offset` that a restored snapshot held, not yet read again"""

    def process(self, records: Sequence[Record]) -> Sequence[Output]:
        """Absorb records; returns incident versions, answers to actions and dead letters."""
        out: list[Output] = []
        for record in records:
            again = record.offset < self._next_offset
            if again and record.offset not in self._held_before:
                continue
            self._held_before.discard(record.offset)
            self._next_offset = max(self._next_offset, record.offset + 1)
            if record.value is not None:
                out.extend(self._record(record, record.value, again))
        return out

    def tick(self, now_ms: int, at_end: bool) -> Sequence[Output]:
        return ()

    def needed_offset(self, next_offset: int) -> int:
        return min([next_offset, *self._held()])

    def _held(self) -> list[int]:
        return sorted([*self.inbox.offsets(), *self._held_before])

    def snapshot(self) -> bytes:
        """Everything but the held facts, which are read again from their offsets."""
        return snapshot.dump(self.engine, self.clock, self.inbox, self._next_offset, self._held())

    def restore(self, blob: bytes) -> None:
        self.engine = Engine(self._settings.correlate, self._declared)
        self.clock = ShardClock()
        self.inbox = Inbox(MOST_HELD)
        self._next_offset, held = snapshot.load(blob, self.engine, self.clock, self.inbox)
        self._held_before = set(held)

    def telemetry(self) -> CoreTelemetry:
        """See `streams.records.telemetry`."""
        totals, levels = snapshot.telemetry(self.engine, self.inbox)
        mark = self.clock.watermark
        return CoreTelemetry({**self._tally, **totals}, levels, {}, None if mark == NO_WATERMARK else mark)

    def _record(self, record: Record, value: bytes, again: bool) -> list[Output]:
        try:
            message = _decoder.decode(value)
        except msgspec.DecodeError as error:
            return [self._dead(record, error)]
        if isinstance(message, Alert | Edges):
            self.inbox.put(message, value, record.offset)
            return self._advance(self.inbox.released_ms)
        if again:
            return []
        if isinstance(message, ShardWatermark):
            self.clock.observe(message)
            return self._advance(self.clock.watermark)
        if isinstance(message, Change):
            return [self._incident(v) for v in self.engine.change(message)]
        versions, answer = self.engine.action(message)
        return [
            *(self._incident(v) for v in versions),
            Output(self._settings.topics.action_results, _encoder.encode(answer), message.id.encode()),
        ]

    def _advance(self, watermark: int) -> list[Output]:
        """Apply facts and timers up to the watermark, in the order of event time; facts first."""
        versions: list[Version] = []
        engine, inbox = self.engine, self.inbox
        while True:
            fact_at, timer_at = inbox.next_at(), engine.next_due()
            fact_due = fact_at is not None and fact_at <= watermark
            timer_due = timer_at is not None and timer_at <= watermark
            if fact_due and (not timer_due or fact_at <= timer_at):  # type: ignore[operator]
                key, fact = inbox.pop()
                if isinstance(fact, Edges):
                    versions += engine.edges(fact)
                elif key.kind == FIRING:
                    versions += engine.firing(fact, key.at_ms)
                else:
                    versions += engine.renewed(fact, key.at_ms)
            elif timer_due:
                versions += engine.fire()
            else:
                break
        inbox.released_ms = max(inbox.released_ms, watermark)
        return [self._incident(v) for v in versions]

    def _incident(self, version: Version) -> Output:
        return Output(
            self._settings.topics.incidents,
            render.cloud_event(version.incident, version.kind),
            version.incident.id.encode(),
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
