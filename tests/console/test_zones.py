"""Times that are typed are in the zone in which times are shown, whichever the reader chose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, Page, Route, expect

from config.settings import ClickHouse
from sinks.clickhouse import connect
from tests.console.browsing import chromium, needs_browser
from tests.sinks.make import incident
from tests.sinks.store import store

pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def sent() -> list[dict[str, Any]]:
    """What the page sends as a report."""
    return []


@pytest.fixture
def page(browser: Browser, client: TestClient, sent: list[dict[str, Any]]) -> Iterator[Page]:
    """The form of a report, in Berlin; its requests are answered in this process."""

    def answered(route: Route) -> None:
        asked = route.request
        if asked.method == "POST":
            sent.append(json.loads(asked.post_data or "{}"))
            route.fulfill(status=409, json={"detail": "seen"})
            return
        if asked.url.endswith("/live"):
            route.abort()
            return
        answer = client.get(asked.url)
        route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

    context = browser.new_context(timezone_id="Europe/Berlin")
    context.route("**/*", answered)
    page = context.new_page()
    page.goto("http://127.0.0.1:8088/incidents/new")
    yield page
    context.close()


def at(ms: int) -> datetime:
    """The clocks of UTC then."""
    return datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None)


def reported(page: Page, sent: list[dict[str, Any]]) -> str:
    """When it began, as the report says."""
    page.fill('[name="fields.title"]', "nobody can pay")
    page.click("button.primary")
    expect(page.locator("p.wrong")).to_have_text("seen")
    return str(sent[-1]["fields"]["started_at"])


@pytest.mark.parametrize(
    ("zone", "name", "utc"),
    [
        ("local", "Europe/Berlin", "2026-07-01T10:00:00.000Z"),
        ("UTC", "UTC", "2026-07-01T12:00:00.000Z"),
    ],
)
def test_a_typed_time_is_in_the_zone_its_label_names(
    page: Page, sent: list[dict[str, Any]], zone: str, name: str, utc: str
) -> None:
    page.select_option("#zone", zone)
    expect(page.locator("[data-zone-name]")).to_have_text(name)
    page.fill('[name="fields.started_at"]', "2026-07-01T12:00:00")
    assert reported(page, sent) == utc


def test_a_typed_time_stays_the_same_moment_in_another_zone(page: Page, sent: list[dict[str, Any]]) -> None:
    page.fill('[name="fields.started_at"]', "2026-07-01T12:00:00")
    page.select_option("#zone", "UTC")
    assert page.input_value('[name="fields.started_at"]').startswith("2026-07-01T10:00")
    assert reported(page, sent) == "2026-07-01T10:00:00.000Z"


@pytest.mark.parametrize(("zone", "hours"), [("local", 1), ("UTC", 0)])
def test_a_correction_begins_with_the_time_as_it_is_shown(
    clickhouse: ClickHouse, page: Page, sent: list[dict[str, Any]], zone: str, hours: int
) -> None:
    one = incident()
    store(connect(clickhouse), one)
    page.goto(f"http://127.0.0.1:8088/incidents/{one.id}")
    page.select_option("#zone", zone)
    page.click("#more-actions > summary")
    page.click('.bar button[data-verb="edit"]')
    field = page.locator('#do-edit [name="fields.started_at"]')
    assert datetime.fromisoformat(field.input_value()) == at(one.started_at) + timedelta(hours=hours)
    earlier = at(one.started_at) - timedelta(minutes=5)
    field.fill((earlier + timedelta(hours=hours)).isoformat())
    page.fill("#do-edit textarea", "seen sooner")
    page.click("#do-edit button.primary")
    expect(page.locator("#do-edit .wrong")).to_have_text("seen")
    assert sent[-1]["fields"] == {"started_at": f"{earlier.isoformat()}.000Z"}


@pytest.mark.parametrize(
    ("zone", "shown", "utc"),
    [
        ("Europe/Berlin", "2026-01-15T12:00:00", "2026-01-15T11:00:00.000Z"),
        ("Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59.000Z"),
        ("Europe/Berlin", "2026-03-29T03:00:00", "2026-03-29T01:00:00.000Z"),
        ("Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T01:30:00.000Z"),
        ("Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T00:30:00.000Z"),
        ("America/New_York", "2026-11-01T01:30:00", "2026-11-01T05:30:00.000Z"),
        ("America/New_York", "2026-03-08T03:00:00", "2026-03-08T07:00:00.000Z"),
        ("Asia/Kathmandu", "2026-05-01T00:00", "2026-04-30T18:15:00.000Z"),
    ],
)
def test_clocks_that_change_are_followed(page: Page, zone: str, shown: str, utc: str) -> None:
    script = "([shown, zone]) => new Date(tocsin.moment(shown, zone)).toISOString()"
    assert page.evaluate(script, [shown, zone]) == utc


def test_every_hour_of_a_year_comes_back(page: Page) -> None:
    """But for the one hour that is there twice."""
    script = """(zone) => { const odd = []; const from = Date.UTC(2026, 0, 1);
        for (let ms = from; ms < from + 365 * 86400000; ms += 3600000)
            if (tocsin.moment(tocsin.wall(ms, zone), zone) !== ms) odd.push(new Date(ms).toISOString());
        return odd; }"""
    assert page.evaluate(script, "Europe/Berlin") == ["2026-10-25T01:00:00.000Z"]
