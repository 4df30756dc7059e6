"""What an incident rests on: map, timeline, charts, log lines; that nothing breaks out of them."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from fastapi.testclient import TestClient

from config.catalogue import Catalogue, Service
from config.history import History
from config.settings import ClickHouse
from console.access.identity import Identity
from console.incident.course import BURST_MS, GAP_MS, Entry, counts, course
from console.incident.logviews import log_views
from console.incident.neighbourhood import Call, neighbourhood
from console.pages.review import rendered
from correlator.atlas import LearnedCall, ServiceSeen
from correlator.conflicts import Graph
from correlator.incident import Edit, Hint, Incident, Member, ServiceRole, TimelineEntry
from sinks.afterwards import Material
from sinks.clickhouse import ClickHouseSink, connect
from sinks.historian import SERIES, Historian
from sinks.rows import row_of
from tests.cli import reviewed
from tests.sinks.make import MINUTE, T0, alert, incident
from tests.sinks.pages import page, records, series

PARTS = ("map", "timeline", "charts", "logs", "review", "evidence")
NOTHING = Graph(Catalogue((), ()), ())


def material(found: Incident) -> Material:
    return Material(found, None, None, (), 0, (), None, (), (), (), 0, ())


def member(id: str, service: str = "payment", at_ms: int = T0, **changes: Any) -> Member:
    known = incident().members[0]
    return msgspec.structs.replace(known, alert_id=id, service=service, started_at=at_ms, **changes)


def told(*entries: tuple[int, str]) -> Incident:
    """An incident with alerts of services at ms after T0."""
    members = tuple(member(f"a{n}", name, T0 + at) for n, (at, name) in enumerate(entries))
    lines = tuple(TimelineEntry(m.started_at, "alert", f"alert {m.alert_id}", m.alert_id) for m in members)
    return incident(members=members, timeline=lines)


def bursts(entries: list[Entry]) -> list[str]:
    return [entry.text for entry in entries if entry.inner]


# -- the timeline


def test_alerts_of_a_service_close_together_are_one_line() -> None:
    found = course(material(told(*((n * 1_000, "payment") for n in range(14)))))
    assert bursts(found) == ["14 alerts of payment within 13 s"]


def test_a_few_alerts_stay_lines_of_their_own() -> None:
    assert bursts(course(material(told(*((n, "payment") for n in range(3)))))) == []


def test_what_others_do_between_does_not_part_a_burst() -> None:
    mixed = [(n * 1_000, name) for n in range(5) for name in ("payment", "checkout")]
    found = bursts(course(material(told(*mixed))))
    assert sorted(found) == ["5 alerts of checkout within 4 s", "5 alerts of payment within 4 s"]


def test_a_burst_ends_after_its_time() -> None:
    late = BURST_MS + 1
    found = course(material(told(*((at, "payment") for at in (0, 1, 2, 3, late, late, late, late)))))
    assert bursts(found) == ["4 alerts of payment within 1 s", "4 alerts of payment at once"]


def test_nothing_is_lost_by_folding() -> None:
    found = course(material(told(*((n * 700, f"s{n % 7}") for n in range(300)))))
    assert counts(found)["alert"] == 300


def test_a_long_silence_is_marked() -> None:
    found = course(material(told((0, "payment"), (GAP_MS + 1, "payment"))))
    assert [entry.quiet_ms for entry in found if entry.quiet_ms] == [GAP_MS + 1]


def test_it_begins_with_the_first_sample() -> None:
    first = course(material(told((0, "payment"), (5, "checkout"))))[0]
    assert (first.at_ms, first.text) == (T0, "first sample out of the usual: payment latency")


def test_a_correction_is_told_with_what_stood_there() -> None:
    edit = Edit(T0 + MINUTE, "kim", "started_at", "10:01", "10:00", "logs show it", "e1")
    found = course(material(incident(edits=(edit,))))
    assert [e.text for e in found if e.kind == "audit"] == [
        "kim set started_at: 10:01 → 10:00 (logs show it)"
    ]


def test_a_change_is_a_place_on_the_page_once() -> None:
    twice = (TimelineEntry(T0, "change", "payment: v42", "c1"), TimelineEntry(T0 + 1, "change", "v42", "c1"))
    found = course(material(incident(timeline=twice)))
    assert [e.anchor for e in found if e.kind == "change"] == ["change-c1", ""]


def test_notifications_clocks_and_updates_are_in_it() -> None:
    everything = reviewed.everything()
    by_type: dict[str, list[Any]] = {}
    for one in everything:
        by_type.setdefault(type(one).__name__, []).append(one)
    found = msgspec.structs.replace(
        material(reviewed.incident()),
        clocks=tuple(by_type["Clock"]),
        notifications=tuple(by_type["Notification"]),
        updates=tuple(by_type["StatusUpdate"]),
    )
    texts = {entry.text for entry in course(found)}
    assert {"sla resolve missed", "pager: opened", "chat: opened, failed"} <= texts
    assert {"customers told: Over: Card payments", "clocks run again"} <= texts


# -- the map


def chain(*names: str, failed: float = 0.1, **changes: Any) -> Incident:
    """Each calls the next; the last one is suspected."""
    return incident(
        services=tuple(ServiceRole(n, "affected" if n != names[-1] else "suspected cause") for n in names),
        calls=tuple((a, b, failed) for a, b in itertools.pairwise(names)),
        hints=(Hint(names[-1], 0.8, ()),),
        members=(),
        **changes,
    )


def calls(*found: Call) -> dict[tuple[str, str], Call]:
    return {(one.caller, one.callee): one for one in found}


def test_the_path_leads_from_the_symptom_to_the_cause() -> None:
    drawn = neighbourhood(chain("gateway", "checkout", "payment"), NOTHING)
    assert drawn.path == ("gateway", "checkout", "payment")
    assert all(one.suspect for one in drawn.calls)


def test_a_service_on_the_way_is_drawn_though_it_shows_nothing() -> None:
    found = chain("gateway", "checkout", "payment")
    found = msgspec.structs.replace(found, services=(found.services[0], found.services[2]))
    roles = {node.id: node.role for node in neighbourhood(found, NOTHING).nodes}
    assert roles["checkout"] == "on the way"


def test_learned_calls_find_a_way_the_incident_does_not_know() -> None:
    seen = [
        ServiceSeen("gateway", T0, T0, (LearnedCall("proxy", T0, T0, 60.0, 0.0, 1),)),
        ServiceSeen("proxy", T0, T0, (LearnedCall("payment", T0, T0, 30.0, 0.5, 1),)),
    ]
    found = incident(
        services=(ServiceRole("gateway", "affected"), ServiceRole("payment", "suspected cause")), calls=()
    )
    drawn = neighbourhood(found, Graph(Catalogue((), ()), seen))
    assert drawn.path == ("gateway", "proxy", "payment")
    assert calls(*drawn.calls)["proxy", "payment"].failed == 0.5


def test_declared_and_learned_calls_are_told_apart() -> None:
    catalogue = Catalogue(
        (Service(service="gateway"), Service(service="checkout")), (("gateway", "checkout"),)
    )
    seen = [ServiceSeen("checkout", T0, T0, (LearnedCall("payment", T0, T0, 12.0, 0.0, 1),))]
    drawn = neighbourhood(chain("gateway", "checkout", "payment", failed=0.0), Graph(catalogue, seen))
    sources = {pair: one.source for pair, one in calls(*drawn.calls).items()}
    assert sources == {("gateway", "checkout"): "declared", ("checkout", "payment"): "seen"}


def test_the_onset_of_a_service_is_its_first_alert() -> None:
    found = msgspec.structs.replace(
        chain("checkout", "payment"),
        members=(member("b", at_ms=T0 + 5, summary="later"), member("a", summary="first")),
    )
    node = next(one for one in neighbourhood(found, NOTHING).nodes if one.id == "payment")
    assert (node.onset_ms, node.signal, node.alerts) == (T0, "first", 2)


def test_of_many_services_the_path_is_drawn_and_the_rest_counted() -> None:
    found = chain("gateway", "checkout", "payment")
    others = tuple(ServiceRole(f"s{n}", "affected") for n in range(200))
    drawn = neighbourhood(msgspec.structs.replace(found, services=(*found.services, *others)), NOTHING, 60)
    assert len(drawn.nodes) == 60
    assert drawn.left_out == 143
    assert {"gateway", "checkout", "payment"} <= {node.id for node in drawn.nodes}


def test_services_that_call_each_other_in_a_circle_have_a_path() -> None:
    found = chain("a", "b", "c")
    drawn = neighbourhood(msgspec.structs.replace(found, calls=(*found.calls, ("c", "a", 0.1))), NOTHING)
    assert drawn.path[-1] == "c"
    assert len(drawn.path) == len(set(drawn.path))


# -- log lines


def test_a_new_kind_of_line_is_marked() -> None:
    new = alert(kind="log", summary="payment logs a new error, 3 so far: pool exhausted")
    usual = alert(
        kind="log", summary="payment logs 9.0x its usual share of this error, 3 so far: a logs a new b"
    )
    assert [view.new for view in log_views([new, usual])] == [True, False]


def test_the_same_line_is_shown_once() -> None:
    (view,) = log_views([alert(kind="log", samples=("one", "two", "one"), last_line="two")])
    assert (view.first, view.others, view.last) == ("one", ("two",), "")


def test_a_reviews_table_needs_no_inline_style() -> None:
    """The page's policy refuses one, and what looks like one in the text stays text."""
    html = str(rendered('| a |\n|--:|\n| style="text-align:right" |\n'))
    assert " style=" not in html.replace("style=&quot;", "")
    assert '<td class="n">style=&quot;text-align:right&quot;</td>' in html


# -- the parts, over the real engine


@pytest.fixture
def store(clickhouse: ClickHouse) -> Iterator[Callable[..., None]]:
    """Puts items into the tables."""
    client: Client = connect(clickhouse)

    def put(*items: Any) -> None:
        by_table: dict[str, list[Any]] = {}
        for row in map(row_of, items):
            by_table.setdefault(row.table.name, []).append(row)
        for rows in by_table.values():
            client.insert(rows[0].table.name, [r.values for r in rows], column_names=rows[0].table.columns)

    yield put
    client.close()


class Tags(HTMLParser):
    """Tags, attributes and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]


@pytest.mark.parametrize("part", PARTS[:-1])
def test_nothing_breaks_out_of_a_part(part: str, store: Callable[..., None], client: TestClient) -> None:
    """Titles, services, log lines, templates, labels, notes: shown, never run, followed or loaded."""
    evil = reviewed.EVIL + '" onload="alert(1)'
    items = reviewed.hostile()
    hostile = msgspec.structs.replace(
        items[0],  # type: ignore[type-var]
        alerts=("a1", "a2"),
        calls=((evil, "payment", 0.3),),
        changes=(evil,),
        timeline=(TimelineEntry(T0, "change", evil, evil), TimelineEntry(T0, "alert", evil, "a1")),
    )
    wording = {"service": evil, "metric": evil, "summary": evil, "labels": ((evil, evil),)}
    lines = {"kind": "log", "samples": (evil,), "last_line": evil + "2", "trace_ids": (evil,)}
    store(hostile, *items[1:], alert("a1", unit=evil, **wording), alert("a2", **wording, **lines))
    answer = client.get(f"/incidents/{reviewed.ID}/{part}")
    assert answer.status_code == 200
    assert "alert(1)" in answer.text
    seen = Tags(answer.text)
    assert not seen.tags & {"script", "img", "iframe", "object", "style", "b"}
    assert not [name for name in seen.attributes if name.startswith("on") or name == "style"]
    assert not [link for link in seen.links if re.match(r"\s*(javascript|data|https?|//)", link, re.I)]


@pytest.mark.parametrize("part", PARTS)
def test_an_empty_incident_has_every_part(part: str, store: Callable[..., None], client: TestClient) -> None:
    store(incident(services=(), calls=(), alerts=(), members=(), hints=(), timeline=(), changes=()))
    assert client.get(f"/incidents/{incident().id}/{part}").status_code == 200


@pytest.mark.parametrize("part", PARTS)
def test_an_incident_of_2000_alerts_has_every_part(
    part: str, store: Callable[..., None], client: TestClient
) -> None:
    ids = [f"{n:016x}" for n in range(2_000)]
    members = tuple(member(id, f"s{n % 90}", T0 + n * 100) for n, id in enumerate(ids))
    lines = tuple(TimelineEntry(m.started_at, "alert", f"{m.service}: odd", m.alert_id) for m in members)
    many = incident(
        alerts=tuple(ids), members=members, timeline=lines,
        services=tuple(ServiceRole(f"s{n}", "affected") for n in range(90)),
    )  # fmt: skip
    store(
        many,
        *(
            alert(id, service=f"s{n % 90}", kind="log" if n % 40 == 0 else "metric")
            for n, id in enumerate(ids)
        ),
    )
    answer = client.get(f"/incidents/{many.id}/{part}")
    assert answer.status_code == 200
    assert len(answer.content) < 1_000_000


@pytest.mark.parametrize("part", [*(f"/incidents/{{}}/{p}" for p in PARTS),
                                  *(f"/api/v1/incidents/{{}}/{p}" for p in PARTS[:3])])  # fmt: skip
def test_parts_of_other_tenants_incidents_are_not_there(
    part: str, store: Callable[..., None], client_for: Callable[[Identity], TestClient]
) -> None:
    store(incident(domain="eu"))
    client = client_for(Identity("bob", "viewer", ("us",)))
    assert client.get(part.format(incident().id)).status_code == 404


def test_programs_get_the_timeline_without_folds(store: Callable[..., None], client: TestClient) -> None:
    store(told(*((n, "payment") for n in range(9))))
    got = client.get(f"/api/v1/incidents/{incident().id}/timeline", params={"most": 4}).json()
    assert got["total"] == 10
    assert len(got["entries"]) == 4
    assert [e["ref"] for e in got["entries"] if e["kind"] == "alert"] == ["a0", "a1", "a2"]


def test_programs_get_the_map(store: Callable[..., None], client: TestClient) -> None:
    store(chain("gateway", "payment"))
    got = client.get(f"/api/v1/incidents/{incident().id}/map").json()
    assert got["path"] == ["gateway", "payment"]
    assert got["calls"][0]["failed"] == pytest.approx(0.1)


# -- charts and sparklines, from samples of the past

QUEUE = series()
FP = f"{QUEUE.fp:016x}"
ALERT = "00000000000000a1"


@pytest.fixture
def samples(clickhouse: ClickHouse) -> None:
    """Two hours of a queue that is steady until it jumps for the last five minutes before T0 + 6 min."""

    async def run() -> None:
        sink = ClickHouseSink(clickhouse, patience_s=0.0, tables=(SERIES,))
        writer = Historian(History(), sink, "env", pause_s=0.0)
        await writer.start()
        rows = [(QUEUE, T0 + n * MINUTE, 50.0 + n % 3 if n < 1 else 900.0) for n in range(-80, 6)]
        await writer.write(records(page([QUEUE], rows)))
        await writer.stop()

    asyncio.run(run())


def jump(**changes: Any) -> Any:
    return alert(ALERT, fingerprint=FP, last_seen_at=T0 + 5 * MINUTE, **changes)


def test_a_chart_has_values_a_band_and_the_changes(
    samples: None, store: Callable[..., None], client: TestClient
) -> None:
    change = TimelineEntry(T0 - MINUTE, "change", "payment: v42", "c1")
    store(incident(alerts=(ALERT,), timeline=(change,)), jump())
    (signal,) = client.get(f"/api/v1/incidents/{incident().id}/charts").json()["signals"]
    chart = signal["chart"]
    assert 900.0 in chart["series"][0]["values"]
    assert len(chart["band"]["upper"]) == len(chart["t"])
    assert chart["marks"] == [{"at": T0 - MINUTE, "text": "payment: v42", "tone": "mark"}]


def test_without_samples_the_alert_says_what_it_carries(
    store: Callable[..., None], client: TestClient
) -> None:
    store(incident(), alert(value=900.0, expected=90.0, lower=60.0, upper=120.0, unit="ms"))
    text = client.get(f"/incidents/{incident().id}/charts").text
    assert "at its worst 900 ms, expected 90 (60 to 120)" in text
    assert "there are none" in text


def test_charts_can_be_of_one_service(store: Callable[..., None], client: TestClient) -> None:
    store(incident(alerts=("a1", "a2")), alert("a1"), alert("a2", service="cart"))
    found = client.get(f"/api/v1/incidents/{incident().id}/charts", params={"service": "cart"}).json()
    assert [one["alert"] for one in found["signals"]] == ["a2"]
    assert found["more"] == 0


def test_a_sparkline_has_32_values_or_gaps(
    samples: None, store: Callable[..., None], client: TestClient
) -> None:
    store(jump())
    found = client.get("/incidents/sparks", params={"alert": [ALERT, "00000000000000ff", "'"]}).json()
    assert list(found) == [ALERT]
    assert len(found[ALERT]) == 32
    assert max(filter(None, found[ALERT])) == 900.0


def test_more_alerts_than_a_list_shows_are_refused(client: TestClient) -> None:
    assert client.get("/incidents/sparks", params={"alert": [ALERT] * 101}).status_code == 422


def test_sparklines_of_other_tenants_are_left_out(
    samples: None, store: Callable[..., None], client_for: Callable[[Identity], TestClient]
) -> None:
    store(jump())
    client = client_for(Identity("bob", "viewer", ("another",)))
    assert client.get("/incidents/sparks", params={"alert": ALERT}).json() == {}
