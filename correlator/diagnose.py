"""Root cause of a given window, from raw series and log lines instead of alerts.

    score = excess + strength + log + change + onset (each weighed below)

Excess is the exclusive loss of time or requests (`correlator.excess`), as far as the losses are
unusual at all. Strength is the strongest upward move of the service's own resources and other
metrics. Log is how far the mix of its lines is from normal, less what a callee's explains. The
weights are fixed; no case decides them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from correlator import confidence, logcauses, losses, measures
from correlator.incident import Evidence, Hint
from correlator.logmix import Line
from correlator.losses import Read, Trace
from correlator.suspect import clock
from streams.records.messages import Change

RESOURCE, OTHER, CHANGE, ONSET, ABSENT = 1.0, 0.5, 0.4, 0.1, 0.8
FAINT = 0.05
"""weight of a move too small to be evidence by itself: it only breaks ties"""
OUT_OF_REACH = 0.25
"""what remains of a score when the service where it was noticed does not depend on it"""
EXPLAINED = 0.5
"""what remains of a loss when something the service calls has at least half as much against it"""
PLAIN = 0.2
"""evidence from which on a callee explains its callers"""
CHANGE_WINDOW_MS = 1_800_000
UNKNOWN = 0.35


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


class _Service(msgspec.Struct):
    evidence: list[Evidence] = []
    lost: float = 0.0
    """the part of the evidence that is loss: callees can be behind it"""
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
    reads = [r for t in case.traces if (r := losses.read(t, names)) is not None]
    scope = _reach(down, case.symptom) if case.symptom in names else set(services)
    traffic = losses.traffic(case.traces, reads)
    traced = logcauses.traced(case.normal_lines, case.window_lines)
    for service, evidence in losses.own_losses(
        reads, traffic, down, scope & services.keys(), case.symptom, traced
    ):
        _add(services[service], evidence)
        services[service].lost += evidence.weight
    _strengths(services, reads)
    _silences(services, case.traces)
    beneath = {name: _reach(down, name) - {name} for name in services}
    for service, evidence in logcauses.evidence(
        case.normal_lines, case.window_lines, case.start_ms, case.edges, beneath
    ):
        _add(services[service], evidence)
    _changes(services, case)
    _onsets(services)
    return _ranked(services, scope, down, bool(case.symptom))


def _strengths(services: dict[str, _Service], reads: Sequence[Read]) -> None:
    """The strongest move of a service's own resources, and of its other metrics."""
    best: dict[tuple[str, str], tuple[float, float, Read]] = {}
    # Use against a limit tells more than use in units of its own.
    shares = {r.trace.series.service for r in reads if r.share and r.meaning.kind == measures.RESOURCE}
    for read in reads:
        kind, service = read.meaning.kind, read.trace.series.service
        z = read.move.z
        if not (read.meaning.shared or read.meaning.client or kind == measures.TRAFFIC):
            services[service].faint = max(
                services[service].faint, read.move.rarity * measures.force(z, 1.0, 30.0)
            )
        if kind == measures.RESOURCE and not read.meaning.shared and (read.share or service not in shares):
            group, weight = "resource", RESOURCE
        elif kind in (measures.FAILURE, measures.OTHER) and read.mode is None and not read.meaning.client:
            group, weight = "other", OTHER
        else:
            continue
        found = (weight * read.move.rarity * measures.force(z, 4.0, 40.0), z, read)
        if found[0] > 0:
            best[service, group] = max(best.get((service, group), found), found, key=lambda f: f[:2])
    for (service, _), (weight, _, read) in sorted(best.items()):
        _add(services[service], Evidence("strength", read.text(), round(weight, 4), read.at_ms))


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
            # Being first supports other evidence; alone it is chance.
            support = min(1.0, sum(e.weight for e in service.evidence))
            weight = ONSET * support * (1 - (service.onset - times[0]) / (times[-1] - times[0]))
            text = f"off from {clock(service.onset)}, others up to {clock(times[-1])}"
            service.evidence.append(Evidence("onset", text, round(weight, 4), service.onset))


def _ranked(
    services: Mapping[str, _Service], scope: set[str], down: Mapping[str, Sequence[str]], rooted: bool
) -> list[Hint]:
    raw = {n: sum(e.weight for e in s.evidence) + FAINT * s.faint for n, s in services.items()}
    scores = {}
    for name, score in raw.items():
        beneath = max((raw[c] for c in _reach(down, name) - {name}), default=0.0)
        behind = services[name].lost if beneath >= 0.5 * score and beneath >= PLAIN else 0.0
        near = OUT_OF_REACH if rooted and down and name not in scope else 1.0
        scores[name] = (score - (1 - EXPLAINED) * behind) * near
    total = sum(s * s for s in scores.values()) + UNKNOWN**2
    hints = []
    ordered = sorted(scores, key=lambda n: (-scores[n], n))
    confidences = confidence.calibrated([scores[n] ** 2 / total for n in ordered], confidence.DIAGNOSE)
    for name, sure in zip(ordered, confidences, strict=True):
        evidence = sorted(services[name].evidence, key=lambda e: (-e.weight, e.kind, e.text))
        cause = evidence[0].text if evidence else ""
        hints.append(Hint(name, sure, tuple(evidence), cause))
    return hints


def _add(service: _Service, evidence: Evidence) -> None:
    service.evidence.append(evidence)
    if evidence.at_ms is not None and evidence.kind != "change" and evidence.weight > 0.1:
        service.onset = evidence.at_ms if service.onset is None else min(service.onset, evidence.at_ms)


def _reach(down: Mapping[str, Sequence[str]], start: str) -> set[str]:
    found, front = {start}, [start]
    while front:
        for callee in down.get(front.pop(), ()):
            if callee not in found:
                found.add(callee)
                front.append(callee)
    return found
