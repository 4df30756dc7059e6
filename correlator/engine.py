"""The correlator: alerts in, incident versions out, in event time.

Facts arrive in the order of event time (`correlator.domain` sees to that); changes and people's
actions arrive whenever they stand in the log. Nothing here reads a clock or scans all groups.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from config.settings import Correlate
from correlator import lifecycle, membership, render
from correlator.group import Group
from correlator.grouping import (
    MAX_HOPS,
    MERGE_FADING,
    MERGE_MARGIN,
    TIME,
    Verdict,
    domain_labels,
    evaluate,
    fading,
    label_weight,
)
from correlator.incident import Incident, Reason
from correlator.index import Index, Timers
from correlator.memory import ChangeBook, LabelCensus, Recent
from correlator.opening import opening_reason, settle_ms
from correlator.outlook import Outlook
from correlator.topology import Topology
from detectors.alert import Alert
from streams.records.digest import digest_hex
from streams.records.messages import Action, ActionResult, Change, Edges

MOST_CANDIDATES = 64
"""groups weighed for one alert"""
MOST_REMEMBERED = 10_000
"""actions, closed incidents and changes remembered"""
MOST_LABEL_VALUES = 2_000
LARGE = 50
"""members from which on an incident's updates are published once every `FLUSH_MS` of event time"""
FLUSH_MS = 1_000
STEPS = ("settle", "calm", "idle", "age", "verify", "flush")
"""timers of a group"""


class Version(NamedTuple):
    """An incident version to publish. `kind` is the last part of the CloudEvents type."""

    incident: Incident
    kind: str


class Engine:
    """All groups of one alerts partition. Mutable; see `correlator.snapshot` for its memory."""

    def __init__(self, settings: Correlate, declared: Sequence[tuple[str, str]]) -> None:
        self.settings = settings
        self.topology = Topology(declared, settings.edge_memory_ms)
        self.groups: dict[str, Group] = {}
        self.home: dict[str, str] = {}
        """alert id -> group id"""
        self.index = Index()
        self.timers = Timers()
        self.changes = ChangeBook(MOST_REMEMBERED)
        self.outlook = Outlook(settings, self.topology, self.changes)
        self.census = LabelCensus(MOST_LABEL_VALUES)
        self.past: Recent[str] = Recent(MOST_REMEMBERED)
        """`domain NUL series` -> the incident that closed with it last"""
        self.merged: Recent[str] = Recent(MOST_REMEMBERED)
        self.answers: Recent[ActionResult] = Recent(MOST_REMEMBERED)
        self.counters: dict[str, int] = {
            "repeated_alerts": 0,
            "unknown_alerts": 0,
            "unopened_groups": 0,
            "evicted_groups": 0,
        }
        self.unopened: list[Group] = []
        """forgotten without ever having been an incident, not yet told of"""
        self._out: list[Version] = []

    # -- facts in event time ------------------------------------------------------------------

    def edges(self, edges: Edges) -> list[Version]:
        """Calls one shard saw."""
        self.topology.observe(edges.edges, edges.at_ms)
        return []

    def firing(self, alert: Alert, now_ms: int, also: tuple[Reason, ...] = ()) -> list[Version]:
        """A new alert. `also`: what else there is to say of why it is there."""
        if alert.id in self.home:
            self.counters["repeated_alerts"] += 1
            return []
        domain = self._domain(alert)
        labels = domain_labels(alert)
        self.census.observe(alert.service, labels)
        verdicts = self._verdicts(alert, domain, labels)
        if verdicts:
            best, verdict = verdicts[0]
            self._join(best, alert, (*verdict.reasons, *also), now_ms)
            self._merge(best, alert, verdicts, now_ms)
        elif (earlier := self._reopenable(alert, domain)) is not None:
            lifecycle.apply(earlier, "reopen", alert.started_at)
            membership.note(earlier, now_ms, "state", "reopened: the same series deviates again", alert.id)
            earlier.facts += 1
            reasons = (Reason("series", 1.0, "the series that had recovered"), *also)
            self._join(earlier, alert, reasons, now_ms, "reopened")
        else:
            self._new(alert, domain, now_ms, also)
        return self._take()

    def renewed(self, alert: Alert, now_ms: int) -> list[Version]:
        """A later version of an alert: resolved, or more severe."""
        group = self.groups.get(self.home.get(alert.id, ""))
        if group is None:
            self.counters["unknown_alerts"] += 1
            return []
        if not membership.renew(group, alert, now_ms):
            self.counters["repeated_alerts"] += 1
            return []
        if group.calm_since is not None and (group.live or group.opened_at is None):
            self.timers.set(group.id, "calm", now_ms + self.settings.resolve_after_ms)
        if not self._open_if_due(group, now_ms):
            self._update(group, now_ms)
        return self._take()

    def shows(self, alert_id: str) -> bool:
        """Whether the alert belongs to a group that is not over."""
        group = self.groups.get(self.home.get(alert_id, ""))
        return group is not None and group.live

    def remark(self, alert_id: str, now_ms: int, kind: str, text: str) -> list[Version]:
        """Something to say of an alert, for the timeline of its group."""
        group = self.groups.get(self.home.get(alert_id, ""))
        if group is not None:
            group.facts += 1
            group.updated_at = max(group.updated_at, now_ms)
            membership.note(group, now_ms, kind, text, alert_id)
            self._update(group, now_ms)
        return self._take()

    def next_due(self) -> int | None:
        """Event time of the earliest timer."""
        return self.timers.next_due()

    def fire(self) -> list[Version]:
        """Run the earliest timer."""
        now_ms, group_id, step = self.timers.pop()
        group = self.groups[group_id]
        if step == "settle":
            self._open_if_due(group, now_ms)
        elif step == "idle":
            self._seal(group)
        elif step == "flush":
            self.outlook.refresh(group)
            self._publish(group, "updated")
        elif step == "verify":
            self._close(group, now_ms, "stable since it was resolved")
        elif group.opened_at is None:
            self._forget(group)
            self.unopened.append(group)
            self.counters["unopened_groups"] += 1
        elif step == "calm":
            since = group.calm_since if group.calm_since is not None else now_ms
            self._resolve(group, since, now_ms, "all alerts have resolved and stayed so")
        else:
            left = len(group.active)
            self._resolve(group, now_ms, now_ms, f"longest life reached with {left} alerts still firing")
        return self._take()

    # -- where they stand in the log ----------------------------------------------------------

    def change(self, change: Change) -> list[Version]:
        """A change record, early or late: incidents whose window it touches are looked at again."""
        if self.changes.add(change):
            for group_id in sorted(self.index.by_reach.get(change.service)):
                group = self.groups[group_id]
                first, last = self.outlook.window(group)
                if group.opened_at is not None and first <= change.ts <= last:
                    group.changes.append(change.id)
                    self.outlook.think(group)
                    self._publish(group, "updated")
        return self._take()

    def action(self, action: Action) -> tuple[list[Version], ActionResult]:
        """What a person did. The same id is answered the same way, and applied once."""
        known = self.answers.get(action.id)
        if known is not None:
            return [], known
        group = self.groups.get(action.incident)
        if group is None or group.opened_at is None:
            into = self.merged.get(action.incident)
            reason = f"merged into {into}" if into else "no such incident, or it is closed"
            result = ActionResult(action.id, action.incident, False, reason, "merged" if into else "")
        else:
            refusal = self._step(group, action)
            reason = refusal.reason if refusal else "applied"
            result = ActionResult(action.id, action.incident, refusal is None, reason, group.state)
        self.answers.put(action.id, result)
        return self._take(), result

    def _step(self, group: Group, action: Action) -> lifecycle.Refusal | None:
        if action.action not in lifecycle.HUMAN:
            return lifecycle.Refusal(f"unknown action {action.action!r}; known: {', '.join(lifecycle.HUMAN)}")
        refusal = lifecycle.apply(group, action.action, action.ts, action.actor or "somebody")
        if refusal is not None:
            return refusal
        group.facts += 1
        group.updated_at = max(group.updated_at, action.ts)
        who = f" by {action.actor}" if action.actor else ""
        text = f"{action.action}{who}" + (f": {action.note}" if action.note else "")
        membership.note(group, action.ts, "action", text, action.id)
        if action.action == "resolve":
            self._rest(group)
        elif action.action == "reopen":
            self._wake(group, action.ts)
        elif action.action == "close":
            self._leave(group)
        kinds = {
            "acknowledge": "acknowledged",
            "resolve": "resolved",
            "reopen": "reopened",
            "close": "closed",
        }
        self._publish(group, kinds.get(action.action, "updated"))
        return None

    # -- finding and filling groups -----------------------------------------------------------

    def _domain(self, alert: Alert) -> str:
        label = self.settings.domain_label
        named = dict(alert.resource).get(label) or dict(alert.labels).get(label) if label else ""
        return named or "default"

    def _verdicts(self, alert: Alert, domain: str, labels: Sequence[str]) -> list[tuple[Group, Verdict]]:
        """Groups that would take the alert, best evidence first."""
        near = self.topology.within(alert.service, MAX_HOPS)
        found = dict.fromkeys(self.index.by_series.get(f"{domain}\0{alert.fingerprint}"))
        for service in near:
            found.update(dict.fromkeys(self.index.by_service.get(f"{domain}\0{service}")))
        rarity = {label: self.census.rarity(label) for label in labels}
        for label in labels:
            # A label too common to carry an alert over the threshold is no way to look for groups.
            if label_weight(label, rarity) >= self.settings.join_threshold - TIME:
                found.update(dict.fromkeys(self.index.by_label.get(f"{domain}\0{label}")))
        groups = [self.groups[group_id] for group_id in found]
        if len(groups) > MOST_CANDIDATES:
            groups = heapq.nsmallest(MOST_CANDIDATES, groups, key=lambda g: (-g.last_joined_at, g.id))
        verdicts = []
        for group in groups:
            if group.live and not (group.sealed and alert.fingerprint not in group.series):
                verdict = evaluate(alert, group, near, rarity, self.settings)
                if verdict.score >= self.settings.join_threshold:
                    verdicts.append((group, verdict))
        verdicts.sort(key=lambda pair: (-pair[1].score, pair[0].started_at, pair[0].id))
        return verdicts

    def _reopenable(self, alert: Alert, domain: str) -> Group | None:
        """A resolved incident, not yet closed, that this alert's series belongs to by more than symptom."""
        known = (self.groups[i] for i in self.index.by_series.get(f"{domain}\0{alert.fingerprint}"))
        # A gateway's latency recurs with every cause: only the suspected cause's own series reopen.
        fitting = [
            g for g in known if g.state == "resolved" and (not g.hints or g.hints[0].service == alert.service)
        ]
        return max(fitting, key=lambda g: (g.resolved_at or 0, g.id), default=None)

    def _new(self, alert: Alert, domain: str, now_ms: int, also: tuple[Reason, ...]) -> None:
        while len(self.groups) >= self.settings.max_open:
            self.counters["evicted_groups"] += 1
            oldest = next(iter(self.groups.values()))
            if oldest.opened_at is None:
                self._forget(oldest)
                self.unopened.append(oldest)
            else:
                self._close(oldest, now_ms, "evicted: too many incidents are open")
        group = Group(
            digest_hex("incident", domain, alert.id), domain, alert.started_at, alert.detected_at, now_ms
        )
        series = f"{domain}\0{alert.fingerprint}"
        known = [self.groups[i] for i in self.index.by_series.get(series)]
        resolved = max(
            (g for g in known if g.resolved_at), key=lambda g: (g.resolved_at or 0, g.id), default=None
        )
        group.recurrence_of = resolved.id if resolved else self.past.get(series) or ""
        self.groups[group.id] = group
        self.timers.set(group.id, "settle", alert.detected_at + settle_ms(alert))
        self.timers.set(group.id, "age", now_ms + self.settings.max_age_ms)
        first = Reason("first", 0.0, "nothing open is close enough in time and place")
        self._join(group, alert, (first, *also), now_ms)

    def _join(
        self, group: Group, alert: Alert, reasons: tuple[Reason, ...], now_ms: int, kind: str = "updated"
    ) -> None:
        if membership.join(group, alert, reasons, now_ms, self.settings.max_members):
            self.home[alert.id] = group.id
            self.index.enter(group, alert)
        for name in self.outlook.widen(group, alert.service):
            self.index.by_reach.add(name, group.id)
        self._wake(group, now_ms)
        if not self._open_if_due(group, now_ms):
            self._update(group, now_ms, kind)

    def _merge(self, best: Group, alert: Alert, also: list[tuple[Group, Verdict]], now_ms: int) -> None:
        """The alert fits several groups in full swing: they are one."""
        enough = self.settings.join_threshold + MERGE_MARGIN
        also = [(g, v) for g, v in also if g is best or (v.score >= enough and fading(g) < MERGE_FADING)]
        if len(also) < 2:
            return
        oldest = min((g for g, _ in also), key=lambda g: (g.opened_at is None, g.anchor, g.id))
        for other, verdict in also:
            if other is oldest:
                continue
            why = Reason("merge", verdict.score, f"alert {alert.id} of {alert.service} belongs to both")
            membership.absorb(oldest, other, why, now_ms, self.settings.max_members)
            self._forget(other)
            if other.opened_at is not None:
                lifecycle.apply(other, "merge", now_ms)
                other.facts += 1
                other.updated_at = now_ms
                other.merged_into = oldest.id
                membership.note(other, now_ms, "merge", f"merged into {oldest.id}: {why.detail}", oldest.id)
                self.merged.put(other.id, oldest.id)
                self._publish(other, "merged")
        for held in oldest.held:
            self.home[held.alert.id] = oldest.id
        self.index.add(oldest)
        self._wake(oldest, now_ms)
        if not self._open_if_due(oldest, now_ms):
            self._update(oldest, now_ms)

    # -- steps --------------------------------------------------------------------------------

    def _open_if_due(self, group: Group, now_ms: int) -> bool:
        if group.opened_at is not None:
            return False
        reason = opening_reason(group, now_ms)
        if reason is None:
            return False
        group.opened_at = max(now_ms, group.detected_at)
        group.updated_at = max(group.updated_at, now_ms)
        membership.note(group, group.opened_at, "state", f"opened: {reason}")
        self.timers.set(group.id, "settle", None)
        self.outlook.refresh(group)
        self._publish(group, "opened")
        return True

    def _resolve(self, group: Group, at_ms: int, now_ms: int, why: str) -> None:
        if lifecycle.apply(group, "resolve", at_ms) is not None:
            return
        group.facts += 1
        group.updated_at = max(group.updated_at, now_ms)
        membership.note(group, now_ms, "state", f"resolved: {why}")
        self._rest(group)
        self._publish(group, "resolved")

    def _close(self, group: Group, now_ms: int, why: str) -> None:
        if group.state != "resolved":
            lifecycle.apply(group, "resolve", now_ms)
        lifecycle.apply(group, "close", now_ms)
        group.facts += 1
        group.updated_at = max(group.updated_at, now_ms)
        membership.note(group, now_ms, "state", f"closed: {why}")
        self._leave(group)
        self._publish(group, "closed")

    def _wake(self, group: Group, now_ms: int) -> None:
        """It takes members again; the idle gap counts from now."""
        if group.sealed:
            group.sealed = False
            self.index.add(group)
        self.timers.set(group.id, "verify", None)
        if group.calm_since is None:
            self.timers.set(group.id, "calm", None)
        self.timers.set(group.id, "idle", now_ms + self.settings.idle_gap_ms)

    def _rest(self, group: Group) -> None:
        """Resolved: it waits for the end of verification and takes no members."""
        self._seal(group)
        self.timers.drop(group.id, ("calm", "idle", "age", "settle"))
        self.timers.set(group.id, "verify", (group.resolved_at or 0) + self.settings.verify_ms)

    def _seal(self, group: Group) -> None:
        group.sealed = True
        self.index.seal(group)

    def _leave(self, group: Group) -> None:
        for series in group.series:
            self.past.put(f"{group.domain}\0{series}", group.id)
        self._forget(group)

    def _forget(self, group: Group) -> None:
        self.index.remove(group)
        self.timers.drop(group.id, STEPS)
        del self.groups[group.id]
        for held in group.held:
            self.home.pop(held.alert.id, None)

    # -- telling ------------------------------------------------------------------------------

    def _update(self, group: Group, now_ms: int, kind: str = "updated") -> None:
        """Publish what changed; for a large incident at the end of the second, with all that it brought."""
        if group.opened_at is None:
            return
        if len(group.held) > LARGE and kind == "updated":
            self.timers.set(group.id, "flush", -(-now_ms // FLUSH_MS) * FLUSH_MS)
        else:
            self.outlook.refresh(group)
            self._publish(group, kind)

    def _publish(self, group: Group, kind: str) -> None:
        if group.opened_at is not None:
            self._out.append(Version(render.incident(group, self.changes.get), kind))

    def _take(self) -> list[Version]:
        out, self._out = self._out, []
        return out
