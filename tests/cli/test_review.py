"""Post-incident reviews: what they say, that nothing breaks out of them, and the way from core to page."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from msgspec.structs import replace

from cli.main import main
from cli.reviewpage import course, page
from config.settings import ClickHouse, Topics
from embedded.stack import Stack
from sinks import afterwards
from sinks.afterwards import Material
from sinks.clickhouse import connect
from sinks.inbox import open_record
from sinks.reader import Reader
from sinks.reviewtext import escaped, markdown, verdict, without_items
from sinks.rows import row_of
from sinks.schema import create_database, migrate
from streams.records.messages import Action
from streams.records.stage import Output, Record
from tests.cli import reviewed
from tests.correlator.make import T0, firing, mark, new_core, records
from tests.correlator.make import resolved as over

GOLDEN = Path(__file__).parent / "golden" / "review.md"
_numbers = count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with Stack(kafka=False) as stack:
        yield stack.clickhouse


@pytest.fixture
def client(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A database of its own, which the commands use, too."""
    settings = ClickHouse(url=server, database=f"review_{next(_numbers)}")
    first = connect(settings, database="default")
    create_database(first, settings.database)
    first.close()
    client = connect(settings)
    migrate(client)
    monkeypatch.setenv("TOCSIN_CLICKHOUSE", server)
    monkeypatch.setenv("TOCSIN_CLICKHOUSE_DATABASE", settings.database)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    yield client
    client.close()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `tocsin WORDS` in this process: exit code, output, errors."""

    def finished(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return int(caught.value.code or 0), said.out, said.err

    return finished


def keep(client: Client, *items: Any) -> None:
    for item in items:
        row = row_of(item)
        client.insert(row.table.name, [row.values], column_names=row.table.columns)


def found(client: Client, *items: Any) -> Material:
    keep(client, *items)
    made = afterwards.material(Reader(client), reviewed.ID)
    assert made is not None
    return made


def test_the_review_of_an_incident_is_as_it_was(client: Client) -> None:
    """Word for word; write the file anew with TOCSIN_GOLDEN=1 after looking at it."""
    text = markdown(found(client, *reviewed.everything()))
    if os.environ.get("TOCSIN_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_whether_the_hints_were_right_is_said(client: Client) -> None:
    """Against the recorded cause: right, wrong and where it stood, not named, not known."""
    m = found(client, *reviewed.everything())
    assert verdict(m).startswith("The first hint was right: payment")
    assert m.known is not None
    other = replace(m, known=replace(m.known, cause_service="checkout"))
    assert "the cause, checkout, was hint 2" in verdict(other)
    stranger = replace(m, known=replace(m.known, cause_service="disk"))
    assert verdict(stranger) == "No hint named the recorded cause, disk; the first one said payment."
    assert "not recorded" in verdict(replace(m, known=None))


class Seen(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def test_nothing_breaks_out_of_a_page(client: Client) -> None:
    """Titles, notes, services, log lines, items, edited text: shown, never run, followed or loaded."""
    m = found(client, *reviewed.hostile())
    for text in (page(m.incident, markdown(m)), page(m.incident, reviewed.EDITED.text, reviewed.EDITED)):
        seen = Seen(text)
        assert not seen.tags & {"script", "img", "iframe", "object", "svg", "b", "form"}
        assert not [name for name in seen.attributes if name.startswith("on")]
        assert not [link for link in seen.links if not link.startswith(("https://", "http://"))]
        assert "alert(1)" in text, "it is there to be read"
    assert "<em>b" not in page(m.incident, markdown(m)), "Markdown of others is text"
    table_rows = [line for line in markdown(m).splitlines() if line.startswith("| 2026")]
    assert table_rows
    assert all(len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5, 6, 7) for line in table_rows)


@pytest.mark.parametrize(
    "text", ["# h", "- a", "1. a", "> q", "a\n\n# b", "|x|", "=== ", "`a`", "<b>", "&lt;"]
)
def test_text_of_others_is_no_markdown(text: str) -> None:
    """It renders to a paragraph that says what was written."""
    from sinks.markdown import renderer as _renderer

    shown = _renderer().render(escaped(text))
    assert Seen(shown).tags == {"p"}


def test_the_course_is_complete() -> None:
    """Its parts follow each other from start to close, also where steps were left out."""
    i = reviewed.incident()
    assert [p.name for p in course(i)] == ["unseen", "unheard", "worked", "eased", "watched"]
    never = replace(i, acknowledged_at=None, mitigated_at=None)
    assert [(p.name, p.took) for p in course(never)] == [
        ("unseen", "2 min 0 s"), ("unheard", "1 h 8 min"), ("watched", "15 min 0 s"),
    ]  # fmt: skip


def test_an_open_incident_has_a_review_too(client: Client) -> None:
    """Without hints, members, clocks, items."""
    i = replace(
        reviewed.incident(), state="open", acknowledged_at=None, mitigated_at=None, resolved_at=None,
        closed_at=None, first_resolved_at=None,
        members=(), hints=(), similar=(), impact=(), reopened=0, edits=(), pauses=(),
        filings=(), reputation=(), signature="", timeline=(),
    )  # fmt: skip
    text = markdown(found(client, i))
    for said in (
        "No clock ran.",
        "Nobody did anything",
        "No target was told.",
        "None yet: `tocsin items add",
    ):
        assert said in text
    assert "it is not resolved" in text
    assert "<table>" in page(i, text)


def test_the_command_writes_a_page_or_text(client: Client, run: Any, tmp_path: Path) -> None:
    """By the file's name; `show` may be left out."""
    keep(client, *reviewed.everything())
    code, said, _ = run("review", "3f9a", "-o", tmp_path / "r.html")
    assert (code, "a draft" in said) == (0, True)
    text = (tmp_path / "r.html").read_text()
    assert text.startswith("<!doctype html>")
    assert "http" not in re.sub(r"https://wiki\.example|http-equiv", "", text), "it needs nothing else"
    assert run("review", "show", "3f9a")[1] == run("review", "3f9a")[1] == GOLDEN.read_text()
    assert run("review", "beef")[0] != 0


def test_the_edited_review_is_preferred_with_items_as_they_stand(client: Client, run: Any) -> None:
    """The draft is still there on request."""
    keep(client, *reviewed.everything(), reviewed.EDITED)
    _, said, _ = run("review", "3f9a")
    assert said.startswith("# Ours")
    assert "alert on the pool's queue" in said
    assert run("review", "3f9a", "--draft")[1] == GOLDEN.read_text()
    assert without_items(said) == reviewed.EDITED.text + "\n"


def test_items_are_listed_by_date_owner_and_state(client: Client, run: Any) -> None:
    """Overdue ones are told by today's date; those without a date come last."""
    item = reviewed.everything()[9]
    keep(
        client, item, replace(item, id="b", due="2999-01-01", owner="bob"),
        replace(item, id="c", due=""), replace(item, id="d", version=3, state="done", due="2020-01-01"),
        replace(item, id="d", due="2020-01-01"),
    )  # fmt: skip
    ids = lambda *words: re.findall(r"^(\w+) ", run("items", *words)[1], re.MULTILINE)  # noqa: E731
    assert [i for i in ids() if i != "id"][:4] == ["d", "7c1e000000000001", "b", "c"]
    assert "d" not in ids("--open")
    assert [i for i in ids("--overdue") if i != "id"][:1] == ["7c1e000000000001"]
    assert "b" in ids("list", "--owner", "BOB")
    assert "7c1e000000000001" not in ids("--owner", "bob")
    assert run("items", "done", "zz")[0] != 0


def test_updates_are_listed_without_withdrawn_ones(client: Client, run: Any) -> None:
    """`--all` shows them, too."""
    update = reviewed.everything()[10]
    keep(client, update, replace(update, id="ww", state="withdrawn", title="never said", sent_at=None))
    assert "Card payments work again." in run("updates")[1]
    assert "never said" not in run("updates")[1]
    keep(client, reviewed.incident())
    assert "never said" in run("updates", "3f9a", "--all")[1]


def test_from_the_core_to_the_page(client: Client) -> None:
    """An incident of the correlate stage, written as the sink writes it, with what people wrote about it."""
    core = new_core(verify_ms=60_000)
    alerts = [
        firing(s, "errors", i * 1_000, severity="critical") for i, s in enumerate(("payment", "checkout"))
    ]
    outputs: list[Output] = list(core.process(records([*alerts, mark(20_000)])))
    (id,) = core.engine.groups
    said = [
        Action("x1", T0 + 30_000, id, "acknowledge", "ann", "on it"),
        *(over(a, 60_000) for a in alerts), mark(400_000),
        Action("x2", T0 + 500_000, id, "record", "ann", cause="pool", cause_service="payment"),
        Action("x3", T0 + 500_000, id, "item", "ann",
               fields={"op": "add", "text": "bigger pool", "owner": "bob", "due": "2024-01-01"}),
        Action("x4", T0 + 500_000, id, "review", "ann", fields={"text": "# Mine\n"}),
    ]  # fmt: skip
    outputs += core.process(records(said, first=len(alerts) + 1))
    topics = Topics()
    readable = (topics.incidents, topics.problems, topics.written)
    for at, output in enumerate(outputs):
        if output.topic in readable:
            delivery = open_record(Record(output.topic, 0, at, 0, output.key, output.value), topics)
            assert delivery is not None
            keep(client, delivery.item)
    reader = Reader(client)
    m = afterwards.material(reader, id)
    assert m is not None
    assert (m.incident.state, m.items[0].owner, m.items[0].text) == ("closed", "bob", "bigger pool")
    text = markdown(m)
    assert "first anomalous sample: payment errors" in text
    assert "closed: stable since it was resolved" in text
    assert "acknowledge by ann: on it" in text
    assert "Downtime" in text
    assert {(u.audience, u.state) for u in m.updates if u.about == "resolved"} == {
        ("employees", "draft"), ("customers", "draft"),
    }  # fmt: skip
    edited = afterwards.review(reader, id)
    assert edited is not None
    assert (edited.text, edited.version) == ("# Mine\n", 1)
