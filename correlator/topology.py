"""Who calls whom: declared edges from a file, learned edges from traces that fade when unseen.

Failures travel along call chains, so distance is the length of a directed path one way or the
other. Two callees of one busy gateway are not neighbours; a caller and its callee's callee are.
Cycles and services nobody declared are fine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from streams.records.messages import Edge

HALF_LIFE_MS = 300_000
"""call counts of a learned edge halve in this time"""
MAX_EDGES = 50_000
MAX_NEIGHBOURS = 500
"""a walk stops after this many services"""


class Link(msgspec.Struct, array_like=True):
    """Calls along a learned edge, fading with `HALF_LIFE_MS`."""

    calls: float
    failed: float
    at_ms: int


class Near(NamedTuple):
    """Services around one, by the least number of calls between (not both ways mixed)."""

    one: frozenset[str]
    two: frozenset[str]
    all: tuple[str, ...]
    """itself and both of these, sorted"""


class Topology:
    """Mutable. `learned()` and `restore()` carry its memory; declared edges come from the settings."""

    def __init__(
        self, declared: Iterable[tuple[str, str]], memory_ms: int, max_edges: int = MAX_EDGES
    ) -> None:
        """`memory_ms`: a learned edge unseen for this long is forgotten."""
        self.declared = frozenset(edge for edge in declared if edge[0] != edge[1])
        self.memory_ms = memory_ms
        self.max_edges = max_edges
        self.evicted = 0
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

    def observe(self, edges: Iterable[Edge], at_ms: int) -> None:
        """Take in the calls of one bucket that ended at `at_ms`; a service calling itself is no edge."""
        for edge in sorted(edges, key=lambda e: (e.caller, e.callee)):
            if edge.caller == edge.callee:
                continue
            key = (edge.caller, edge.callee)
            link = self._links.pop(key, None)
            if link is None:
                link = Link(0.0, 0.0, at_ms)
                self._connect(*key)
            # Several shards see parts of one bucket: parts of equal time simply add up.
            fade = 0.5 ** (max(0, at_ms - link.at_ms) / HALF_LIFE_MS)
            link.calls = link.calls * fade + edge.calls
            link.failed = link.failed * fade + edge.failed
            link.at_ms = max(link.at_ms, at_ms)
            self._links[key] = link
        self._forget(at_ms)

    def learned(self) -> list[tuple[str, str, Link]]:
        """What was learned, least recently seen first."""
        return [(caller, callee, link) for (caller, callee), link in self._links.items()]

    def restore(self, learned: Iterable[tuple[str, str, Link]]) -> None:
        """Take over what `learned` returned, into a fresh topology."""
        for caller, callee, link in learned:
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
        return link.failed / link.calls if link is not None and link.calls > 0 else 0.0

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


def declared_edges(path: str) -> list[tuple[str, str]]:
    """Read `[{caller, callee}, ...]`; an empty path declares nothing.

    Raises `OSError` when the file cannot be read and `ValueError` when it does not look like that.
    """
    if not path:
        return []
    rows = json.loads(Path(path).read_text())
    named = isinstance(rows, list) and all(
        isinstance(r, dict) and {"caller", "callee"} <= r.keys() for r in rows
    )
    if not named:
        raise ValueError(f"{path}: expected a JSON list of {{caller, callee}}")
    return sorted({(str(row["caller"]), str(row["callee"])) for row in rows})
