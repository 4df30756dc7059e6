"""What the past knows: similar incidents with their causes, problems, and what is told of both.

    an incident changes   similar ones are looked for, if it shows other symptoms than before
    it closes             it goes into the book; with enough of its kind a problem opens, or takes it in
    people find out       cause and fix of an incident, also after it has closed, as long as it is remembered

An incident that was merged closes with the one it went into, and so counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from config.settings import Correlate
from correlator import problems, render
from correlator.directory import Directory
from correlator.group import Finding, Group
from correlator.hints import Known
from correlator.incident import Evidence, Similar
from correlator.lifecycle import Refusal
from correlator.past import Knowledge, Past, Problem
from correlator.pastbook import Near, PastBook
from correlator.problems import ProblemBook
from correlator.symptoms import in_words, signature, symptoms
from detectors.alert import Alert
from streams.records.messages import Action, ActionResult, Change

WEIGHT = 0.30
"""of a past cause in an incident that was exactly the same"""
LEAST = 0.35
"""similarity from which on a past incident is named"""
LIKELY = 0.5
"""similarity from which on its cause is suggested, and is evidence"""
MOST_SIMILAR = 5
MOST_SHARED = 6
"""shared symptoms that are named"""
MOST_SERVICES = 20
"""of one incident that are remembered"""
MOST_TEXT = 2_000
"""characters of a cause, a fix, a workaround"""
MOST_LOOKED = 1_000
_encoder = msgspec.json.Encoder()


class Said(NamedTuple):
    """A record to write."""

    key: str
    value: bytes


class KnowledgeBase:
    """Mutable: the book of past incidents, problems, and what is to be told of them."""

    def __init__(self, settings: Correlate, directory: Directory) -> None:
        self._settings = settings
        self._directory = directory
        self.book = PastBook()
        self.problems = ProblemBook()
        self.out: list[Said] = []
        self._looked: dict[tuple[str, int, tuple[str, ...]], list[Near]] = {}
        """what was found since the book changed; worth keeping, not remembering"""

    # -- an incident that lives -----------------------------------------------------------------

    def recall(self, group: Group, alerts: Sequence[Alert], changes: Sequence[Change]) -> tuple[Known, ...]:
        """Find what it is like; returns the evidence in that for its hints."""
        known = set(group.spans) | {service for call in group.calls for service in call[:2]}
        group.symptoms = symptoms(alerts, changes, known)
        found = self._nearest(group)
        if not found:
            group.similar, group.suggestion = (), ""
            return ()
        found = [n for n in found if n.similarity >= LEAST or n.past.id == group.recurrence_of]
        told = found[:MOST_SIMILAR]
        best = next((n for n in found if _likely(n, group) and n.past.finding is not None), None)
        if best is not None and best not in told:
            told[-1] = best
        group.similar = tuple(_similar(near, group) for near in told)
        group.suggestion = _suggestion(best.past) if best else ""
        return _evidence([n for n in found if _likely(n, group)])

    def _nearest(self, group: Group) -> list[Near]:
        key = group.domain, group.seen, group.symptoms
        found = self._looked.get(key)
        if found is None:
            if len(self._looked) >= MOST_LOOKED:
                self._looked.clear()
            found = self._looked[key] = self.book.nearest(group.symptoms, group.domain, group.seen)
        return found

    def sign(self, group: Group, alerts: Sequence[Alert]) -> None:
        """Its signature, once its hints are drawn; what of the past has the same one."""
        suspect = group.hints[0].service if group.hints else ""
        group.signature, group.kind_words = signature(group.domain, suspect, alerts)
        problem = self.problems.of(group.signature)
        group.problem = problem.id if problem else ""
        if group.similar:
            group.similar = tuple(
                msgspec.structs.replace(s, same=past is not None and past.signature == group.signature)
                for s in group.similar
                for past in [self.book.get(s.id)]
            )

    # -- the end of an incident -----------------------------------------------------------------

    def closed(self, group: Group, now_ms: int) -> None:
        """It is over: remember it, and see whether it has become, or belongs to, a problem."""
        past = Past(
            number=self.book.next,
            id=group.id,
            domain=group.domain,
            signature=group.signature,
            words=group.kind_words,
            title=group.title,
            started_at=group.started_at,
            closed_at=group.closed_at or group.updated_at,
            services=sorted(group.spans)[:MOST_SERVICES],
            symptoms=group.symptoms,
            finding=group.finding,
        )
        self.book.add(past)
        self._looked.clear()
        owner = self._directory.owner(group.hints[0].service) if group.hints else ""
        known = self.problems.of(past.signature)
        if known is not None:
            problem = problems.explained(problems.joined(known, past, now_ms), past)
            over = known.state not in problems.LIVE
            self._keep(problem, "reopened" if over else "updated", owner)
        else:
            since = past.started_at - self._settings.problem_window_ms
            alike = [p for p in self.book.alike(past.signature) if p.started_at >= since]
            if len(alike) < self._settings.problem_incidents:
                return
            problem = problems.opened(alike, now_ms)
            self._keep(problem, "opened", owner)
        group.problem = problem.id

    # -- what people find out -------------------------------------------------------------------

    def found(self, group: Group, action: Action) -> None:
        """Cause and fix of an incident that has not closed."""
        group.finding = self._finding(group.finding, action)
        services = tuple(sorted(group.spans)[:MOST_SERVICES])
        self._tell(group.id, group.domain, group.title, group.started_at, services, group.finding)

    def found_later(self, past: Past, action: Action) -> None:
        """Cause and fix of an incident that has closed; its problem has the same."""
        self._looked.clear()
        past.finding = finding = self._finding(past.finding, action)
        self._tell(past.id, past.domain, past.title, past.started_at, tuple(past.services), finding)
        problem = self.problems.of(past.signature)
        if problem is not None and past.id in problem.incidents:
            self._keep(problems.explained(problem, past), "updated")

    def _finding(self, known: Finding | None, action: Action) -> Finding:
        """What is said now, services under their own names; what is not said stays as it was."""
        old = known or Finding("", "", "", "", "", 0, 0)
        service = action.cause_service and self._directory.catalogue.canonical(action.cause_service)
        return Finding(
            cause=action.cause or old.cause,
            cause_service=service or old.cause_service,
            fix=action.fix or old.fix,
            runbook=action.runbook or old.runbook,
            by=action.actor or "somebody",
            at_ms=action.ts,
            version=old.version + 1,
        )

    def step(self, action: Action, now_ms: int) -> ActionResult:
        """What a person does to a problem."""
        problem = self.problems.get(action.problem)
        state = ""
        if problem is None:
            reason = "no such problem, or it is no longer remembered"
        else:
            changed = refused(action) or problems.step(
                problem, action.action, action.note, action.actor or "somebody", max(now_ms, action.ts)
            )
            state, reason = problem.state, "applied"
            if isinstance(changed, Refusal):
                reason = changed.reason
            else:
                state = changed.state
                self._keep(changed, {"workaround": "updated"}.get(action.action, state_kind(changed)))
        return ActionResult(action.id, "", reason == "applied", reason, state, problem=action.problem)

    def _keep(self, problem: Problem, kind: str, owner: str = "") -> None:
        """`owner` of the suspected service, from the catalogue, if it names one."""
        problem = msgspec.structs.replace(problem, owner=owner or problem.owner)
        self.problems.put(problem)
        self.out.append(_said(problem.id, f"problem.{kind}", problem.version, problem.updated_at, problem))

    def _tell(
        self, id: str, domain: str, title: str, started_at: int, services: tuple[str, ...], finding: Finding
    ) -> None:
        fact = Knowledge(
            incident=id,
            version=finding.version,
            domain=domain,
            title=title,
            started_at=started_at,
            services=services,
            cause=finding.cause,
            cause_service=finding.cause_service,
            fix=finding.fix,
            runbook=finding.runbook,
            actor=finding.by,
            at_ms=finding.at_ms,
        )
        self.out.append(_said(f"knowledge/{id}", "knowledge.recorded", finding.version, finding.at_ms, fact))


def state_kind(problem: Problem) -> str:
    """Last part of the CloudEvents type of a version a person made."""
    return "reopened" if problem.state in problems.LIVE else problem.state


def says_cause(action: Action) -> bool:
    """Whether it says anything of a cause or a fix."""
    return bool(action.cause or action.cause_service or action.fix or action.runbook)


def refused(action: Action) -> Refusal | None:
    """Why what a person writes down cannot be kept, if it cannot."""
    for name in ("cause", "cause_service", "fix", "runbook", "note"):
        if len(getattr(action, name)) > MOST_TEXT and (name != "note" or action.problem):
            return Refusal(
                f"{name} has {len(getattr(action, name))} characters, at most {MOST_TEXT} are kept"
            )
    if action.action == "record" and not says_cause(action):
        return Refusal("say what the cause was, or what helped")
    return None


def _likely(near: Near, group: Group) -> bool:
    return near.similarity >= LIKELY or near.past.id == group.recurrence_of


def _similar(near: Near, group: Group) -> Similar:
    past = near.past
    why = in_words(near.shared, MOST_SHARED)
    if past.id == group.recurrence_of:
        why = f"the same series; {why}"
    finding = past.finding or Finding("", "", "", "", "", 0, 0)
    said = (finding.cause, finding.cause_service, finding.fix, finding.runbook)
    return Similar(past.id, near.similarity, why, past.closed_at, False, *said)


def _evidence(near: Sequence[Near]) -> tuple[Known, ...]:
    """For each service that was the cause of some of these: the most similar, and how many agree."""
    by_service: dict[str, list[tuple[Near, Finding]]] = {}
    for one in near:
        finding = one.past.finding
        if finding is not None and finding.cause_service:
            by_service.setdefault(finding.cause_service, []).append((one, finding))
    known = []
    for service, agreeing in sorted(by_service.items()):
        best, finding = agreeing[0]
        weight = WEIGHT * best.similarity * (0.7 + 0.3 * (1 - 1 / len(agreeing)))
        text = (
            f"incident {best.past.id} of {_date(best.past.started_at)}, {best.similarity:.0%} alike"
            f" ({in_words(best.shared, 3)}), had its cause here: {_known(finding)}"
        )
        if len(agreeing) > 1:
            text += f"; {len(agreeing) - 1} more alike had it here, too"
        evidence = Evidence("similar", text, round(weight, 4), best.past.closed_at, best.past.id)
        known.append(Known(service, finding.cause or finding.fix, evidence))
    return tuple(known)


def _suggestion(past: Past) -> str:
    if past.finding is None:
        return ""
    finding = past.finding
    return f"the last time this was: {_known(finding)} (incident {past.id}, {_date(past.started_at)})"


def _known(finding: Finding) -> str:
    cause = finding.cause or "nobody wrote down the cause"
    if finding.cause_service and finding.cause_service not in cause:
        cause = f"{finding.cause_service}: {cause}"
    fixed = f"; fixed by: {finding.fix}" if finding.fix else ""
    return cause + fixed + (f" ({finding.runbook})" if finding.runbook else "")


def _date(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


def _said(key: str, kind: str, version: int, at_ms: int, fact: Problem | Knowledge) -> Said:
    """As a CloudEvent, like incidents."""
    when = datetime.fromtimestamp(at_ms / 1000, UTC)
    event = render.CloudEvent(
        specversion="1.0",
        id=f"{key}/{version}",
        source=render.SOURCE,
        type=f"tocsin.{kind}",
        subject=key.rpartition("/")[2],
        time=when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        datacontenttype="application/json",
        data=fact,
    )
    return Said(key, _encoder.encode(event))
