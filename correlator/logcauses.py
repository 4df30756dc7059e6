"""Evidence against services from their log lines: the mix, the branches of requests, the waits between.

Lines that carry the ids of trace and span tell what changed inside requests (`correlator.requests`),
and are not counted as well: how many there are follows the load. Of lines without ids, only their mix
can be compared (`correlator.logmix`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from correlator import logmix, requests
from correlator.incident import Evidence
from correlator.logmix import Finding, Line
from correlator.requests import Branch, Wait

MIX, BRANCH, WAIT = 1.2, 1.6, 1.6
MIX_FULL = 40.0
"""log deviance that counts in full"""
MIX_EXPLAINED = 0.5
BRANCH_HALF = 20.0
"""likelihood ratio that counts half"""
BRANCH_FLOOR = 4.0
"""the largest of a service's many ratios is about that much by chance"""
BRANCH_EXPLAINED = 0.25
"""what remains when the requests that went another way did so in a callee, too"""
COVERED = 0.7
"""share of a caller's changed traces that a callee's must hold to explain them"""
WAIT_HALF = 20.0
WAIT_FLOOR = 2.0
CALLER = 0.8
"""of a slow step between two services, what counts against the caller; the callee answers in full"""
SHARED = 0.5
"""of a slow step, what is left for the other end when one has a part in most of what is slow"""
ORDINARY = 0.7
"""of a branch that is no trouble by its severity: input chooses between such, too"""
ACCUSED = 3

Lines = Mapping[str, Sequence[Line]]
Beneath = Mapping[str, Collection[str]]
"""service -> what it depends on, without itself"""


def evidence(
    normal: Lines,
    window: Lines,
    start_ms: int,
    edges: Collection[tuple[str, str]],
    beneath: Beneath,
) -> list[tuple[str, Evidence]]:
    """(service, evidence), sorted by service."""
    tied = _of(normal, True), _of(window, True)
    loose = _of(normal, False), _of(window, False)
    found = _mixes(*loose, start_ms, beneath)
    found += _branches(*tied, start_ms, beneath)
    found += _waits(requests.waits(*tied, start_ms), edges)
    return sorted(found, key=lambda f: (f[0], f[1].kind, -f[1].weight))


def traced(normal: Lines, window: Lines) -> bool:
    """Whether lines of several services tell their trace, before and in the window."""
    return all(sum(any(x.trace for x in of) for of in lines.values()) >= 2 for lines in (normal, window))


def _of(lines: Lines, tied: bool) -> dict[str, list[Line]]:
    return {s: [x for x in of if bool(x.trace) == tied] for s, of in lines.items()}


def _mixes(normal: Lines, window: Lines, start_ms: int, beneath: Beneath) -> list[tuple[str, Evidence]]:
    """Own findings, and trouble that callers write about by name."""
    found: dict[str, list[Finding]] = {}
    for name in sorted(normal.keys() | window.keys()):
        for finding in logmix.findings(normal.get(name, ()), window.get(name, ()), start_ms):
            about = logmix.named(finding, beneath.get(name, ()))
            for other in about or [name]:
                found.setdefault(other, []).append(finding)
    weights = {name: logmix.weight_of(off) for name, off in found.items()}
    result = []
    for name, off in found.items():
        below = max((weights[c] for c in beneath.get(name, ()) if c in weights), default=0.0)
        explained = MIX_EXPLAINED if below >= 0.7 * weights[name] else 1.0
        share = MIX * explained * min(1.0, weights[name] / MIX_FULL)
        off.sort(key=lambda f: (-f.weight, f.template))
        text = "; ".join(
            f"{f.seen} lines like “{f.template[:100]}”, normally about {f.expected:.1f}" for f in off[:2]
        )
        result.append((name, Evidence("log", text, round(share, 4), off[0].first_ms)))
    return result


def _branches(normal: Lines, window: Lines, start_ms: int, beneath: Beneath) -> list[tuple[str, Evidence]]:
    """What requests do otherwise, unless those they call do so in the same traces."""
    found: dict[str, list[Branch]] = {}
    for name in sorted(window):
        changed = [_valued(b) for b in requests.branches(normal.get(name, ()), window[name], start_ms)]
        changed.sort(key=lambda b: (-b.g, b.then, b.given))
        if changed and changed[0].g > BRANCH_FLOOR:
            found[name] = changed
    result = []
    for name, changed in found.items():
        best = changed[0]
        callees = [found[c] for c in beneath.get(name, ()) if c in found]
        share = BRANCH_EXPLAINED if any(_explains(c, best) for c in callees) else 1.0
        g = best.g - BRANCH_FLOOR
        weight = BRANCH * share * g / (g + BRANCH_HALF)
        text = "; ".join(b.text() for b in changed[:2] if b.g > BRANCH_FLOOR)
        result.append((name, Evidence("log", text, round(weight, 4), best.first_ms)))
    return result


def _valued(branch: Branch) -> Branch:
    more_trouble = branch.severity >= logmix.ERROR and branch.seen > branch.usual * branch.of
    return branch if more_trouble else branch._replace(g=ORDINARY * branch.g)


def _explains(callee: Sequence[Branch], caller: Branch) -> bool:
    """The callee went another way in the traces in which the caller did."""
    return any(
        b.g >= 0.3 * caller.g and len(b.traces & caller.traces) >= COVERED * len(caller.traces)
        for b in callee[:ACCUSED]
    )


def _waits(waits: Sequence[Wait], edges: Collection[tuple[str, str]]) -> list[tuple[str, Evidence]]:
    """Who has a part in most of the slow steps."""
    calls = set(edges)
    slow = [w for w in waits if w.z > WAIT_FLOOR]
    charged = _charged(slow, calls, {})
    if not charged:
        return []
    most = min(charged, key=lambda s: (-charged[s], s))
    charged = _charged(slow, calls, {most: SHARED}) | {most: charged[most]}
    shown: dict[str, Wait] = {}
    for wait in slow:
        shown.setdefault(wait.before, wait)
        shown.setdefault(wait.after, wait)
    result = []
    for service, total in charged.items():
        weight = WAIT * total / (total + WAIT_HALF)
        result.append(
            (service, Evidence("log", shown[service].text(), round(weight, 4), shown[service].first_ms))
        )
    return result


def _charged(
    slow: Sequence[Wait], calls: Collection[tuple[str, str]], shared: Mapping[str, float]
) -> dict[str, float]:
    """Squared deviations of the steps each has a part in; of those with a service in `shared` only a part."""
    charged: dict[str, float] = {}
    for wait in slow:
        for service, other in sorted({(wait.before, wait.after), (wait.after, wait.before)}):
            calling = (service, other) in calls and (other, service) not in calls
            part = (CALLER if calling else 1.0) * shared.get(other, 1.0)
            charged[service] = charged.get(service, 0.0) + wait.z**2 * part
    return charged
