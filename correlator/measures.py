"""What a metric measures, read from its name and labels, and how far a window is from normal."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

LATENCY, FAILURE, SUCCESS, TRAFFIC, RESOURCE, BYTES, OTHER = (
    "latency",
    "failure",
    "success",
    "traffic",
    "resource",
    "bytes",
    "other",
)
_FAILURE = re.compile(
    r"error|fail|exception|5xx|panic|reject|throttl|timeout|cancel|drop|invalid|missing", re.I
)
_KINDS = (
    (FAILURE, _FAILURE),
    (TRAFFIC, re.compile(r"\.(rate|count|lines)$", re.I)),
    (SUCCESS, re.compile(r"success|availab|healthy|uptime|apdex", re.I)),
    (LATENCY, re.compile(r"laten|duration|response.?time|edgep\d|elapsed|wait|delay|message.?age", re.I)),
    (
        RESOURCE,
        re.compile(
            r"cpu|memory|mem_|rss|heap|disk|thread|gc[_.]|fd|file.?desc|buffer|pool|capacity|queue", re.I
        ),
    ),
    (BYTES, re.compile(r"bytes|syscall|network|receive|transmit|packets", re.I)),
    (TRAFFIC, re.compile(r"request|workload|ops|calls|throughput|traffic|rps|qps|per.?sec|per.?min", re.I)),
)
_CLIENT = re.compile(r"client|outbound|upstream|source", re.I)
_SHARED = re.compile(r"(?<![a-z])node(?!js)|host", re.I)
_PEER_KEYS = (
    "peer.service",
    "server.address",
    "net.peer.name",
    "upstream",
    "peer",
    "destination",
    "instance",
)
PEERS = frozenset(_PEER_KEYS)
"""labels that may name who was called"""
_EDGE = re.compile(r"(_|-?>|→|\||/|:)+[^\d\W]")
"""what stands between caller and callee where an edge is one label"""
_STATS = ("average", "mean", "avg", "", "p90", "p95", "p50", "p99")
"""preferred statistic of a latency, best first: times traffic it gives the time really spent"""
_STAT = re.compile(r"(average|mean|avg|p\d\d)", re.I)


RARITY = 8
"""how fast a move loses weight with the share of normal windows that were as far off"""


class Meaning(NamedTuple):
    """What a series tells of its service."""

    kind: str
    client: bool
    """seen from the calling side"""
    callee: str | None
    """with `client`: who was called, if the labels say so"""
    stat: int
    """rank of the statistic, 0 is best"""
    shared: bool
    """of the machine, not of the service alone"""


class Deviation(NamedTuple):
    """A window against normal."""

    normal: float
    level: float
    """mean of the more deviating half of the window"""
    spread: float
    z: float
    """distance in spreads; negative when it moved against `direction`"""
    onset: int
    """index into the window of the first sample clearly off, -1 for none"""
    rarity: float
    """[0, 1]: near 1 when normal held no window as far off, near 0 when it held many"""


def meaning(service: str, metric: str, labels: Mapping[str, str], known: Collection[str]) -> Meaning:
    """Read a series; `known` are the services there are."""
    kind, client, shared = _name(metric)
    if kind in (TRAFFIC, OTHER) and any(_failed(key, value) for key, value in labels.items()):
        kind = FAILURE
    callee = _callee(service, labels, known)
    return Meaning(kind, client or callee is not None, callee, _stat(metric, labels.get("stat", "")), shared)


@lru_cache(maxsize=10_000)
def _name(metric: str) -> tuple[str, bool, bool]:
    """What the name says: kind, seen from the calling side, of the machine."""
    kind = next((name for name, pattern in _KINDS if pattern.search(metric)), OTHER)
    return kind, bool(_CLIENT.search(metric)), bool(_SHARED.search(metric))


def kind_of(metric: str) -> str:
    """What a metric measures, by its name."""
    return _name(metric)[0]


def is_shared(metric: str) -> bool:
    """Whether it is of the machine, not of the service alone."""
    return _name(metric)[2]


def circumstantial(service: str, metric: str, labels: Mapping[str, str]) -> bool:
    """Whether what it shows need not hurt anybody by itself: bytes and system calls, what the machine
    does, and waiting on the calling side for nobody knows whom (idle connections and polls are in it)."""
    kind, client, shared = _name(metric)
    if shared or kind == BYTES:
        return True
    return client and kind in (LATENCY, OTHER) and not _names_a_peer(service, labels)


def _names_a_peer(service: str, labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) for key in _PEER_KEYS if key != "instance"):
        return True
    instance = labels.get("instance", "")
    rest = instance[len(service) :] if instance.startswith(service) else ""
    return bool(_EDGE.match(rest))


@lru_cache(maxsize=10_000)
def _stat(metric: str, stat: str) -> int:
    found = _STAT.findall(f"{metric} {stat}")
    word = found[-1].lower() if found else ""
    return _STATS.index(word) if word in _STATS else len(_STATS)


def _failed(key: str, value: str) -> bool:
    """A label that says the counted requests have failed."""
    if key in ("error.type", "exception.type"):
        return bool(value)
    if key.endswith(("status_code", "status", "code")):
        return len(value) == 3 and value.startswith("5")
    return key in ("outcome", "result") and bool(_FAILURE.search(value))


def _callee(service: str, labels: Mapping[str, str], known: Collection[str]) -> str | None:
    if PEERS.isdisjoint(labels):
        return None
    for key in _PEER_KEYS:
        value = labels.get(key, "")
        if not value:
            continue
        # A host name or address with a port names its service by the first part.
        for name in dict.fromkeys((value, value.partition(":")[0], value.partition(".")[0])):
            if name in known and name != service:
                return name
        # An edge written as one label: caller_callee, caller->callee.
        if value.startswith(service) and len(value) > len(service):
            rest = value[len(service) :].lstrip("_-> /:|→")
            if rest in known and rest != service:
                return rest
    return None


def caller(service: str, labels: Mapping[str, str], known: Collection[str]) -> str | None:
    """Who calls, of a series about the calls of one other service: caller_callee in one label."""
    for key in _PEER_KEYS:
        value = labels.get(key, "")
        if value.endswith(service) and len(value) > len(service):
            rest = value[: -len(service)].rstrip("_-> /:|→")
            if rest in known and rest != service:
                return rest
    return None


def failing_share(values: Values, kind: str) -> Values:
    """Success or failure measures as the share that fails, 0 .. 1; percentages are recognised by size."""
    scale = 100.0 if len(values) and float(values.max()) > 1.5 else 1.0
    share = values / scale
    return 1.0 - share if kind == SUCCESS else share


def deviation(normal: Values, window: Values, direction: int = 0, floor: float = 1e-9) -> Deviation | None:
    """Robust distance of `window` from `normal`; None when there is too little of either.

    The spread is the larger of MAD and an inner-quantile range, at least `floor`, 5 % of the normal
    level and 2 % of the new one, so that a constant series is not infinitely surprised.
    `direction`: 1 only upwards counts, -1 only downwards, 0 the side that deviates more.
    """
    if len(normal) < 3 or len(window) == 0:
        return None
    center = float(np.median(normal))
    low, high = np.quantile(normal, (0.2, 0.8))
    mad = 1.4826 * float(np.median(np.abs(normal - center)))
    below, above = _levels(window[None, :])
    spread = max(mad, float(high - low) / 1.68, 0.05 * abs(center), floor)
    up = direction > 0 or (direction == 0 and abs(above[0] - center) >= abs(below[0] - center))
    sign = 1 if up else -1
    level = float(above[0] if up else below[0])
    spread = max(spread, 0.02 * abs(level))
    off = np.flatnonzero((window - center) * sign > 3 * spread)
    past = np.lib.stride_tricks.sliding_window_view(normal, min(len(window), len(normal)))
    before = _levels(past)[1 if up else 0]
    alike = (float(np.sum((before - level) * sign >= 0)) + 0.5) / (len(before) + 1.0)
    onset = int(off[0]) if len(off) else -1
    return Deviation(center, level, spread, sign * (level - center) / spread, onset, (1.0 - alike) ** RARITY)


def _levels(windows: Values) -> tuple[Values, Values]:
    """Of each row: the mean of its lower and of its upper half (the middle value is in both)."""
    ordered = np.sort(windows, axis=1)
    half = math.ceil(ordered.shape[1] / 2)
    return ordered[:, :half].mean(axis=1), ordered[:, -half:].mean(axis=1)


def force(z: float, floor: float = 3.0, full: float = 60.0) -> float:
    """[0, 1]: nothing below `floor` spreads, everything from `full`, logarithmic between."""
    if z <= floor:
        return 0.0
    return min(1.0, math.log(z / floor) / math.log(full / floor))
