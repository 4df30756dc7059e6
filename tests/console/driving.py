"""The console as a process, and a person at its pages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

from embedded.probe import free_port, http_ready
from tests.e2e.pipeline import wait_for


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


def report(page: Page, site: str, title: str, service: str) -> str:
    """As a person does on the page; its id."""
    page.goto(f"{site}/incidents/new")
    page.fill('[name="fields.title"]', title)
    page.fill('[name="fields.services"]', service)
    page.click("button.primary")
    page.wait_for_url(re.compile("/incidents/[0-9a-f]{16}$"))
    return page.url.rsplit("/", 1)[1]


def act(page: Page, verb: str, **fields: str) -> None:
    """Open the dialog of a verb, fill it in, send it. Fields by their names, `to` for `fields.to`."""
    button = page.locator(f'.bar button[data-verb="{verb}"]')
    if not button.is_visible():
        page.click("#more-actions > summary")
    button.click()
    dialog = page.locator(f"#do-{verb}")
    for name, text in fields.items():
        dialog.locator(f'[name="{name}"], [name="fields.{name}"]').fill(text)
    dialog.locator("button.primary").click()
    expect(dialog).to_be_hidden()
