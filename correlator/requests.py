"""What changed inside requests, from log lines that carry the id of their trace and span.

Per service: of the requests that wrote line A, which share also wrote line B (`branches`)? A share
does not depend on the load, so it shows a step that is left out or an error path that is taken, and
nothing when a caller merely asks less often. It is held against the recent past with a G-test for
two samples (Dunning, Computational Linguistics 1993); all requests of one trace count as one,
because what they have in common is their input. Patterns of events within requests that gain or
lose support as the sign of a fault are the idea of Nezha (Yu et al., ESEC/FSE 2023).

Between lines of one trace that follow each other: which step is slow more often than it was
(`waits`)? That is where time goes, with both ends named, which a caller's latency does not tell.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from correlator.logmix import Line

HALF_LIVES_MS = (60_000.0, math.inf)
"""of what counts as normal: the recent past sees through a fault that came before, the long one
through a start that was told too late. The mean of the two differences counts, in standard
deviations: who only returns to what it was before an earlier fault differs from one of them."""
LEAST_TRACES = 2
"""in the window, for a step to be judged"""
PRIOR = 2.0
"""traces that the whole past counts for beside the recent one"""
LEAST_STEPS = 5
"""before the window"""
SLOW_FACTOR, SLOW_FLOOR_MS = 2.0, 5.0
"""slow is more than this times the normal median, and this much more"""
MOST_KINDS = 200
"""templates of a service looked at; the most frequent"""
ANY = ""
"""stands for the request itself, whatever it wrote"""
_IDS = r"[\"']?\s*[:=]\s*[\"']?([0-9a-fA-F]{8,32}(?:-[0-9a-fA-F]{4,12}){0,4})\b"
_TRACE = re.compile(r"(?i)\btrace[_.-]?id" + _IDS)
_SPAN = re.compile(r"(?i)\bspan[_.-]?id" + _IDS)


class Branch(NamedTuple):
    """Of the traces in which the service wrote `given`, how many times `then` came as well."""

    g: float
    """likelihood ratio; about chi-squared with one degree of freedom when nothing changed"""
    given: str
    then: str
    seen: float
    of: float
    usual: float
    """share before the window"""
    severity: int
    first_ms: int
    """first request in the window that went the new way"""
    traces: frozenset[str]
    """that went the new way"""

    def text(self) -> str:
        given = f"requests with “{self.given[-80:]}”" if self.given else "requests"
        return (
            f"{self.seen:.0f} of {self.of:.0f} {given} wrote “{self.then[-90:]}”, normally {self.usual:.0%}"
        )


class Wait(NamedTuple):
    """The step from a line of `before` to the next line of the trace, by `after`."""

    z: float
    before: str
    after: str
    slow: float
    """traces, of `of`, in which it took more than twice as long as normally"""
    of: float
    gap_ms: float
    """median in the window"""
    usual_ms: float
    first_ms: int

    def text(self) -> str:
        return (
            f"from a line of {self.before} to the next, of {self.after}: {self.gap_ms:.0f} ms, normally "
            f"{self.usual_ms:.0f} ms; slow in {self.slow:.0f} of {self.of:.0f} traces"
        )


def ids(body: str) -> tuple[str, str]:
    """(trace, span) a line carries; empty where it has none. All zeros means none."""
    head = body[:600]
    trace, span = _TRACE.search(head), _SPAN.search(head)
    found = [m.group(1) if m is not None and m.group(1).strip("0-") else "" for m in (trace, span)]
    return found[0], found[1]


class _Request(NamedTuple):
    ts: int
    trace: str
    kinds: tuple[str, ...]


def branches(normal: Sequence[Line], window: Sequence[Line], start_ms: int) -> list[Branch]:
    """Of one service: for each template what changed most about it, largest change first."""
    severity: dict[str, int] = {}
    counts: dict[str, int] = {}
    for line in (*normal, *window):
        severity[line.template] = max(severity.get(line.template, 0), line.severity)
        counts[line.template] = counts.get(line.template, 0) + 1
    kept = set(sorted(counts, key=lambda k: (-counts[k], k))[:MOST_KINDS])
    past, now = _requests(normal, kept), _requests(window, kept)
    if not past or not now:
        return []
    of_now, both_now = _shares(now, [1.0] * len(now))
    of_ever, both_ever = _shares(past, [1.0] * len(past))
    aged = [_shares(past, [_fresh(r.ts, start_ms, h) for r in past]) for h in HALF_LIVES_MS]
    best: dict[str, tuple[float, str, float]] = {}
    """then -> (mean deviation, given, usual share)"""
    for given, then in sorted(both_ever.keys() | both_now.keys()):
        n = of_now.get(given, 0.0)
        if n < LEAST_TRACES or given not in of_ever:
            continue
        seen = both_now.get((given, then), 0.0)
        rate = (both_ever.get((given, then), 0.0) + 0.5) / (of_ever[given] + 1.0)
        deviation, usual = 0.0, rate
        for of_past, both_past in reversed(aged):
            had, of = both_past.get((given, then), 0.0) + PRIOR * rate, of_past[given] + PRIOR
            deviation += math.sqrt(_g(seen, n, had, of)) / len(aged)
            usual = had / of
        if then not in best or deviation > best[then][0]:
            best[then] = deviation, given, usual
    found = []
    for then, (deviation, given, usual) in best.items():
        seen, n = both_now.get((given, then), 0.0), of_now[given]
        more = seen / n > usual
        new = [r for r in now if given in (ANY, *r.kinds) and (then in r.kinds) == more]
        first = min((r.ts for r in new), default=start_ms)
        traces = frozenset(r.trace for r in new)
        found.append(Branch(deviation**2, given, then, seen, n, usual, severity[then], first, traces))
    return sorted(found, key=lambda b: (-b.g, b.then, b.given))


def _fresh(ts: int, start_ms: int, half_life_ms: float) -> float:
    return float(0.5 ** (max(0, start_ms - ts) / half_life_ms))


def _requests(lines: Iterable[Line], kept: set[str]) -> list[_Request]:
    found: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        found.setdefault((line.trace, line.span), []).append(line)
    return [
        _Request(min(x.ts for x in of), trace, tuple(sorted({x.template for x in of} & kept)))
        for (trace, _), of in found.items()
    ]


def _shares(
    requests: Sequence[_Request], weights: Sequence[float]
) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """(traces with A, traces with A and then B as far as its requests with A had it), weighed."""
    of: dict[tuple[str, str], float] = {}
    """(trace, A) -> requests"""
    for request in requests:
        for given in (ANY, *request.kinds):
            key = request.trace, given
            of[key] = of.get(key, 0.0) + 1.0
    total: dict[str, float] = {}
    both: dict[tuple[str, str], float] = {}
    for request, weight in zip(requests, weights, strict=True):
        for given in (ANY, *request.kinds):
            share = weight / of[request.trace, given]
            total[given] = total.get(given, 0.0) + share
            for then in request.kinds:
                if then != given:
                    both[given, then] = both.get((given, then), 0.0) + share
    return total, both


def _g(seen: float, of: float, had: float, had_of: float) -> float:
    p = (seen + had) / (of + had_of)
    return max(0.0, 2 * (_log_ratio(seen, of, p) + _log_ratio(had, had_of, p)))


def _log_ratio(k: float, n: float, p: float) -> float:
    hit = k * math.log(k / n / p) if k > 1e-9 else 0.0
    miss = (n - k) * math.log((n - k) / n / (1 - p)) if n - k > 1e-9 else 0.0
    return hit + miss


def waits(
    normal: Mapping[str, Sequence[Line]], window: Mapping[str, Sequence[Line]], start_ms: int
) -> list[Wait]:
    """Steps that take longer than they did, slowest first, of all services' lines."""
    past, now = _gaps(normal), _gaps(window)
    found = []
    for way, steps in sorted(now.items()):
        before = past.get(way, [])
        if len(before) < LEAST_STEPS:
            continue
        usual = _median(before)
        limit = SLOW_FACTOR * usual + SLOW_FLOOR_MS
        of, slow = _slow(steps, limit, start_ms, math.inf)
        ever, ever_slow = _slow(before, limit, start_ms, math.inf)
        if of < LEAST_TRACES or ever < LEAST_TRACES:
            continue
        rate = (ever_slow + 0.5) / (ever + 1.0)
        z = 0.0
        for half_life in HALF_LIVES_MS:
            had_of, had = _slow(before, limit, start_ms, half_life)
            had_of, had = had_of + PRIOR, had + PRIOR * rate
            if slow / of > had / had_of:
                z += math.sqrt(_g(slow, of, had, had_of)) / len(HALF_LIVES_MS)
        if z > 0:
            first = min((s.ts for s in steps if s.gap > limit), default=start_ms)
            found.append(Wait(z, way[0], way[1], slow, of, _median(steps), usual, first))
    return sorted(found, key=lambda w: (-w.z, w.before, w.after))


class _Step(NamedTuple):
    ts: int
    trace: str
    gap: int


def _gaps(lines: Mapping[str, Sequence[Line]]) -> dict[tuple[str, str], list[_Step]]:
    traces: dict[str, list[tuple[int, str]]] = {}
    for service in sorted(lines):
        for line in lines[service]:
            if line.trace:
                traces.setdefault(line.trace, []).append((line.ts, service))
    found: dict[tuple[str, str], list[_Step]] = {}
    for trace, of in traces.items():
        of.sort()
        for (t0, before), (t1, after) in itertools.pairwise(of):
            found.setdefault((before, after), []).append(_Step(t1, trace, t1 - t0))
    return found


def _median(steps: Sequence[_Step]) -> float:
    gaps = sorted(s.gap for s in steps)
    return float(gaps[len(gaps) // 2])


def _slow(steps: Sequence[_Step], limit: float, start_ms: int, half_life_ms: float) -> tuple[float, float]:
    """(traces, traces as far as their steps exceed the limit), weighed by age."""
    per_trace: dict[str, list[_Step]] = {}
    for step in steps:
        per_trace.setdefault(step.trace, []).append(step)
    of = slow = 0.0
    for same in per_trace.values():
        weight = _fresh(same[-1].ts, start_ms, half_life_ms)
        of += weight
        slow += weight * sum(s.gap > limit for s in same) / len(same)
    return of, slow
