"""Questions about the learned topology. Times are ms UTC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from correlator.atlas import LearnedCall, ServiceSeen
from correlator.topology import IN_METRICS, IN_TRACES
from sinks.reader import Reader

_MARKS = {"traces": IN_TRACES, "metrics": IN_METRICS}


def services_seen(reader: Reader) -> list[ServiceSeen]:
    """Services as telemetry shows them, by name."""
    rows = reader.ask(
        """
        SELECT
            service, toUnixTimestamp64Milli(at) AS at_ms, seen_at, truncated, `calls.callee` AS callees,
            arrayMap(t -> toUnixTimestamp64Milli(t), `calls.first_at`) AS first_ms,
            arrayMap(t -> toUnixTimestamp64Milli(t), `calls.last_at`) AS last_ms,
            `calls.per_minute` AS per_minute, `calls.failed` AS failed, `calls.seen_in` AS seen_in
        FROM services_seen
        ORDER BY service
        LIMIT 200000
        """
    )
    return [
        ServiceSeen(
            row["service"],
            row["at_ms"],
            -1 if row["seen_at"] is None else row["seen_at"],
            tuple(_calls(row)),
            row["truncated"],
        )
        for row in rows
    ]


def _calls(row: dict[str, Any]) -> Iterator[LearnedCall]:
    columns = ("callees", "first_ms", "last_ms", "per_minute", "failed", "seen_in")
    for callee, first, last, rate, failed, words in zip(*(row[name] for name in columns), strict=True):
        yield LearnedCall(callee, first, last, rate, failed, sum(_MARKS.get(word, 0) for word in words))
