"""Changes and human actions: JSON objects for the correlator."""

from __future__ import annotations

from typing import Any

import msgspec

from config.suppression import Silence
from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON, WRONG_TYPE, BadRecord, json_fault
from streams.decode.look import Look
from streams.decode.resource import clip
from streams.records.digest import digest_hex
from streams.records.messages import MAX_MS, Action, Change, SilenceAction

MAX_PROSE = 16_384
"""characters kept of a summary or a note; other texts are cut like labels"""
MAX_TARGETS = 2_000
"""incidents or alerts one action may name"""
MAX_FIELDS = 64

MAX_SILENCE_BYTES = 65_536


class ChangeIn(msgspec.Struct):
    ts: int
    service: str
    id: str = ""
    kind: str = "deployment"
    version: str = ""
    summary: str = ""
    author: str = ""


class ActionIn(msgspec.Struct):
    ts: int
    action: str
    incident: str = ""
    id: str = ""
    actor: str = ""
    note: str = ""
    targets: tuple[str, ...] = ()
    problem: str = ""
    cause: str = ""
    cause_service: str = ""
    fix: str = ""
    runbook: str = ""
    silence: Silence | None = None
    fields: dict[str, str | int | float | bool | None] = {}


_LATER = frozenset(("problem", "cause", "cause_service", "fix", "runbook", "fields"))
"""fields that an action's id does not depend on while they are empty: older ids stay what they were"""
_PROSE = ("summary", "note", "cause", "fix")

_change = msgspec.json.Decoder(ChangeIn)
_action = msgspec.json.Decoder(ActionIn)


def claims_action(look: Look) -> bool:
    """It names an action, and an incident, a problem or a silence."""
    return "action" in look.keys and bool(look.keys & {"incident", "problem", "silence"})


def claims_change(look: Look) -> bool:
    """A time, a service and what changed, and nothing that would make it telemetry."""
    keys = look.keys
    if not {"ts", "service"} <= keys or claims_action(look):
        return False
    if {"metric", "value"} <= keys or "body" in keys or {"trace_id", "span_id"} <= keys:
        return False
    return bool(keys & {"version", "summary", "author", "kind"})


def changes(value: bytes, sink: Columns) -> None:
    """A change record. Without an id it gets the digest of its content. Raises `BadRecord`."""
    found = _parsed(_change, value)
    if not found.service:
        raise BadRecord(WRONG_TYPE, "a change needs a service")
    sink.message(Change(**_said(found)))


def actions(value: bytes, sink: Columns) -> None:
    """An action record. Without an id it gets the digest of its content. Raises `BadRecord`."""
    found = _parsed(_action, value)
    about = (found.incident, found.problem, found.silence)
    if not found.action or sum(map(bool, about)) != 1:
        raise BadRecord(WRONG_TYPE, "an action needs an action, and an incident, a problem or a silence")
    said = _said(found)
    if found.silence is None:
        sink.message(Action(**said))
        return
    if len(msgspec.json.encode(found.silence)) > MAX_SILENCE_BYTES:
        # Not cut to fit: half a matcher is another matcher.
        raise BadRecord(WRONG_TYPE, f"a silence of at most {MAX_SILENCE_BYTES} bytes was expected")
    del said["incident"], said["note"], said["targets"]
    for name in _LATER & said.keys():
        del said[name]
    sink.message(SilenceAction(**said))


def _said(found: ChangeIn | ActionIn) -> dict[str, Any]:
    """Its fields, with an id, and each text cut so that the whole fits a message."""
    said = msgspec.structs.asdict(found)
    for name in [name for name in _LATER if not said.get(name, True)]:
        del said[name]
    if said.get("silence", found) is None:
        del said["silence"]  # the id of an action about an incident does not depend on it
    if "fields" in said:
        said["fields"] = _fields(said["fields"])
    said["id"] = found.id or digest_hex(*(str(said[name]) for name in sorted(said) if said[name] != ()))
    for name, text in said.items():
        if isinstance(text, str):
            said[name] = text[:MAX_PROSE] if name in _PROSE else clip(text)
        elif isinstance(text, tuple):
            said[name] = tuple(clip(each) for each in text[:MAX_TARGETS])
    return said


def _fields(given: dict[str, str | int | float | bool | None]) -> dict[str, str]:
    """All as texts, so that the same thing said as a number and as a text is the same."""
    if len(given) > MAX_FIELDS:
        raise BadRecord(WRONG_TYPE, f"at most {MAX_FIELDS} fields were expected, found {len(given)}")
    return {
        clip(name): ("" if value is None else str(value).lower() if isinstance(value, bool) else str(value))[
            :MAX_PROSE
        ]
        for name, value in sorted(given.items())
    }


def _parsed(decoder: msgspec.json.Decoder[ChangeIn] | msgspec.json.Decoder[ActionIn], value: bytes):  # type: ignore[no-untyped-def]
    try:
        found = decoder.decode(value)
    except UNREADABLE_JSON as error:
        raise BadRecord(*json_fault(error)) from None
    if not 0 < found.ts < MAX_MS:
        raise BadRecord(WRONG_TYPE, f"ts must be milliseconds since 1970, not {found.ts}")
    return found
