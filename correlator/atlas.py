"""What readers are told of the learned topology: a small record per service, when something has changed.

A service's record is written at the next full minute of event time after its calls have come or gone, and
otherwise every ten minutes while it is seen. The topic is compacted, so that its records are the topology.
Only one partition of the alerts topic tells of it: all of them see the same calls.
"""

from __future__ import annotations

import math

import msgspec

from correlator.topology import HALF_LIFE_MS, IN_METRICS, IN_TRACES, Topology
from streams.records.messages import Edges
from streams.records.pages import NO_WATERMARK

EVERY_MS = 60_000
AGAIN_MS = 600_000
BUCKET_MS = 10_000
"""calls are stated per bucket of this size"""
MOST_CALLEES = 500
"""of one record; the others are counted"""


class LearnedCall(msgspec.Struct, frozen=True, array_like=True):
    """Calls of a service to another one."""

    callee: str
    first_ms: int
    last_ms: int
    per_minute: float
    """lately, fading"""
    failed: float
    """share of them"""
    seen_in: int
    """sum of 1 (traces) and 2 (metrics)"""

    @property
    def places(self) -> tuple[str, ...]:
        """Where it was seen, in words."""
        marks = ((IN_TRACES, "traces"), (IN_METRICS, "metrics"))
        return tuple(word for mark, word in marks if self.seen_in & mark)


class ServiceSeen(msgspec.Struct, frozen=True, tag="service"):
    """A service as telemetry shows it. Key of its record: its name; the newest `at_ms` holds."""

    service: str
    at_ms: int
    seen_ms: int
    """its telemetry, or its calls, were last seen about then; -1: only others have named it"""
    calls: tuple[LearnedCall, ...] = ()
    truncated: int = 0
    """calls beyond the most that a record holds"""
    gone: bool = False
    """forgotten: nothing was seen of it for as long as calls are remembered"""


class AtlasState(msgspec.Struct, array_like=True):
    """Snapshot."""

    told: list[tuple[str, int]] = []
    waiting: list[str] = []
    due: int | None = None


class Atlas:
    """Knows what has been told, and what is to be told next. Mutable."""

    def __init__(self, topology: Topology, speaks: bool = True) -> None:
        self._topology = topology
        self._speaks = speaks
        self._told: dict[str, int] = {}
        self._waiting: dict[str, None] = {}
        self._due: int | None = None

    def follow(self, edges: Edges) -> None:
        """The topology has taken these in."""
        topology, at_ms = self._topology, edges.at_ms
        if self._speaks:
            for service in topology.changed:
                self._waiting[service] = None
            for service in (*edges.services, *(edge.caller for edge in edges.edges)):
                if at_ms - self._told.get(service, NO_WATERMARK - AGAIN_MS) >= AGAIN_MS:
                    self._waiting[service] = None
            if self._waiting and self._due is None:
                self._due = (at_ms // EVERY_MS + 1) * EVERY_MS
        topology.changed.clear()

    def next_due(self) -> int | None:
        """Event time at which there is something to tell."""
        return self._due

    def tell(self) -> list[ServiceSeen]:
        """What is due, in order."""
        at_ms, self._due = self._due or 0, None
        said = []
        for service in sorted(self._waiting):
            record = self._record(service, at_ms)
            if record is None:
                continue
            said.append(record)
            if record.gone:
                del self._told[service]
            else:
                self._told[service] = at_ms
        self._waiting.clear()
        return said

    def _record(self, service: str, at_ms: int) -> ServiceSeen | None:
        topology = self._topology
        links = topology.links_of(service)
        seen_ms = max([topology.met.get(service, -1), *(link.at_ms for _, link in links)])
        if seen_ms < 0:
            return ServiceSeen(service, at_ms, -1, gone=True) if service in self._told else None
        calls = []
        for callee, link in links:
            count, failed = link.faded(at_ms)
            # Fading calls of a steady rate add up to that rate times this.
            lasting = at_ms - link.first_ms + BUCKET_MS
            window_ms = HALF_LIFE_MS / math.log(2) * (1 - 0.5 ** (lasting / HALF_LIFE_MS))
            rate = count * 60_000 / window_ms
            share = min(1.0, failed / count) if count > 0 else 0.0
            calls.append(
                LearnedCall(callee, link.first_ms, link.at_ms, round(rate, 2), round(share, 4), link.seen_in)
            )
        if len(calls) > MOST_CALLEES:
            newest = sorted(calls, key=lambda c: (-c.last_ms, -c.per_minute, c.callee))[:MOST_CALLEES]
            calls = sorted(newest, key=lambda c: c.callee)
        return ServiceSeen(service, at_ms, seen_ms, tuple(calls), len(links) - len(calls))

    def export(self) -> AtlasState:
        """State for a snapshot."""
        return AtlasState(list(self._told.items()), list(self._waiting), self._due)

    def load(self, state: AtlasState) -> None:
        """Take over what `export` gave, into a fresh object."""
        self._told.update(state.told)
        self._waiting.update(dict.fromkeys(state.waiting))
        self._due = state.due
