"""The correlator: alerts in, incident versions out, in event time.

Facts arrive in the order of event time (`correlator.domain` sees to that); changes and people's
actions arrive whenever they stand in the log. Nothing here reads a clock or scans all groups.
"""

from __future__ import annotations

import msgspec

from config.catalogue import Catalogue
from config.settings import Correlate
from correlator import candidates, lifecycle, membership, opening, reporting, statements
from correlator.group import Group
from correlator.grouping import MERGE_FADING, MERGE_MARGIN, Sight, Weight, quiet, reasons
from correlator.incident import Reason
from correlator.lifecycle import Refusal
from correlator.people import People
from correlator.probes import Probes
from correlator.state import State
from correlator.telling import Telling, Version
from detectors.alert import Alert
from streams.records.digest import digest_hex
from streams.records.messages import Action, ActionResult, Change, Edges

__all__ = ["Engine", "Version"]

FIRST = (Reason("first", 0.0, "nothing open is close enough in time and place"),)
VERIFY_AGAIN_MS = 60_000
"""what is not stable at the end of verification is looked at again after this"""
AGAIN = (Reason("series", 1.0, "the series that had recovered"),)


class Engine:
    """All groups of one alerts partition. Mutable; see `correlator.snapshot` for its memory."""

    def __init__(self, settings: Correlate, catalogue: Catalogue, step_ms: int = 1_000) -> None:
        """`step_ms`: updates of an incident within one such step of event time are told together."""
        self.settings = settings
        self.state = State(settings, catalogue)
        self.groups = self.state.groups
        self.home = self.state.home
        self.counters = self.state.counters
        self.unopened: list[tuple[Group, int]] = []
        """forgotten without ever having been an incident, and when; not yet told of"""
        self._telling = Telling(self.state, step_ms)
        self._people = People(self.state, self._telling)
        self._probes = Probes(settings.probes)

    # -- facts in event time ------------------------------------------------------------------

    def edges(self, edges: Edges) -> None:
        """Calls and services one shard saw."""
        self.state.topology.meet(edges.services, edges.at_ms)
        self.state.topology.observe(edges.edges, edges.at_ms, edges.source)

    def observe(self, alert: Alert, now_ms: int) -> list[Version]:
        """A version of an alert, at its place in event time: a new one, or news of a known one."""
        group_id = self.home.get(alert.id)
        if group_id is not None:
            self._renew(self.groups[group_id], alert, now_ms)
        elif alert.version > 1 or alert.resolved_at is not None:
            self.counters["unknown_alerts"] += 1
        else:
            self._take_in(alert, now_ms)
        return self._telling.take()

    def release(self, alert: Alert, now_ms: int, why: Reason) -> list[Version]:
        """An alert that was held back until now, in whatever version; `why` is told with its membership."""
        if alert.id in self.home:
            self.counters["repeated_alerts"] += 1
            return []
        self._take_in(alert, now_ms, (why,))
        return self._telling.take()

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
            self._telling.update(group, now_ms)
        return self._telling.take()

    def tick(self, now_ms: int) -> list[Version]:
        """Run everything that is due up to and including `now_ms`, in order of time."""
        timers = self.state.timers
        while (due := timers.next_due()) is not None and due <= now_ms:
            self._fire(*timers.pop())
        return self._telling.take()

    def next_due(self) -> int | None:
        """Event time of the earliest timer."""
        return self.state.timers.next_due()

    # -- where they stand in the log ----------------------------------------------------------

    def change(self, change: Change, now_ms: int) -> list[Version]:
        """A change record, early or late: incidents whose window it touches are looked at again."""
        state = self.state
        if state.changes.add(change):
            touched = state.index.by_reach.get(change.service)
            for group in sorted(touched.values(), key=lambda g: g.id):
                first, last = state.outlook.window(group)
                if group.opened_at is not None and first <= change.ts <= last:
                    group.changes.append(change.id)
                    if not group.stale:
                        self._telling.draw(group, refresh=False)
                    self._telling.publish(group, "updated", now_ms)
        return self._telling.take()

    def action(self, action: Action, now_ms: int) -> tuple[list[Version], ActionResult]:
        """What a person did; see `correlator.people`."""
        known = self.state.answers.get(action.id)
        if action.action == "report" and known is None and not action.problem:
            answer = self._report(action, now_ms)
            self.state.answers.put(action.id, answer)
        else:
            answer = self._people.act(action, now_ms)
        return self._telling.take(), answer

    def _report(self, action: Action, now_ms: int) -> ActionResult:
        """Open the incident that a person reports."""
        state = self.state
        report = reporting.report_of(action)
        if isinstance(report, Refusal):
            return ActionResult(action.id, action.incident, False, report.reason)
        if any(action.incident in known for known in (self.groups, state.closed, state.merged)):
            return ActionResult(action.id, action.incident, False, "this id is that of another incident")
        at_ms = max(now_ms, action.ts)
        why = (Reason("first", 0.0, f"reported by {report.told.reported_by}"),)
        first, *rest = (state.directory.alert(alert) for alert in report.alerts)
        domain = action.fields.get("domain") or candidates.domain_of(first, self.settings.domain_label)
        group = self._create(action.incident, domain, first, at_ms)
        group.told = report.told
        for alert in (first, *rest):
            self._join(group, candidates.see(state, alert, at_ms), why, at_ms)
        figures = {k: v for k, v in action.fields.items() if k in reporting.IMPACT}
        if figures.keys() - {"status"}:
            stated = statements.state(group, msgspec.structs.replace(action, action="impact", fields=figures))
            if isinstance(stated, Refusal):
                state.forget(group)
                return ActionResult(action.id, action.incident, False, stated.reason)
        if action.note:
            said = f"{report.told.reported_by}: {action.note}"
            membership.note(group, action.ts, "action", said, action.id)
        self._telling.open_if_due(group, at_ms, f"reported by {report.told.reported_by}")
        return ActionResult(action.id, action.incident, True, "applied", group.state)

    # -- taking alerts in ---------------------------------------------------------------------

    def _take_in(self, alert: Alert, now_ms: int, also: tuple[Reason, ...] = ()) -> None:
        """`also`: what else there is to say of why it is there."""
        state = self.state
        domain = candidates.domain_of(alert, self.settings.domain_label)
        sight = candidates.see(state, alert, now_ms)
        fitting = candidates.verdicts(state, sight, domain)
        if fitting:
            best, weight = fitting[0]
            self._join(best, sight, (*reasons(sight, best, weight, self.settings), *also), now_ms)
            if len(fitting) > 1:
                best = self._merge(best, alert, fitting, now_ms)
            if not self._telling.open_if_due(best, now_ms):
                self._telling.update(best, now_ms)
        elif (earlier := candidates.reopenable(state, alert, domain)) is not None:
            self._reopen(earlier, sight, (*AGAIN, *also), now_ms)
        else:
            self._begin(sight, domain, (*FIRST, *also), now_ms)

    def _join(self, group: Group, sight: Sight, why: tuple[Reason, ...], now_ms: int) -> None:
        state, alert = self.state, sight.alert
        new_service = alert.service not in group.spans
        was_calm = group.calm_since is not None
        if len(group.held) < self.settings.max_members:
            state.index.enter_series(group, alert)
            if not group.sealed:
                state.index.enter(group, sight)
        if membership.join(group, alert, why, now_ms, self.settings.max_members):
            self.home[alert.id] = group.id
            if new_service:
                for name in state.outlook.widen(group, alert.service):
                    state.index.by_reach.add(name, group)
            if was_calm or group.calm_since is not None:
                state.calm(group, now_ms)
            if group.opened_at is None:
                self._await_settling(group, alert, now_ms)
        state.wake(group, now_ms)

    def _begin(self, sight: Sight, domain: str, why: tuple[Reason, ...], now_ms: int) -> None:
        alert = sight.alert
        precursor = candidates.precursor(self.state, alert, domain)
        group = self._create(digest_hex("incident", domain, alert.id), domain, alert, now_ms)
        group.recurrence_of = precursor
        self._join(group, sight, why, now_ms)
        self._telling.open_if_due(group, now_ms)

    def _create(self, id: str, domain: str, alert: Alert, now_ms: int) -> Group:
        state, settings = self.state, self.settings
        while len(self.groups) >= settings.max_open:
            self.counters["evicted_groups"] += 1
            oldest = next(iter(self.groups.values()))
            if oldest.opened_at is None:
                self._drop(oldest, now_ms)
            else:
                self._close(oldest, now_ms, "evicted: too many incidents are open")
        group = Group(id, domain, alert.started_at, alert.detected_at, now_ms, born_at=now_ms)
        self.groups[group.id] = group
        state.timers.set(group.id, "age", now_ms + settings.max_age_ms)
        state.timers.set(group.id, "idle", now_ms + settings.idle_gap_ms)
        return group

    def _reopen(self, group: Group, sight: Sight, why: tuple[Reason, ...], now_ms: int) -> None:
        alert = sight.alert
        lifecycle.apply(group, "reopen", alert.started_at)
        membership.note(group, now_ms, "state", "reopened: the same series deviates again", alert.id)
        membership.begin_episode(group, now_ms)
        group.facts += 1
        self._join(group, sight, why, now_ms)
        group.stale = True
        self._telling.publish(group, "reopened", now_ms)

    def _merge(self, best: Group, alert: Alert, also: list[tuple[Group, Weight]], now_ms: int) -> Group:
        """The alert fits several groups in full swing: they are one, unless people keep them apart."""
        if quiet(best) >= MERGE_FADING:
            return best
        enough = self.settings.join_threshold + MERGE_MARGIN
        fitting = [best]
        size = len(best.held)
        for group, weight in also:
            if group is best or weight.score < enough or quiet(group) >= MERGE_FADING:
                continue
            apart = any(group.id in g.apart or self.state.index.strangers(group.id, g.id) for g in fitting)
            size += len(group.held)
            if not apart and size <= self.settings.max_members:
                fitting.append(group)
            else:
                size -= len(group.held)
        if len(fitting) < 2:
            return best
        oldest = min(fitting, key=lambda g: (g.opened_at is None, g.anchor, g.id))
        scores = {group.id: weight.score for group, weight in also}
        for other in fitting:
            if other is not oldest:
                detail = f"alert {alert.id} of {alert.service} belongs to both"
                self._people.combine(oldest, other, Reason("merge", scores[other.id], detail), now_ms)
        self.state.wake(oldest, now_ms)
        return oldest

    def _renew(self, group: Group, alert: Alert, now_ms: int) -> None:
        """A later version of a member: resolved, or more severe."""
        if not membership.renew(group, alert, now_ms):
            self.counters["repeated_alerts"] += 1
            return
        if group.calm_since is not None and (group.live or group.opened_at is None):
            if group.active:
                self.state.calm(group, now_ms)
            else:
                self.state.timers.set(group.id, "calm", now_ms + self.settings.resolve_after_ms)
        if self._telling.open_if_due(group, now_ms):
            return
        if group.opened_at is None:
            self._await_settling(group, alert, now_ms)
        self._telling.update(group, now_ms)

    def _await_settling(self, group: Group, alert: Alert, now_ms: int) -> None:
        """An alert that keeps firing will open the group on its own."""
        if alert.resolved_at is None and opening.may_settle(alert):
            due = max(now_ms, alert.detected_at + opening.settle_ms(alert))
            set_to = self.state.timers.at(group.id, "settle")
            if set_to is None or due < set_to:
                self.state.timers.set(group.id, "settle", due)

    # -- steps in time ------------------------------------------------------------------------

    def _fire(self, now_ms: int, group_id: str, step: str) -> None:
        group = self.groups[group_id]
        if step == "flush":
            self._telling.publish(group, "updated", now_ms)
        elif step == "settle":
            if not self._telling.open_if_due(group, now_ms, opening.settled(group, now_ms)):
                self.state.timers.set(group.id, "settle", opening.next_settling(group))
        elif step == "idle":
            self.state.idle(group, now_ms)
        elif step == "verify":
            self._verify(group, now_ms)
        elif group.opened_at is None:
            self._drop(group, now_ms)
        elif step == "calm":
            since = group.calm_since if group.calm_since is not None else now_ms
            why = "all alerts have resolved and stayed so"
            if group.active:
                why = f"nothing that is felt fires any more; {len(group.active)} alerts still do"
            self._resolve(group, since, now_ms, why)
        elif any(group.held[at].alert.kind == reporting.KIND for at in group.active.values()):
            self.state.seal(group)  # what a person reported is over when a person says so
        else:
            left = len(group.active)
            self._resolve(group, now_ms, now_ms, f"longest life reached with {left} alerts still firing")

    def _resolve(self, group: Group, at_ms: int, now_ms: int, why: str) -> None:
        if lifecycle.apply(group, "resolve", at_ms) is not None:
            return
        statements.end_pause(group, at_ms)
        group.facts += 1
        group.updated_at = max(group.updated_at, now_ms)
        membership.note(group, now_ms, "state", f"resolved: {why}")
        self.state.rest(group)
        self._telling.publish(group, "resolved", now_ms)

    def _verify(self, group: Group, now_ms: int) -> None:
        """The verification window is over: close it, if it has been stable for so long."""
        fires = self._probes.firing(group)
        rested = group.resolved_at or now_ms
        if not fires and group.calm_since is not None:
            rested = max(rested, group.calm_since)
        due = rested + self.settings.verify_ms
        unstable = fires or group.hurting
        if unstable and now_ms < (group.resolved_at or 0) + self.settings.max_age_ms:
            if not group.unstable:
                group.unstable = True
                group.facts += 1
                group.updated_at = max(group.updated_at, now_ms)
                still = fires or (
                    "an alert still fires" if group.hurting == 1 else f"{group.hurting} alerts still fire"
                )
                membership.note(group, now_ms, "state", f"not closed yet: {still}")
                self._telling.publish(group, "updated", now_ms)
            self.state.timers.set(group.id, "verify", now_ms + VERIFY_AGAIN_MS)
        elif due > now_ms:
            self.state.timers.set(group.id, "verify", due)
        else:
            self._close(group, now_ms, "stable since it was resolved")

    def _close(self, group: Group, now_ms: int, why: str) -> None:
        if group.state != "resolved":
            lifecycle.apply(group, "resolve", now_ms)
        lifecycle.apply(group, "close", now_ms)
        group.facts += 1
        group.updated_at = max(group.updated_at, now_ms)
        membership.note(group, now_ms, "state", f"closed: {why}")
        self._telling.publish(group, "closed", now_ms)
        self.state.leave(group)

    def _drop(self, group: Group, now_ms: int) -> None:
        """It never became an incident."""
        self.counters["unopened_groups"] += 1
        self.counters["unopened_alerts"] += len(group.held) + group.truncated
        self.state.forget(group)
        self.unopened.append((group, now_ms))
