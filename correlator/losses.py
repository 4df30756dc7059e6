"""Series read for diagnosis, and each service's own loss of time and of requests as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from correlator import measures
from correlator.excess import Loss, exclusive
from correlator.incident import Evidence
from correlator.measures import Deviation, Meaning, Values
from correlator.suspect import clock
from streams.records.pages import Series

EXCESS = 1.0
UNCONNECTED = 0.3
"""what remains of the excess of a service the call graph does not know"""
UNNAMED = 0.3
"""what remains of waiting for nobody knows whom, where the log lines of requests name both ends"""
UNSAID = 0.5
"""exponent of a share where nobody said what suffers: then the largest loss is not the one that counts"""
FAILING_FLOOR = 0.005
"""spread of a failing share is at least this"""
UTILISATION_FLOOR = 0.02
"""spread of a resource's use is at least this share of its limit"""
MODES = (measures.LATENCY, measures.FAILURE)
_SHARE_WORDS = ("ratio", "pct", "%", "percent", "share", "utili")

Key = TypeVar("Key", str, tuple[str, str])


class Trace(NamedTuple):
    """One series: what it was normally, and in the window."""

    series: Series
    normal: Values
    ts: tuple[int, ...]
    """of the window's values, ms UTC"""
    values: Values
    ended: bool = False
    """it reported until the window began, and then no more"""


class Read(NamedTuple):
    """A series understood."""

    trace: Trace
    meaning: Meaning
    move: Deviation
    share: bool
    """values are a share of something, 0 .. 1 or per cent"""

    @property
    def at_ms(self) -> int | None:
        """First sample clearly off."""
        return self.trace.ts[self.move.onset] if self.move.onset >= 0 else None

    @property
    def mode(self) -> str | None:
        """What is lost when it is off: time, requests, or nothing that can be added up."""
        if self.meaning.kind == measures.LATENCY:
            return measures.LATENCY
        failing = self.meaning.kind in (measures.SUCCESS, measures.FAILURE) and self.share
        return measures.FAILURE if failing else None

    def text(self) -> str:
        """`PetSite latency: 0.28, normally 0.013 (65 normal spreads), from 14:02:10`."""
        series, move = self.trace.series, self.move
        labels = "".join(f" {v}" for _, v in series.labels)
        since = f", from {clock(self.at_ms)}" if self.at_ms is not None else ""
        what = f"{series.service} {series.metric}{labels}"
        if self.meaning.kind == measures.SUCCESS:
            what += " (share that failed)"
        return f"{what}: {move.level:.4g}, normally {move.normal:.4g} ({move.z:.1f} normal spreads){since}"


def read(trace: Trace, names: set[str]) -> Read | None:
    """None when there is too little to compare."""
    series = trace.series
    meaning = measures.meaning(series.service, series.metric, dict(series.labels), names)
    normal, values, floor = trace.normal, trace.values, 1e-9
    share = meaning.kind == measures.SUCCESS or any(word in series.metric.lower() for word in _SHARE_WORDS)
    if share and meaning.kind in (measures.SUCCESS, measures.FAILURE):
        normal, values = (measures.failing_share(v, meaning.kind) for v in (normal, values))
        floor = FAILING_FLOOR
    elif share and meaning.kind == measures.RESOURCE and len(values) and len(normal):
        floor = UTILISATION_FLOOR * (100.0 if max(values.max(), normal.max()) > 1.5 else 1.0)
    move = measures.deviation(normal, values, 0 if meaning.kind == measures.OTHER else 1, floor)
    return Read(trace, meaning, move, share) if move is not None else None


def own_losses(
    reads: Sequence[Read],
    traffic: Mapping[str, float],
    down: Mapping[str, Sequence[str]],
    scope: set[str],
    symptom: str,
    traced: bool = False,
) -> list[tuple[str, Evidence]]:
    """(service, evidence) of exclusive excess, in time and in failed requests.

    With a `symptom`, the mode it suffers from counts in full, the other as far as it suffers too.
    `traced`: log lines tell the waits between services, so that a client-side latency without a name
    says less.
    """
    found = []
    modes = {mode: _Mode([r for r in reads if r.mode == mode], traffic) for mode in MODES}
    noticed = {mode: m.noticed(symptom) for mode, m in modes.items()}
    for mode, m in modes.items():
        relevance = (0.1 + noticed[mode]) / (0.1 + max(noticed.values()))
        for service, share in exclusive(m.loss(), down, scope).items():
            witness = m.witness(service, down)
            if witness is None:
                continue
            # Without known calls nothing can be taken away, so little can be called its own.
            alone = UNCONNECTED if down and not _connected(service, down) else 1.0
            move = witness.move
            unusual = max(0.1, move.rarity * measures.force(move.z, 1.5, 20.0))
            guessed = UNNAMED if traced and witness.meaning.client and witness.meaning.callee is None else 1.0
            text = f"{witness.text()}; {share:.0%} of the loss is its own, not its callees'"
            size = share if symptom in m.server else share**UNSAID
            weight = round(EXCESS * size * unusual * alone * relevance * guessed, 4)
            found.append((service, Evidence("strength", text, weight, witness.at_ms)))
    return found


class _Lost(NamedTuple):
    stat: int
    negative: float
    read: Read


class _Mode:
    """Everything lost in one mode."""

    def __init__(self, reads: Sequence[Read], traffic: Mapping[str, float]) -> None:
        self.server: dict[str, _Lost] = {}
        self.edge: dict[tuple[str, str], _Lost] = {}
        self.waiting: dict[str, _Lost] = {}
        for r in reads:
            service, callee = r.trace.series.service, r.meaning.callee
            per_request = max(0.0, r.move.level - r.move.normal - r.move.spread)
            lost = _Lost(r.meaning.stat, -per_request * traffic.get(callee or service, 1.0), r)
            if callee is not None:
                _keep(self.edge, (service, callee), lost)
            else:
                _keep(self.waiting if r.meaning.client else self.server, service, lost)
        named = {caller for caller, _ in self.edge}
        self.waiting = {s: lost for s, lost in self.waiting.items() if s not in named}

    def loss(self) -> Loss:
        return Loss(
            {s: -lost.negative for s, lost in self.server.items()},
            {way: -lost.negative for way, lost in self.edge.items()},
            {s: -lost.negative for s, lost in self.waiting.items()},
        )

    def noticed(self, symptom: str) -> float:
        """How far the service where it was noticed is off, in spreads; 0 when none is named."""
        lost = self.server.get(symptom)
        return min(20.0, max(0.0, lost.read.move.z)) if lost is not None else 0.0

    def witness(self, service: str, down: Mapping[str, Sequence[str]]) -> Read | None:
        """The series that shows its loss best: its own, or that of a caller."""
        seen = [self.server[service]] if service in self.server else []
        seen += [lost for (_, callee), lost in sorted(self.edge.items()) if callee == service]
        seen += [self.waiting[caller] for caller in sorted(self.waiting) if service in down.get(caller, ())]
        best = max(seen, key=lambda lost: lost.read.move.z, default=None)
        return best.read if best is not None else None


def _keep(found: dict[Key, _Lost], key: Key, lost: _Lost) -> None:
    """The best statistic, and of several series (instances) the one that lost most."""
    known = found.get(key)
    if known is None or lost[:2] < known[:2]:
        found[key] = lost


def _connected(service: str, down: Mapping[str, Sequence[str]]) -> bool:
    return service in down or any(service in callees for callees in down.values())


def traffic(traces: Sequence[Trace], reads: Sequence[Read]) -> dict[str, float]:
    """Requests per sample, where most services with a latency say so; else nothing (all count alike)."""
    meanings = {id(r.trace): r.meaning for r in reads}
    total: dict[str, float] = {}
    timed: set[str] = set()
    for trace in traces:
        meaning = meanings.get(id(trace))
        if meaning is None or meaning.client or not len(trace.values):
            continue
        service = trace.series.service
        if meaning.kind == measures.TRAFFIC:
            total[service] = total.get(service, 0.0) + float(np.mean(trace.values))
        elif meaning.kind == measures.LATENCY:
            timed.add(service)
    return total if 2 * len(timed & total.keys()) >= len(timed) else {}
