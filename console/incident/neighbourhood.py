"""The services of an incident and the calls between them, with onsets and the suspected path. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

import msgspec

from console.incident.headline import symptom
from correlator.incident import Incident

MOST_NODES = 60
CAUSE, AFFECTED, BETWEEN = "suspected cause", "affected", "on the way"


class Node(msgspec.Struct, frozen=True):
    id: str
    role: str
    """suspected cause | affected | on the way"""
    onset_ms: int | None
    """of its first alert"""
    signal: str
    """that alert in words"""
    alerts: int


class Call(msgspec.Struct, frozen=True):
    caller: str
    callee: str
    failed: float | None
    """share of calls; None: not known"""
    source: str
    """seen | declared"""
    suspect: bool
    """on the way from where it hurts to the suspected cause"""


class Neighbourhood(msgspec.Struct, frozen=True):
    nodes: tuple[Node, ...]
    calls: tuple[Call, ...]
    left_out: int


def neighbourhood(
    incident: Incident, declared: Iterable[tuple[str, str]], most: int = MOST_NODES
) -> Neighbourhood:
    """What is drawn. `declared`: calls as the catalogue has them."""
    cause = incident.hints[0].service if incident.hints else ""
    roles = {role.service: role.role for role in incident.services}
    seen = {(a, b): failed for a, b, failed in incident.calls}
    calls: dict[tuple[str, str], float | None] = dict(seen)
    for pair in declared:
        if pair[0] in roles and pair[1] in roles:
            calls.setdefault(pair, None)
    names = dict.fromkeys([*roles, *(name for pair in seen for name in pair)])
    first: dict[str, tuple[int, str]] = {}
    counts: dict[str, int] = {}
    for member in incident.members:
        counts[member.service] = counts.get(member.service, 0) + 1
        known = first.get(member.service)
        if known is None or member.started_at < known[0]:
            first[member.service] = (member.started_at, member.summary)
    ordered = sorted(names, key=lambda name: (name != cause, name not in roles, *_onset(first, name)))
    kept = set(ordered[:most])
    way = _way(symptom(incident), cause, calls)
    nodes = tuple(
        Node(
            name,
            CAUSE if name == cause else AFFECTED if name in roles else BETWEEN,
            first[name][0] if name in first else None,
            first[name][1] if name in first else "",
            counts.get(name, 0),
        )
        for name in ordered[:most]
    )
    edges = tuple(
        Call(a, b, failed, "seen" if (a, b) in seen else "declared", (a, b) in way)
        for (a, b), failed in sorted(calls.items())
        if a in kept and b in kept
    )
    return Neighbourhood(nodes, edges, len(ordered) - len(nodes))


def _onset(first: Mapping[str, tuple[int, str]], name: str) -> tuple[int, str]:
    return (first[name][0] if name in first else 2**62, name)


def _way(begin: str, end: str, calls: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """The shortest chain of calls from one to the other; of equal ones the first by name."""
    after: dict[str, list[str]] = {}
    for a, b in sorted(calls):
        after.setdefault(a, []).append(b)
    came: dict[str, str] = {begin: begin}
    queue = deque([begin])
    while queue and end not in came:
        name = queue.popleft()
        for callee in after.get(name, ()):
            if callee not in came:
                came[callee] = name
                queue.append(callee)
    if end not in came or begin == end:
        return set()
    way = set()
    while end != begin:
        way.add((came[end], end))
        end = came[end]
    return way
