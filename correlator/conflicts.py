"""Where the catalogue and what telemetry shows disagree. Pure; nothing is decided by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from config.catalogue import Catalogue, cycles
from correlator.atlas import LearnedCall, ServiceSeen

REVERSED, UNDECLARED, UNSEEN = "reversed", "undeclared", "unseen"
UNLISTED, SILENT, CYCLE = "unlisted", "silent", "cycle"
KINDS = {
    REVERSED: "declared one way, seen only the other way",
    UNDECLARED: "seen, not declared",
    UNSEEN: "declared, not seen",
    UNLISTED: "sends telemetry, no entry in the catalogue",
    SILENT: "in the catalogue, nothing seen of it",
    CYCLE: "depend on each other",
}
"""kind -> in words, what matters most first"""
MOST_NAMED = 8


class Conflict(NamedTuple):
    """One disagreement."""

    kind: str
    service: str
    other: str
    """the callee; for a cycle the other services"""
    text: str
    at_ms: int | None = None
    """last seen"""


class Graph:
    """Declared and learned calls side by side, under the services' own names."""

    def __init__(self, catalogue: Catalogue, seen: Iterable[ServiceSeen]) -> None:
        self.catalogue = catalogue
        canonical = catalogue.canonical
        self.declared = frozenset(catalogue.calls)
        self.learned: dict[tuple[str, str], LearnedCall] = {}
        self.met: dict[str, int] = {}
        """services whose own telemetry was seen, or their calls, and when"""
        for record in seen:
            caller = canonical(record.service)
            if record.seen_ms >= 0:
                self.met[caller] = max(record.seen_ms, self.met.get(caller, -1))
            for call in record.calls:
                key = (caller, canonical(call.callee))
                known = self.learned.get(key)
                if key[0] != key[1] and (known is None or known.last_ms < call.last_ms):
                    self.learned[key] = call
        self.calls: Sequence[tuple[str, str]] = sorted({*self.declared, *self.learned})
        self.callees: dict[str, list[str]] = {}
        self.callers: dict[str, list[str]] = {}
        for caller, callee in self.calls:
            self.callees.setdefault(caller, []).append(callee)
            self.callers.setdefault(callee, []).append(caller)

    @property
    def services(self) -> list[str]:
        """All there are, sorted."""
        return sorted({*self.catalogue.services, *self.met, *self.callees, *self.callers})

    def facts(self, caller: str, callee: str) -> dict[str, Any]:
        """One call as programs read it. Times are ms UTC; what was not seen has None and no places."""
        call = self.learned.get((caller, callee))
        return {
            "caller": caller,
            "callee": callee,
            "declared": (caller, callee) in self.declared,
            "seen_in": list(call.places) if call else [],
            "per_minute": call.per_minute if call else None,
            "failed": call.failed if call else None,
            "first_at": call.first_ms if call else None,
            "last_at": call.last_ms if call else None,
        }

    def around(self, service: str, depth: int, most: int) -> dict[str, int]:
        """Services at most `depth` calls away, up- or downstream and not both ways mixed, with the distance.

        At most `most` of them, the nearest first.
        """
        found = {service: 0}
        for ways in (self.callees, self.callers):
            met, front = {service}, [service]
            for distance in range(1, depth + 1):
                front = sorted({b for a in front for b in ways.get(a, ())} - met)
                met.update(front)
                for b in front:
                    found[b] = min(distance, found.get(b, distance))
        nearest = sorted(found.items(), key=lambda pair: (pair[1], pair[0]))
        return dict(nearest[:most])

    def reversed(self) -> list[tuple[str, str]]:
        """Declared calls that are seen only the other way round."""
        return [
            (a, b)
            for a, b in sorted(self.declared)
            if (a, b) not in self.learned and (b, a) in self.learned and (b, a) not in self.declared
        ]


def conflicts(graph: Graph, seen_since_ms: int) -> list[Conflict]:
    """All of them, by kind; `seen_since_ms`: calls not seen since then count as unseen."""
    catalogue, learned = graph.catalogue, graph.learned
    listed = catalogue.services
    turned = graph.reversed()
    backwards = {(b, a) for a, b in turned}
    found = [
        Conflict(REVERSED, a, b, f"declared {a} → {b}, seen {b} → {a}", learned[b, a].last_ms)
        for a, b in turned
    ]
    for (a, b), call in sorted(learned.items()):
        if (a, b) not in graph.declared and (a, b) not in backwards and a in listed:
            where = " and ".join(call.places)
            found.append(Conflict(UNDECLARED, a, b, f"seen in {where}", call.last_ms))
    for a, b in sorted(graph.declared):
        known = learned.get((a, b))
        if known is None and (a, b) not in turned:
            text = "never seen" if a in graph.met or b in graph.met else "neither of them was seen"
            found.append(Conflict(UNSEEN, a, b, text))
        elif known is not None and known.last_ms < seen_since_ms:
            found.append(Conflict(UNSEEN, a, b, "not seen lately", known.last_ms))
    if listed:
        for name, at_ms in sorted(graph.met.items()):
            if name not in listed:
                found.append(Conflict(UNLISTED, name, "", KINDS[UNLISTED], at_ms))
    shown = {*graph.met, *(callee for _, callee in learned)}
    found += [Conflict(SILENT, name, "", KINDS[SILENT]) for name in sorted(listed.keys() - shown)]
    found += [
        Conflict(CYCLE, group[0], _some(group[1:]), f"{len(group)} {KINDS[CYCLE]}")
        for group in cycles(graph.calls)
    ]
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
