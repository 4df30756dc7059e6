"""Who may see one domain: nothing of another is listed, counted, searched, streamed, named or answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.requests import Request

from config.settings import ClickHouse
from console.access.identity import Identity
from console.pages.incidents import live
from correlator.suppression import Suppression
from sinks.clickhouse import connect
from sinks.rows import row_of
from tests.console.test_list import row
from tests.sinks.make import MINUTE, T0, incident, resolved
from tests.sinks.store import store

OURS, THEIRS = "00000000000000a1", "00000000000000b2"
US = Identity("u", "admin", ("us",))


@pytest.fixture
def both(app: FastAPI, clickhouse: ClickHouse) -> FastAPI:
    """One incident of each domain, on the board and in ClickHouse."""
    board = app.state.console.board
    board.put(row(id=OURS, domain="us", owner="team-us"))
    board.put(row(id=THEIRS, domain="eu", title="secret of eu", owner="team-eu", services=("eu-shop",)))
    client = connect(clickhouse)
    store(
        client,
        incident(OURS, domain="us", title="over in us", **resolved(10)),
        incident(THEIRS, domain="eu", title="over in eu", **resolved(10)),
    )
    client.close()
    return app


@pytest.fixture
def ours(both: FastAPI, client_for: Callable[[Identity], TestClient]) -> TestClient:
    return client_for(US)


@pytest.mark.parametrize(
    "path", ["/incidents", "/incidents?q=secret", "/incidents?state=closed,resolved&q=over"]
)
def test_the_list_and_the_search_have_ours_alone(ours: TestClient, path: str) -> None:
    html = ours.get(path).text
    assert (THEIRS in html, "secret of eu" in html, "team-eu" in html, "eu-shop" in html) == (False,) * 4


@pytest.mark.parametrize("query", ["", "?q=over", "?state=resolved"])
def test_the_api_lists_and_counts_ours_alone(ours: TestClient, query: str) -> None:
    said = ours.get(f"/api/v1/incidents{query}").json()
    assert THEIRS not in {one["id"] for one in said["incidents"]}
    assert said["total"] == len(said["incidents"]) == sum(said["counts"].values())


def test_asking_for_their_domain_finds_nothing(ours: TestClient) -> None:
    assert ours.get("/api/v1/incidents?domain=eu").json()["total"] == 0


@pytest.mark.parametrize("part", ["", "/charts", "/map", "/timeline"])
def test_the_api_has_no_incident_of_theirs(ours: TestClient, part: str) -> None:
    assert ours.get(f"/api/v1/incidents/{THEIRS}{part}").status_code == 404
    assert ours.get(f"/api/v1/incidents/{OURS}{part}").status_code == 200


def test_a_prefix_does_not_tell_that_theirs_is_there(ours: TestClient) -> None:
    gone, theirs = (ours.get(f"/incidents/{prefix}") for prefix in ("00000000000000ff", THEIRS))
    assert (gone.status_code, theirs.status_code) == (404, 404)


def held(domain: str) -> Suppression:
    """An alert of `checkout`, which both domains have, held back while the incidents lasted."""
    return Suppression(
        alert=f"alert-{domain}", version=1, state="active", kind="silence", rule=f"rule-{domain}",
        rule_version="0a", reason="silence", domain=domain, from_ms=T0, until_ms=T0 + MINUTE, at_ms=T0,
        service="checkout", metric="disk", severity="error", fingerprint=f"f-{domain}", started_at=T0,
        summary=f"held in {domain}",
    )  # fmt: skip


def test_a_review_tells_of_our_suppressed_alerts_alone(clickhouse: ClickHouse, ours: TestClient) -> None:
    client = connect(clickhouse)
    for one in (held("us"), held("eu")):
        row = row_of(one)
        client.insert(row.table.name, [row.values], column_names=row.table.columns)
    client.close()
    html = ours.get(f"/incidents/{OURS}/review").text
    assert ("rule-us" in html, "held in eu" in html, "rule-eu" in html) == (True, False, False)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/pipeline/deadletters"),
        ("POST", "/pipeline/deadletters/reinject"),
        ("GET", "/api/v1/deadletters"),
        ("POST", "/api/v1/deadletters/reinject"),
    ],
)
def test_records_without_a_domain_are_for_those_who_see_all(
    client_for: Callable[[Identity], TestClient], method: str, path: str
) -> None:
    answer = client_for(US).request(method, path, json={})
    assert (answer.status_code, "over all domains" in answer.text) == (403, True)


def test_no_link_leads_to_records_one_may_not_see(client_for: Callable[[Identity], TestClient]) -> None:
    every, some = (client_for(who).get("/pipeline").text for who in (Identity("a", "admin"), US))
    assert ("/pipeline/deadletters" in every, "/pipeline/deadletters" in some) == (True, False)


class Standing(Request):
    """A browser that stays."""

    async def is_disconnected(self) -> bool:
        return False


async def streamed(app: FastAPI, identity: Identity, most: int) -> AsyncIterator[str]:
    app.state.who = identity
    request = Standing({"type": "http", "headers": [], "query_string": b"", "app": app})
    changes: Any = (await live(request, app.state.console, identity)).body_iterator
    for _ in range(most):
        yield (await anext(changes)).decode()
    await changes.aclose()


async def test_the_stream_brings_ours_alone(both: FastAPI) -> None:
    text = "".join([part async for part in streamed(both, US, 2)])
    every = "".join([part async for part in streamed(both, Identity("a", "admin"), 2)])
    assert (OURS in text, THEIRS in text, '"total":1' in text) == (True, False, True)
    assert (OURS in every, THEIRS in every, '"total":2' in every) == (True, True, True)
