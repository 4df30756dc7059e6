"""What an alert says about where the trouble is: at the service itself, at a callee, or upstream.

A service's own alerts speak of itself. Client-side metrics (a peer named in the labels) and log
lines that name another service speak of the callee. Less traffic than usual is what a failing
caller does to its callees, so it never makes a service a suspect.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import NamedTuple

from correlator import measures
from correlator.opening import circumstantial
from detectors.alert import Alert

_TRUST = {measures.TRAFFIC: 0.4, measures.BYTES: 0.5}
"""metrics that follow load say less of their service"""
_POINTING = {measures.FAILURE: 1.0, measures.SUCCESS: 1.0, measures.LATENCY: 0.8}
WAITING = 0.2
"""client-side, but nobody knows for whom"""
SHARED = 0.3
"""of the machine, not of the service alone"""
SAID = {"info": 0.1, "warning": 0.4, "error": 0.6, "critical": 0.8}
"""an external alert by its severity: how far off things are, its source does not say"""
SECONDS = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
FULL_STRENGTH = 50.0
"""deviation (in normal spreads) from which on stronger says no more"""

MENTIONED = 0.4
"""named in a caller's log: that it could not be reached is seldom its own doing"""
OWN, USED, STARVED, POINTING, ABSENT, LOG, STEP = (
    *("own", "used", "starved", "pointing", "absent", "log", "step"),
)


class Signal(NamedTuple):
    """One alert, read."""

    role: str
    """own (slow, failing) | used (its own resources) | starved | pointing | absent | log (errors of
    its own) | step (lines that no longer come)"""
    about: str
    """service it speaks of"""
    force: float
    """[0, 1]"""
    alert: Alert

    telling: bool = False
    """it is trouble by itself: not less traffic, and more than circumstantial"""
    lost: float = 0.0
    """see `lost`"""


def force(strength: float) -> float:
    """Deviation in normal spreads -> [0, 1], logarithmic: 3 -> .35, 10 -> .61, 50 and more -> 1."""
    return min(1.0, math.log1p(abs(strength)) / math.log1p(FULL_STRENGTH))


def read(alert: Alert, known: Collection[str]) -> tuple[Signal, ...]:
    """Signals of an alert, given the services known around it. At least one."""
    solid, seconds = not circumstantial(alert), lost(alert)
    return tuple(
        signal._replace(telling=solid and signal.role != STARVED, lost=seconds)
        for signal in _signals(alert, known)
    )


def _signals(alert: Alert, known: Collection[str]) -> tuple[Signal, ...]:
    if alert.kind == "absent":
        return (_silence(alert, known),)
    if alert.kind == "log":
        if alert.strength < 0:
            return (Signal(STEP, alert.service, 0.8, alert),)
        named = mentions(alert, known)
        pointing = tuple(Signal(POINTING, name, MENTIONED, alert) for name in named)
        return (Signal(LOG, alert.service, 0.3 if named else 1.0, alert), *pointing)
    m = measures.meaning(alert.service, alert.metric, dict(alert.labels), known)
    strong = SAID[alert.severity] if alert.kind == "external" else force(alert.strength)
    if _harmless(m.kind, alert.strength):
        return (Signal(STARVED, alert.service, 0.3 * strong, alert),)
    if m.callee is not None:
        return (Signal(POINTING, m.callee, _POINTING.get(m.kind, 0.5) * strong, alert),)
    trust = SHARED if m.shared else WAITING if m.client else _TRUST.get(m.kind, 1.0)
    role = USED if m.kind == measures.RESOURCE and not m.shared else OWN
    return (Signal(role, alert.service, trust * strong, alert),)


def _silence(alert: Alert, known: Collection[str]) -> Signal:
    """What stopped: the service, its calls of another, or others' calls of it, which is not its doing."""
    labels = dict(alert.labels)
    if alert.instance:
        labels.setdefault("instance", alert.instance)
    m = measures.meaning(alert.service, alert.metric, labels, known)
    if m.callee is not None:
        return Signal(STEP, alert.service, 0.8, alert)
    if measures.caller(alert.service, labels, known) is not None:
        return Signal(STARVED, alert.service, 0.3, alert)
    if alert.severity == "error":
        return Signal(ABSENT, alert.service, 1.0, alert)
    # Some of its series stopped while others go on: those that need requests, most often.
    idle = alert.count > 1 or m.kind in (measures.LATENCY, measures.SUCCESS, measures.TRAFFIC)
    return Signal(STARVED if idle else ABSENT, alert.service, 0.3 if idle else 1.0, alert)


def is_failing(alert: Alert) -> bool:
    """Whether it counts requests that fail."""
    return alert.kind == "metric" and measures.kind_of(alert.metric) in (measures.FAILURE, measures.SUCCESS)


def lost(alert: Alert) -> float:
    """Seconds (or what the metric counts in, if it does not say) that an answer takes longer than usual."""
    if alert.kind != "metric" or alert.value is None or alert.expected is None:
        return 0.0
    if measures.kind_of(alert.metric) != measures.LATENCY or alert.unit in ("1", "%"):
        return 0.0
    return (alert.value - alert.expected) * SECONDS.get(alert.unit, 1.0)


def _harmless(kind: str, strength: float) -> bool:
    """Less load, less use, faster answers: what a failing caller does to its callees."""
    if kind == measures.SUCCESS:
        return strength > 0
    return strength < 0 and kind != measures.OTHER


def peer(alert: Alert, known: Collection[str]) -> str | None:
    """The callee a client-side series speaks of, if its labels name one."""
    return measures.meaning(alert.service, alert.metric, dict(alert.labels), known).callee


def mentions(alert: Alert, known: Collection[str]) -> tuple[str, ...]:
    """Other services named in the sample lines of a log alert, sorted."""
    text = " ".join((alert.metric, *alert.samples))
    words = set(re.findall(r"[A-Za-z0-9_.-]*[A-Za-z0-9]", text))
    return tuple(sorted(name for name in known if name in words and name != alert.service))
