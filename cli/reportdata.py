"""All figures of a report in one place, and as tables of plain rows for files."""

from __future__ import annotations

from typing import Any

import msgspec

from sinks import analytics
from sinks.analytics import Busy, Hints, Load, NoiseDay, Recurring, Sla
from sinks.reader import Group, Noise, Reader

TABLES = ("timing", "sla", "services", "teams", "recurrence", "hints", "noise")
"""what can be written as rows"""
_COUNTS = ("resolved", "auto", "human", "acknowledged", "ack_rate")
_STATS = ("mttd", "mtta", "mttr", "mttr_auto", "mttr_human")


class Report(msgspec.Struct, frozen=True):
    """Of one period, [since, until). Rows in the order in which they are shown."""

    total: Group | None
    """None: nothing was resolved"""
    by: str
    groups: list[Group]
    noise: Noise
    sla: list[Sla]
    services: list[Busy]
    teams: list[Load]
    recurrence: list[Recurring]
    hints: Hints


def gather(reader: Reader, since_ms: int, until_ms: int, by: str = "") -> Report:
    """Asks ClickHouse. `by`: one of `GROUPINGS` or empty."""
    total = reader.report(since_ms, until_ms)
    return Report(
        total=total[0] if total else None,
        by=by,
        groups=reader.report(since_ms, until_ms, by) if by else [],
        noise=reader.noise(since_ms, until_ms),
        sla=analytics.slas(reader, since_ms, until_ms),
        services=analytics.busiest(reader, since_ms, until_ms),
        teams=analytics.loads(reader, since_ms, until_ms),
        recurrence=analytics.recurring(reader, since_ms, until_ms),
        hints=analytics.hints(reader, since_ms, until_ms),
    )


def rows(report: Report, table: str, days: list[NoiseDay] | None = None) -> list[dict[str, Any]]:
    """Flat rows of one of `TABLES`; durations end in `_ms`, times in `_at` (ms UTC). `days`: for noise."""
    if table == "timing":
        groups = report.groups if report.by else [report.total] if report.total else []
        return [_flat(group, report.by) for group in groups]
    found: dict[str, list[Any]] = {
        "sla": list(report.sla),
        "services": list(report.services),
        "teams": list(report.teams),
        "recurrence": list(report.recurrence),
        "hints": [report.hints],
        "noise": list(days or []),
    }
    return [msgspec.structs.asdict(row) for row in found[table]]


def columns(table: str, by: str) -> list[str]:
    """Names of the columns of `rows`, known also when there are none."""
    if table == "timing":
        names = [by] if by else []
        names += _COUNTS
        for stat in _STATS:
            names += [f"{stat}_n", *(f"{stat}_{part}_ms" for part in ("mean", "p50", "p90", "p95"))]
        return names
    kinds: dict[str, type[msgspec.Struct]] = {
        "sla": Sla, "services": Busy, "teams": Load, "recurrence": Recurring, "hints": Hints,
        "noise": NoiseDay,
    }  # fmt: skip
    return list(kinds[table].__struct_fields__)


def _flat(group: Group, by: str) -> dict[str, Any]:
    row: dict[str, Any] = {by: group.key} if by else {}
    row |= {name: getattr(group, name) for name in _COUNTS}
    for name in _STATS:
        stat = getattr(group, name)
        row[f"{name}_n"] = stat.n
        row |= {f"{name}_{part}_ms": getattr(stat, part) for part in ("mean", "p50", "p90", "p95")}
    return row
