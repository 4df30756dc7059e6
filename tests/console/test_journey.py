"""From a fault to the figures, in a real browser, through a real worker, broker and ClickHouse engine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from embedded.probe import free_port, http_ready
from embedded.stack import Stack
from tests.console.browsing import chromium, grave, needs_browser, opened, picture, sideways
from tests.e2e.pipeline import Pipeline, pipeline, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), needs_browser]
SOON_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


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


@contextmanager
def console(config: Path, log: Path, port: int = 0) -> Iterator[str]:
    """`tocsin console` as a process; its address."""
    port = port or free_port()
    argv = [sys.executable, "-m", "cli.main", "console", "--config", str(config)]
    argv += ["--listen", f"127.0.0.1:{port}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    with log.open("ab") as out, subprocess.Popen(argv, stdout=out, stderr=out, env=environment) as process:
        try:
            wait_for("the console", http_ready(port, "/healthz"), log=log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def test_from_the_fault_to_the_figures(running: Pipeline, browser: Browser, tmp_path: Path) -> None:
    """It appears by itself; acknowledge; map, evidence and charts; resolve; the analytics have changed."""
    with (
        console(running.config, tmp_path / "console.log") as url,
        opened(browser, f"{url}/incidents") as page,
    ):
        expect(page.locator("#live")).to_have_text("live", timeout=20_000)
        with running.live_fault("payment"):
            title = page.locator("#rows a.title").first
            expect(title).to_be_visible(timeout=90_000)
            title.click()
            page.wait_for_url(re.compile("/incidents/[0-9a-f]{16}$"))
            expect(page.locator("#headline")).to_contain_text("payment")
            page.keyboard.press("a")
            expect(page.locator(".badges .state")).to_have_text("acknowledged", timeout=20_000)
            expect(page.locator("#map svg")).to_be_visible(timeout=SOON_MS)
            expect(page.locator("#timeline .entry").first).to_be_visible(timeout=SOON_MS)
            charted(page)
            expect(page.locator("#members tbody tr").first).to_contain_text("payment")
            assert grave(page) == []
            picture(page, "console-incident")
            page.keyboard.press("r")
            page.fill('#do-resolve textarea[name="cause"]', "a made-up fault")
            page.fill('#do-resolve textarea[name="fix"]', "stopped it")
            page.click("#do-resolve button.primary")
            expect(page.locator(".badges .state")).to_have_text("resolved", timeout=20_000)
            expect(page.locator("#toasts")).to_contain_text("Undo")
        figures(page, url)


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
        page.goto(f"{url}/analytics?days=1")
        tile = page.locator('#q-timing .tiles li:has(span:text-is("Resolved"))')
        page.wait_for_selector("#q-timing .sources", timeout=SOON_MS)
        if tile.count() and "1 by people" in tile.inner_text():
            break
        page.wait_for_timeout(1_000)
    expect(tile).to_contain_text("1 by people")
    expect(page.locator('#q-timing .tiles li:has(span:text-is("Acknowledged"))')).to_contain_text("100 %")
    assert grave(page) == []


PAGES = (
    "/incidents",
    "/incidents/new",
    "/analytics",
    "/configuration",
    "/configuration/catalogue",
    "/configuration/topology",
    "/configuration/silences",
    "/configuration/audit",
)


@pytest.fixture(scope="module")
def site(running: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with console(running.config, tmp_path_factory.mktemp("site") / "console.log") as url:
        yield url


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_serious(site: str, browser: Browser, path: str) -> None:
    """On a phone in the dark, and on a wide screen by day; nothing scrolls sideways."""
    for width, scheme in ((390, "dark"), (1400, "light")):
        with opened(browser, site + path, width=width, scheme=scheme) as page:
            if path != "/incidents":  # which never rests: it listens
                page.wait_for_load_state("networkidle")
            assert grave(page) == []
            assert sideways(page) <= 0, "the page scrolls sideways"
            picture(page, f"console{path.replace('/', '-')}-{width}-{scheme}")


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
