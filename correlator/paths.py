"""Calls around an incident that are worth drawing: between its services, and their ways to the cause."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from correlator.group import Call

MOST_DRAWN = 100


def drawn(calls: Sequence[Call], services: Collection[str], cause: str) -> tuple[Call, ...]:
    """Shortest ways from the services to the suspected cause, then what else they call of each other; sorted.

    A service on such a way that shows no trouble itself is drawn, too.
    """
    way: set[tuple[str, str]] = set()
    if cause:
        up: dict[str, list[str]] = {}
        for caller, callee, _ in calls:
            up.setdefault(callee, []).append(caller)
        following = {cause: ""}
        front = [cause]
        while front:
            further = []
            for service in front:
                for caller in sorted(up.get(service, ())):
                    if caller not in following:
                        following[caller] = service
                        further.append(caller)
            front = further
        for service in services:
            while following.get(service):
                way.add((service, following[service]))
                service = following[service]
    found = [call for call in calls if call[:2] in way]
    if len(found) < MOST_DRAWN:
        inside = {*services, cause}
        more = [c for c in calls if c[:2] not in way and c[0] in inside and c[1] in inside]
        found += sorted(more)[: MOST_DRAWN - len(found)]
    return tuple(sorted(found)[:MOST_DRAWN])
