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

from detectors.alert import Alert

PEER_LABELS = ("peer.service", "server.address", "net.peer.name", "upstream", "peer", "destination")
"""labels that name who was called, best first"""
RATES = re.compile(
    r"(request|call|ops|workload|throughput|traffic|receive|transmit|bytes|count|rate|cpu|syscall|orders)",
    re.I,
)
HEALTHY = re.compile(r"(success|availab|ready|healthy|uptime|apdex)", re.I)
FAILING = re.compile(r"(error|fail|exception|timeout|5\d\d|panic|reject|throttl)", re.I)
FULL_STRENGTH = 50.0
"""deviation (in normal spreads) from which on stronger says no more"""

OWN, STARVED, POINTING, ABSENT, LOG = "own", "starved", "pointing", "absent", "log"


class Signal(NamedTuple):
    """One alert, read."""

    role: str
    """own | starved | pointing | absent | log"""
    about: str
    """service it speaks of"""
    force: float
    """[0, 1]"""
    alert: Alert


def force(strength: float) -> float:
    """Deviation in normal spreads -> [0, 1], logarithmic: 3 -> .35, 10 -> .61, 50 and more -> 1."""
    return min(1.0, math.log1p(abs(strength)) / math.log1p(FULL_STRENGTH))


def read(alert: Alert, known: Collection[str]) -> tuple[Signal, ...]:
    """Signals of an alert, given the services known around it. At least one."""
    if alert.kind == "absent":
        # A client-side series that stops says nothing of the callee: its caller has stopped calling.
        gone = peer(alert, known) is None
        return (Signal(ABSENT if gone else STARVED, alert.service, 1.0 if gone else 0.3, alert),)
    if alert.kind == "log":
        named = mentions(alert, known)
        pointing = tuple(Signal(POINTING, name, 0.7, alert) for name in named)
        return (Signal(LOG, alert.service, 0.3 if named else 0.8, alert), *pointing)
    target = peer(alert, known)
    text = _words(alert)
    failing = bool(FAILING.search(text))
    low = alert.strength < 0
    if low and not HEALTHY.search(alert.metric) and RATES.search(alert.metric):
        return (Signal(STARVED, alert.service, 0.3 * force(alert.strength), alert),)
    if target is not None:
        return (Signal(POINTING, target, (1.0 if failing else 0.8) * force(alert.strength), alert),)
    return (Signal(OWN, alert.service, force(alert.strength), alert),)


def peer(alert: Alert, known: Collection[str]) -> str | None:
    """The callee a client-side series speaks of: by name, else by the first part of its host name."""
    labels = dict(alert.labels)
    for key in PEER_LABELS:
        value = labels.get(key, "")
        if not value:
            continue
        for name in (value, value.partition(":")[0], value.partition(".")[0]):
            if name in known and name != alert.service:
                return name
    return None


def mentions(alert: Alert, known: Collection[str]) -> tuple[str, ...]:
    """Other services named in the sample lines of a log alert, sorted."""
    text = " ".join((alert.metric, *alert.samples))
    words = set(re.findall(r"[A-Za-z0-9_.-]*[A-Za-z0-9]", text))
    return tuple(sorted(name for name in known if name in words and name != alert.service))


def _words(alert: Alert) -> str:
    return " ".join((alert.metric, *(value for key, value in alert.labels if key not in PEER_LABELS)))
