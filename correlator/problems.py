"""Problems: incidents of one kind that keep coming back, as IT service management (ITIL) has them.

    open -> known_error -> resolved -> closed          (known error: its cause is recorded)
    resolved, closed -> open or known_error            (it has come back)

The third incident with the same signature within thirty days (both are settings) opens one, with the
incidents of that time; later ones join it. Times are event time, incidents count when they close.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

from correlator.lifecycle import Refusal
from correlator.past import Past, Problem
from streams.records.digest import digest_hex

MOST_PROBLEMS = 1_000
MOST_INCIDENTS = 100
"""of one problem that are named, the newest"""
MOST_SERVICES = 50
LIVE = ("open", "known_error")
STEPS = {"resolve": ("resolved", LIVE), "close": ("closed", ("open", "known_error", "resolved"))}
"""step -> state after, states before"""
VERBS = ("workaround", *STEPS, "reopen")


class ProblemBook:
    """Mutable; keeps the newest version of each. The one that has not changed for longest goes first."""

    def __init__(self, most: int = MOST_PROBLEMS) -> None:
        self.most = most
        self.evicted = 0
        self._by_signature: dict[str, Problem] = {}  # least recently changed first

    def of(self, signature: str) -> Problem | None:
        """The problem incidents of this kind have become."""
        return self._by_signature.get(signature)

    def get(self, id: str) -> Problem | None:
        """By its id, a digest of the signature, which people give; problems are few."""
        return next((p for p in self._by_signature.values() if p.id == id), None)

    def put(self, problem: Problem) -> None:
        """A new version."""
        self._by_signature.pop(problem.signature, None)
        self._by_signature[problem.signature] = problem
        if len(self._by_signature) > self.most:
            del self._by_signature[next(iter(self._by_signature))]
            self.evicted += 1

    def entries(self) -> list[Problem]:
        """Least recently changed first."""
        return list(self._by_signature.values())


def opened(alike: Sequence[Past], now_ms: int) -> Problem:
    """A problem of these incidents, which have one signature."""
    newest = alike[-1]
    problem = Problem(
        id=digest_hex("problem", newest.domain, newest.signature),
        version=1,
        domain=newest.domain,
        state="open",
        signature=newest.signature,
        title=newest.words,
        opened_at=now_ms,
        updated_at=now_ms,
        first_seen=newest.started_at,
        last_seen=newest.started_at,
        count=0,
        incidents=(),
        starts=(),
        services=(),
        interval_ms=0,
    )
    problem = _with(problem, alike)
    found = [past for past in alike if past.finding is not None]
    if found:
        problem = explained(
            problem, max(found, key=lambda p: (p.finding.at_ms if p.finding else 0, p.number))
        )
    return msgspec.structs.replace(problem, version=1)


def joined(problem: Problem, past: Past, now_ms: int) -> Problem:
    """One more incident of its kind: a problem that was thought to be over is open again."""
    problem = _next(_with(problem, [past]), now_ms)
    return problem if problem.state in LIVE else _again(problem)


def explained(problem: Problem, past: Past) -> Problem:
    """What was found out about one of its incidents holds for the problem."""
    finding = past.finding
    if finding is None:
        return problem
    return msgspec.structs.replace(
        _next(problem, finding.at_ms, finding.by),
        state="known_error" if problem.state == "open" and finding.cause else problem.state,
        cause=finding.cause or problem.cause,
        cause_service=finding.cause_service or problem.cause_service,
        fix=finding.fix or problem.fix,
        runbook=finding.runbook or problem.runbook,
    )


def step(problem: Problem, verb: str, text: str, actor: str, now_ms: int) -> Problem | Refusal:
    """What a person does to it, or why not."""
    if verb == "workaround":
        if not text:
            return Refusal("say what the workaround is")
        return msgspec.structs.replace(_next(problem, now_ms, actor), workaround=text)
    if verb == "reopen":
        if problem.state in LIVE:
            return Refusal(f"cannot reopen a problem that is {problem.state}")
        return _again(_next(problem, now_ms, actor, text))
    if verb not in STEPS:
        return Refusal(f"unknown action {verb!r} on a problem; known: {', '.join(VERBS)}")
    after, before = STEPS[verb]
    if problem.state not in before:
        return Refusal(f"cannot {verb} a problem that is {problem.state}")
    at_ms = max(now_ms, problem.opened_at)
    changed = msgspec.structs.replace(_next(problem, now_ms, actor, text), state=after)
    if verb == "close":
        return msgspec.structs.replace(changed, closed_at=at_ms, resolved_at=problem.resolved_at or at_ms)
    return msgspec.structs.replace(changed, resolved_at=at_ms)


def _next(problem: Problem, now_ms: int, actor: str = "", note: str = "") -> Problem:
    at_ms = max(problem.updated_at, now_ms)
    return msgspec.structs.replace(
        problem, version=problem.version + 1, updated_at=at_ms, actor=actor, note=note
    )


def _again(problem: Problem) -> Problem:
    return msgspec.structs.replace(
        problem,
        state="known_error" if problem.cause else "open",
        reopened=problem.reopened + 1,
        resolved_at=None,
        closed_at=None,
    )


def _with(problem: Problem, more: Iterable[Past]) -> Problem:
    more = list(more)
    known = zip(problem.starts, problem.incidents, strict=True)
    ordered = sorted([*known, *((past.started_at, past.id) for past in more)])[-MOST_INCIDENTS:]
    starts = [start for start, _ in ordered]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    services = dict.fromkeys([*problem.services, *(s for past in more for s in past.services)])
    return msgspec.structs.replace(
        problem,
        count=problem.count + len(more),
        incidents=tuple(id for _, id in ordered),
        starts=tuple(starts),
        first_seen=min([problem.first_seen, *(past.started_at for past in more)]),
        last_seen=max([problem.last_seen, *(past.started_at for past in more)]),
        interval_ms=int(median(gaps)) if gaps else 0,
        services=tuple(sorted(services)[:MOST_SERVICES]),
    )
