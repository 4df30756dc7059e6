"""What people do to incidents: steps of the lifecycle, merge, split, undo. Each action is answered once."""

from __future__ import annotations

import msgspec

from correlator import knowledge, lifecycle, lineage, membership, reporting, statements, writing
from correlator.group import Group, Merge
from correlator.incident import Reason
from correlator.lifecycle import Refusal
from correlator.state import State
from correlator.telling import Telling
from correlator.together import TAUGHT
from correlator.when import some
from streams.records.digest import digest_hex
from streams.records.messages import Action, ActionResult

VERBS = (*lifecycle.HUMAN, "merge", "split", "undo", "record", *statements.VERBS)
"""beside `report`, which opens an incident (`correlator.engine`)"""
KINDS = {"acknowledge": "acknowledged", "resolve": "resolved", "reopen": "reopened", "close": "closed"}
"""step -> last part of the CloudEvents type of the version that follows"""
LATER = ("record", *statements.LATER)
"""what may be said of an incident that has closed"""


class People:
    """Applies actions to the state; versions go to the telling."""

    def __init__(self, state: State, telling: Telling) -> None:
        self._state = state
        self._telling = telling

    def act(self, action: Action, now_ms: int) -> ActionResult:
        """Apply an action, or say why not. The same id is answered the same way, and applied once.

        `now_ms`: how far event time has come; the action carries its own time.
        """
        known = self._state.answers.get(action.id)
        if known is not None:
            return known
        if action.problem:
            result = self._state.knowledge.step(action, now_ms)
        elif action.action in writing.VERBS:
            result = self._state.writing.act(action, now_ms)
        elif action.action not in VERBS:
            group = self._state.groups.get(action.incident)
            text = f"unknown action {action.action!r}; known: {', '.join((*VERBS, *writing.VERBS))}"
            result = ActionResult(action.id, action.incident, False, text, group.state if group else "")
        elif action.action == "undo":
            result = self._undo(action, now_ms)
        elif action.incident not in self._state.groups and action.action in LATER:
            result = self._later(action)
        else:
            found = self._find(action.incident)
            if isinstance(found, Refusal):
                state = "merged" if action.incident in self._state.merged else ""
                result = ActionResult(action.id, action.incident, False, found.reason, state)
            else:
                apply = self._state_it if action.action in statements.VERBS else self._step
                own = {"merge": self._merge, "split": self._split, "record": self._record}
                apply = own.get(action.action, apply)
                outcome = apply(found, action, now_ms)
                applied = not isinstance(outcome, Refusal)
                reason = outcome.reason if isinstance(outcome, Refusal) else outcome
                result = ActionResult(action.id, action.incident, applied, reason, found.state)
        self._state.answers.put(action.id, result)
        return result

    def combine(self, survivor: Group, other: Group, why: Reason, now_ms: int, actor: str = "") -> None:
        """Merge `other` into `survivor`, in every index, and tell of the end of the one."""
        state = self._state
        lineage.absorb(survivor, other, why, now_ms, actor)
        state.forget(other)
        if survivor.sealed:
            survivor.sealed = False
        state.refresh(survivor)
        state.calm(survivor, now_ms)
        if other.opened_at is not None:
            lifecycle.apply(other, "merge", now_ms)
            other.facts += 1
            other.updated_at = max(other.updated_at, now_ms)
            other.merged_into = survivor.id
            membership.note(other, now_ms, "merge", f"merged into {survivor.id}: {why.detail}", survivor.id)
            state.merged.put(other.id, survivor.id)
            self._telling.publish(other, "merged", now_ms)
            survivor.merges[-1].other.facts = other.version  # versions only grow, also after an undo

    def _find(self, id: str) -> Group | Refusal:
        group = self._state.groups.get(id)
        if group is not None and group.opened_at is not None:
            return group
        into = self._state.merged.get(id)
        return Refusal(f"merged into {into}" if into else "no such incident, or it is closed")

    def _later(self, action: Action) -> ActionResult:
        """What may still be said of an incident that has closed."""
        state = self._state
        past, group = state.knowledge.book.get(action.incident), state.closed.get(action.incident)
        refusal: Refusal | None = None
        said = ""
        if group is None and (past is None or action.action != "record"):
            found = self._find(action.incident)
            refusal = found if isinstance(found, Refusal) else None
            merged = action.incident in state.merged
            reason = refusal.reason if refusal else "no such incident"
            return ActionResult(action.id, action.incident, False, reason, "merged" if merged else "")
        if action.action == "record":
            refusal = knowledge.refused(action)
            if refusal is None and past is not None:
                state.knowledge.found_later(past, action)
                if group is not None:
                    group.finding = past.finding
            said = _recorded(action)
        elif group is not None:
            stated = statements.state(group, action)
            refusal = stated if isinstance(stated, Refusal) else None
            said = "" if isinstance(stated, Refusal) else stated
        if refusal is None and group is not None:
            self._say(group, action, said)
            self._telling.publish(group, "updated", group.updated_at)
            state.closed.put(group)
        reason = refusal.reason if refusal else "applied"
        return ActionResult(action.id, action.incident, refusal is None, reason, "closed")

    def _state_it(self, group: Group, action: Action, now_ms: int) -> str | Refusal:
        """See `correlator.statements`."""
        said = statements.state(group, action)
        if isinstance(said, Refusal):
            return said
        self._say(group, action, said)
        if group.state == "resolved":
            self._state.rest(group)  # by the time of the resolve as it stands now
        self._telling.publish(group, "updated", now_ms)
        return "applied"

    def _say(self, group: Group, action: Action, text: str) -> None:
        group.facts += 1
        group.updated_at = max(group.updated_at, action.ts)
        membership.note(group, action.ts, "action", f"{action.actor or 'somebody'} {text}", action.id)

    def _step(self, group: Group, action: Action, now_ms: int) -> str | Refusal:
        refusal = knowledge.refused(action)
        refusal = refusal or lifecycle.apply(group, action.action, action.ts, action.actor or "somebody")
        if refusal is not None:
            return refusal
        self._note(group, action, action.action)
        if action.action == "acknowledge":
            statements.aware(group, action.ts)
        elif action.action == "resolve":
            self._settle(group, action)
        if knowledge.says_cause(action):
            self._write_down(group, action)
        if action.action == "resolve":
            self._state.rest(group)
        elif action.action == "reopen":
            self._state.wake(group, max(now_ms, action.ts))
        self._telling.publish(group, KINDS.get(action.action, "updated"), now_ms)
        if action.action == "close":
            self._state.leave(group)
        return "applied"

    def _record(self, group: Group, action: Action, now_ms: int) -> str | Refusal:
        refusal = knowledge.refused(action)
        if refusal is not None:
            return refusal
        self._write_down(group, action)
        self._telling.publish(group, "updated", now_ms)
        return "applied"

    def _write_down(self, group: Group, action: Action) -> None:
        """Cause and fix, as far as they are said."""
        self._state.knowledge.found(group, action)
        self._say(group, action, _recorded(action))

    def _merge(self, group: Group, action: Action, now_ms: int) -> str | Refusal:
        """Several incidents into this one: all of them or none."""
        others = [id for id in dict.fromkeys(action.targets) if id != group.id]
        if not others:
            return Refusal("name at least one other incident to merge into this one")
        found: list[Group] = []
        size = len(group.held)
        if not group.live:
            return Refusal(f"cannot merge into an incident that is {group.state}")
        for id in others:
            other = self._find(id)
            if isinstance(other, Refusal):
                return Refusal(f"{id}: {other.reason}")
            if isinstance(following := lifecycle.after(other.state, "merge"), Refusal):
                return Refusal(f"{id}: {following.reason}")
            if other.domain != group.domain:
                return Refusal(f"{id} is of domain {other.domain}, {group.id} of {group.domain}")
            size += len(other.held)
            found.append(other)
        most = self._state.settings.max_members
        if size > most:
            return Refusal(f"together they have {size} alerts, more than max_members {most}")
        who = action.actor or "somebody"
        why = Reason("merge", 1.0, f"merged by {who}" + (f": {action.note}" if action.note else ""))
        at_ms = max(now_ms, action.ts)
        for other in found:
            self._state.together.teach(group.signals, other.signals, TAUGHT, at_ms)
            self.combine(group, other, why, at_ms, who)
        self._state.wake(group, at_ms)
        self._telling.publish(group, "updated", now_ms)
        return f"merged {', '.join(others)} into {group.id}"

    def _split(self, group: Group, action: Action, now_ms: int) -> str | Refusal:
        """Alerts (by id) and services named by `targets` leave for an incident of their own."""
        wanted = set(action.targets)
        chosen = {h.alert.id for h in group.held if h.alert.id in wanted or h.alert.service in wanted}
        unknown = sorted(wanted - chosen - {h.alert.service for h in group.held if h.alert.id in chosen})
        if not wanted or unknown:
            return Refusal(f"no alert or service of this incident: {', '.join(unknown) or '(none named)'}")
        if not group.live:
            return Refusal(f"cannot split an incident that is {group.state}")
        if len(chosen) == len(group.held):
            return Refusal("at least one alert must stay")
        state = self._state
        at_ms = max(now_ms, action.ts)
        new_id = digest_hex("split", group.id, action.id)
        changes = len(group.changes)
        state.index.remove(group)
        new = lineage.divide(group, chosen, new_id, action.actor or "somebody", at_ms)
        state.together.teach(group.signals, new.signals, -TAUGHT, at_ms)
        self._again(group, changes, now_ms)
        state.adopt(new, now_ms)
        self._telling.publish(group, "updated", now_ms)
        self._telling.publish(new, "opened", now_ms)
        return f"split off {some(len(chosen), 'alert')} as {new_id}"

    def _undo(self, action: Action, now_ms: int) -> ActionResult:
        """Undo the merge of an incident that was merged, or the newest one into an incident that lives."""

        def refuse(reason: str, state: str = "") -> ActionResult:
            return ActionResult(action.id, action.incident, False, reason, state)

        into = self._state.merged.get(action.incident)
        survivor = self._state.groups.get(into or action.incident)
        if survivor is None or survivor.opened_at is None:
            further = self._state.merged.get(into) if into else None
            if further:
                reason = f"merged into {into}, which was merged into {further}: undo that first"
                return refuse(reason, "merged")
            if into:
                return refuse(f"merged into {into}, which is closed", "merged")
            return refuse("no such incident, or it is closed")
        state_before = "merged" if into else survivor.state
        record = _record(survivor, action.incident if into else "")
        if record is None:
            return refuse("no merge to undo" if not into else "this merge cannot be undone", state_before)
        if not survivor.live:
            return refuse(f"cannot undo a merge into an incident that is {survivor.state}", state_before)
        staying = sum(h.alert.id not in record.members for h in survivor.held)
        if not 0 < staying < len(survivor.held):
            return refuse("one side has no alert left: they were split off since", state_before)
        who = action.actor or "somebody"
        at_ms = max(now_ms, action.ts)
        state = self._state
        changes = len(survivor.changes)
        state.index.remove(survivor)
        back = lineage.restore(survivor, record, who, at_ms)
        # Whoever said they belong together takes it back; Tocsin's own error is a lesson.
        state.together.teach(survivor.signals, back.signals, -TAUGHT, at_ms)
        self._again(survivor, changes, now_ms)
        state.merged.pop(back.id)
        state.adopt(back, now_ms)
        self._telling.publish(survivor, "updated", now_ms)
        self._telling.publish(back, "updated", now_ms)
        answered = back if into else survivor
        reason = f"merge of {back.id} into {survivor.id} undone"
        return ActionResult(action.id, action.incident, True, reason, answered.state)

    def _again(self, group: Group, changes: int, now_ms: int) -> None:
        """An incident that lost members: found by what it still has, its changes looked for anew."""
        group.facts += changes  # versions only grow
        group.changes.clear()
        self._state.refresh(group)
        self._state.calm(group, now_ms)

    def _settle(self, group: Group, action: Action) -> None:
        """What a person reported is over when a person says that the incident is."""
        statements.end_pause(group, action.ts)
        for index in list(group.active.values()):
            alert = group.held[index].alert
            if alert.kind == reporting.KIND:
                over = msgspec.structs.replace(
                    alert, version=alert.version + 1, state="resolved",
                    resolved_at=max(action.ts, alert.started_at), last_seen_at=action.ts,
                )  # fmt: skip
                membership.renew(group, over, action.ts)

    def _note(self, group: Group, action: Action, what: str) -> None:
        group.facts += 1
        group.updated_at = max(group.updated_at, action.ts)
        who = f" by {action.actor}" if action.actor else ""
        text = f"{what}{who}" + (f": {action.note}" if action.note else "")
        membership.note(group, action.ts, "action", text, action.id)


def _recorded(action: Action) -> str:
    cause = f"{action.cause_service}: {action.cause}".strip(": ")
    said = (("cause", cause), ("fixed by", action.fix), ("runbook", action.runbook))
    return "recorded " + "; ".join(f"{name}: {what}" for name, what in said if what)


def _record(survivor: Group, id: str) -> Merge | None:
    """The merge of `id`, or the newest one."""
    fitting = [m for m in survivor.merges if not id or m.other.id == id]
    return fitting[-1] if fitting else None
