"""The correlator's memory as bytes and back. Indexes are rebuilt, not stored."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from correlator import writing
from correlator.atlas import Atlas, AtlasState
from correlator.engine import Engine
from correlator.external import External, Past, Standing
from correlator.flapping import Series
from correlator.group import Group
from correlator.holding import Held
from correlator.inbox import Inbox, ShardClock
from correlator.membership import refill
from correlator.past import Problem
from correlator.pastbook import Entry
from correlator.relations import Source
from correlator.silences import Running
from correlator.state import State
from correlator.suppress import Suppressor
from correlator.together import Count
from correlator.topology import Link
from streams.records.messages import ActionResult, Change
from streams.records.pages import NO_WATERMARK
from streams.records.telemetry import DROPPED, EVICTED, Tally


class Parts(NamedTuple):
    """What is remembered."""

    engine: Engine
    clock: ShardClock
    inbox: Inbox
    external: External
    outside: Inbox
    suppressor: Suppressor
    atlas: Atlas


class Suppressed(msgspec.Struct, array_like=True):
    """What the suppressor remembers."""

    at_ms: int = NO_WATERMARK
    repeated: int = 0
    running: list[Running] = []
    sources: list[tuple[str, Source]] = []
    series: list[tuple[str, Series]] = []
    held: list[Held] = []
    versions: list[tuple[str, int]] = []
    matches: list[tuple[str, int]] = []
    totals: dict[str, int] = {}
    answers: list[tuple[str, ActionResult]] = []
    evicted: tuple[int, int, int] = (0, 0, 0)
    """sources, series, held alerts"""


class Memory(msgspec.Struct, array_like=True):
    """Everything the engine, the clock and the inbox remember, in order where order matters."""

    next_offset: int
    held: list[int]
    released_ms: int
    repeated: int
    forced: int
    shards: int
    marks: dict[int, int]
    links: list[tuple[str, str, Link]]
    groups: list[Group]
    timers: list[tuple[int, str, str]]
    changes: list[Change]
    census: list[tuple[str, str, str]]
    past: list[tuple[str, str]]
    merged: list[tuple[str, str]]
    answers: list[tuple[str, ActionResult]]
    counters: dict[str, int]
    evicted: list[int]
    external_times: tuple[int, int, int] = (NO_WATERMARK, NO_WATERMARK, NO_WATERMARK)
    """time reached, newest mark, first mark since telemetry moved"""
    standing: list[tuple[str, Standing]] = []
    past_external: list[tuple[str, Past]] = []
    external_counters: dict[str, int] = {}
    outside: tuple[int, int, int] = (NO_WATERMARK, 0, 0)
    """released, repeated, forced"""
    frequencies: tuple[int, list[tuple[int, int]]] = (0, [])
    together: tuple[list[tuple[str, Count]], list[tuple[str, str, Count]]] = ([], [])
    suppressed: Suppressed = msgspec.field(default_factory=Suppressed)
    met: list[tuple[str, int]] = []
    atlas: AtlasState = msgspec.field(default_factory=AtlasState)
    past_symptoms: list[str] = []
    past_incidents: list[Entry] = []
    problems: list[Problem] = []
    closed: list[tuple[str, bool, bytes]] = []
    written: writing.Memory = writing.Memory()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Memory)


def dump(parts: Parts, next_offset: int, held: list[int]) -> bytes:
    """Snapshot; of the inboxes only the offsets `held`, since their facts are read again."""
    engine, clock, inbox, external, outside, suppressor, atlas = parts
    state = engine.state
    past_symptoms, past_incidents = state.knowledge.book.entries()
    return _encoder.encode(
        Memory(
            next_offset=next_offset,
            held=held,
            released_ms=inbox.released_ms,
            repeated=inbox.repeated,
            forced=inbox.forced,
            shards=clock.shards,
            marks=clock.at_ms,
            links=state.topology.learned(),
            groups=list(state.groups.values()),
            timers=state.timers.entries(),
            changes=state.changes.entries(),
            census=state.census.entries(),
            past=state.past.items(),
            merged=state.merged.items(),
            answers=state.answers.items(),
            counters=state.counters,
            evicted=[book.evicted for book in _books(state)],
            frequencies=state.frequencies.entries(),
            together=state.together.entries(),
            external_times=(external.time_ms, external.marked_ms, external.still_from),
            standing=list(external.standing.items()),
            past_external=external.past.items(),
            external_counters=external.counters,
            outside=(outside.released_ms, outside.repeated, outside.forced),
            suppressed=_suppressed(suppressor),
            met=list(state.topology.met.items()),
            atlas=atlas.export(),
            past_symptoms=past_symptoms,
            past_incidents=past_incidents,
            problems=state.knowledge.problems.entries(),
            closed=state.closed.entries(),
            written=state.writing.memory(),
        )
    )


def load(blob: bytes, parts: Parts) -> tuple[int, list[int]]:
    """Fill fresh objects; returns the next offset and the earlier offsets to hold again."""
    engine, clock, inbox, external, outside, suppressor, atlas = parts
    m = _decoder.decode(blob)
    clock.shards, clock.at_ms = m.shards, m.marks
    inbox.released_ms, inbox.repeated, inbox.forced = m.released_ms, m.repeated, m.forced
    state = engine.state
    state.topology.restore(m.links, m.met)
    atlas.load(m.atlas)
    for group in m.groups:
        if not group.born_at:  # a snapshot from before these were kept
            group.born_at = group.detected_at
            refill(group, list(group.held))  # stale: the title is drawn with the next version
        state.groups[group.id] = group
        if group.sealed:
            state.index.know(group)
        else:
            state.index.add(group)
        for held in group.held:
            state.home[held.alert.id] = group.id
    for at_ms, group_id, step in m.timers:
        state.timers.set(group_id, step, at_ms)
    for change in m.changes:
        state.changes.add(change)
    state.census.restore(m.census)
    state.frequencies.restore(*m.frequencies)
    state.together.restore(*m.together)
    for recent, entries in ((state.past, m.past), (state.merged, m.merged)):
        for key, value in entries:
            recent.put(key, value)
    for key, answer in m.answers:
        state.answers.put(key, answer)
    state.counters.update(m.counters)
    state.knowledge.book.restore(m.past_symptoms, m.past_incidents)
    for problem in m.problems:
        state.knowledge.problems.put(problem)
    for entry in m.closed:
        state.closed.load(*entry)
    state.writing.restore(m.written)
    outside.released_ms, outside.repeated, outside.forced = m.outside
    external.time_ms, external.marked_ms, external.still_from = m.external_times
    external.standing.update(m.standing)
    for id, past in m.past_external:
        external.past.put(id, past)
    external.counters.update(m.external_counters)
    for book, evicted in zip(_books(state), m.evicted, strict=False):
        book.evicted = evicted
    _suppress(suppressor, m.suppressed)
    return m.next_offset, m.held


def _suppressed(s: Suppressor) -> Suppressed:
    return Suppressed(
        at_ms=s.at_ms,
        repeated=s.repeated,
        running=list(s.silences.running.values()),
        sources=list(s.relations.sources.items()),
        series=list(s.flapping.series.items()),
        held=list(s.holding.alerts.values()),
        versions=s.holding.versions.items(),
        matches=s.holding.matches.items(),
        totals=s.holding.totals,
        answers=s.answers.items(),
        evicted=(s.relations.evicted, s.flapping.evicted, s.holding.evicted),
    )


def _suppress(s: Suppressor, m: Suppressed) -> None:
    """Fill a fresh suppressor, whose configuration may be another one than that of the snapshot."""
    s.at_ms, s.repeated = m.at_ms, m.repeated
    for running in m.running:
        if s.silences.current("silence", running.silence.name) is None:  # else the configuration has it now
            s.silences.restore(running)
    for id, source in m.sources:
        s.relations.restore(id, source)
    for key, series in m.series:
        s.flapping.restore(key, series)
    for held in m.held:
        s.holding.restore(held)
        if not s.holds(held):
            s.holding.look_at(held, s.at_ms)
    recents = ((s.holding.versions, m.versions), (s.holding.matches, m.matches))
    for recent, entries in recents:
        for key, value in entries:
            recent.put(key, value)
    for key, answer in m.answers:
        s.answers.put(key, answer)
    s.holding.totals.update(m.totals)
    s.relations.evicted, s.flapping.evicted, s.holding.evicted = m.evicted


def telemetry(engine: Engine, inbox: Inbox, suppressor: Suppressor) -> tuple[Tally, dict[str, float]]:
    """Totals and levels of telemetry about ourselves."""
    totals = Tally()
    for name, book in zip(_BOOK_NAMES, _books(engine.state), strict=True):
        totals.count(EVICTED, name, book.evicted)
    totals.count(EVICTED, "groups", engine.counters["evicted_groups"])
    totals.count(EVICTED, "held_facts", inbox.forced)
    totals.count(DROPPED, "repeated_alert", engine.counters["repeated_alerts"] + inbox.repeated)
    totals.count(DROPPED, "unknown_alert", engine.counters["unknown_alerts"])
    totals.count(DROPPED, "unnamed_call", engine.state.topology.unnamed)
    holding = suppressor.holding
    for name, written in zip(writing.BOOKS, engine.state.writing.books(), strict=True):
        totals.count(EVICTED, name, written.evicted)
    for kind, count in holding.totals.items():
        totals.count(DROPPED, f"suppressed_{kind}", count)
    totals.count(EVICTED, "suppressed_alerts", holding.evicted)
    totals.count(EVICTED, "sources", suppressor.relations.evicted)
    totals.count(EVICTED, "changing_series", suppressor.flapping.evicted)
    incidents = sum(group.opened_at is not None for group in engine.groups.values())
    levels = {
        "groups": float(len(engine.groups)),
        "incidents": float(incidents),
        "held_facts": float(len(inbox)),
        "services": float(len(engine.state.topology.met)),
        "suppressed_alerts": float(len(holding.alerts)),
        "silences": float(len(suppressor.silences)),
        "flapping_series": float(suppressor.flapping.flapping),
    }
    return totals, levels


class _Book(Protocol):
    evicted: int


_BOOK_NAMES = (
    *("edges", "changes", "label_values", "past_incidents", "merged_incidents", "answers"),
    *("seen_together", "similar_incidents", "problems", "closed_incidents"),
)


def _books(state: State) -> tuple[_Book, ...]:
    return (
        *(state.topology, state.changes, state.census, state.past, state.merged, state.answers),
        *(state.together, state.knowledge.book, state.knowledge.problems, state.closed),
    )
