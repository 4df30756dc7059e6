"""Calls around an incident that are worth drawing: between its services, and their ways to the cause."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence

from correlator.group import Call

MOST_DRAWN = 100


def drawn(calls: Sequence[Call], services: Collection[str], cause: str) -> tuple[Call, ...]:
    """Shortest ways from the services to the suspected cause, then what else they call of each other; sorted.

    A service on such a way that shows no trouble itself is drawn, too.
    """
    way: set[tuple[str, str]] = set()
    if cause:
        following = toward(cause, (call[:2] for call in calls))
        for service in services:
            way.update(itertools.pairwise(way_of(service, following)))
    found = [call for call in calls if call[:2] in way]
    if len(found) < MOST_DRAWN:
        inside = {*services, cause}
        more = [c for c in calls if c[:2] not in way and c[0] in inside and c[1] in inside]
        found += sorted(more)[: MOST_DRAWN - len(found)]
    return tuple(sorted(found)[:MOST_DRAWN])


def toward(cause: str, calls: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Service -> the next one on its shortest way to the cause along calls; the cause itself -> "".

    Of several equally short ways the one that comes first by name. Services without a way are left out.
    """
    callers: dict[str, list[str]] = {}
    for caller, callee in calls:
        callers.setdefault(callee, []).append(caller)
    following = {cause: ""} if cause else {}
    front: Sequence[str] = list(following)
    while front:
        further = []
        for service in front:
            for caller in sorted(callers.get(service, ())):
                if caller not in following:
                    following[caller] = service
                    further.append(caller)
        front = further
    return following


def way_of(service: str, following: Mapping[str, str]) -> list[str]:
    """From the service to the cause, both included; of `toward`. Empty: it has no way."""
    way = [service] if service in following else []
    while way and following[way[-1]]:
        way.append(following[way[-1]])
    return way


def suspected(services: Iterable[str], following: Mapping[str, str]) -> list[str]:
    """The longest of the services' ways to the cause: from the symptom that is furthest away."""
    return max((way_of(service, following) for service in services), key=lambda w: (len(w), w), default=[])
