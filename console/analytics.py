"""Charts and tables of the analytics page from the rows of its questions. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from console.render import duration, number

Rows = Sequence[Mapping[str, Any]]
_MINUTE = 60_000
_STEPS = {"day": 1, "week": 7}
_MEANS = (("mttd", "Detect (MTTD)"), ("mtta", "Acknowledge (MTTA)"), ("mttr", "Restore (MTTR)"))


def minutes(ms: float | None) -> float | None:
    return None if ms is None else ms / _MINUTE


def filled(rows: Rows, key: str) -> list[Mapping[str, Any]]:
    """Days or weeks without a row are there, empty: a gap, never a zero."""
    if not rows:
        return []
    known = {row[key]: row for row in rows}
    first, last = (datetime.fromisoformat(rows[at][key]).replace(tzinfo=UTC) for at in (0, -1))
    step = _STEPS[key]
    count = (last - first).days // step + 1
    names = [(first + timedelta(days=step * n)).date().isoformat() for n in range(count)]
    nothing = dict.fromkeys(rows[0])
    return [known.get(name, {**nothing, key: name}) for name in names]


def times_of(rows: Rows, key: str) -> list[int]:
    """Beginnings of days or weeks, ms UTC."""
    return [int(datetime.fromisoformat(row[key]).replace(tzinfo=UTC).timestamp() * 1000) for row in rows]


def timing_charts(rows: Rows, key: str) -> list[dict[str, Any]]:
    """MTTD, MTTA and MTTR over time, in minutes."""
    rows = filled(rows, key)
    found = []
    for name, title in (
        ("mttd", "Detect (MTTD)"),
        ("mtta", "Acknowledge (MTTA)"),
        ("mttr", "Restore (MTTR)"),
    ):
        series = [
            {"name": f"p{q}", "values": [minutes(row[f"{name}_p{q}_ms"]) for row in rows], "tone": tone}
            for q, tone in ((50, "main"), (90, "warn"))
        ]
        found.append({"title": title, "unit": "minutes", "t": times_of(rows, key), "series": series})
    counts = [row["resolved"] for row in rows]
    found.append(
        {
            "title": "Resolved",
            "unit": "incidents",
            "t": times_of(rows, key),
            "series": [{"name": "resolved", "values": counts, "kind": "bars", "tone": "calm"}],
        }
    )
    return found


def bars(rows: Rows, label: str, columns: Mapping[str, str], title: str, unit: str) -> dict[str, Any]:
    """Categories with a bar each. `columns`: column -> tone; the others are drawn as points."""
    return {
        "title": title,
        "unit": unit,
        "labels": [str(row[label]) for row in rows],
        "series": [
            {
                "name": name.replace("_", " "),
                "values": [row[name] for row in rows],
                "kind": "bars" if at == 0 else "points",
                "tone": tone,
            }
            for at, (name, tone) in enumerate(columns.items())
        ],
    }


def cell(name: str, value: Any) -> str:
    """A figure of a table in words: durations of columns in `_ms`, shares, counts."""
    if value is None:
        return "–"
    if name.endswith("_ms"):
        return duration(value)
    if name.endswith(("_rate", "_share", "compliance", "reduction")):
        return f"{100 * value:.0f} %"
    if isinstance(value, int | float):
        return number(value)
    return str(value)


def heading(name: str) -> str:
    """Of a column."""
    first, *others = name.removesuffix("_ms").split("_")
    if first in ("mttd", "mtta", "mttr"):
        first = first.upper()
    return " ".join((first, *others))


def _harmless(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


def as_csv(columns: Sequence[str], rows: Rows) -> str:
    """A file for spreadsheets. Text that one would run as a formula gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if row[name] is None else _harmless(row[name]) for name in columns])
    return out.getvalue()
