"""The incident page as it is rendered, from rows in the real engine."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from fastapi.testclient import TestClient

from config.settings import ClickHouse
from console.access.identity import Identity
from console.incident.members import EACH
from correlator.incident import Evidence, Hint, Incident, Reason
from sinks.clickhouse import connect
from sinks.rows import row_of
from tests.sinks.make import MEMBER, incident

SCRIPT = "<script>alert('x')</script>"
ID = "00000000000000aa"


@pytest.fixture
def stored(clickhouse: ClickHouse) -> Callable[[Incident], None]:
    def put(one: Incident) -> None:
        row = row_of(one)
        database = connect(clickhouse)
        database.insert(row.table.name, [row.values], column_names=row.table.columns)
        database.close()

    return put


def test_an_incident_with_nothing_has_a_page(stored: Callable[[Incident], None], client: TestClient) -> None:
    stored(incident(hints=(), members=(), alerts=(), services=(), calls=(), timeline=(), changes=()))
    page = client.get(f"/incidents/{ID}")
    assert page.status_code == 200
    assert "no likely cause yet" in page.text


def test_of_2000_alerts_the_first_are_shown_and_the_rest_counted(
    stored: Callable[[Incident], None], client: TestClient
) -> None:
    many = tuple(msgspec.structs.replace(MEMBER, alert_id=f"m{n:04}") for n in range(2_000))
    stored(incident(members=many, alerts=tuple(one.alert_id for one in many)))
    text = client.get(f"/incidents/{ID}/main").text
    assert text.count('<tr id="member-') == EACH
    assert f"1 to {EACH} of 2000" in text


def test_what_others_wrote_comes_out_as_text(stored: Callable[[Incident], None], client: TestClient) -> None:
    member = msgspec.structs.replace(
        MEMBER, summary=SCRIPT, service=SCRIPT, reasons=(Reason("time", 1.0, SCRIPT),)
    )
    hint = Hint(SCRIPT, 0.5, (Evidence("change", SCRIPT, 1.0, 1, "c1"),), cause=SCRIPT)
    stored(incident(title=SCRIPT, members=(member,), hints=(hint,), owner=SCRIPT, suggestion=SCRIPT))
    text = client.get(f"/incidents/{ID}").text
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert") >= 8


def test_strength_of_an_alert_is_shown(stored: Callable[[Incident], None], client: TestClient) -> None:
    stored(incident())
    assert '<td class="n">7.50</td>' in client.get(f"/incidents/{ID}/main").text


def test_a_unique_prefix_leads_to_the_page(stored: Callable[[Incident], None], client: TestClient) -> None:
    stored(incident(id="c0ffee0000000001"))
    assert "c0ffee0000000001" in client.get("/incidents/c0ffee").text


def test_another_domain_has_no_page(
    stored: Callable[[Incident], None], client_for: Callable[[Identity], TestClient]
) -> None:
    stored(incident(domain="us"))
    assert client_for(Identity("eve", "admin", ("eu",))).get(f"/incidents/{ID}").status_code == 404


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, 'data-right="payment"'),
        ({"cause_service": "payment"}, "Recorded as the cause."),
        ({"cause_service": "db"}, "The recorded cause was in db."),
    ],
)
def test_a_likely_cause_is_asked_about_until_one_is_recorded(
    stored: Callable[[Incident], None], client: TestClient, changes: dict[str, str], said: str
) -> None:
    stored(incident(**changes))
    text = client.get(f"/incidents/{ID}/main").text
    assert said in text
    assert ("Was this right?" in text) == (not changes)


def test_who_may_not_record_a_cause_is_not_asked(
    stored: Callable[[Incident], None], client_for: Callable[[Identity], TestClient]
) -> None:
    stored(incident())
    assert "Was this right?" not in client_for(Identity("vic", "viewer")).get(f"/incidents/{ID}").text
