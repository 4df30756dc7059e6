"""Rankers of place: who depends on whom, which calls fail, what all that are in trouble call."""

from __future__ import annotations

from collections.abc import Sequence

from correlator.group import Call
from correlator.incident import Evidence
from correlator.rankers.protocol import Field, later, way
from correlator.suspect import Suspect

MOST_SHARED = 3


class Dependents:
    """How many of the others, in trouble no earlier than this one, depend on it."""

    name, weight = "path", 0.20

    def look(self, field: Field) -> None:
        suspects, onsets, ways = field.suspects, field.onsets, field.ways
        named = {s.service: s for s in suspects}
        for suspect in suspects:
            others = [s for s in onsets if s != suspect.service]
            dependent = [
                s for s in others if s in ways[suspect.service] and not later(suspect, named[s], onsets)
            ]
            # That others depend on it accuses only who is in trouble itself, or was just changed.
            if not dependent or (suspect.service not in onsets and not suspect.evidence_of("change")):
                continue
            standing = 1.0 if suspect.evidence_of("change") else suspect.standing
            weight = self.weight * standing * len(dependent) / len(others)
            longest = max((way(ways, s, suspect.service) for s in dependent), key=lambda way: (len(way), way))
            text = f"{len(dependent)} of {len(others)} other troubled services depend on it: " + " → ".join(
                longest
            )
            suspect.evidence.append(Evidence("path", text, round(weight, 4)))


class FailingCalls:
    """Calls to it that fail."""

    name, weight = "calls", 0.10

    def look(self, field: Field) -> None:
        worst: dict[str, tuple[float, str]] = {}
        for caller, callee, failed in field.scene.calls:
            worst[callee] = max(worst.get(callee, (0.0, "")), (failed, caller))
        for suspect in field.suspects:
            share, caller = worst.get(suspect.service, (0.0, ""))
            if share >= 0.05:
                text = f"{share:.0%} of recent calls from {caller} failed"
                weight = round(self.weight * min(1.0, 2 * share), 4)
                suspect.evidence.append(Evidence("path", text, weight))


class SharedCallee:
    """What all services call that are slow or fail, and by nothing of their own: it, or the way to it."""

    name, weight = "shared", 0.30

    def look(self, field: Field) -> None:
        field.suspects = self._with_shared(field.suspects, field.scene.calls)

    def _with_shared(self, suspects: list[Suspect], calls: Sequence[Call]) -> list[Suspect]:
        slow = {s.service for s in suspects if s.slow}
        callers: dict[str, set[str]] = {}
        for caller, callee, _ in calls:
            if caller in slow and callee not in slow:
                callers.setdefault(callee, set()).add(caller)
        shared = sorted(callee for callee, some in callers.items() if some == slow)
        known = {s.service: s for s in suspects}
        if not slow or not shared or len(shared) > MOST_SHARED or any(c in known for c in shared):
            return suspects
        alone = known[min(slow)] if len(slow) == 1 else None
        if alone is not None and not alone.lost:
            return suspects
        # Of one alone nobody knows whether it waits or is slow itself: what it calls is named after it.
        weight = (self.weight if alone is None else min(0.5 * self.weight, 0.8 * alone.score)) / len(shared)
        names = ", ".join(sorted(slow)[:3])
        text = (
            f"all that are slow or fail call it: {names}"
            if len(slow) > 1
            else f"{names}, which is slow, calls it"
        )
        for callee in shared:
            suspect = known.setdefault(callee, Suspect(callee))
            suspect.evidence.append(Evidence("path", text, round(weight, 4)))
        return [known[name] for name in sorted(known)]
