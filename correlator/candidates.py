"""Which groups may take an alert: looked up by neighbourhood, series, label, word and past, never scanned."""

from __future__ import annotations

import heapq
from collections.abc import Collection

from correlator.group import LIVE, Group
from correlator.grouping import TIME, Sight, Weight, domain_labels, weigh, weigh_siblings
from correlator.opening import is_felt, signal
from correlator.signals import mentions
from correlator.state import State
from correlator.text import words_of
from detectors.alert import Alert

MOST_CANDIDATES = 64
"""groups weighed for one alert"""


MOST_SIBLINGS = 8
"""callers of a service that are looked at together; what more call says nothing of any of them"""


def domain_of(alert: Alert, label: str) -> str:
    """The correlation domain an alert belongs to."""
    if not label:
        return "default"
    return dict(alert.resource).get(label) or dict(alert.labels).get(label) or "default"


def see(state: State, alert: Alert, now_ms: int) -> Sight:
    """Gather what is known around an alert, and count what it shows."""
    state.index.follow(state.groups)
    marks = domain_labels(alert)
    words = words_of(alert)
    if words:
        state.frequencies.observe(words)
    topology, about = state.topology, signal(alert)
    near = topology.near(alert.service)
    return Sight(
        alert,
        near,
        topology.part(alert.service),
        marks,
        about,
        words,
        state.census.shares(alert.service, marks) if marks else (),
        state.together.partners(about, now_ms),
        state.frequencies,
        mentions(alert, near.one | near.two) if alert.kind == "log" else (),
    )


def verdicts(state: State, sight: Sight, domain: str) -> list[tuple[Group, Weight]]:
    """Groups that would take the alert, best evidence first."""
    settings, fingerprint, part = state.settings, sight.alert.fingerprint, sight.part
    parts_of = state.index.parts
    taught = bool(sight.partners) and any(partner.taught for partner in sight.partners)
    found = []
    for group in _candidates(state, sight, domain):
        foreign = False
        if part is not None:
            parts = parts_of.get(group.id)
            if parts and part not in parts:
                if not taught:
                    continue
                foreign = True
        if group.state in LIVE and not (group.sealed and fingerprint not in group.series):
            weight = weigh(sight, group, settings, foreign)
            if weight is not None:
                found.append((group, weight))
    if not found and is_felt(sight.alert):
        found = _siblings(state, sight, domain)
    if len(found) > 1:
        found.sort(key=lambda pair: (-pair[1].score, pair[0].started_at, pair[0].id))
    return found


def _siblings(state: State, sight: Sight, domain: str) -> list[tuple[Group, Weight]]:
    """Groups with services that call what this one calls, where that is called by few."""
    alert, topology = sight.alert, state.topology
    shared: dict[str, str] = {}
    groups: dict[str, Group] = {}
    for callee in topology.callees(alert.service):
        callers = topology.callers(callee)
        if len(callers) <= MOST_SIBLINGS:
            groups.update(state.index.near(domain, callee))
            for caller in callers:
                shared.setdefault(caller, callee)
    shared.pop(alert.service, None)
    found = []
    for group in groups.values():
        if group.state in LIVE and not group.sealed:
            weight = weigh_siblings(sight, group, shared, state.settings)
            if weight is not None:
                found.append((group, weight))
    return found


def _candidates(state: State, sight: Sight, domain: str) -> Collection[Group]:
    alert, index = sight.alert, state.index
    found = dict(index.near(domain, alert.service))
    index.by_series.gather(f"{domain}\0{alert.fingerprint}", found)
    # A label too common to carry an alert over the threshold is no way to look for groups.
    least = state.settings.join_threshold - TIME
    for label, weight in sight.labels:
        if weight >= least:
            index.by_label.gather(f"{domain}\0{label}", found)
    for word in sight.frequencies.rare(sight.words) if sight.words else ():
        index.by_word.gather(f"{domain}\0{word}", found)
    for partner in sight.partners:
        index.by_signal.gather(f"{domain}\0{partner.signal}", found)
    if len(found) <= MOST_CANDIDATES:
        return found.values()
    own = index.by_series.get(f"{domain}\0{alert.fingerprint}")
    return heapq.nsmallest(
        MOST_CANDIDATES, found.values(), key=lambda g: (g.id not in own, -g.last_joined_at, g.id)
    )


def reopenable(state: State, alert: Alert, domain: str) -> Group | None:
    """A resolved incident, not yet closed, that this alert's series belongs to by more than symptom."""
    known = state.index.by_series.get(f"{domain}\0{alert.fingerprint}")
    # A gateway's latency recurs with every cause: only the suspected cause's own series reopen.
    resolved = [g for g in known.values() if g.state == "resolved"]
    fitting = [g for g in resolved if state.outlook.suspect(g) in ("", alert.service)]
    return max(fitting, key=lambda g: (g.resolved_at or 0, g.id), default=None)


def precursor(state: State, alert: Alert, domain: str) -> str:
    """The incident that the alert's series was in last: a new one is its recurrence."""
    series = f"{domain}\0{alert.fingerprint}"
    resolved = [g for g in state.index.by_series.get(series).values() if g.resolved_at]
    newest = max(resolved, key=lambda g: (g.resolved_at or 0, g.id), default=None)
    return newest.id if newest else state.past.get(series) or ""
