"""What lies on the topics, as ids with their contents: of a run, or of the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from config.settings import Settings
from streams.decode.windows import LATE_ROWS, SERVICE
from streams.records.digest import fingerprint
from streams.records.pages import decode_page, f64, i64, u64
from streams.records.stage import Output

Row = tuple[int, int | str, int, float | str]
"""shard, fingerprint or service, ts, value or body"""


@dataclass(slots=True)
class Findings:
    """Ids per hop. Mutable while it is filled."""

    rows: set[Row] = field(default_factory=set)
    own: dict[int, str] = field(default_factory=dict)
    """fingerprints of telemetry about ourselves -> metric"""
    letters: dict[tuple[str, int, int, str], Any] = field(default_factory=dict)
    """(topic, partition, offset, reason) -> refused bytes (base64) and rows"""
    alerts: dict[tuple[str, int], bytes] = field(default_factory=dict)
    incidents: dict[tuple[str, int], bytes] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    latest: dict[str, int] = field(default_factory=dict)
    """incident -> version of its last record on the topic: what compaction would keep"""
    conflicts: list[str] = field(default_factory=list)
    """ids and versions found with two contents"""
    repeated: Counter[str] = field(default_factory=Counter)
    """records per kind that were already there, byte for byte: at least once"""

    @property
    def late(self) -> int:
        """Rows counted late."""
        return int(sum(float(row[3]) for row in self.rows if self.own.get(row[1]) == LATE_ROWS))  # type: ignore[arg-type]

    def rows_of_others(self) -> set[Row]:
        """Rows that were sent, without what the pipeline says of itself."""
        return {row for row in self.rows if row[1] not in self.own}

    def refused(self) -> int:
        """Rows among the dead letters; a whole record counts as one."""
        return sum(rows or 1 for _, rows in self.letters.values())

    def final(self) -> dict[str, int]:
        """Incident -> its highest version."""
        found: dict[str, int] = {}
        for key, version in self.incidents:
            found[key] = max(version, found.get(key, 0))
        return found

    def final_incidents(self) -> dict[str, bytes]:
        """Incident -> its last version, byte for byte as it is on the topic."""
        return {key: self.incidents[key, version] for key, version in self.final().items()}

    def _keep(self, kind: str, known: dict[Any, Any], key: Any, content: Any) -> None:
        if key not in known:
            known[key] = content
        elif known[key] == content:
            self.repeated[kind] += 1
        else:
            self.conflicts.append(f"{kind} {key}: {known[key]!r} and {content!r}")


def findings_of(settings: Settings, outputs: Iterable[Output]) -> Findings:
    """Sort records of the internal and output topics, in the order of their partitions, into ids."""
    topics, found = settings.topics, Findings()
    for topic in settings.topics.inputs:
        for partition in range(topic.partitions):
            labels = (("partition", str(partition)), ("topic", topic.name))
            found.own[fingerprint(SERVICE, LATE_ROWS, labels)] = LATE_ROWS
    for output in outputs:
        value = output.value
        if value is None:
            continue
        if output.topic == topics.pages:
            _page(found, output.partition or 0, value)
        elif output.topic == topics.alerts:
            if value.startswith(b'{"type":"alert"'):
                alert = msgspec.json.decode(value)
                found._keep("alert", found.alerts, (alert["id"], alert["version"]), value)
        elif output.topic == topics.incidents:
            data = msgspec.json.decode(value)["data"]
            found._keep("incident", found.incidents, (data["id"], data["version"]), value)
            found.latest[data["id"]] = data["version"]
        elif output.topic == topics.deadletters:
            letter = msgspec.json.decode(value)
            key = (letter["topic"], letter["partition"], letter["offset"], letter["reason"])
            found._keep("dead letter", found.letters, key, (letter["value"], letter.get("rows", 0)))
        elif output.topic == topics.action_results:
            found._keep("answer", found.answers, msgspec.json.decode(value)["id"], value)
    return found


def _page(found: Findings, shard: int, value: bytes) -> None:
    page = decode_page(value)
    for series in page.series:
        if series.service == SERVICE:
            found.own[series.fp] = series.metric
    rows: list[Row] = [
        (shard, fp, ts, number)
        for fp, ts, number in zip(
            u64(page.fps).tolist(), i64(page.ts).tolist(), f64(page.values).tolist(), strict=True
        )
    ]
    if page.logs is not None:
        logs = page.logs
        rows += [
            (shard, logs.origins[origin].service, ts, body)
            for origin, ts, body in zip(
                i64(logs.origin).tolist(), i64(logs.ts).tolist(), logs.bodies, strict=True
            )
        ]
    for row in rows:
        if row in found.rows:
            found.repeated["row"] += 1
        found.rows.add(row)
