"""A scripted day and, worked out by hand, what its figures must be.

Times are minutes from 2027-10-30 18:00 UTC, 20:00 in Berlin: the night in which summer time ends there, at
minute 420. It lies ahead so that no deadline of it has passed by the clock of whoever runs this. One sample a
minute of each service; a service is broken from `first` to `last`, both included, and the rule says that
this is an alert after two minutes (`for: 2m`), over with the first sample that is fine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

BEGIN_MS = int(datetime(2027, 10, 30, 18, tzinfo=UTC).timestamp() * 1000)
MINUTES = 1_440
MINUTE_MS = 60_000
RULE = {"matchers": ['metric="failures"'], "critical_above": 100, "for": "2m", "clear_samples": 1}

BROKEN = {
    "mail": [(10, 40)],
    "dns": [(60, 200)],
    "cdn": [(100, 130)],
    "auth": [(300, 330)],
    "login": [(305, 360)],
    "queue": [(400, 420), (428, 450)],
    "store": [(600, 700)],
}
"""service -> when its samples are bad"""


def at(minutes: float) -> int:
    """ms UTC."""
    return BEGIN_MS + round(minutes * MINUTE_MS)


class Timing(NamedTuple):
    """One incident, in minutes; None: never."""

    started: float
    detected: float
    acknowledged: float | None
    resolved: float | None
    by: str
    active: float
    """without the calm before it was reopened"""
    first_resolved: float | None = None
    """where it differs from `resolved`"""


TIMINGS = {
    # A person acknowledges three minutes after detection and resolves before Tocsin would (at 41.5).
    "mail": Timing(10, 12, 15, 41 + 1 / 6, "human", 31 + 1 / 6),
    # Acknowledged two hours late; resolves by itself with the first good sample.
    "dns": Timing(60, 62, 182, 201, "auto", 141),
    # Nobody ever acknowledges.
    "cdn": Timing(100, 102, None, 131, "auto", 31),
    # login (305) is merged into it: counted once, over when both are.
    "auth": Timing(300, 302, 310, 361, "auto", 61),
    # Over at 421, back at 428 within verification, over for good at 451: seven minutes of calm.
    "queue": Timing(400, 402, 405, 451, "auto", 44, 421),
    # Its clock to resolve stands still from 610 to 640.
    "store": Timing(600, 602, 604, 701, "auto", 101),
    # Reported by a person at 390, who saw it at 370, and resolved by one at 800.
    "ledger": Timing(370, 390, 395, 800, "human", 430),
}
"""service -> timing of its incident"""


class Deadline(NamedTuple):
    """One clock, in minutes."""

    start: float
    due: float
    stop: float | None
    state: str


CLOCKS = {
    ("mail", "sla respond"): Deadline(12, 27, 15, "met"),
    ("mail", "sla resolve"): Deadline(12, 252, 41 + 1 / 6, "met"),
    ("dns", "sla respond"): Deadline(62, 77, 182, "missed"),
    ("dns", "sla resolve"): Deadline(62, 302, 201, "met"),
    ("cdn", "sla respond"): Deadline(102, 117, 131, "missed"),
    ("cdn", "sla resolve"): Deadline(102, 342, 131, "met"),
    ("auth", "sla respond"): Deadline(302, 317, 310, "met"),
    ("auth", "sla resolve"): Deadline(302, 542, 361, "met"),
    # Merged into auth before either was due.
    ("login", "sla respond"): Deadline(307, 322, None, "cancelled"),
    ("login", "sla resolve"): Deadline(307, 547, None, "cancelled"),
    ("queue", "sla respond"): Deadline(402, 417, 405, "met"),
    # The seven minutes of calm do not count.
    ("queue", "sla resolve"): Deadline(402, 642 + 7, 451, "met"),
    ("store", "sla respond"): Deadline(602, 617, 604, "met"),
    # Four hours and the half hour in which it stood still.
    ("store", "sla resolve"): Deadline(602, 602 + 240 + 30, 701, "met"),
    ("ledger", "sla respond"): Deadline(390, 405, 395, "met"),
    ("ledger", "sla resolve"): Deadline(390, 630, 800, "missed"),
    # Major at 450: four hours from there, which is before a day from awareness (390).
    ("ledger", "dora initial"): Deadline(450, 690, 600, "met"),
    ("ledger", "dora intermediate"): Deadline(600, 600 + 72 * 60, 2_520, "met"),
    # Handed in on 1 November at 13:00 in Berlin; due on 1 December at 13:00 there.
    ("ledger", "dora final"): Deadline(2_520, 2_520 + 30 * 1_440, None, "running"),
}
"""(service, clock) -> how it stands in the end"""

DAYS = {
    # mail 31 1/6, cdn 31, dns 141: 0.9 lies at 0.8 of the way from the second to the third
    "2027-10-30": {
        "n": 3, "n_auto": 2, "n_human": 1, "n_acknowledged": 2, "ack_rate": 2 / 3,
        "mttd_p50": 2, "mttd_mean": 2,
        "mtta_p50": 61.5, "mtta_mean": 61.5,  # 3 and 120
        "mttr_p50": 31 + 1 / 6, "mttr_p90": 31 + 1 / 6 + 0.8 * (141 - 31 - 1 / 6),
        "mttr_p95": 31 + 1 / 6 + 0.9 * (141 - 31 - 1 / 6), "mttr_mean": (31 + 1 / 6 + 31 + 141) / 3,
        "mttr_auto_p50": 86, "mttr_auto_mean": 86, "mttr_human_p50": 31 + 1 / 6,
    },
    # auth 61 (over a minute after midnight UTC), queue 51, store 101, ledger 430
    "2027-10-31": {
        "n": 4, "n_auto": 3, "n_human": 1, "n_acknowledged": 4, "ack_rate": 1,
        "mttd_p50": 2, "mttd_mean": (2 + 2 + 2 + 20) / 4,
        "mtta_p50": 4, "mtta_mean": (8 + 3 + 2 + 5) / 4,  # 2, 3, 5, 8
        "mttr_p50": 81, "mttr_p90": 101 + 0.7 * 329, "mttr_p95": 101 + 0.85 * 329,
        "mttr_mean": (51 + 61 + 101 + 430) / 4,
        "mttr_auto_p50": 61, "mttr_auto_mean": 71, "mttr_human_p50": 430,
    },
}  # fmt: skip
"""UTC day of the resolve -> figures; durations in minutes"""

CATALOGUE = """
services:
  - {service: mail, owner: team-mail, tier: 2}
  - {service: ledger, owner: team-bank, tier: 1, business: {regulated: [dora], revenue_per_minute: 100}}
"""


def settings_of(folder: Path) -> dict[str, Any]:
    """Sections of the day's settings."""
    return {
        "detect": {"rules": [RULE]},
        "topology": {"catalogue": [str(folder / "services.yaml")]},
        "respond": {"zone": "Europe/Berlin"},
    }


def write_day(folder: Path, actions: list[dict[str, Any]]) -> Path:
    """Metrics of the day, and what people do."""
    rows: dict[str, list[Any]] = {name: [] for name in ("run", "ts", "service", "metric", "value")}
    for minute in range(MINUTES + 1):
        for number, (service, faults) in enumerate(sorted(BROKEN.items())):
            bad = any(first <= minute <= last for first, last in faults)
            values = ("", at(minute), service, "failures", 500.0 if bad else 1.0 + number)
            for name, value in zip(rows, values, strict=True):
                rows[name].append(value)
    pq.write_table(pa.table(rows), folder / "metrics.parquet")
    (folder / "services.yaml").write_text(CATALOGUE, encoding="utf-8")
    text = "\n".join(json.dumps(action) for action in sorted(actions, key=lambda a: a["ts"]))
    (folder / "actions.jsonl").write_text(text, encoding="utf-8")
    return folder


def acts(ids: Mapping[str, str]) -> list[dict[str, Any]]:
    """What people do; `ids`: service -> id of its incident."""

    def act(minutes: float, service: str, action: str, actor: str, **more: Any) -> dict[str, Any]:
        return {"ts": at(minutes), "incident": ids[service], "action": action, "actor": actor, **more}

    return [
        act(15, "mail", "acknowledge", "ann"),
        act(41 + 1 / 6, "mail", "resolve", "ann", cause="disk full", cause_service="mail"),
        act(182, "dns", "acknowledge", "bob"),
        act(310, "auth", "acknowledge", "bob"),
        act(315, "auth", "merge", "bob", targets=[ids["login"]]),
        act(405, "queue", "acknowledge", "cleo"),
        act(604, "store", "acknowledge", "cleo"),
        act(610, "store", "pause", "cleo", note="waiting for the supplier"),
        act(640, "store", "resume", "cleo", note="part has come"),
        act(
            390, "ledger", "report", "desk", note="transfers do not arrive",
            fields={"title": "Transfers fail", "services": "ledger", "severity": "critical",
                    "category": "service disruption", "started_at": at(370)},
        ),
        act(395, "ledger", "acknowledge", "dan"),
        act(450, "ledger", "classify", "dan", fields={"major": True}, note="more than 10 % of customers"),
        act(600, "ledger", "submit", "eve", fields={"name": "dora initial"}),
        act(800, "ledger", "resolve", "dan"),
        act(2_520, "ledger", "submit", "eve", fields={"name": "dora intermediate"}),
    ]  # fmt: skip
