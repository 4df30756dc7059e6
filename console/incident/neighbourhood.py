"""The services of an incident and the calls between them, with onsets and the suspected path. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from console.incident.headline import symptom
from correlator.atlas import LearnedCall
from correlator.conflicts import Graph
from correlator.incident import Incident
from correlator.paths import suspected, toward, way_of

MOST_NODES = 60
Source = Literal["both", "declared", "seen"]
Role = Literal["suspected cause", "affected", "on the way"]


class Node(msgspec.Struct, frozen=True):
    id: str
    role: Role
    onset_ms: int | None
    """of its first alert"""
    signal: str
    """that alert in words"""
    alerts: int


class Call(msgspec.Struct, frozen=True):
    caller: str
    callee: str
    failed: float | None
    """share of calls, as the incident has it, else lately; None: not known"""
    per_minute: float | None
    """lately; None: not known"""
    source: Source
    """both: declared and seen. Without any declared call in the picture it is both, too: nothing differs"""
    suspect: bool
    """on the way from where it hurts to the suspected cause"""


class Neighbourhood(msgspec.Struct, frozen=True):
    nodes: tuple[Node, ...]
    calls: tuple[Call, ...]
    path: tuple[str, ...]
    """the suspected one, from where it hurts to the suspected cause; of one service only: none"""
    left_out: int
    """services beyond the most that are drawn"""


def neighbourhood(incident: Incident, graph: Graph, most: int = MOST_NODES) -> Neighbourhood:
    """What is drawn: services of the incident, those on their ways to the suspected cause, calls between.

    `graph`: declared and learned calls as of now.
    """
    cause = incident.hints[0].service if incident.hints else ""
    roles = {role.service for role in incident.services}
    seen = {(a, b): failed for a, b, failed in incident.calls}
    # What the incident itself knows is older than the graph, and is why the cause is suspected: it decides.
    following = toward(cause, seen)
    wider = toward(cause, {*seen, *graph.calls}) if roles - following.keys() else following
    ways = [way_of(name, following) or way_of(name, wider) for name in sorted(roles)]
    path = _path(incident, following, wider)
    onsets, counts = _onsets(incident)
    names = {*roles, *path, *itertools.chain(*seen), *itertools.chain(*ways)}
    if cause:
        names.add(cause)
    late = 2**62
    ordered = sorted(
        names,
        key=lambda n: (n != cause, n not in path, n not in roles, onsets.get(n, (late,))[0], n),
    )
    kept = ordered[:most]
    nodes = tuple(
        Node(
            name,
            "suspected cause" if name == cause else "affected" if name in roles else "on the way",
            onsets[name][0] if name in onsets else None,
            onsets[name][1] if name in onsets else "",
            counts.get(name, 0),
        )
        for name in kept
    )
    calls = _calls(set(kept), seen, graph, set(itertools.pairwise(path)))
    return Neighbourhood(nodes, calls, tuple(path), len(ordered) - len(kept))


def _path(incident: Incident, following: Mapping[str, str], wider: Mapping[str, str]) -> list[str]:
    hurts = symptom(incident)
    for ways in (following, wider):
        for way in (way_of(hurts, ways), suspected((r.service for r in incident.services), ways)):
            if len(way) > 1:
                return way
    return []


def _onsets(incident: Incident) -> tuple[dict[str, tuple[int, str]], dict[str, int]]:
    """First alert and number of alerts of each service."""
    first: dict[str, tuple[int, str]] = {}
    counts: dict[str, int] = {}
    for member in incident.members:
        counts[member.service] = counts.get(member.service, 0) + 1
        known = first.get(member.service)
        if known is None or member.started_at < known[0]:
            first[member.service] = (member.started_at, member.summary)
    return first, counts


def _calls(
    kept: set[str],
    seen: Mapping[tuple[str, str], float],
    graph: Graph,
    way: set[tuple[str, str]],
) -> tuple[Call, ...]:
    near: Iterable[tuple[str, str]] = ((a, b) for a in kept for b in graph.callees.get(a, ()))
    pairs = sorted({pair for pair in (*seen, *near) if kept.issuperset(pair)})
    anything = any(pair in graph.declared for pair in pairs)
    return tuple(
        Call(
            *pair,
            _failed(pair, seen, graph.learned.get(pair)),
            graph.learned[pair].per_minute if pair in graph.learned else None,
            _source(pair, seen, graph, anything),
            pair in way,
        )
        for pair in pairs
    )


def _failed(
    pair: tuple[str, str], seen: Mapping[tuple[str, str], float], learned: LearnedCall | None
) -> float | None:
    # An incident lists declared calls beside seen ones, with nothing failed: only a share above 0 was seen.
    if seen.get(pair):
        return seen[pair]
    return None if learned is None else 0.0 if pair in seen else learned.failed


def _source(
    pair: tuple[str, str], seen: Mapping[tuple[str, str], float], graph: Graph, anything: bool
) -> Source:
    if pair in graph.declared:
        return "both" if pair in graph.learned or seen.get(pair) else "declared"
    return "seen" if anything else "both"
