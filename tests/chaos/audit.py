"""Counts every id at every hop of a finished run and compares it with the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import msgspec

from config.settings import Settings
from correlator.incident import Incident
from detectors.alert import Alert
from sinks.rows import ALERTS, INCIDENTS, Table, row_of
from tests.chaos.findings import Findings
from tests.chaos.ground import Ground
from tests.chaos.workload import Workload

SHOWN = 3
"""examples of a problem that are printed"""

COMPARED = {
    ALERTS.name: ("state", "kind", "service", "metric", "severity", "summary", "value", "score", "count"),
    INCIDENTS.name: ("state", "title", "severity", "priority", "alerts", "members", "hints", "timeline"),
}
"""columns of ClickHouse compared with what the topic says, beside id and version"""


@dataclass(slots=True)
class Audit:
    """What is wrong, by kind. All zero: the run is as good as an undisturbed one."""

    lost: int = 0
    """ids that should be somewhere and are not"""
    doubled: int = 0
    """ids that are there twice with different contents, or that should not be there at all"""
    unequal: int = 0
    """incidents whose final version differs from the reference"""
    details: list[str] = field(default_factory=list)
    repeated: Counter[str] = field(default_factory=Counter)
    stale: int = 0
    """incidents whose last record on the topic is not their last version"""

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.unequal)

    def same_ids(
        self, hop: str, expected: Set[Any] | Mapping[Any, Any], found: Set[Any] | Mapping[Any, Any]
    ) -> None:
        """Note what is missing and what is too much."""
        missing, extra = set(expected) - set(found), set(found) - set(expected)
        self.lost += len(missing)
        self.doubled += len(extra)
        if missing:
            self.details.append(f"{hop}: {len(missing)} lost, such as {_some(missing)}")
        if extra:
            self.details.append(f"{hop}: {len(extra)} that nobody sent, such as {_some(extra)}")

    def same_contents(self, hop: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> int:
        """Note ids with another content than expected; returns how many."""
        wrong = [key for key in expected if key in found and found[key] != expected[key]]
        if wrong:
            self.details.append(
                f"{hop}: {len(wrong)} with another content, such as {wrong[0]}: "
                + difference(expected[wrong[0]], found[wrong[0]])
            )
        return len(wrong)


def audit_topics(work: Workload, found: Findings) -> Audit:
    """Compare the topics with the reference, and both with what was sent."""
    audit, expected = Audit(repeated=found.repeated), work.expected
    audit.same_ids("pages", expected.rows, found.rows)
    audit.same_ids("dead letters", expected.letters, found.letters)
    audit.same_ids("alerts", expected.alerts, found.alerts)
    audit.same_ids("incidents", expected.incidents, found.incidents)
    audit.same_ids("answers to actions", expected.answers, found.answers)
    audit.doubled += len(found.conflicts)
    audit.details += [f"two contents for {text}" for text in found.conflicts[:SHOWN]]
    for hop, ours, theirs in (
        ("dead letters", expected.letters, found.letters),
        ("alerts", expected.alerts, found.alerts),
        ("answers to actions", expected.answers, found.answers),
    ):
        audit.doubled += audit.same_contents(hop, ours, theirs)
    audit.unequal += audit.same_contents(
        "final incidents", expected.final_incidents(), found.final_incidents()
    )
    # Every row has exactly one fate: on a page, a dead letter, or counted late.
    sent = work.count("good") + work.count("bad") + work.count("late")
    fates = len(found.rows_of_others()) + found.refused() + found.late
    if sent != fates:
        audit.lost += max(0, sent - fates)
        audit.doubled += max(0, fates - sent)
        audit.details.append(f"{sent} rows were sent, {fates} have a fate")
    final = found.final()
    audit.stale = sum(version != final[key] for key, version in found.latest.items())
    return audit


async def audit_clickhouse(audit: Audit, settings: Settings, work: Workload, ground: Ground) -> None:
    """Compare the tables, duplicates included, with the reference; adds to `audit`."""
    base = settings.clickhouse.database
    for table, known, kind in (
        (ALERTS, work.expected.alerts, Alert),
        (INCIDENTS, work.expected.incidents, Incident),
    ):
        columns = COMPARED[table.name]
        rows = await ground.query(f"SELECT id, version, {', '.join(columns)} FROM {base}.{table.name}")  # noqa: S608
        expected = {key: _columns(table, columns, _item(raw, kind)) for key, raw in known.items()}
        found: dict[tuple[str, int], list[Any]] = {}
        for row in rows:
            key, content = (row["id"], int(row["version"])), [_plain(row[column]) for column in columns]
            if found.setdefault(key, content) != content:
                audit.doubled += 1
                audit.details.append(f"ClickHouse {table.name}: two contents for {key}")
        audit.same_ids(f"ClickHouse {table.name}", expected, found)
        audit.doubled += audit.same_contents(f"ClickHouse {table.name}", expected, found)
    seen = await ground.query(f"SELECT id, version FROM {base}.incidents")  # noqa: S608
    if sorted((row["id"], int(row["version"])) for row in seen) != sorted(work.expected.final().items()):
        audit.doubled += 1
        audit.details.append(f"ClickHouse incidents shows {seen}, expected {work.expected.final()}")
    letters = await ground.query(f"SELECT topic, partition, offset, reason FROM {base}.dead_letters")  # noqa: S608
    keys = [(row["topic"], int(row["partition"]), int(row["offset"]), row["reason"]) for row in letters]
    audit.same_ids("ClickHouse dead letters", work.expected.letters, set(keys))
    audit.doubled += len(keys) - len(set(keys))


def _item(raw: bytes, kind: type[Any]) -> Any:
    if kind is Incident:
        return msgspec.convert(msgspec.json.decode(raw)["data"], Incident)
    return msgspec.json.decode(raw, type=kind)


def _columns(table: Table, columns: Iterable[str], item: Any) -> list[Any]:
    values = dict(zip(table.columns, row_of(item).values, strict=True))
    return [_plain(values[column]) for column in columns]


def _plain(value: Any) -> Any:
    """Numbers as JSON has them: ClickHouse writes 64-bit integers as text."""
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return list(value) if isinstance(value, tuple) else value


def difference(expected: Any, found: Any) -> str:
    """The place where two contents part, with a little of what is around it."""
    ours, theirs = repr(expected), repr(found)
    at = next(
        (i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
    )
    begin = max(0, at - 60)
    return f"…{ours[begin : at + 100]}… became …{theirs[begin : at + 100]}…"


def _some(ids: Set[Any]) -> str:
    return ", ".join(map(str, sorted(ids, key=repr)[:SHOWN]))
