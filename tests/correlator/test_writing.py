"""Action items, reviews and status updates: what people may do, what follows, what is remembered."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from config.catalogue import Business, Catalogue, Service
from config.load import ConfigError
from config.settings import Correlate, Settings
from config.updates import Audience, Updates
from correlator import drafts, writing
from correlator.afterwards import ActionItem, Review, StatusUpdate, Written
from correlator.domain import DomainCore, domain_factory
from correlator.drafts import Templates
from streams.records.messages import Action, ActionResult
from streams.records.stage import Output
from tests.correlator.make import T0, answers, final, firing, mark, records, resolved

VERIFY = 60_000
BY_DEFAULT = Updates()
OPS = ("add", "start", "done", "drop", "release", "withdraw", "edit")
SERVICES = (
    Service(service="payment", name="Payments", business=Business(processes=("Card payments",))),
    Service(service="checkout", name="Checkout"),
    Service(service="gateway", name="gateway"),
)
ALERTS = [
    firing(s, "errors", i * 1_000, severity="critical", strength=50.0)
    for i, s in enumerate(("payment", "checkout"))
]
_ids = count(1)


class _Event(msgspec.Struct):
    data: Written


class Play:
    """A core, fed step by step, and what it wrote."""

    def __init__(self, updates: Updates = BY_DEFAULT) -> None:
        self.settings = Settings(correlate=Correlate(verify_ms=VERIFY), updates=updates)
        self.catalogue = Catalogue(SERVICES, (("checkout", "payment"),))
        self.core = DomainCore(self.settings, self.catalogue)
        self.outputs: list[Output] = []
        self.next = 0

    def feed(self, *messages: Any) -> list[Written]:
        out = list(self.core.process(records(messages, self.next)))
        self.next += len(messages)
        self.outputs += out
        return written(out)

    def opened(self) -> str:
        self.feed(*ALERTS, mark(20_000))
        (self.id,) = final(self.outputs)
        return self.id

    def over(self, at: int) -> list[Written]:
        return self.feed(*(resolved(a, at) for a in ALERTS), mark(at + 40_000))

    def do(self, verb: str, at: int = 30_000, **fields: str) -> ActionResult:
        action = Action(f"t{next(_ids)}", T0 + at, self.id, verb, "ann", fields=fields)
        self.feed(action)
        return answers(self.outputs)[-1]

    def item(self, **fields: str) -> ActionResult:
        return self.do("item", **fields)

    def newest(self) -> dict[str, Written]:
        return {one.key: one for one in written(self.outputs)}

    def updates(self, audience: str = "customers") -> list[tuple[str, str]]:
        """(about, state) of an audience's updates, by first version."""
        found = [u for u in self.newest().values() if isinstance(u, StatusUpdate) and u.audience == audience]
        return [(u.about, u.state) for u in found]

    def update(self, about: str, audience: str = "customers") -> StatusUpdate:
        return next(
            u for u in self.newest().values()
            if isinstance(u, StatusUpdate) and (u.about, u.audience) == (about, audience)
        )  # fmt: skip


def written(outputs: list[Output]) -> list[Written]:
    return [
        msgspec.json.decode(o.value or b"", type=_Event).data for o in outputs if o.topic == "tocsin.written"
    ]


# -- action items -----------------------------------------------------------------------------------


def test_an_item_is_kept_and_followed_to_done() -> None:
    """Each step is a version; the answer names the item."""
    play = Play()
    play.opened()
    said = play.item(op="add", text=" bigger pool ", owner="bob", due="2026-02-01")
    (item,) = [w for w in play.newest().values() if isinstance(w, ActionItem)]
    assert said.applied
    assert said.reason == f"action item {item.id} is open"
    assert (item.text, item.owner, item.due, item.actor, item.version) == (
        "bigger pool", "bob", "2026-02-01", "ann", 1,
    )  # fmt: skip
    play.item(op="start", id=item.id)
    play.item(op="edit", id=item.id, owner="eve", due="")
    play.item(op="done", id=item.id)
    (item,) = [w for w in play.newest().values() if isinstance(w, ActionItem)]
    assert (item.state, item.owner, item.due, item.version) == ("done", "eve", "", 4)
    assert item.done_at == T0 + 30_000
    assert play.item(op="reopen", id=item.id).applied
    (item,) = [w for w in play.newest().values() if isinstance(w, ActionItem)]
    assert (item.state, item.done_at) == ("open", None)


def test_items_of_a_closed_incident_are_still_worked_on() -> None:
    """They are made after it, mostly."""
    play = Play()
    play.opened()
    play.over(60_000)
    play.feed(mark(400_000))
    said = play.item(op="add", text="t", owner="o", id="x")
    assert (said.applied, said.state) == (True, "closed")
    assert play.item(op="done", id="x").applied


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"op": "sing"}, "unknown op"),
        ({"op": "add", "owner": "o"}, "what is to be done"),
        ({"op": "add", "text": "t"}, "who is to do it"),
        ({"op": "add", "text": "t", "owner": "o", "due": "2026-02-30"}, "expected a date"),
        ({"op": "add", "text": "t", "owner": "o", "due": "20260201"}, "expected a date"),
        ({"op": "add", "text": "t" * 2_001, "owner": "o"}, "at most 2000"),
        ({"op": "add", "text": "t", "owner": "o", "id": "a/b"}, "letters, digits"),
        ({"op": "add", "text": "t", "owner": "o", "id": "done"}, "already"),
        ({"op": "start", "id": "nope"}, "no such action item"),
        ({"op": "start", "id": "done"}, "cannot start an action item that is done"),
        ({"op": "drop", "id": "done"}, "cannot drop an action item that is done"),
        ({"op": "edit", "id": "done"}, "say what is to change"),
        ({"op": "edit", "id": "done", "text": " "}, "never empty"),
    ],
)
def test_what_cannot_be_done_to_an_item_is_said(fields: dict[str, str], reason: str) -> None:
    """Refused with the reason, and nothing is written."""
    play = Play()
    play.opened()
    play.item(op="add", text="t", owner="o", id="done")
    play.item(op="done", id="done")
    before = len(written(play.outputs))
    said = play.item(**fields)
    assert not said.applied
    assert reason in said.reason
    assert len(written(play.outputs)) == before


def test_an_incident_nobody_knows_gets_nothing() -> None:
    """Neither items nor a review."""
    play = Play()
    play.id = "feedfeedfeedfeed"
    for said in (play.item(op="add", text="t", owner="o"), play.do("review", text="x")):
        assert (said.applied, said.state) == (False, "")


def test_the_same_action_counts_once() -> None:
    """Delivered twice, it makes one item."""
    play = Play()
    id = play.opened()
    action = Action("same", T0 + 1, id, "item", "ann", fields={"op": "add", "text": "t", "owner": "o"})
    assert len(play.feed(action, action)) == 1


# -- reviews ------------------------------------------------------------------------------------------


def test_a_review_in_parts_is_one_text() -> None:
    """In the order of their numbers; versions grow."""
    play = Play()
    play.opened()
    parts = {f"text{n or ''}": f"{n or 1}," for n in (10, 2, 0, 3)}
    assert play.do("review", **parts).applied
    assert play.do("review", text="new").reason == "review version 2 is kept"
    found = [w for w in written(play.outputs) if isinstance(w, Review)]
    assert [(r.text, r.version) for r in found] == [("1,2,3,10,", 1), ("new", 2)]


def test_a_review_made_from_an_older_version_is_refused() -> None:
    """Who saves second is told, however soon; who says no version is taken at their word."""
    play = Play()
    play.opened()
    assert play.do("review", text="a", base="0").applied
    late = play.do("review", text="b", base="0")
    assert (late.applied, "is at version 1, your text began from version 0" in late.reason) == (False, True)
    assert play.do("review", text="c", base="1").applied
    assert play.do("review", text="d").applied
    assert "is at version 3" in play.do("review", text="e", base="9").reason
    assert [(w.text, w.version) for w in written(play.outputs) if isinstance(w, Review)] == [
        ("a", 1), ("c", 2), ("d", 3),
    ]  # fmt: skip


def test_a_review_nobody_has_kept_has_no_version_to_begin_from() -> None:
    play = Play()
    play.opened()
    assert "has no version yet" in play.do("review", text="a", base="1").reason


@pytest.mark.parametrize(
    "fields", [{}, {"text": " "}, {"text": "x" * 16_384}, {f"text{n or ''}": "x" * 16_000 for n in range(7)}]
)
def test_a_review_that_is_empty_cut_or_too_long_is_refused(fields: dict[str, str]) -> None:
    """Nothing is kept that is not what was sent."""
    play = Play()
    play.opened()
    assert not play.do("review", **fields).applied
    assert not [w for w in written(play.outputs) if isinstance(w, Review)]


# -- status updates -----------------------------------------------------------------------------------


def test_drafts_follow_the_incident_and_nothing_is_sent_by_itself() -> None:
    """One of each audience and state; the one before is withdrawn; what says that it is over is held."""
    play = Play()
    play.opened()
    assert play.updates() == play.updates("employees") == [("open", "draft")]
    play.do("acknowledge")
    play.do("mitigate")
    play.over(60_000)
    assert play.updates()[-2:] == [("mitigated", "withdrawn"), ("resolved", "held")]
    play.feed(mark(400_000))
    assert play.updates()[-1] == ("resolved", "draft"), "it closed: a person may send it"
    assert "sent" not in {state for _, state in play.updates() + play.updates("employees")}


def test_where_it_is_automatic_it_is_sent_once_it_has_proven_stable() -> None:
    """Not before the verification window is over, and for that audience alone."""
    play = Play(Updates(customers=Audience(auto=True)))
    play.opened()
    play.over(60_000)
    assert play.updates()[-1] == ("resolved", "held")
    play.feed(mark(400_000))
    update = play.update("resolved")
    assert (update.state, update.actor) == ("sent", "")
    assert update.sent_at is not None
    assert play.updates("employees")[-1] == ("resolved", "draft")


def test_closed_by_a_person_before_its_time_nothing_is_sent_by_itself() -> None:
    """Nobody has verified it."""
    play = Play(Updates(customers=Audience(auto=True)))
    play.opened()
    play.over(60_000)
    assert play.do("close", 101_000).applied
    assert play.updates()[-1] == ("resolved", "draft")


def test_a_reopened_incident_takes_back_what_says_that_it_is_over() -> None:
    """And a later end is told by another update."""
    play = Play(Updates(customers=Audience(auto=True)))
    play.opened()
    play.over(60_000)
    play.do("reopen", 105_000)
    assert play.updates()[-2:] == [("resolved", "withdrawn"), ("reopened", "draft")]
    play.do("resolve", 110_000)
    assert [u for u in play.updates() if u[0] == "resolved"] == [
        ("resolved", "withdrawn"),
        ("resolved", "held"),
    ]


def test_a_person_edits_releases_and_withdraws() -> None:
    """A held one, too; what was sent stays sent and is not touched again."""
    play = Play()
    play.opened()
    play.over(60_000)
    held, other = play.update("resolved"), play.update("resolved", "employees")
    assert play.do("update", op="edit", id=held.id, text="It works again.").applied
    assert play.do("update", op="release", id=held.id).reason == f"update {held.id} is sent"
    sent = play.update("resolved")
    assert (sent.text, sent.state, sent.actor, sent.version) == (
        "It works again.",
        "sent",
        "ann",
        held.version + 2,
    )
    for op in ("release", "withdraw", "edit"):
        said = play.do("update", op=op, id=held.id, text="x")
        assert said.reason == f"cannot {op} an update that is sent"
    assert "unknown op" in play.do("update", op="shout", id=held.id).reason
    assert "no such update" in play.do("update", op="release", id="nope").reason
    assert "neither is ever empty" in play.do("update", op="edit", id=other.id, text=" ").reason
    assert play.do("update", op="withdraw", id=other.id).applied
    play.feed(mark(400_000))
    assert play.update("resolved") == sent
    assert play.updates()[-1] == ("closed", "draft")


def test_what_a_person_withdrew_is_not_sent_by_another_way() -> None:
    """Not even where it is automatic."""
    play = Play(Updates(customers=Audience(auto=True)))
    play.opened()
    play.do("update", op="release", id=play.update("open").id)
    play.over(60_000)
    play.do("update", op="withdraw", id=play.update("resolved").id)
    play.feed(mark(400_000))
    assert play.updates()[-1] == ("closed", "draft")


def test_what_is_reported_before_any_telemetry_is_told_at_its_own_time() -> None:
    """There is no event time yet."""
    play = Play()
    play.id = "feedfeedfeedfeed"
    play.do("report", title="no cards", services="payment", severity="critical")
    play.do("acknowledge", 40_000)
    assert play.updates() == [("open", "withdrawn"), ("acknowledged", "draft")]
    assert (play.update("open").at_ms, play.update("acknowledged").at_ms) == (T0 + 40_000, T0 + 40_000)


def test_minor_incidents_are_not_told() -> None:
    """Unless the settings say so."""
    minor = [firing("payment", severity="warning", kind="log"), mark(400_000)]
    assert not Play().feed(*minor)
    assert Play(Updates(priority="P4")).feed(*minor)
    assert Play(Updates(priority="", severity="warning")).feed(*minor)
    quiet = Updates(priority="P4", customers=Audience(drafts=False))
    assert {u.audience for u in Play(quiet).feed(*minor) if isinstance(u, StatusUpdate)} == {"employees"}


def test_customers_read_business_words_alone() -> None:
    """No service as telemetry names it, no host, no cause, nobody's name, in any state."""
    play = Play()
    play.feed(*(replace(a, resource=(("host", "db-7"),)) for a in ALERTS), firing("gateway"), mark(20_000))
    (play.id,) = final(play.outputs)
    play.do("acknowledge")
    play.feed(
        Action("r", T0 + 31_000, play.id, "record", "ann", cause="pool of db-7", cause_service="payment")
    )
    play.do("mitigate")
    play.over(60_000)
    play.do("reopen", 105_000)
    play.do("resolve", 106_000)
    play.feed(mark(400_000))
    told = [w for w in written(play.outputs) if isinstance(w, StatusUpdate) and w.audience == "customers"]
    text = " ".join(f"{u.title} {u.text}" for u in told)
    assert {u.about for u in told} >= {"open", "acknowledged", "mitigated", "resolved", "reopened"}
    assert "Card payments" in text
    for word in ("payment ", "payment:", "checkout", "gateway", "db-7", "pool", "ann", "errors", play.id):
        assert word not in text
    employees = " ".join(u.text for u in written(play.outputs) if isinstance(u, StatusUpdate)) + " "
    assert "Payments, Checkout" in employees


@pytest.mark.parametrize(
    ("category", "names", "said"),
    [
        ("performance degradation", ("Card payments",), "Card payments may be slower than usual"),
        ("service disruption", ("Orders", "Search"), "Orders and Search may not be available as usual"),
        ("service disruption", (), "some of our services may not be available as usual"),
    ],
)
def test_the_sentence_fits_what_is_affected(category: str, names: tuple[str, ...], said: str) -> None:
    """One, several, and nothing a customer knows."""
    entries = [Service(service=f"s{n}", name=name) for n, name in enumerate(names)]
    roles = tuple(drafts.ServiceRole(e.service, "affected") for e in entries)
    seen = drafts._sample(category=category, services=roles or (drafts.ServiceRole("x", "affected"),))
    values = drafts.customers(seen, Catalogue(entries))
    assert said in Templates(Updates()).write("customers", "open", values).text


# -- templates ----------------------------------------------------------------------------------------


def test_own_templates_are_used_and_the_others_stay(tmp_path: Path) -> None:
    """File by file."""
    (tmp_path / "customers").mkdir()
    (tmp_path / "customers" / "open.j2").write_text("Oh dear\n{{ what }} since {{ started }}.")
    play = Play(Updates(templates=str(tmp_path)))
    play.opened()
    assert play.update("open").title == "Oh dear"
    assert play.update("open", "employees").title.startswith("P1: ")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("customers/open.j2", "T\n{{ title }}", "'title' is undefined"),
        ("customers/open.j2", "T\n{% if %}", "line 2"),
        ("customers/open.j2", "only a title", "a text below"),
        ("customers/open.j2", "T\n{{ ''.__class__.__mro__ }}", "unsafe"),
        ("customers/open.j2", "T\n{{ names | random }}", "random"),
        ("customers/open.j2", "T\n{{ lipsum() }}", "lipsum"),
        ("customers/opened.j2", "T\nx", "expected a name such as employees/open.j2"),
    ],
)
def test_a_bad_template_stops_the_start(tmp_path: Path, name: str, text: str, said: str) -> None:
    """Named with its file; customers' ones have no way to what is internal."""
    (tmp_path / "customers").mkdir()
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        domain_factory(Settings(updates=Updates(templates=str(tmp_path))))
    assert said in str(caught.value)
    assert name in str(caught.value)


def test_a_folder_that_is_none_stops_the_start() -> None:
    """Named with its value."""
    with pytest.raises(ConfigError, match=r"updates\.templates is '/nowhere'"):
        Templates(Updates(templates="/nowhere"))


def test_where_a_template_fails_later_tocsins_own_stands(tmp_path: Path) -> None:
    """What could not be foreseen costs no incident."""
    (tmp_path / "customers").mkdir()
    text = "T\n{% if names and names[0] == 'Odd' %}{{ names[9].x }}{% endif %}fine"
    (tmp_path / "customers" / "open.j2").write_text(text)
    templates = Templates(Updates(templates=str(tmp_path)))
    values = {**drafts.customers(drafts._sample(), Catalogue()), "names": ["Odd"], "what": "Odd"}
    assert "Odd may not be available" in templates.write("customers", "open", values).text


# -- memory -------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_restore_anywhere_changes_nothing(data: st.DataObject) -> None:
    """A core that takes over a snapshot says the same, byte for byte, also where books are full."""
    with pytest.MonkeyPatch.context() as patch:
        small = data.draw(st.sampled_from((2, 1_000)))
        for name in ("MOST_ITEMS", "MOST_UPDATES", "MOST_REVIEWS", "MOST_TOLD"):
            patch.setattr(writing, name, small)
        auto = Updates(customers=Audience(auto=data.draw(st.booleans())))
        start = Play(auto)
        id = start.opened()
        log: list[Any] = [*ALERTS, mark(20_000)]
        ids = [u.id for u in written(start.outputs) if isinstance(u, StatusUpdate)]
        for number in range(data.draw(st.integers(1, 12))):
            verb = data.draw(
                st.sampled_from(("item", "item", "review", "update", "resolve", "reopen", "tick"))
            )
            if verb == "tick":
                log.append(mark(40_000 + number * 30_000))
                continue
            fields = {
                "op": data.draw(st.sampled_from(OPS)),
                "id": data.draw(st.sampled_from(("a", "b", "c", *ids))),
                "text": "t", "owner": "o", "base": data.draw(st.sampled_from(("", "0", "1"))),
            }  # fmt: skip
            log.append(Action(f"h{number}", T0 + 30_000 + number * 9_000, id, verb, "ann", fields=fields))
        whole = list(Play(auto).core.process(records(log)))
        core, out, at = Play(auto).core, [], 0
        for _ in range(2):
            cut = data.draw(st.integers(at, len(log)))
            out += core.process(records(log)[at:cut])
            blob, at = core.snapshot(), core.needed_offset(cut)
            core = Play(auto).core
            core.restore(blob)
            assert core.snapshot() == blob
        assert [*out, *core.process(records(log)[at:])] == whole


def test_a_full_book_forgets_what_is_done_first() -> None:
    """And counts it."""
    book: writing.Book[ActionItem] = writing.Book(2, ("done", "dropped"))

    def item(id: str, state: str = "open") -> ActionItem:
        return ActionItem(id=id, version=1, incident="i", text="", owner="", state=state, due="",
                          created_at=0, at_ms=0, actor="")  # fmt: skip

    for one in (item("a"), item("b", "done"), item("c")):
        book.put(one)
    assert [i.id for i in book.of("i")] == ["a", "c"]
    book.put(item("d"))
    assert [i.id for i in book.of("i")] == ["c", "d"]
    assert book.evicted == 2
