"""The life of an action item, and what may be written in one. Pure.

open -> in progress -> done
open, in progress -> dropped        done, dropped -> open (again)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

import msgspec

from correlator.afterwards import ActionItem
from correlator.lifecycle import Refusal
from streams.records.digest import digest_hex
from streams.records.messages import Action

MOST_TEXT = 2_000
MOST_OWNER = 200
"""characters"""
STEPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "start": ("in progress", ("open",)),
    "done": ("done", ("open", "in progress")),
    "drop": ("dropped", ("open", "in progress")),
    "reopen": ("open", ("done", "dropped")),
}
"""op -> state after, states before"""
OPS = ("add", "edit", *STEPS)
_ID = re.compile(r"[0-9a-zA-Z._-]{1,64}")


def added(action: Action, at_ms: int) -> ActionItem | Refusal:
    """A new item of the incident the action names."""
    fields = action.fields
    wrong = _wrong(fields)
    if wrong is not None:
        return wrong
    if not fields.get("text", "").strip():
        return Refusal("say what is to be done (text)")
    if not fields.get("owner", "").strip():
        return Refusal("say who is to do it (owner)")
    return ActionItem(
        id=fields.get("id") or digest_hex("item", action.incident, action.id),
        version=1,
        incident=action.incident,
        text=fields["text"].strip(),
        owner=fields["owner"].strip(),
        state="open",
        due=fields.get("due", ""),
        created_at=at_ms,
        at_ms=at_ms,
        actor=action.actor or "somebody",
        note=action.note[:MOST_TEXT],
    )


def stepped(item: ActionItem, action: Action, at_ms: int) -> ActionItem | Refusal:
    """Its next version, or why there is none."""
    op = action.fields.get("op", "")
    said = {"version": item.version + 1, "at_ms": max(at_ms, item.at_ms)}
    words = {"actor": action.actor or "somebody", "note": action.note[:MOST_TEXT]}
    if op == "edit":
        wrong = _wrong(action.fields)
        if wrong is not None:
            return wrong
        new = {
            name: action.fields[name].strip() for name in ("text", "owner", "due") if name in action.fields
        }
        if not new or any(not new.get(name, "-") for name in ("text", "owner")):
            return Refusal("say what is to change: text, owner or due; text and owner are never empty")
        return msgspec.structs.replace(item, **said, **words, **new)
    after, before = STEPS[op]
    if item.state not in before:
        return Refusal(f"cannot {op} an action item that is {item.state}")
    done_at = said["at_ms"] if after == "done" else None
    return msgspec.structs.replace(item, **said, **words, state=after, done_at=done_at)


def _wrong(fields: Mapping[str, str]) -> Refusal | None:
    for name, most in (("text", MOST_TEXT), ("owner", MOST_OWNER)):
        if len(fields.get(name, "")) > most:
            return Refusal(f"{name} has {len(fields[name])} characters, at most {most} are kept")
    due = fields.get("due", "")
    if due and not _is_date(due):
        return Refusal(f"due is {due[:40]!r}: expected a date, YYYY-MM-DD")
    if fields.get("id") and not _ID.fullmatch(fields["id"]):
        return Refusal("id: expected at most 64 letters, digits, '.', '_' or '-'")
    return None


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
