"""Who calls whom: declared edges from the catalogue, learned ones that fade when unseen.

Learned edges come from traces and from metrics that name both sides. Metrics count every call, traces
perhaps a sample, so where both are seen the metrics' counts hold. An address in place of a callee's name is
taken for a service that is known by it; nobody is learned from an address.

Failures travel along call chains, so distance is the length of a directed path one way or the
other. Two callees of one busy gateway are not neighbours; a caller and its callee's callee are.
Cycles and services nobody declared are fine.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import NamedTuple

import msgspec

from streams.records.messages import ADDRESSES, TRACES, Edge
from streams.records.peers import host_names

HALF_LIFE_MS = 300_000
"""call counts of a learned edge halve in this time"""
MAX_EDGES = 50_000
MAX_NEIGHBOURS = 500
"""a walk stops after this many services"""
MAX_MET = 50_000
"""services whose telemetry was seen"""
ANNOUNCED_MS = 3_600_000
"""a service with telemetry is announced this often"""
IN_TRACES, IN_METRICS = 1, 2


class Link(msgspec.Struct, array_like=True):
    """Calls along a learned edge, fading with `HALF_LIFE_MS`."""

    calls: float
    failed: float
    at_ms: int
    first_ms: int = 0
    counted: float = 0.0
    """the same, in metrics"""
    counted_failed: float = 0.0
    seen_in: int = IN_TRACES
    """sum of `IN_TRACES` and `IN_METRICS`"""

    def faded(self, at_ms: int) -> tuple[float, float]:
        """Calls and failed ones as of `at_ms`, of the metrics if they count any."""
        fade = 0.5 ** (max(0, at_ms - self.at_ms) / HALF_LIFE_MS)
        if self.counted * fade >= 0.5:
            return self.counted * fade, self.counted_failed * fade
        return self.calls * fade, self.failed * fade


class Near(NamedTuple):
    """Services around one, by the least number of calls between (not both ways mixed)."""

    one: frozenset[str]
    two: frozenset[str]
    all: tuple[str, ...]
    """itself and both of these, sorted"""


class Topology:
    """Mutable. `learned()` and `restore()` carry its memory; declared edges come from the settings."""

    def __init__(
        self,
        declared: Iterable[tuple[str, str]],
        memory_ms: int,
        max_edges: int = MAX_EDGES,
        known: Container[str] = (),
    ) -> None:
        """`memory_ms`: a learned edge unseen for this long is forgotten. `known`: the catalogue's names."""
        self.declared = frozenset(edge for edge in declared if edge[0] != edge[1])
        self.memory_ms = memory_ms
        self.max_edges = max_edges
        self.evicted = 0
        self.unnamed = 0
        """edges to an address that is no service known here"""
        self.changed: dict[str, None] = {}
        """callers whose learned edges have come or gone; whoever tells of them empties it"""
        self.met: dict[str, int] = {}
        """service -> when its telemetry was announced last, longest ago first"""
        self._known = known
        self._links: dict[tuple[str, str], Link] = {}  # least recently seen first
        self._down: dict[str, set[str]] = {}
        self._up: dict[str, set[str]] = {}
        self.generation = 0
        """rises whenever an edge comes or goes"""
        self._near: dict[str, Near] = {}
        self._reach: dict[str, tuple[str, ...]] = {}
        self._parts: dict[str, str] = {}
        self._drawn = -1
        """generation that these three belong to"""
        for caller, callee in self.declared:
            self._connect(caller, callee)

    def observe(self, edges: Iterable[Edge], at_ms: int, source: str = TRACES) -> None:
        """Take in the calls of one bucket that ended at `at_ms`; a service calling itself is no edge."""
        for edge in sorted(edges, key=lambda e: (e.caller, e.callee)):
            callee = edge.callee if source != ADDRESSES else self._named(edge.callee)
            if not callee:
                self.unnamed += 1
            if edge.caller == callee or not callee:
                continue
            key = (edge.caller, callee)
            link = self._links.pop(key, None)
            if link is None:
                link = Link(0.0, 0.0, at_ms, at_ms, seen_in=0)
                self._connect(*key)
                self.changed[edge.caller] = None
            # Several shards see parts of one bucket: parts of equal time simply add up.
            fade = 0.5 ** (max(0, at_ms - link.at_ms) / HALF_LIFE_MS)
            traced = source == TRACES
            link.calls = link.calls * fade + (edge.calls if traced else 0)
            link.failed = link.failed * fade + (edge.failed if traced else 0)
            link.counted = link.counted * fade + (0 if traced else edge.calls)
            link.counted_failed = link.counted_failed * fade + (0 if traced else edge.failed)
            link.seen_in |= IN_TRACES if traced else IN_METRICS
            link.at_ms = max(link.at_ms, at_ms)
            self._links[key] = link
        self._forget(at_ms)

    def meet(self, services: Iterable[str], at_ms: int) -> None:
        """Services whose telemetry was seen."""
        for service in services:
            self.met.pop(service, None)
            self.met[service] = at_ms
        before = at_ms - max(self.memory_ms, 2 * ANNOUNCED_MS)
        while self.met:
            oldest, seen_ms = next(iter(self.met.items()))
            if seen_ms >= before:
                if len(self.met) <= MAX_MET:
                    return
                self.evicted += 1
            del self.met[oldest]
            self.changed[oldest] = None

    def _named(self, address: str) -> str:
        """The service an address stands for, or nothing."""
        for name in host_names(address):
            if name in self._known or name in self.met or name in self._down or name in self._up:
                return name
        return ""

    def learned(self) -> list[tuple[str, str, Link]]:
        """What was learned, least recently seen first."""
        return [(caller, callee, link) for (caller, callee), link in self._links.items()]

    def restore(self, learned: Iterable[tuple[str, str, Link]], met: Iterable[tuple[str, int]] = ()) -> None:
        """Take over what `learned` returned, and `met`, into a fresh topology."""
        self.met.update(met)
        for caller, callee, link in learned:
            link.first_ms = link.first_ms or link.at_ms  # of a snapshot from before it was kept
            self._links[caller, callee] = link
            self._connect(caller, callee)

    def callees(self, service: str) -> tuple[str, ...]:
        """Services it calls, sorted."""
        return tuple(sorted(self._down.get(service, ())))

    def callers(self, service: str) -> tuple[str, ...]:
        """Services that call it, sorted."""
        return tuple(sorted(self._up.get(service, ())))

    def within(self, service: str, hops: int) -> dict[str, int]:
        """Services at most `hops` calls down- or upstream (not both ways mixed), with their distance."""
        found = {service: 0}
        for graph in (self._down, self._up):
            for name, distance in _walk(graph, service, hops).items():
                found[name] = min(distance, found.get(name, distance))
        return found

    def reach(self, service: str, hops: int) -> dict[str, int]:
        """Services at most `hops` calls downstream, itself included, with their distance."""
        return _walk(self._down, service, hops)

    def near(self, service: str) -> Near:
        """`within` two calls; looked up, as long as no edge comes or goes."""
        self._redraw()
        near = self._near.get(service)
        if near is None:
            found = self.within(service, 2)
            one, two = (frozenset(n for n, d in found.items() if d == hops) for hops in (1, 2))
            near = Near(one, two, tuple(sorted(found)))
            if service in self._down or service in self._up:  # else there are any number of names
                self._near[service] = near
        return near

    def below(self, service: str) -> tuple[str, ...]:
        """`reach` of two calls, looked up."""
        self._redraw()
        found = self._reach.get(service)
        if found is None:
            found = tuple(self.reach(service, 2))
            if service in self._down:
                self._reach[service] = found
        return found

    def part(self, service: str) -> str | None:
        """A name for the connected part of the graph it is in; None: no call of it is known.

        Parts are applications that do not call each other. Their names hold for one generation only.
        """
        self._redraw()
        if service not in self._parts and (service in self._down or service in self._up):
            name, front = service, [service]
            self._parts[service] = name
            while front:
                one = front.pop()
                for other in (*self._down.get(one, ()), *self._up.get(one, ())):
                    if other not in self._parts:
                        self._parts[other] = name
                        front.append(other)
        return self._parts.get(service)

    def _redraw(self) -> None:
        if self._drawn != self.generation:
            self._drawn = self.generation
            self._near.clear()
            self._reach.clear()
            self._parts.clear()

    def failing_share(self, caller: str, callee: str) -> float:
        """Share of recent calls that failed, 0 when none were seen."""
        link = self._links.get((caller, callee))
        if link is None:
            return 0.0
        calls, failed = link.faded(link.at_ms)
        return min(1.0, failed / calls) if calls > 0 else 0.0

    def links_of(self, caller: str) -> list[tuple[str, Link]]:
        """What was learned of its calls, by callee."""
        found = ((callee, self._links.get((caller, callee))) for callee in self.callees(caller))
        return [(callee, link) for callee, link in found if link is not None]

    def _connect(self, caller: str, callee: str) -> None:
        if callee in self._down.get(caller, ()):
            return
        self.generation += 1
        self._down.setdefault(caller, set()).add(callee)
        self._up.setdefault(callee, set()).add(caller)

    def _forget(self, now_ms: int) -> None:
        while self._links:
            key, link = next(iter(self._links.items()))
            full = len(self._links) > self.max_edges
            if not full and link.at_ms >= now_ms - self.memory_ms:
                return
            self.evicted += full
            del self._links[key]
            self.changed[key[0]] = None
            if key not in self.declared:
                self.generation += 1
                _cut(self._down, key[0], key[1])
                _cut(self._up, key[1], key[0])


def _cut(graph: dict[str, set[str]], a: str, b: str) -> None:
    graph[a].discard(b)
    if not graph[a]:
        del graph[a]


def _walk(graph: dict[str, set[str]], start: str, hops: int) -> dict[str, int]:
    found = {start: 0}
    front = [start]
    for distance in range(1, hops + 1):
        following: list[str] = []
        for service in front:
            for name in sorted(graph.get(service, ())):
                if name not in found and len(found) < MAX_NEIGHBOURS:
                    found[name] = distance
                    following.append(name)
        front = following
    return found
