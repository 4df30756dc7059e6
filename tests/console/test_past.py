"""The list of what is over: in the order asked for, counted whole, and plain about what does not apply."""

from __future__ import annotations

import re
from html import unescape

import pytest
from fastapi.testclient import TestClient

from config.settings import ClickHouse
from console.live.filters import filter_of
from sinks.clickhouse import connect
from tests.sinks.make import MINUTE, T0, incident
from tests.sinks.store import store

NAMES = ("quince", "medlar", "sorb", "damson", "bullace")
CLOSED = [
    incident(
        f"00000000000000a{n}",
        state="closed",
        severity="critical" if n < 2 else "error",
        title=f"the {NAMES[n]} incident",
        started_at=T0 + n * MINUTE,
    )
    for n in range(5)
]
IDS = [one.id for one in CLOSED]
COUNTS = {"critical": 2, "error": 3}


@pytest.fixture
def over(clickhouse: ClickHouse, client: TestClient) -> TestClient:
    """Five closed incidents, a minute apart, in ClickHouse alone."""
    database = connect(clickhouse)
    store(database, *CLOSED)
    database.close()
    return client


def listed(html: str) -> list[str]:
    return re.findall(r'data-id="([0-9a-f]{16})"', html)


@pytest.mark.parametrize(
    ("sort", "expected", "words"),
    [
        ("newest", IDS[::-1], "newest first"),
        ("oldest", IDS, "oldest first"),
        ("due", IDS[::-1], "newest first"),
    ],
)
def test_the_order_is_the_one_the_caption_names(
    over: TestClient, sort: str, expected: list[str], words: str
) -> None:
    html = over.get(f"/incidents?state=closed&sort={sort}").text
    assert (listed(html), html.count(words)) == (expected, 2)
    assert [
        one["id"] for one in over.get(f"/api/v1/incidents?state=closed&sort={sort}").json()["incidents"]
    ] == (expected)


@pytest.mark.parametrize("sort", ["newest", "oldest"])
def test_pages_follow_each_other_and_keep_their_length(over: TestClient, sort: str) -> None:
    address, found = f"/incidents?state=closed&sort={sort}&most=2", []
    for _ in range(3):
        html = over.get(address).text
        found += listed(html)
        assert '<span id="total" class="count">5</span>' in html
        assert [int(n) for n in re.findall(r"<b data-count=\"\w+\">(\d+)</b>", html)] == [2, 3, 0, 0]
        address = unescape("".join(re.findall(r'<p class="more"><a class="button" href="([^"]+)"', html)))
    assert (found, address) == (IDS if sort == "oldest" else IDS[::-1], "")


def test_programs_get_the_same_pages_and_totals(over: TestClient) -> None:
    before, found = "", []
    for _ in range(3):
        said = over.get(f"/api/v1/incidents?state=closed&most=2&before={before}").json()
        assert (said["total"], said["counts"]) == (5, COUNTS)
        before = said["older"]
        found += [one["id"] for one in said["incidents"]]
    assert (found, before) == (IDS[::-1], "")


def test_totals_are_those_of_the_words(over: TestClient) -> None:
    said = over.get("/api/v1/incidents?state=closed&q=DAMSON+incident").json()
    assert (said["total"], said["counts"]) == (1, {"error": 1})


@pytest.mark.parametrize(
    ("query", "keys", "words"),
    [
        ("at_risk=1", ["at_risk"], "clock at risk"),
        ("sort=due", ["sort"], "the order asked for"),
        ("at_risk=1&sort=updated", ["at_risk", "sort"], "clock at risk; the order asked for"),
        ("sort=oldest", [], ""),
        ("at_risk=0", [], ""),
    ],
)
def test_what_does_not_apply_is_said_and_not_set(
    over: TestClient, query: str, keys: list[str], words: str
) -> None:
    html = over.get(f"/incidents?state=closed&{query}").text
    said = re.findall(r"Does not apply to past incidents:</strong> (.*?)</p>", html)
    assert [one.startswith(words) for one in said] == [True] * bool(keys)
    assert not re.search(r'name="at_risk" value="1" checked', html)
    assert over.get(f"/api/v1/incidents?state=closed&{query}").json()["passed_over"] == keys


def test_what_is_active_has_every_filter() -> None:
    wanted = filter_of([("at_risk", "1"), ("sort", "due")])
    assert (wanted.applied, wanted.passed_over) == (wanted, [])


def test_a_place_beyond_all_time_is_before_everything(over: TestClient) -> None:
    assert len(listed(over.get(f"/incidents?state=closed&before={'9' * 15}-{'f' * 16}").text)) == 5
