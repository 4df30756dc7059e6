"""The console's list with thousands of open incidents, measured by the browser itself.

    python -m bench.console [--incidents 5000] [--rate 50] [--readers 0] [--runs 5] [--json]

Starts a broker, the ClickHouse engine and `tocsin console`, puts the incidents on the incident topic and
keeps sending new versions of them. Then Chromium opens the list afresh, several times: first contentful
paint as the browser reports it, beside that of a line of text from the same server; interactions (keys that
move the focus, open the help, type a search) from input to the next paint, as the Event Timing API has them;
from the broker's confirmation of a new incident to its line being in the page. Medians and the worst.
`--readers` follow the list meanwhile, each with a filter of its own, so that no look at it serves two.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

from bench.common import print_json
from bench.consoleground import CHROMIUM, FLAGS, Ground, Updates, made_up, wall_ms

TARGETS = {"first contentful paint": 500.0, "interaction": 100.0, "message to line": 2_000.0}
WATCH = """
window.slowest = 0; window.inputs = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.interactionId) window.inputs.push(entry.duration);
}).observe({ type: "event", buffered: true, durationThreshold: 16 });
"""


def measure(incidents: int, rate: int, runs: int, readers: int = 0) -> dict[str, list[float]]:
    """Milliseconds by what was measured."""
    found: dict[str, list[float]] = {name: [] for name in (*TARGETS, "a line of text", "document, server")}
    with Ground() as ground, sync_playwright() as playwright:
        now_ms = wall_ms()
        ground.publish([made_up(number, now_ms) for number in range(incidents)])
        ground.start_console()
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        with Updates(ground, incidents, rate, wall_ms), following(ground.url, readers):
            _filled(browser.new_page(), ground.url, incidents)
            for run in range(runs):
                context = browser.new_context(viewport={"width": 1400, "height": 900})
                page = context.new_page()
                page.goto(f"{ground.url}/healthz")
                found["a line of text"].append(_paint(page))
                page.add_init_script(WATCH)
                page.goto(f"{ground.url}/incidents")
                found["first contentful paint"].append(_paint(page))
                found["document, server"].append(_server(page))
                page.wait_for_selector("#live.on")
                found["interaction"] += _interactions(page)
                found["message to line"].append(_appears(page, ground, incidents + run))
                context.close()
        browser.close()
    return found


@contextmanager
def following(url: str, readers: int) -> Iterator[None]:
    """So many programs that read the stream of the list."""
    ending = threading.Event()

    def read(number: int) -> None:
        address = f"{url}/incidents/live?q=service-{number}"
        with httpx2.Client(timeout=60.0) as client, client.stream("GET", address) as answer:
            for _ in answer.iter_raw():
                if ending.is_set():
                    return

    threads = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(readers)]
    for thread in threads:
        thread.start()
    yield
    ending.set()
    for thread in threads:
        thread.join(20)


def _filled(page: Page, url: str, incidents: int) -> None:
    page.goto(f"{url}/incidents")
    page.wait_for_function(
        "n => Number(document.getElementById('total').textContent) >= n", arg=incidents, timeout=60_000
    )
    page.close()


def _paint(page: Page) -> float:
    script = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
    page.wait_for_function(f"() => ({script})() > 0")
    return float(page.evaluate(script))


def _server(page: Page) -> float:
    timing = "performance.getEntriesByType('navigation')[0]"
    return float(page.evaluate(f"() => {timing}.responseEnd - {timing}.requestStart"))


def _interactions(page: Page) -> list[float]:
    """Durations of the inputs that took at least 16 ms; quicker ones count as 16."""
    for _ in range(10):
        page.keyboard.press("j")
        page.wait_for_timeout(60)
    for _ in range(5):
        page.keyboard.press("k")
        page.wait_for_timeout(60)
    page.keyboard.press("?")
    page.wait_for_timeout(60)
    page.keyboard.press("Escape")
    page.locator('input[type="search"]').click()
    page.keyboard.type("service-7", delay=40)
    page.wait_for_timeout(300)
    page.fill('input[type="search"]', "")  # as it was: the filter is not sent
    slow: list[float] = page.evaluate("() => window.inputs")
    return slow or [16.0]


def _appears(page: Page, ground: Ground, number: int) -> float:
    page.mouse.move(5, 5)
    page.evaluate("() => document.activeElement?.blur()")
    new = made_up(number + 1_000_000, wall_ms(), severity="critical", priority="P1", started_at=wall_ms())
    ground.publish([new])
    begin = time.monotonic()
    page.wait_for_selector(f"#i-{new.id}", state="attached", timeout=20_000)
    return 1_000 * (time.monotonic() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--incidents", type=int, default=5_000)
    parser.add_argument("--rate", type=int, default=50, help="versions a second")
    parser.add_argument("--readers", type=int, default=0, help="others that follow the list")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not CHROMIUM.exists():
        sys.exit(f"bench.console: no {CHROMIUM}: install Debian's package chromium")
    found = measure(args.incidents, args.rate, args.runs, args.readers)
    if args.json:
        print_json({"incidents": args.incidents, "rate": args.rate, "readers": args.readers, "ms": found})
        return
    shown = Table(
        title=f"{args.incidents:,} open incidents, {args.rate} versions a second, {args.readers} readers, ms"
    )
    for heading in ("what", "n", "median", "worst", "asked"):
        shown.add_column(heading, justify="left" if heading == "what" else "right")
    for name, values in found.items():
        asked: Any = f"{TARGETS[name]:.0f}" if name in TARGETS else ""
        shown.add_row(name, str(len(values)), f"{statistics.median(values):.0f}", f"{max(values):.0f}", asked)
    Console().print(shown)


if __name__ == "__main__":
    main()
