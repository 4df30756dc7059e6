"""What the alerts of an incident share: who is hit, a silence over them, and the pages of their table."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from fastapi.testclient import TestClient

from config.matchers import all_match, parse
from config.settings import ClickHouse
from console.incident.headline import headline
from console.incident.hushing import MOST_TEXT, shared_matchers
from console.incident.members import Asked, members
from console.incident.others import others
from console.incident.segment import segment
from console.incident.view import view
from correlator.incident import Figure
from sinks.clickhouse import connect
from tests.console.conftest import NOW_MS
from tests.console.test_list import row
from tests.sinks.make import MEMBER, T0, alert, incident
from tests.sinks.store import store

EU, US, NONE = {"cloud.region": "eu"}, {"region": "us"}, dict[str, str]()
BOTH = {"region": ["us"], "cloud.region": ["eu"]}


@pytest.mark.parametrize(
    ("labels", "known", "said"),
    [
        ([EU] * 5, BOTH, "region eu"),
        ([EU] * 4 + [US], BOTH, "region eu"),
        ([EU] * 3 + [US], BOTH, ""),
        ([EU] + [NONE] * 3, BOTH, "region eu"),
        ([EU] + [NONE] * 4, BOTH, ""),
        ([EU] * 2 + [NONE] * 2, {}, "region eu"),
        ([EU] + [NONE] * 3, {}, ""),
        ([EU] * 5, {"cloud.region": ["eu"]}, ""),
        ([{"tenant": "acme", "region": "eu"}] * 2, {}, "tenant acme"),
        ([{"tenant": "all", "region": "eu"}] * 2, {"tenant": ["all"], **BOTH}, "region eu"),
        ([], BOTH, ""),
    ],
)
def test_who_is_hit_is_said_where_labels_tell(
    labels: list[dict[str, str]], known: dict[str, list[str]], said: str
) -> None:
    assert segment(labels, known) == said


def test_a_value_without_end_is_cut() -> None:
    assert len(segment([{"region": "x" * 1_000}], {})) < 80


def test_the_sentence_says_for_whom() -> None:
    figure = Figure("customers", 1_200, "customers", "confirmed", "stated")
    assert headline(incident(), "region eu").whom == "for region eu"
    assert headline(incident(impact=(figure,)), "region eu").whom == "for 1,200 customers, region eu"


def of(service: str, **labels: str) -> dict[str, str]:
    return {"service": service, "metric": "latency", "kind": "metric", **labels}


@pytest.mark.parametrize("service", ["db", 'a"b', "a|b.c", "back\\slash", "zwei wörter", "x" * 300])
def test_matchers_hold_for_every_alert_and_for_no_other_service(service: str) -> None:
    alerts = [of(service, region="eu"), of("checkout", region="eu")]
    matchers = [parse(text) for text in shared_matchers(alerts)]
    assert all(all_match(matchers, labels) for labels in alerts)
    assert not all_match(matchers, of("other", region="eu"))
    assert not all_match(matchers, of("checkout", region="us"))


def test_a_tenant_is_silenced_alone() -> None:
    assert shared_matchers([of("db")], "acme") == ['service="db"', 'domain="acme"', 'metric="latency"']
    assert shared_matchers([of("db")], "default") == ['service="db"', 'metric="latency"']


def test_of_too_many_services_those_with_the_most_alerts_are_named() -> None:
    alerts = [of(f"service-{n:04}") for n in range(500)] + [of("service-0499")] * 3
    matchers = shared_matchers(alerts)
    assert sum(map(len, matchers)) <= MOST_TEXT
    assert parse(matchers[0]).matches("service-0499")


def test_without_alerts_there_is_nothing_to_match() -> None:
    assert shared_matchers([]) == []


MANY = tuple(
    msgspec.structs.replace(
        MEMBER,
        alert_id=f"m{n:04}",
        service=f"s{n % 7}",
        started_at=T0 + (n * 37) % 450,
        severity=("error", "critical", "info")[n % 3],
    )
    for n in range(450)
)


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("onset", lambda m: m.started_at),
        ("service", lambda m: m.service),
        ("severity", lambda m: ["critical", "error", "info"].index(m.severity)),
    ],
)
def test_pages_hold_every_alert_once_in_order(sort: str, key: object) -> None:
    one = incident(members=MANY)
    found = [m for page in (1, 2, 3) for m in members(one, Asked("", sort, page)).shown]  # type: ignore[arg-type]
    assert sorted(m.alert_id for m in found) == sorted(m.alert_id for m in MANY)
    assert found == sorted(found, key=key)  # type: ignore[arg-type]


def test_words_narrow_the_table_and_a_page_there_is_not_is_the_last() -> None:
    found = members(incident(members=MANY), Asked("s3 critical", "onset", 99))
    assert {(m.service, m.severity) for m in found.shown} == {("s3", "critical")}
    assert (found.asked.page, found.first, found.fitting) == (1, 1, len(found.shown))


def test_an_address_leaves_out_what_goes_without_saying() -> None:
    assert Asked("a b&c", "active", 1).query() == "alerts=a+b%26c"
    assert Asked("", "service", 2).query(page=3) == "by=service&page=3"


def test_the_view_has_the_page_that_was_asked_for() -> None:
    assert view(incident(members=MANY), (), T0, Asked("", "onset", 3)).members.first == 401


def test_what_may_belong_to_it_comes_first() -> None:
    rows = [
        row(id="1", domain="", services=("cart",), started_at=T0),
        row(id="2", domain="", services=("payment",), started_at=T0 + 9),
        row(id="3", domain="us", services=("payment",)),
        row(id="00000000000000aa", domain=""),
    ]
    assert [one.id for one in others(rows, incident())] == ["2", "1"]


def test_an_address_shows_a_page_of_the_table(clickhouse: ClickHouse, client: TestClient) -> None:
    store(connect(clickhouse), incident(members=MANY))
    text = client.get("/incidents/00000000000000aa?alerts=s3&by=severity").text
    assert set(re.findall(r"<td>(s\d)</td>", text)) == {"s3"}
    assert '<th scope="col" aria-sort="descending"><a' in text
    assert client.get("/incidents/00000000000000aa?by=luck").status_code == 422


def test_the_silence_of_an_incident_fits_its_alerts(clickhouse: ClickHouse, client: TestClient) -> None:
    """From the link on its page to the preview, with a quote in the name of a service."""
    region = (("region", "eu"),)
    mine = [
        alert(
            id=f"a{n}", service=name, started_at=NOW_MS - 60_000, detected_at=NOW_MS - 60_000, labels=region
        )
        for n, name in enumerate(('pay"ment', "checkout"))
    ]
    other = msgspec.structs.replace(mine[0], id="b", service="cart")
    store(connect(clickhouse), incident(alerts=("a0", "a1")), *mine, other)
    page = client.get("/incidents/00000000000000aa").text
    link = html.unescape(re.search(r'href="(/configuration/silences\?[^"]+)"', page)[1])  # type: ignore[index]
    fields = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    form = html.unescape(client.get(link).text)
    assert fields["matchers"] in form
    assert "for incident 00000000000000aa" in form
    said = client.post("/configuration/silences/preview", data={"kind": "silence", **fields}).text
    assert "<strong>2</strong> of 3 alerts" in " ".join(said.split())
    assert "for region eu" in page


def test_more_alerts_than_a_page_shows_can_be_split_off(clickhouse: ClickHouse, client: TestClient) -> None:
    store(connect(clickhouse), incident(members=MANY))
    address = "/api/v1/incidents/00000000000000aa/actions"
    answer = client.post(address, json={"action": "split", "targets": [m.alert_id for m in MANY]})
    assert answer.status_code == 503  # it went as far as Kafka, which is not there
