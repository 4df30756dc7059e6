"""Exclusive excess: what a service loses beyond normal, less what its worst callee loses.

Latency times traffic is time spent, failing share times traffic is requests lost. A caller's loss
contains its callees'; what remains after taking away the largest of them is its own. A callee
without a normal past takes nothing away: that it is called at all is the caller's doing. What
callers lose on the way to a callee, beyond what the callee itself says, is lost in between and
charged to the callee, or to the caller when it loses on most of its ways.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple


class Loss(NamedTuple):
    """Loss beyond normal, in one unit for all services (seconds or requests, per sample)."""

    server: Mapping[str, float]
    """by service; services with a normal past only"""
    edge: Mapping[tuple[str, str], float]
    """(caller, callee) -> loss seen by the caller"""


def exclusive(loss: Loss, down: Mapping[str, Collection[str]], scope: Collection[str]) -> dict[str, float]:
    """Own share of each service in `scope`: about 1 for the one that explains all, 0 for victims."""
    between = _between(loss, down)
    total = max((loss.server.get(s, 0.0) for s in scope), default=0.0)
    total = max([total, *(v for (a, b), v in between.items() if a in scope)])
    if total <= 0.0:
        return {}
    own: dict[str, float] = {}
    for service in scope:
        inherited = [0.0]
        for callee in down.get(service, ()):
            inherited.append(loss.server.get(callee, 0.0))
            inherited.append(between.get((service, callee), 0.0))
        own[service] = max(0.0, loss.server.get(service, 0.0) - max(inherited))
    for (caller, callee), lost in between.items():
        ways = [between.get((caller, b), 0.0) for b in down.get(caller, ())]
        most = len(ways) >= 3 and sum(w >= 0.3 * max(ways) for w in ways) > len(ways) / 2
        to = caller if most else callee
        if to in own:
            own[to] += lost
    return {s: min(1.0, v / total) for s, v in own.items() if v > 0.0}


def _between(loss: Loss, down: Mapping[str, Collection[str]]) -> dict[tuple[str, str], float]:
    """Lost on the way: the caller's view less the callee's own loss."""
    found = {}
    for (caller, callee), seen in sorted(loss.edge.items()):
        lost = seen - loss.server.get(callee, 0.0)
        if lost > 0.0:
            found[caller, callee] = lost
    return found
