"""What people state of an incident: who has it, how bad it is, when it really began, what was handed in.

Each verb takes its values from `Action.fields` and changes `group.told` and times of the group. It returns
the sentence for the timeline, or why nothing was changed. Every change of what stood there is audited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite

from correlator.group import Group
from correlator.incident import (
    CATEGORIES,
    FILINGS,
    IMPACT_FIGURES,
    KINDS,
    LEVELS,
    Edit,
    Figure,
    Filing,
    Pause,
)
from correlator.lifecycle import Refusal
from detectors.alert import SEVERITIES
from streams.records.messages import MAX_MS, Action

MOST = 500
"""edits, pauses and filings of one incident, each"""
MOST_TAGS = 20
PRIORITIES = ("P1", "P2", "P3", "P4")
ORDER = ("started_at", "detected_at", "acknowledged_at", "mitigated_at", "resolved_at", "closed_at")
"""times of an incident in the order that must hold"""
TIMES = (*ORDER, "aware_at", "major_at")
CHOICES: Mapping[str, tuple[str, ...]] = {
    "category": CATEGORIES,
    "severity": SEVERITIES,
    "kind": KINDS,
    "impact_level": LEVELS,
    "urgency": LEVELS,
    "priority": PRIORITIES,
}
"""what may be classified, and as what; an empty value gives it back to the rules"""

Statement = Callable[[Group, Action], "str | Refusal"]


def state(group: Group, action: Action) -> str | Refusal:
    """Apply one of `VERBS`."""
    verb, allowed = VERBS[action.action]
    unknown = sorted(action.fields.keys() - set(allowed))
    if unknown:
        expected = f"expected {', '.join(allowed)}" if allowed else "expected none"
        return Refusal(f"unknown field {unknown[0]!r} of {action.action}: {expected}")
    told = group.told
    if max(len(told.edits), len(told.pauses), len(told.filings)) >= MOST:
        return Refusal(f"at most {MOST} changes of an incident are kept")
    said = verb(group, action)
    if not isinstance(said, Refusal) and action.action in AWARE:
        aware(group, action.ts)
    return said


def aware(group: Group, at_ms: int) -> None:
    """Somebody of the organisation knows from now on, if nobody did before."""
    if group.told.aware_at is None:
        group.told.aware_at = max(at_ms, group.began_at)


def _note(group: Group, action: Action) -> str | Refusal:
    return f"note: {action.note}" if action.note.strip() else Refusal("say what there is to note")


def _assign(group: Group, action: Action) -> str | Refusal:
    to = action.fields.get("to", "").strip()
    if not to or len(to) > 200 or not to.isprintable():
        return Refusal("name a team or person in field to, at most 200 printable characters")
    _audit(group, action, "assignee", group.told.assignee, to)
    group.told.assignee = to
    return f"assigned to {to}"


def _classify(group: Group, action: Action) -> str | Refusal:
    said = action.fields
    for name, choices in CHOICES.items():
        if said.get(name) and said[name] not in choices:
            return Refusal(f"{name} is {said[name]!r}: expected one of {', '.join(choices)}")
    major = said.get("major")
    if major not in (None, "true", "false"):
        return Refusal(f"major is {major!r}: expected true or false")
    if not said:
        return Refusal(f"say at least one of {', '.join((*CHOICES, 'major'))}")
    changed = []
    for name in CHOICES:
        if name in said:
            before = getattr(group.told, name)
            after = said[name] or ("incident" if name == "kind" else "")
            _audit(group, action, name, before, after)
            setattr(group.told, name, after)
            changed.append(f"{name} {after or 'by rule'}")
    if major is not None:
        was = group.told.major_at
        said_at = max(action.ts, group.began_at)
        now = (was if was is not None else said_at) if major == "true" else None
        _audit(group, action, "major_at", _text(was), _text(now))
        group.told.major_at = now
        changed.append("major" if major == "true" else "not major")
    return f"classified: {', '.join(changed)}"


def _impact(group: Group, action: Action) -> str | Refusal:
    said = dict(action.fields)
    status = said.pop("status", "confirmed")
    if status not in ("estimate", "confirmed"):
        return Refusal(f"status is {status!r}: expected estimate or confirmed")
    tags = said.pop("reputation", None)
    figures: dict[str, float] = {}
    for name, text in said.items():
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        most = 1.0 if name == "customer_share" else 1e15
        if not isfinite(value) or not 0 <= value <= most:
            return Refusal(f"{name} is {text!r}: expected a number from 0 to {most:g}")
        figures[name] = value
    if not figures and tags is None:
        return Refusal(f"say at least one of {', '.join((*IMPACT_FIGURES, 'reputation'))}")
    by = action.actor or "somebody"
    for name, value in figures.items():
        known = group.told.figures.get(name)
        _audit(group, action, f"impact.{name}", f"{known.value:g}" if known else "", f"{value:g} ({status})")
        basis = action.note or f"stated by {by}"
        figure = Figure(name, value, UNITS[name], status, basis, by, action.ts)
        group.told.figures = {**group.told.figures, name: figure}
    if tags is not None:
        found = tuple(dict.fromkeys(t.strip() for t in tags.split(",") if t.strip()))[:MOST_TAGS]
        _audit(group, action, "reputation", ", ".join(group.told.reputation), ", ".join(found))
        group.told.reputation = found
    words = [f"{name} {value:g}" for name, value in figures.items()]
    words += [f"reputation: {', '.join(group.told.reputation) or 'nothing'}"] if tags is not None else []
    return f"impact ({status}): {', '.join(words)}"


def times_of(group: Group) -> dict[str, int | None]:
    """All times a person may correct, as they stand."""
    return {
        "started_at": group.began_at,
        "detected_at": group.noticed_at,
        "acknowledged_at": group.acknowledged_at,
        "mitigated_at": group.mitigated_at,
        "resolved_at": group.resolved_at,
        "closed_at": group.closed_at,
        "aware_at": group.told.aware_at,
        "major_at": group.told.major_at,
    }


def _edit(group: Group, action: Action) -> str | Refusal:
    if not action.note.strip():
        return Refusal("say why in note: corrected times are audited")
    if not action.fields:
        return Refusal(f"name at least one of {', '.join(TIMES)}")
    before = times_of(group)
    after = dict(before)
    for name, text in action.fields.items():
        at_ms = moment(text)
        if at_ms is None:
            return Refusal(f"{name} is {text!r}: expected ms since 1970 or ISO 8601 with a zone")
        if at_ms > action.ts:
            return Refusal(f"{name} {_text(at_ms)} is later than the correction itself ({_text(action.ts)})")
        over = group.state in ("resolved", "closed")
        if before[name] is None and not (
            name in ("aware_at", "major_at") or (over and name in ("acknowledged_at", "mitigated_at"))
        ):
            return Refusal(
                f"{name} cannot be corrected: that has not happened, the incident is {group.state}"
            )
        after[name] = at_ms
    refusal = order(after)
    if refusal is not None:
        return refusal
    for name in TIMES:
        if after[name] != before[name]:
            _audit(group, action, name, _text(before[name]), _text(after[name]))
            _set_time(group, name, after[name])
    return f"corrected {', '.join(n for n in TIMES if after[n] != before[n]) or 'nothing'}: {action.note}"


def order(times: Mapping[str, int | None]) -> Refusal | None:
    """Why these times cannot be, if they cannot."""
    last: tuple[str, int] | None = None
    for name in ORDER:
        at_ms = times[name]
        if at_ms is None:
            continue
        if last is not None and at_ms < last[1]:
            return Refusal(f"{name} {_text(at_ms)} would be before {last[0]} {_text(last[1])}")
        last = name, at_ms
    for name in ("aware_at", "major_at"):
        at_ms, began = times[name], times["started_at"]
        if at_ms is not None and began is not None and at_ms < began:
            return Refusal(f"{name} {_text(at_ms)} would be before started_at {_text(began)}")
    return None


def _set_time(group: Group, name: str, at_ms: int | None) -> None:
    if name in ("started_at", "detected_at", "aware_at", "major_at"):
        setattr(group.told, name, at_ms)
        return
    if name == "resolved_at" and group.first_resolved_at == group.resolved_at:
        group.first_resolved_at = at_ms
    if name == "acknowledged_at" and group.acknowledged_at is None:
        group.acknowledged_by = group.told.edits[-1].by
    setattr(group, name, at_ms)


def _pause(group: Group, action: Action) -> str | Refusal:
    if group.told.pauses and group.told.pauses[-1].until_ms is None:
        return Refusal(f"already paused since {_text(group.told.pauses[-1].from_ms)}")
    if not group.live:
        return Refusal(f"cannot pause the clocks of an incident that is {group.state}")
    if not action.note.strip():
        return Refusal("say in note what it waits for")
    if group.told.pauses and action.ts < (group.told.pauses[-1].until_ms or 0):
        return Refusal(f"paused before, until {_text(group.told.pauses[-1].until_ms)}: that is later")
    group.told.pauses = [
        *group.told.pauses, Pause(action.ts, None, action.note, action.actor or "somebody"),
    ]  # fmt: skip
    return f"clocks paused: {action.note}"


def _resume(group: Group, action: Action) -> str | Refusal:
    if not group.told.pauses or group.told.pauses[-1].until_ms is not None:
        return Refusal("its clocks are not paused")
    *earlier, last = group.told.pauses
    until = max(action.ts, last.from_ms)
    group.told.pauses = [*earlier, Pause(last.from_ms, until, last.reason, last.by)]
    return "clocks resumed" + (f": {action.note}" if action.note else "")


def end_pause(group: Group, at_ms: int) -> None:
    """It is over: nothing is waited for any more."""
    pauses = group.told.pauses
    if pauses and pauses[-1].until_ms is None:
        last = pauses[-1]
        group.told.pauses = [
            *pauses[:-1],
            Pause(last.from_ms, max(at_ms, last.from_ms), last.reason, last.by),
        ]


def _submit(group: Group, action: Action) -> str | Refusal:
    name = action.fields.get("name", "")
    if name not in FILINGS:
        return Refusal(f"name is {name!r}: expected one of {', '.join(FILINGS)}")
    at_ms = action.ts if not action.fields.get("at") else moment(action.fields["at"])
    if at_ms is None or at_ms > action.ts:
        return Refusal(f"at is {action.fields['at']!r}: expected a time, not later than the action's own")
    if any(filing.name == name for filing in group.told.filings):
        return Refusal(f"{name} has been handed in already")
    filing = Filing(name, at_ms, action.actor or "somebody", action.note)
    group.told.filings = [*group.told.filings, filing]
    return f"handed in: {name}" + (f": {action.note}" if action.note else "")


def moment(text: str) -> int | None:
    """ms UTC of a number of ms or of ISO 8601 with a zone; None for anything else."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 17:
        at_ms = int(text)
    else:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            return None
        if found.tzinfo is None:
            return None
        at_ms = round(found.timestamp() * 1000)
    return at_ms if 0 < at_ms < MAX_MS else None


def _audit(group: Group, action: Action, field: str, before: str, after: str) -> None:
    if before != after:
        by = action.actor or "somebody"
        edit = Edit(action.ts, by, field, before, after, action.note, action.id)
        group.told.edits = [*group.told.edits, edit]


def _text(at_ms: int | None) -> str:
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


UNITS = {
    "customers": "customers",
    "customer_share": "share",
    "partners": "partners",
    "transactions": "transactions",
    "damage": "money",
    "payment_delay_ms": "ms",
}
"""of the figures of impact; money is in the currency of the catalogue"""

VERBS: Mapping[str, tuple[Statement, tuple[str, ...]]] = {
    "assign": (_assign, ("to",)),
    "note": (_note, ()),
    "classify": (_classify, (*CHOICES, "major")),
    "impact": (_impact, (*IMPACT_FIGURES, "status", "reputation")),
    "edit": (_edit, TIMES),
    "pause": (_pause, ()),
    "resume": (_resume, ()),
    "submit": (_submit, ("name", "at")),
}
"""verb -> what it does, and the fields it takes"""
AWARE = ("assign", "classify")
"""who does this knows of the incident"""
LATER = ("note", "classify", "impact", "edit", "submit", "assign")
"""what may also be stated of an incident that has closed"""
