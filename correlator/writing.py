"""What people write about incidents and what is told of them: action items, reviews, status updates.

Items and reviews concern closed incidents, too, as long as these are remembered. Each answer to an action
says why it was refused, if it was. State is a function of the log; the books are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from correlator import itemsteps, updating
from correlator.afterwards import ActionItem, Review, StatusUpdate, Written
from correlator.cloudevents import encoded
from correlator.drafts import Seen
from correlator.group import Group
from correlator.lifecycle import Refusal
from correlator.memory import Recent
from correlator.updating import Drafting
from streams.records.messages import Action, ActionResult

VERBS = ("item", "review", "update")
MOST_ITEMS = 5_000
MOST_UPDATES = 2_000
MOST_REVIEWS = 20_000
"""versions of reviews remembered, not the texts: more than incidents that can be reviewed"""
MOST_TOLD = 20_000
BOOKS = ("action_items", "status_updates", "reviews", "incidents_told")
"""names of what is bounded, in the order of `Writing.books`"""
MOST_REVIEW = 100_000
"""characters"""
MOST_FIELD = 16_384
"""characters of one field of an action that arrive (`streams.decode.correlator_json`); longer ones are cut"""

Kept = TypeVar("Kept", ActionItem, StatusUpdate)


class Said(msgspec.Struct, frozen=True):
    """A record to write."""

    key: str
    value: bytes


class Memory(msgspec.Struct, array_like=True, frozen=True):
    """The books in a snapshot, in order."""

    items: list[ActionItem] = []
    reviews: list[tuple[str, int]] = []
    updates: list[StatusUpdate] = []
    told: list[tuple[str, str]] = []
    evicted: list[int] = []


class Book(Generic[Kept]):
    """The newest version of each by id. Full: what is over goes first, the longest unchanged first."""

    def __init__(self, most: int, over: tuple[str, ...]) -> None:
        self.most = most
        self.evicted = 0
        self._over = over
        self._live: dict[str, Kept] = {}
        self._done: dict[str, Kept] = {}
        self._of: dict[str, dict[str, None]] = {}

    def get(self, id: str) -> Kept | None:
        return self._live.get(id) or self._done.get(id)

    def of(self, incident: str) -> list[Kept]:
        """Those of one incident, by first version."""
        return [found for id in self._of.get(incident, ()) if (found := self.get(id)) is not None]

    def put(self, one: Kept) -> None:
        self._live.pop(one.id, None)
        self._done.pop(one.id, None)
        (self._done if one.state in self._over else self._live)[one.id] = one
        self._of.setdefault(one.incident, {}).setdefault(one.id)
        if len(self._live) + len(self._done) > self.most:
            kept = self._done or self._live
            gone = kept.pop(next(iter(kept)))
            ids = self._of[gone.incident]
            del ids[gone.id]
            if not ids:
                del self._of[gone.incident]
            self.evicted += 1

    def entries(self) -> list[Kept]:
        return list(self._done.values()) + list(self._live.values())


class Writing:
    """Mutable: the books, and what is to be written to the topic."""

    def __init__(self, known: Callable[[str], str]) -> None:
        """`known`: state of an incident, empty if there is none or it is forgotten."""
        self._known = known
        self.drafting: Drafting | None = None
        """None: no updates are made"""
        self.items: Book[ActionItem] = Book(MOST_ITEMS, ("done", "dropped"))
        self.updates: Book[StatusUpdate] = Book(MOST_UPDATES, ("sent", "withdrawn"))
        self.reviews: Recent[int] = Recent(MOST_REVIEWS)
        """incident -> newest version"""
        self.told: Recent[str] = Recent(MOST_TOLD)
        """incident -> the state its updates speak of"""
        self.out: list[Said] = []

    # -- what people do ---------------------------------------------------------------------------

    def act(self, action: Action, now_ms: int) -> ActionResult:
        """Apply an action of one of `VERBS`, or say why not."""
        at_ms = action.ts
        if action.action == "item":
            outcome = self._item(action, at_ms)
        elif action.action == "review":
            outcome = self._review(action, at_ms)
        else:
            outcome = self._update(action, max(now_ms, at_ms))
        state = self._known(action.incident)
        if isinstance(outcome, Refusal):
            return ActionResult(action.id, action.incident, False, outcome.reason, state)
        return ActionResult(action.id, action.incident, True, outcome, state)

    def _item(self, action: Action, at_ms: int) -> str | Refusal:
        op = action.fields.get("op", "")
        if op not in itemsteps.OPS:
            return Refusal(f"unknown op {op[:40]!r}; known: {', '.join(itemsteps.OPS)}")
        if op == "add":
            made = self._new_item(action, at_ms)
        else:
            item = self.items.get(action.fields.get("id", ""))
            if item is None or item.incident != action.incident:
                return Refusal("no such action item of this incident, or it is no longer remembered")
            made = itemsteps.stepped(item, action, at_ms)
        if isinstance(made, Refusal):
            return made
        self.items.put(made)
        self._say(made)
        return f"action item {made.id} is {made.state}"

    def _new_item(self, action: Action, at_ms: int) -> ActionItem | Refusal:
        if not self._known(action.incident):
            return _UNKNOWN
        made = itemsteps.added(action, at_ms)
        if not isinstance(made, Refusal) and self.items.get(made.id) is not None:
            return Refusal(f"there is an action item {made.id} already")
        return made

    def _review(self, action: Action, at_ms: int) -> str | Refusal:
        """The text comes in `text`, or in parts `text`, `text2`, `text3`, ...: long fields are cut.

        `base`: the version it was made from; one that is no longer the newest would undo what others wrote.
        """
        if not self._known(action.incident):
            return _UNKNOWN
        text = "".join(action.fields.get(name, "") for name in _parts(action.fields))
        if not text.strip():
            return Refusal("the review is empty")
        if any(len(part) >= MOST_FIELD for part in action.fields.values()):
            return Refusal(f"a part of the text is too long: send parts of less than {MOST_FIELD} characters")
        if len(text) > MOST_REVIEW:
            return Refusal(f"the review has {len(text)} characters, at most {MOST_REVIEW} are kept")
        held = self.reviews.get(action.incident) or 0
        base = action.fields.get("base", "")
        if base and base != str(held):
            now = f"is at version {held}" if held else "has no version yet"
            return Refusal(
                f"the review {now}, your text began from version {base[:20]}:"
                " copy it, load the page again, and merge"
            )
        version = held + 1
        self.reviews.put(action.incident, version)
        who = action.actor or "somebody"
        self._say(Review(incident=action.incident, version=version, text=text, actor=who, at_ms=at_ms))
        return f"review version {version} is kept"

    def _update(self, action: Action, at_ms: int) -> str | Refusal:
        op = action.fields.get("op", "")
        if op not in updating.OPS:
            return Refusal(f"unknown op {op[:40]!r}; known: {', '.join(updating.OPS)}")
        update = self.updates.get(action.fields.get("id", ""))
        if update is None or update.incident != action.incident:
            return Refusal("no such update of this incident, or it is no longer remembered")
        made = updating.stepped(update, action, at_ms)
        if isinstance(made, Refusal):
            return made
        self.updates.put(made)
        self._say(made)
        return f"update {made.id} is {made.state}"

    # -- what incidents do ------------------------------------------------------------------------

    def follow(self, group: Group, event: bytes, now_ms: int) -> None:
        """An incident version is told, `event` being the CloudEvent: are there updates to make?"""
        if self.drafting is None or self.told.get(group.id) == group.state:
            return
        seen = _events.decode(event).data
        known = self.updates.of(seen.id)
        if not known and not self.drafting.concerns(seen):
            return
        self.told.put(seen.id, seen.state)
        at_ms = max(now_ms, seen.updated_at)  # without telemetry there is no event time yet
        for made in self.drafting.follow(seen, known, at_ms):
            self.updates.put(made)
            self._say(made)

    # -- memory -----------------------------------------------------------------------------------

    def books(self) -> tuple[Book[ActionItem] | Book[StatusUpdate] | Recent[int] | Recent[str], ...]:
        """All that is bounded: action items, status updates, reviews, incidents told of."""
        return self.items, self.updates, self.reviews, self.told

    def memory(self) -> Memory:
        return Memory(
            self.items.entries(),
            self.reviews.items(),
            self.updates.entries(),
            self.told.items(),
            [book.evicted for book in self.books()],
        )

    def restore(self, memory: Memory) -> None:
        """Fill fresh books."""
        _fill(self.items, memory.items)
        _fill(self.updates, memory.updates)
        for incident, version in memory.reviews:
            self.reviews.put(incident, version)
        for incident, state in memory.told:
            self.told.put(incident, state)
        for book, evicted in zip(self.books(), memory.evicted, strict=False):
            book.evicted = evicted

    def _say(self, one: Written) -> None:
        self.out.append(Said(one.key, encoded(one.key, _TYPES[type(one)], one.version, one.at_ms, one)))


class _Event(msgspec.Struct):
    data: Seen


_events = msgspec.json.Decoder(_Event)
_TYPES = {ActionItem: "action_item", Review: "review", StatusUpdate: "status_update"}
_UNKNOWN = Refusal("no such incident, or it is no longer remembered")


def _parts(fields: Iterable[str]) -> list[str]:
    found = [name for name in fields if name == "text" or (name[:4] == "text" and name[4:].isdecimal())]
    return sorted(found, key=lambda name: int(name[4:] or 1))


def _fill(book: Book[Kept], entries: list[Kept]) -> None:
    for one in entries:
        book.put(one)
