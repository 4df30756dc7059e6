"""The topology as it is drawn and listed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from config.catalogue import cycles
from correlator.conflicts import CYCLE, REVERSED, UNDECLARED, UNSEEN, Conflict, Graph

MOST_NODES = 80
"""that are drawn; of more, a service and what lies around it"""
BOTH, DECLARED, SEEN = "both", "declared", "seen"
WORDS = {
    BOTH: "declared and seen",
    DECLARED: "declared, not seen",
    SEEN: "seen, not declared",
}


class Node(msgspec.Struct, frozen=True):
    """A service."""

    id: str
    name: str
    owner: str
    tier: int
    """0: not said"""
    listed: bool
    """has an entry in the catalogue"""
    seen_at: int | None
    """its telemetry, ms UTC"""
    distance: int
    """calls away from the chosen one; 0 also when none is chosen"""


class Arrow(msgspec.Struct, frozen=True):
    """Calls of a service to another."""

    caller: str
    callee: str
    kind: str
    """of `WORDS`"""
    per_minute: float | None
    failed: float | None
    """share of calls"""
    last_at: int | None
    seen_in: tuple[str, ...]
    conflict: str
    """kind of the disagreement, or empty"""


class Drawing(msgspec.Struct, frozen=True):
    """What is shown."""

    chosen: str
    nodes: tuple[Node, ...]
    edges: tuple[Arrow, ...]
    left_out: int
    """services that would belong to it and are not drawn"""


class Around(NamedTuple):
    """What somebody chose."""

    service: str
    depth: int


def drawing(graph: Graph, conflicts: Iterable[Conflict], around: Around | None) -> Drawing:
    """The neighbourhood of a service, or all there is when that can be drawn."""
    if around is not None:
        name = graph.catalogue.canonical(around.service)
        every = graph.around(name, around.depth, 1_000_000)
        distances = dict(list(every.items())[:MOST_NODES])
    else:
        name = ""
        every = dict.fromkeys(graph.services, 0)
        distances = every if len(every) <= MOST_NODES else {}
    left_out = len(every) - len(distances)
    wrong = {(c.service, c.other): c.kind for c in conflicts if c.kind in (REVERSED, UNDECLARED, UNSEEN)}
    rings = [frozenset(group) for group in cycles(graph.calls)]
    edges = []
    for a, b in graph.calls:
        if a in distances and b in distances:
            call = graph.learned.get((a, b))
            declared = (a, b) in graph.declared
            conflict = wrong.get((a, b), "")
            if not conflict and any(a in ring and b in ring for ring in rings):
                conflict = CYCLE
            edges.append(
                Arrow(
                    a,
                    b,
                    BOTH if call and declared else SEEN if call else DECLARED,
                    call.per_minute if call else None,
                    call.failed if call else None,
                    call.last_ms if call else None,
                    call.places if call else (),
                    conflict,
                )
            )
    nodes = tuple(_node(graph, one, distance) for one, distance in sorted(distances.items()))
    return Drawing(name, nodes, tuple(edges), left_out)


def _node(graph: Graph, name: str, distance: int) -> Node:
    entry = graph.catalogue.services.get(name)
    return Node(
        name,
        (entry.name or name) if entry else name,
        entry.owner if entry else "",
        (entry.tier or 0) if entry else 0,
        entry is not None,
        graph.met.get(name),
        distance,
    )
