"""A real browser for tests: where it is, how a page is opened, what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench.consoleground import CHROMIUM, FLAGS

needs_browser = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"no {CHROMIUM}: install Debian's package chromium"
)
expect.set_options(timeout=20_000)  # the machine may be busy with other tests

PICTURES = os.environ.get("TOCSIN_PICTURES", "")
"""a folder in which pictures of pages are kept, if it is set"""


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Browser, url: str, width: int = 1400, height: int = 900, scheme: Any = "light"
) -> Iterator[Page]:
    """A fresh browser at an address. Errors of scripts and of the content policy fail the test."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None)
    page.goto(url)
    yield page
    context.close()
    assert wrong == []


def grave(page: Page) -> list[tuple[str, str]]:
    """What axe calls serious or critical: rule and an element."""
    found = Axe().run(page).response["violations"]
    return [
        (one["id"], one["nodes"][0]["html"][:200])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than the screen."""
    script = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(script))


def picture(page: Page, name: str, whole: bool = False) -> None:
    """Keep a picture where pictures are wanted."""
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=whole)
