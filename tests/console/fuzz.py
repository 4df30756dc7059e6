"""Requests made of the OpenAPI document against a running console, all checks on, for some minutes.

    python -m tests.console.fuzz http://127.0.0.1:8088 --minutes 20

Rounds of ten minutes with seeds of their own; every other one asks for incidents and series there are, the
rest for whatever the schema allows. Needs the command `schemathesis`, which is in the extra `dev`, or
another one named by TOCSIN_SCHEMATHESIS. It does send actions and put dead
letters back: give it a console of a demo.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

CONFIG = Path(__file__).with_name("schemathesis.toml")
ROUND_S = 600
AWAY = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]

"""
"""where Kafka or ClickHouse is away on purpose"""


def command() -> str:
    """Where schemathesis is; empty: nowhere."""
    named = os.environ.get("TOCSIN_SCHEMATHESIS", "schemathesis")
    return shutil.which(named) or shutil.which(named, path=str(Path(sys.executable).parent)) or ""


def run(
    url: str,
    seconds: int,
    seed: int,
    known: bool = False,
    incidents: Sequence[str] = (),
    phases: str = "coverage,fuzzing",
    away: bool = False,
) -> int:
    """One round; 0: nothing was found. `incidents`: beside those that are active now; `away`: see `AWAY`."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "schemathesis.toml"
        extra = (_known(url, incidents, seed) if known else "") + (AWAY if away else "")
        config.write_text(extra + CONFIG.read_text())
        asked = [
            command(), "--config-file", str(config), "run", f"{url}/api/v1/openapi.json",
            "--header", "Sec-Fetch-Site: same-origin", "--checks", "all", "--phases", phases,
            "--continue-on-failure", "--request-timeout", "60", "--max-response-time", "60",
            "--max-time", str(seconds),
            "--seed", str(seed),
        ]  # fmt: skip
        return subprocess.run(asked, cwd=folder, check=False).returncode


def _known(url: str, incidents: Sequence[str], seed: int) -> str:
    """An incident and a series there are, in place of made-up ones."""
    ids = [*incidents, *(one["id"] for one in _ask(url, "/api/v1/incidents?most=20")["incidents"])]
    series = [
        choice["fingerprint"]
        for one in _ask(url, "/api/v1/series?most=50")["series"]
        for choice in one["judged_as"][:1]
    ]
    lines = {"path.id": ids, "path.fingerprint": series}
    drawn = Random(seed)
    said = "".join(f'"{name}" = {json.dumps(drawn.choice(all))}\n' for name, all in lines.items() if all)
    return f"[parameters]\n{said}\n" if said else ""


def _ask(url: str, path: str) -> Any:
    with urllib.request.urlopen(url + path, timeout=60) as answer:  # noqa: S310 - of our own console
        return json.load(answer)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--incident", action="append", default=[], help="to ask for, beside active ones")
    given = parser.parse_args()
    if not command():
        print("schemathesis is not installed: see the first lines of this file", file=sys.stderr)
        return 2
    url, end = given.url.rstrip("/"), time.monotonic() + given.minutes * 60
    found, seed = 0, given.seed
    while (left := end - time.monotonic()) > 5:
        found |= run(url, min(ROUND_S, int(left)), seed, known=seed % 2 == 0, incidents=given.incident)
        seed += 1
    return found


if __name__ == "__main__":
    sys.exit(main())
