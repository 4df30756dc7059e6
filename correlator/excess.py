"""Exclusive excess: what a service loses beyond normal, less what its worst callee loses.

Latency times traffic is time spent, failing share times traffic is requests lost. A caller's loss
contains its callees'; what remains after taking away the largest of them is its own. A callee
without a normal past takes nothing away: that it is called at all is the caller's doing. What
callers lose on the way to a callee, beyond what the callee itself says, is lost in between and
charged to the callee, or to the caller when it loses on most of its ways. Where a caller only says
that it waits, not for whom, its callees share the charge; one whose callers all wait gets more.
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
    waiting: Mapping[str, float] = {}
    """caller -> loss in its calls, callee not named"""


def exclusive(loss: Loss, down: Mapping[str, Collection[str]], scope: Collection[str]) -> dict[str, float]:
    """Own share of each service in `scope`: about 1 for the one that explains all, 0 for victims."""
    charged = _between(loss, down)
    total = max((loss.server.get(s, 0.0) for s in scope), default=0.0)
    total = max([total, *(v for (a, b), v in charged.items() if a in scope)])
    if total <= 0.0:
        return {}
    own: dict[str, float] = {}
    for service in scope:
        inherited = [0.0, loss.waiting.get(service, 0.0)]
        for callee in down.get(service, ()):
            inherited.append(loss.server.get(callee, 0.0))
            inherited.append(loss.edge.get((service, callee), 0.0))
        own[service] = max(0.0, loss.server.get(service, 0.0) - max(inherited))
    for (caller, callee), lost in charged.items():
        ways = [charged.get((caller, b), 0.0) for b in down.get(caller, ())]
        most = len(ways) >= 3 and sum(w >= 0.3 * max(ways) for w in ways) > len(ways) / 2
        to = caller if most and (caller, callee) in loss.edge else callee
        if to in own:
            own[to] += lost
    return {s: min(1.0, v / total) for s, v in own.items() if v > 0.0}


def _between(loss: Loss, down: Mapping[str, Collection[str]]) -> dict[tuple[str, str], float]:
    """Lost on the way: the caller's view less the callees' own loss."""
    found: dict[tuple[str, str], float] = {}
    for (caller, callee), seen in sorted(loss.edge.items()):
        lost = seen - loss.server.get(callee, 0.0)
        if lost > 0.0:
            found[caller, callee] = lost
    up: dict[str, list[str]] = {}
    for caller in loss.waiting:
        for callee in down.get(caller, ()):
            up.setdefault(callee, []).append(caller)
    for caller, seen in sorted(loss.waiting.items()):
        callees = sorted(down.get(caller, ()))
        lost = seen - max((loss.server.get(c, 0.0) for c in callees), default=0.0)
        if lost <= 0.0:
            continue
        # Callers of one callee that all wait point to it; callers at ease speak for it.
        shares = {c: sum(loss.waiting[a] > 0.0 for a in up[c]) / len(up[c]) for c in callees}
        for callee, share in shares.items():
            found[caller, callee] = lost * share / sum(shares.values())
    return found
