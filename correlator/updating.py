"""Which status updates follow from an incident's course, and what people do to them. Pure.

draft ----------------> sent          released by a person
held -----------------> sent          the verification window has passed and its audience is `auto`,
                                      or released by a person
held -----------------> draft         the incident closed, and its audience is not `auto`
draft, held ----------> withdrawn     by a person; the incident went on, came back or was merged
"""

from __future__ import annotations

import msgspec

from config.catalogue import Catalogue
from config.updates import AUDIENCES, Updates
from correlator.afterwards import StatusUpdate
from correlator.drafts import MOST_TEXT, MOST_TITLE, Seen, Templates, values_for
from correlator.lifecycle import Refusal
from detectors.alert import SEVERITIES
from streams.records.digest import digest_hex
from streams.records.messages import Action

OPS = ("release", "withdraw", "edit")
WAITING = ("draft", "held")
"""states in which an update has not been told to anybody and may still be"""


class Drafting:
    """Makes the updates an incident version asks for. Frozen settings, no memory."""

    def __init__(self, settings: Updates, templates: Templates, catalogue: Catalogue, verify_ms: int) -> None:
        self._settings = settings
        self._templates = templates
        self._catalogue = catalogue
        self._verify_ms = verify_ms

    def concerns(self, seen: Seen) -> bool:
        """Whether there is anything to tell of such an incident."""
        if seen.kind != "incident":
            return False
        least = self._settings
        bad = bool(least.severity) and SEVERITIES.index(seen.severity) >= SEVERITIES.index(least.severity)
        return bad or (bool(least.priority) and bool(seen.priority) and seen.priority <= least.priority)

    def follow(self, seen: Seen, known: list[StatusUpdate], at_ms: int) -> list[StatusUpdate]:
        """New versions, in order. `known`: the updates of this incident there are."""
        made: list[StatusUpdate] = []
        for audience in AUDIENCES:
            mine = [u for u in known if u.audience == audience]
            if seen.state == "closed":
                made += self._closed(audience, seen, mine, at_ms)
                continue
            made += [_withdrawn(u, at_ms) for u in mine if u.state in WAITING]
            if seen.state != "merged" and self._settings.of(audience).drafts:
                made += self._draft(
                    audience, seen, mine, "held" if seen.state == "resolved" else "draft", at_ms
                )
        return made

    def _closed(self, audience: str, seen: Seen, mine: list[StatusUpdate], at_ms: int) -> list[StatusUpdate]:
        """What says that it is over waits no longer: it has proven true, or a person closed it sooner."""
        verified = (seen.closed_at or at_ms) - (seen.resolved_at or at_ms) >= self._verify_ms
        auto = verified and self._settings.of(audience).auto and seen.category != "security incident"
        waiting = [u for u in mine if u.state in WAITING]
        held = next((u for u in waiting if u.about == "resolved"), None)
        if held is not None:
            changes = {"state": "sent", "sent_at": at_ms} if auto else {"state": "draft"}
            others = [_withdrawn(u, at_ms) for u in waiting if u is not held]
            return [*others, *([_next(held, at_ms, **changes)] if auto or held.state == "held" else [])]
        gone = [_withdrawn(u, at_ms) for u in waiting]
        if not self._settings.of(audience).drafts:
            return gone
        stopped = any(u.about == "resolved" and u.state == "withdrawn" and u.actor for u in mine)
        told = any(u.state == "sent" for u in mine)  # else "it is over" would be the first they hear of it
        state = "sent" if auto and told and not stopped else "draft"
        return [*gone, *self._draft(audience, seen, mine, state, at_ms)]

    def _draft(
        self, audience: str, seen: Seen, mine: list[StatusUpdate], state: str, at_ms: int
    ) -> list[StatusUpdate]:
        id = digest_hex("update", seen.id, audience, seen.state, str(seen.reopened))
        before = next((u for u in mine if u.id == id), None)
        if before is not None and before.state == "sent":
            return []
        title, text = self._templates.write(audience, seen.state, values_for(audience, seen, self._catalogue))
        return [
            StatusUpdate(
                id=id,
                # After the version that withdrew it a moment ago, if one did.
                version=1 if before is None else before.version + 1 + (before.state in WAITING),
                incident=seen.id,
                audience=audience,
                about=seen.state,
                state=state,
                title=title,
                text=text,
                actor="",
                at_ms=at_ms,
                sent_at=at_ms if state == "sent" else None,
            )
        ]


def stepped(update: StatusUpdate, action: Action, at_ms: int) -> StatusUpdate | Refusal:
    """What a person does to an update: its next version, or why there is none."""
    op, fields = action.fields.get("op", ""), action.fields
    if update.state not in WAITING:
        return Refusal(f"cannot {op} an update that is {update.state}")
    who, at_ms = action.actor or "somebody", max(at_ms, update.at_ms)
    if op == "release":
        return _next(update, at_ms, state="sent", sent_at=at_ms, actor=who)
    if op == "withdraw":
        return _next(update, at_ms, state="withdrawn", actor=who)
    new: dict[str, str] = {name: fields[name].strip() for name in ("title", "text") if name in fields}
    if not new or not all(new.values()):
        return Refusal("say what it is to be: title, text; neither is ever empty")
    limits: tuple[tuple[str, int], ...] = (("title", MOST_TITLE), ("text", MOST_TEXT))
    for name, most in limits:
        if len(new.get(name, "")) > most:
            return Refusal(f"{name} has {len(new[name])} characters, at most {most} are kept")
    return _next(update, at_ms, actor=who, **new)


def _withdrawn(update: StatusUpdate, at_ms: int) -> StatusUpdate:
    return _next(update, at_ms, state="withdrawn", actor="")


def _next(update: StatusUpdate, at_ms: int, **changes: object) -> StatusUpdate:
    return msgspec.structs.replace(
        update, version=update.version + 1, at_ms=max(at_ms, update.at_ms), **changes
    )
