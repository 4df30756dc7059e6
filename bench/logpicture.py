"""Draws docs/images/logs.svg: what `tocsin logs` prints of docs/examples/shop.log.gz.

    python -m bench.logpicture [--example]

`--example` writes the example log itself again first: an hour and a half of a made-up shop, seeded.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import re
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from bench.common import ROOT
from cli.logs import read
from cli.logview import show
from config.logs import Secrets

LOG = Path("docs/examples/shop.log.gz")
WIDTH = 132
T0 = int(datetime(2026, 3, 1, 14, tzinfo=UTC).timestamp())


def example() -> str:
    """Requests, a slow pool, and from 15:10 on payments that fail."""
    dice = random.Random(7)
    lines: list[tuple[float, str]] = []
    for minute in range(90):
        broken = minute >= 70
        for _ in range(dice.randrange(20, 30)):
            at, order, user = minute * 60 + dice.random() * 60, dice.randrange(10**5), dice.randrange(900)
            lines.append((at, f"INFO  http - GET /orders/{order} 200 in {dice.randrange(4, 90)} ms"))
            if dice.random() < 0.3:
                lines.append(
                    (at, f"INFO  auth - user{user}@example.com signed in from 10.0.{user % 9}.{user % 250}")
                )
            if dice.random() < 0.25:
                paid = (
                    "declined: gateway timeout after 3000 ms"
                    if broken and dice.random() < 0.7
                    else "captured"
                )
                level = "ERROR" if "declined" in paid else "INFO "
                lines.append((at, f"{level} payment - order {order} card 4111 1111 1111 1111 {paid}"))
                if level == "ERROR":
                    lines.append(
                        (
                            at,
                            "java.net.SocketTimeoutException: Read timed out\n\tat shop.Pay.run(Pay.java:41)",
                        )
                    )
        if minute % 7 == 0:
            lines.append((minute * 60, f"WARN  pool - {dice.randrange(17, 20)} of 20 connections in use"))
        if minute == 68:
            url = "postgres://shop:s3cr3t@db-2:5432/shop"
            lines.append((minute * 60 + 3, f"INFO  config - reloaded, database {url}"))
    lines.sort(key=lambda line: line[0])
    return "".join(_line(at, text) for at, text in lines)


def _line(at: float, text: str) -> str:
    if text.startswith("java."):
        return text + "\n"
    return f"{datetime.fromtimestamp(T0 + at, UTC):%Y-%m-%d %H:%M:%S}.{int(at * 1000) % 1000:03} {text}\n"


def main() -> None:
    """Write the picture."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--example", action="store_true", help="write the example log again first")
    if options.parse_args().example:
        (ROOT / LOG).write_bytes(gzip.compress(example().encode(), mtime=0))
    os.chdir(ROOT)
    rows, summary = read(LOG, Secrets(), 0.5, None)
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, highlight=False)
    console.print(f"$ tocsin logs {LOG}", style="bold")
    show(rows, summary, [], console, full=False)
    # Without rich's web font: the file must not make a reader's browser fetch anything.
    template = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console.save_svg("docs/images/logs.svg", title="tocsin logs", code_format=template)


if __name__ == "__main__":
    main()
