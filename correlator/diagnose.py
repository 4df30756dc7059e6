"""Root cause of a given window, from raw series and log lines instead of alerts.

    score = excess + strength + log + change + onset (each weighed below)

Excess is the exclusive loss of time or requests (`correlator.excess`), as far as the losses are
unusual at all. Strength is the strongest upward move of the service's own resources and other
metrics. Log is how far the mix of its lines is from normal, less what a callee's explains. The
weights are fixed; no case decides them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np

from correlator import logmix, measures
from correlator.excess import Loss, exclusive
from correlator.hints import clock
from correlator.incident import Evidence, Hint
from correlator.logmix import Finding, Line
from correlator.measures import Deviation, Meaning, Values
from streams.records.messages import Change
from streams.records.pages import Series

EXCESS, RESOURCE, OTHER, LOG, CHANGE, ONSET, ABSENT = 1.0, 1.0, 0.5, 1.0, 0.4, 0.1, 0.8
FAINT = 0.05
"""weight of a move too small to be evidence by itself: it only breaks ties"""
OUT_OF_REACH = 0.25
"""what remains of a score when the service where it was noticed does not depend on it"""
LOG_FULL = 60.0
"""log deviance that counts in full"""
LOG_EXPLAINED = 0.5
UNCONNECTED = 0.3
"""what remains of the excess of a service the call graph does not know"""
CHANGE_WINDOW_MS = 1_800_000
UNKNOWN = 0.35
FAILING_FLOOR = 0.005
"""spread of a failing share is at least this"""


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


class Case(NamedTuple):
    """Everything known of one fault."""

    start_ms: int
    end_ms: int
    traces: Sequence[Trace]
    normal_lines: Mapping[str, Sequence[Line]]
    """by service"""
    window_lines: Mapping[str, Sequence[Line]]
    edges: Sequence[tuple[str, str]]
    changes: Sequence[Change] = ()
    symptom: str = ""
    """service where it was noticed; empty when not said"""


class _Read(NamedTuple):
    trace: Trace
    meaning: Meaning
    move: Deviation


class _Service(msgspec.Struct):
    evidence: list[Evidence] = []
    faint: float = 0.0
    onset: int | None = None
    cause: str = ""


def diagnose(case: Case) -> list[Hint]:
    """Every service, most suspect first. Confidences sum to less than 1; the rest is "unknown"."""
    names = (
        {t.series.service for t in case.traces} | set(case.window_lines) | {s for e in case.edges for s in e}
    )
    services = {name: _Service() for name in sorted(names | {c.service for c in case.changes})}
    down: dict[str, list[str]] = {}
    for caller, callee in sorted(set(case.edges)):
        down.setdefault(caller, []).append(callee)
    reads = [r for t in case.traces if (r := _read(t, names)) is not None]
    scope = _reach(down, case.symptom) if case.symptom in names else set(services)
    for kind in (measures.LATENCY, measures.FAILURE):
        _losses(services, reads, case, down, scope, kind)
    _strengths(services, reads)
    _silences(services, case.traces)
    _logs(services, case, down)
    _changes(services, case)
    _onsets(services)
    return _ranked(services, scope, bool(down) and bool(case.symptom))


def _read(trace: Trace, names: set[str]) -> _Read | None:
    series = trace.series
    meaning = measures.meaning(series.service, series.metric, dict(series.labels), names)
    normal, values, floor = trace.normal, trace.values, 1e-9
    if meaning.kind in (measures.SUCCESS, measures.FAILURE) and _is_share(meaning.kind, series.metric):
        normal, values = (measures.failing_share(v, meaning.kind) for v in (normal, values))
        floor = FAILING_FLOOR
    direction = 0 if meaning.kind == measures.OTHER else 1
    move = measures.deviation(normal, values, direction, floor)
    return _Read(trace, meaning, move) if move is not None else None


def _is_share(kind: str, metric: str) -> bool:
    text = metric.lower()
    return kind == measures.SUCCESS or any(word in text for word in ("ratio", "pct", "%", "percent", "share"))


def _losses(
    services: dict[str, _Service],
    reads: Sequence[_Read],
    case: Case,
    down: Mapping[str, Sequence[str]],
    scope: set[str],
    kind: str,
) -> None:
    """Exclusive excess in time (`LATENCY`) or in failed requests (`FAILURE`)."""
    traffic = _traffic(case.traces, reads)
    server: dict[str, _Lost] = {}
    edge: dict[tuple[str, str], _Lost] = {}
    waiting: dict[str, _Lost] = {}
    for read in reads:
        series, meaning, move = read.trace.series, read.meaning, read.move
        failing = meaning.kind in (measures.FAILURE, measures.SUCCESS) and _is_share(
            meaning.kind, series.metric
        )
        if not (failing if kind == measures.FAILURE else meaning.kind == kind):
            continue
        per_request = max(0.0, move.level - move.normal - move.spread)
        callee = meaning.callee or series.service
        found = _Lost(meaning.stat, -per_request * traffic.get(callee, 1.0), read)
        if meaning.callee is not None:
            _least(edge, (series.service, meaning.callee), found)
        else:
            _least(waiting if meaning.client else server, series.service, found)
    named = {caller for caller, _ in edge}
    loss = Loss(
        {s: -f.negative for s, f in server.items()},
        {k: -f.negative for k, f in edge.items()},
        {s: -f.negative for s, f in waiting.items() if s not in named},
    )
    for service, share in exclusive(loss, down, scope & services.keys()).items():
        best = _witness(service, server, edge, waiting, down)
        if best is None:
            continue
        # Without known callees nothing can be taken away, so little can be called its own.
        alone = UNCONNECTED if down and service not in down and not _called(service, down) else 1.0
        unusual = max(0.1, best.read.move.rarity * measures.force(best.read.move.z, 1.5, 20.0))
        text = f"{_moved(best.read)}; {share:.0%} of the loss is its own, not its callees'"
        weight = round(EXCESS * share * unusual * alone, 4)
        _add(services[service], Evidence("strength", text, weight, _at(best.read)))


class _Lost(NamedTuple):
    stat: int
    negative: float
    read: _Read


def _least(found: dict[Key, _Lost], key: Key, lost: _Lost) -> None:
    """Keep the best statistic, and of several series (instances) the one that lost most."""
    known = found.get(key)
    if known is None or lost[:2] < known[:2]:
        found[key] = lost


def _witness(
    service: str,
    server: Mapping[str, _Lost],
    edge: Mapping[tuple[str, str], _Lost],
    waiting: Mapping[str, _Lost],
    down: Mapping[str, Sequence[str]],
) -> _Lost | None:
    """The series that shows the loss best: its own, or that of a caller."""
    seen = [server[service]] if service in server else []
    seen += [lost for (_, callee), lost in sorted(edge.items()) if callee == service]
    seen += [waiting[caller] for caller in sorted(waiting) if service in down.get(caller, ())]
    return max(seen, key=lambda lost: lost.read.move.z, default=None)


def _called(service: str, down: Mapping[str, Sequence[str]]) -> bool:
    return any(service in callees for callees in down.values())


def _traffic(traces: Sequence[Trace], reads: Sequence[_Read]) -> dict[str, float]:
    """Requests per sample, where most services with a latency say so; else nothing (all count alike)."""
    meanings = {id(r.trace): r.meaning for r in reads}
    total: dict[str, float] = {}
    timed: set[str] = set()
    for trace in traces:
        meaning = meanings.get(id(trace))
        if meaning is None or meaning.client or not len(trace.values):
            continue
        if meaning.kind == measures.TRAFFIC:
            service = trace.series.service
            total[service] = total.get(service, 0.0) + float(np.mean(trace.values))
        elif meaning.kind == measures.LATENCY:
            timed.add(trace.series.service)
    return total if 2 * len(timed & total.keys()) >= len(timed) else {}


def _strengths(services: dict[str, _Service], reads: Sequence[_Read]) -> None:
    """The strongest move of a service's own resources, and of its other metrics."""
    best: dict[tuple[str, str], tuple[float, float, _Read]] = {}
    for read in reads:
        kind, service = read.meaning.kind, read.trace.series.service
        z = read.move.z
        if not (read.meaning.shared or read.meaning.client or kind == measures.TRAFFIC):
            services[service].faint = max(
                services[service].faint, read.move.rarity * measures.force(z, 1.0, 30.0)
            )
        if kind == measures.RESOURCE and not read.meaning.shared:
            group, weight = "resource", RESOURCE
        elif kind in (measures.FAILURE, measures.OTHER) and not read.meaning.client:
            group, weight = "other", OTHER
        else:
            continue
        found = (weight * read.move.rarity * measures.force(z, 4.0, 40.0), z, read)
        if found[0] > 0:
            best[service, group] = max(best.get((service, group), found), found, key=lambda f: f[:2])
    for (service, _), (weight, _, read) in sorted(best.items()):
        _add(services[service], Evidence("strength", _moved(read), round(weight, 4), _at(read)))


def _silences(services: dict[str, _Service], traces: Sequence[Trace]) -> None:
    """Services most of whose series stopped when the window began."""
    series: dict[str, int] = {}
    ended: dict[str, int] = {}
    for trace in traces:
        name = trace.series.service
        series[name] = series.get(name, 0) + 1
        ended[name] = ended.get(name, 0) + trace.ended
    for name, gone in ended.items():
        if 2 * gone > series[name]:
            _add(services[name], Evidence("absent", f"{gone} of {series[name]} series stopped", ABSENT))


def _logs(services: dict[str, _Service], case: Case, down: Mapping[str, Sequence[str]]) -> None:
    found: dict[str, list[Finding]] = {}
    for name in sorted(set(case.normal_lines) | set(case.window_lines)):
        off = logmix.findings(case.normal_lines.get(name, ()), case.window_lines.get(name, ()), case.start_ms)
        if off:
            found[name] = off
    for name, off in found.items():
        weight = logmix.weight_of(off)
        beneath = [logmix.weight_of(found[c]) for c in _reach(down, name) - {name} if c in found]
        explained = LOG_EXPLAINED if beneath and max(beneath) >= 0.7 * weight else 1.0
        share = LOG * explained * min(1.0, weight / LOG_FULL)
        text = "; ".join(
            f"{f.seen} lines like “{f.template[:100]}”, normally about {f.expected:.1f}" for f in off[:2]
        )
        _add(services[name], Evidence("log", text, round(share, 4), off[0].first_ms))


def _changes(services: dict[str, _Service], case: Case) -> None:
    for change in sorted(case.changes, key=lambda c: (c.ts, c.id)):
        lead = case.start_ms - change.ts
        if change.ts <= case.end_ms and lead <= CHANGE_WINDOW_MS:
            what = " ".join(filter(None, (change.kind, change.version, change.summary)))
            weight = CHANGE * (1 - max(0, lead) / CHANGE_WINDOW_MS)
            mine = services[change.service]
            mine.evidence = [e for e in mine.evidence if e.kind != "change"]
            _add(
                mine, Evidence("change", f"{clock(change.ts)} {what}", round(weight, 4), change.ts, change.id)
            )


def _onsets(services: dict[str, _Service]) -> None:
    times = sorted({s.onset for s in services.values() if s.onset is not None})
    if len(times) < 2:
        return
    for service in services.values():
        if service.onset is not None and service.onset < times[-1]:
            weight = ONSET * (1 - (service.onset - times[0]) / (times[-1] - times[0]))
            text = f"off from {clock(service.onset)}, others up to {clock(times[-1])}"
            service.evidence.append(Evidence("onset", text, round(weight, 4), service.onset))


def _ranked(services: Mapping[str, _Service], scope: set[str], rooted: bool) -> list[Hint]:
    scores = {}
    for name, service in services.items():
        score = sum(e.weight for e in service.evidence) + FAINT * service.faint
        scores[name] = score * (OUT_OF_REACH if rooted and name not in scope else 1.0)
    total = sum(s * s for s in scores.values()) + UNKNOWN**2
    hints = []
    for name in sorted(scores, key=lambda n: (-scores[n], n)):
        evidence = sorted(services[name].evidence, key=lambda e: (-e.weight, e.kind, e.text))
        cause = evidence[0].text if evidence else ""
        hints.append(Hint(name, round(scores[name] ** 2 / total, 4), tuple(evidence), cause))
    return hints


def _add(service: _Service, evidence: Evidence) -> None:
    service.evidence.append(evidence)
    if evidence.at_ms is not None and evidence.kind != "change" and evidence.weight > 0.1:
        service.onset = evidence.at_ms if service.onset is None else min(service.onset, evidence.at_ms)


def _at(read: _Read) -> int | None:
    return read.trace.ts[read.move.onset] if read.move.onset >= 0 else None


def _moved(read: _Read) -> str:
    """`PetSite latency: 0.28, normally 0.013 (65 normal spreads), from 14:02:10`."""
    series, move, at = read.trace.series, read.move, _at(read)
    labels = "".join(f" {v}" for _, v in series.labels)
    since = f", from {clock(at)}" if at is not None else ""
    what = f"{series.service} {series.metric}{labels}"
    return f"{what}: {move.level:.4g}, normally {move.normal:.4g} ({move.z:.1f} normal spreads){since}"


def _reach(down: Mapping[str, Sequence[str]], start: str) -> set[str]:
    found, front = {start}, [start]
    while front:
        for callee in down.get(front.pop(), ()):
            if callee not in found:
                found.add(callee)
                front.append(callee)
    return found
