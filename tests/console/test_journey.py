"""From a fault to the figures, in a real browser, through a real worker, broker and ClickHouse engine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx2 as httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from embedded.probe import free_port
from embedded.stack import Stack
from tests.console.browsing import chromium, grave, needs_browser, opened, picture, sideways
from tests.console.driving import act, console, report
from tests.e2e.pipeline import Pipeline, pipeline, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), needs_browser]
SOON_MS = 60_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A worker on a broker and an engine of its own."""
    folder = tmp_path_factory.mktemp("journey")
    with (
        Stack(folder / "stack") as stack,
        pipeline(folder, stack.kafka, stack.clickhouse, "journey", folder) as running,
    ):
        running.start_worker()
        running.wait_for_topics()
        yield running


@pytest.fixture(scope="module")
def browser(running: Pipeline) -> Iterator[Browser]:
    """After the pipeline: from here on a loop runs in this thread, beside which no other may be started."""
    with chromium() as started:
        yield started


def test_from_the_fault_to_the_figures(running: Pipeline, browser: Browser, tmp_path: Path) -> None:
    """It appears by itself; acknowledge; map, evidence and charts; resolve; the analytics have changed."""
    with (
        console(running.config, tmp_path / "console.log") as url,
        opened(browser, f"{url}/incidents") as page,
    ):
        expect(page.locator("#live")).to_have_text("live", timeout=20_000)
        with running.live_fault("payment"):
            expect(mine(page)).to_be_visible(timeout=90_000)
            without_a_mouse(page)
            expect(page.locator("#map svg")).to_be_visible(timeout=SOON_MS)
            expect(page.locator("#timeline .entry").first).to_be_visible(timeout=SOON_MS)
            charted(page)
            expect(page.locator("#members tbody tr").first).to_contain_text("payment")
            assert grave(page) == []
            picture(page, "console-incident")
            silenced(page)
            page.locator('[data-right="payment"]').first.click()
            expect(page.locator("#now")).to_have_attribute("data-cause_service", "payment")
            page.keyboard.press("r")
            page.fill('#do-resolve textarea[name="cause"]', "a made-up fault")
            page.fill('#do-resolve textarea[name="fix"]', "stopped it")
            page.click("#do-resolve button.primary")
            expect(page.locator(".badges .state")).to_have_text("resolved", timeout=20_000)
            expect(page.locator("#toasts")).to_contain_text("Undo")
        figures(page, url)


def mine(page: Page) -> Locator:
    """The line of what the fault has brought; other tests may have reported something."""
    return page.locator("#rows tr", has_text="payment").first


def without_a_mouse(page: Page) -> None:
    """From the list to the incident, acknowledge, back to the list, and there again."""

    def enter() -> None:
        for _ in range(page.locator("#rows tr").count()):
            page.keyboard.press("j")
            if "payment" in page.evaluate("() => document.activeElement.closest('tr')?.innerText ?? ''"):
                break
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("/incidents/[0-9a-f]{16}$"))
        expect(page.locator("#headline")).to_contain_text("payment")

    enter()
    page.keyboard.press("a")
    expect(page.locator(".badges .state")).to_have_text("acknowledged", timeout=20_000)
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_url("**/incidents")
    expect(mine(page).locator(".state")).to_have_text("acknowledged", timeout=20_000)
    enter()


def charted(page: Page) -> None:
    """A chart is drawn; before the samples are stored the part says so, and is asked again."""
    for _ in range(20):
        if page.locator("#charts canvas").count():
            break
        page.wait_for_timeout(1_500)
        page.reload()
        page.wait_for_selector("#charts > *", timeout=SOON_MS)
    expect(page.locator("#charts canvas").first).to_be_visible(timeout=SOON_MS)


def figures(page: Page, url: str) -> None:
    """One incident, resolved by a person, acknowledged."""
    for _ in range(20):
        page.goto(f"{url}/analytics?days=1&service=payment")
        tile = page.locator('#q-timing .tiles li:has(span:text-is("Resolved"))')
        page.wait_for_selector("#q-timing .sources", timeout=SOON_MS)
        if tile.count() and "1 by people" in tile.inner_text():
            break
        page.wait_for_timeout(1_000)
    expect(tile).to_contain_text("1 by people")
    expect(page.locator('#q-timing .tiles li:has(span:text-is("Acknowledged"))')).to_contain_text("100 %")
    assert grave(page) == []


@pytest.fixture(scope="module")
def site(running: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with console(running.config, tmp_path_factory.mktemp("site") / "console.log") as url:
        wait_for("Kafka and ClickHouse", lambda: not httpx.get(f"{url}/healthz").json()["missing"])
        yield url


def test_incidents_are_merged_parted_corrected_and_reviewed(site: str, browser: Browser) -> None:
    """All of it by hand, on two incidents that people reported."""
    with opened(browser, f"{site}/incidents/new") as page:
        other = report(page, site, "Lamps flicker", "lamp")
        one = report(page, site, "The door is stuck", "door")
        state, rows, said = page.locator(".badges .state"), page.locator("#members tbody tr"), "#toasts"
        expect(rows).to_have_count(1)
        for undo in (True, False):
            page.click("#more-actions > summary")
            page.click('.bar button[data-verb="merge"]')
            page.check(f'#do-merge input[value="{other}"]')
            page.click("#do-merge button.primary")
            expect(page.locator("#do-merge")).to_be_hidden()
            expect(rows).to_have_count(2)
            if undo:
                page.click(f"{said} button")
                expect(rows).to_have_count(1)
        page.check('#members tr:has-text("Lamps") input')
        page.goto(f"{site}/incidents/{one}?alerts=door&by=service")  # another page of the table
        expect(rows).to_have_count(1)
        expect(page.locator("#chosen")).to_contain_text("1 alert chosen")
        page.click('#chosen button[data-verb="split"]')
        page.click("#do-split button.primary")
        expect(page.locator(f"{said} a")).to_have_attribute("href", re.compile("/incidents/[0-9a-f]{16}$"))
        expect(page.locator("#chosen")).to_be_hidden()
        page.click('button[data-verb="close"]', force=True)
        expect(page.locator(said)).to_contain_text("cannot close an incident that is open")
        act(page, "assign", to="facilities")
        expect(page.locator("#h-do + dl")).to_contain_text("facilities")
        page.keyboard.press("a")
        expect(state).to_have_text("acknowledged")
        corrected(page)
        act(page, "mitigate", note="propped open")
        expect(state).to_have_text("mitigated")
        act(page, "record", cause="rust", cause_service="door")
        expect(page.locator("#now")).to_have_attribute("data-cause", "rust")
        act(page, "resolve", fix="oil")
        expect(state).to_have_text("resolved")
        act(page, "reopen", note="stuck again")
        expect(state).to_have_text("reopened")
        act(page, "resolve")
        expect(state).to_have_text("resolved")
        act(page, "close")
        expect(state).to_have_text("closed")
        reviewed(page)


def corrected(page: Page) -> None:
    """A time that is set after the page was opened is there to correct; the timeline has the audit."""
    act(page, "note", note="called the locksmith")
    expect(page.locator("#timeline")).to_contain_text("called the locksmith")
    page.click("#more-actions > summary")
    page.click('.bar button[data-verb="edit"]')
    field = page.locator('#do-edit [name="fields.acknowledged_at"]')
    before = datetime.fromisoformat(field.input_value())
    began = page.locator('#do-edit [name="fields.started_at"]')
    began.fill((before - timedelta(days=400)).isoformat())
    field.fill((before + timedelta(days=1)).isoformat())
    page.fill("#do-edit textarea", "the porter knew")
    page.click("#do-edit button.primary")
    expect(page.locator("#do-edit .wrong")).to_contain_text("later than the correction itself")
    field.fill(before.isoformat())
    page.click("#do-edit button.primary")
    expect(page.locator("#timeline .t-audit").last).to_contain_text("the porter knew")


def silenced(page: Page) -> None:
    """The link leads to a form whose preview fits the incident's alert."""
    page.click("#more-actions > summary")
    page.click("text=Silence its alerts")
    expect(page.locator("#matchers")).to_have_value(re.compile('service="payment"'))
    expect(page.locator("#preview .big strong")).to_have_text(re.compile("^[1-9]"))
    page.go_back()
    page.wait_for_selector("#timeline .entry")


def reviewed(page: Page) -> None:
    page.click("#review-edit > summary")
    page.fill("#review-form textarea", "# What we learned\n\n**Oil** the door.")
    expect(page.locator("#review-preview strong")).to_have_text("Oil")
    page.click("#review-form button.primary")
    expect(page.locator("#review-said")).to_contain_text("Version 1 is kept")


SHUT = """() => [...document.querySelectorAll("main details:not([open]) > summary")]
    .some((one) => one.parentElement.checkVisibility() && !one.checkVisibility())"""
PAGES = (
    "/incidents",
    "/incidents?state=closed",
    "/incidents/new",
    "/analytics",
    "/pipeline",
    "/pipeline/series",
    "/pipeline/deadletters",
    "/configuration",
    "/configuration/catalogue",
    "/configuration/catalogue/payment",
    "/configuration/topology",
    "/configuration/rules",
    "/configuration/silences",
    "/configuration/oncall",
    "/configuration/knowledge",
    "/configuration/problems",
    "/configuration/audit",
)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1400, "light")])
def test_axe_finds_nothing_serious_on_any_page(
    site: str, browser: Browser, width: int, scheme: str, tmp_path: Path
) -> None:
    """On a phone in the dark, and wide by day; nothing scrolls sideways, at 320 pixels neither."""
    wrong: dict[str, object] = {}

    def look(page: Page, path: str) -> None:
        page.wait_for_function("() => !document.querySelector('.htmx-request, .htmx-swapping')")
        page.wait_for_timeout(200)  # charts and maps are drawn after what they are in
        found: list[object] = [*grave(page)]
        found += ["a fold nobody can open"] if page.evaluate(SHUT) else []
        for narrow in (width, 320):
            page.set_viewport_size({"width": narrow, "height": 800})
            page.wait_for_timeout(300 * (narrow != width))  # charts follow
            found += [f"{sideways(page)} px too wide at {narrow}"] if sideways(page) > 0 else []
        page.set_viewport_size({"width": width, "height": 800})
        wrong.update({path: found} if found else {})
        picture(page, f"console{re.sub('[^a-z0-9]+', '-', path)}-{width}-{scheme}")

    with opened(browser, f"{site}/incidents/new", width=width, scheme=scheme) as page:
        id = report(page, site, "The bell is mute", "bell")
        paths = [*PAGES, f"/incidents/{id}", f"/incidents/{id}/evidence", "/incidents/none"]
        page.goto(f"{site}/pipeline/series")
        series = page.locator('a[href^="/pipeline/series/"]')
        paths += [str(series.first.get_attribute("href"))] if series.count() else []
        for path in paths:
            page.goto(site + path, wait_until="load")
            look(page, path)
    config = tmp_path / "closed.yaml"
    config.write_text(f"console: {{access: {{tokens: [{{name: a, sha256: '{'0' * 64}'}}]}}}}\n")
    with (
        console(config, tmp_path / "console.log") as url,
        opened(browser, f"{url}/login", width=width, scheme=scheme) as page,
    ):
        look(page, "/login")
    assert wrong == {}


def test_without_services_the_pages_say_what_is_missing_and_come_back(
    browser: Browser, tmp_path: Path
) -> None:
    """Started before Kafka and ClickHouse: both are named, and gone from the banner once they answer."""
    kafka, clickhouse, own = free_port(), free_port(), free_port()
    config = tmp_path / "tocsin.yaml"
    config.write_text(
        f"kafka: {{bootstrap: '127.0.0.1:{kafka}'}}\nclickhouse: {{url: 'http://127.0.0.1:{clickhouse}'}}\n"
    )
    log = tmp_path / "console.log"
    with console(config, log, own) as url, opened(browser, f"{url}/incidents") as page:
        expect(page.locator("#troubles")).to_contain_text("Kafka is not there", timeout=20_000)
        expect(page.locator("#troubles")).to_contain_text("ClickHouse is not there", timeout=20_000)
        assert page.goto(f"{url}/analytics/part/timing").status == 503  # type: ignore[union-attr]
        page.goto(f"{url}/incidents")
        with (
            Stack(tmp_path / "stack", kafka_port=kafka, clickhouse_port=clickhouse),
            _worker(config, tmp_path),
        ):
            expect(page.locator("#troubles .trouble")).to_have_count(0, timeout=120_000)


@contextmanager
def _worker(config: Path, folder: Path) -> Iterator[None]:
    argv = [sys.executable, "-m", "cli.main", "worker", "--config", str(config), "--health-port", "0"]
    with (folder / "worker.log").open("ab") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(40)
