"""How the templates of a log file look: a table for people, lines for pipes, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.logminer import PARAMETER
from cli.logstats import Row, level_name, stretched
from cli.output import NONE, figure, some
from correlator.when import utc

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = ".:-=+*#@"
TREND, TREND_NARROW = 20, 10
PIPE_WIDTH = 4_000
NARROW, WIDE = 90, 120
MOST_LINES = 2
"""of a template in the table, unless all of it is asked for"""
STYLES = {"fatal": "bold red", "error": "red", "warn": "yellow", "info": "", "debug": "dim", "trace": "dim"}


class Summary(NamedTuple):
    """What is said of the file as a whole."""

    source: str
    lines: int
    events: int
    templates: int
    new: int
    first_ts: int | None
    last_ts: int | None
    layout: str
    masked: dict[str, int]
    left_out: int
    """events of templates without figures"""
    evicted: int
    damage: str
    seconds: float


def spark(counts: Sequence[int], bars: str = BARS) -> str:
    """A bar for each count, the highest full; a blank for none."""
    most = max(counts, default=0)
    return "".join(bars[min(7, n * 8 // (most + 1))] if n else " " for n in counts)


def highlighted(template: str) -> Text:
    """The template with its parameters set off."""
    shown = Text("".join(c if c.isprintable() else " " for c in template))
    for found in PARAMETER.finditer(shown.plain):
        shown.stylize("cyan", *found.span())
    return shown


def percent(share: float) -> str:
    """Two digits that count, and never 0 for something."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 else f"{value:.1f} %" if value >= 0.1 else "<0.1 %"


def rate(per_minute: float | None) -> str:
    """Lines a minute; a dash where the file has no times."""
    if per_minute is None:
        return NONE
    if per_minute >= 10:
        return f"{per_minute:,.0f}"
    return (
        f"{per_minute:.1f}" if per_minute >= 0.1 else f"{per_minute:.2g}" if per_minute >= 0.001 else "<0.001"
    )


def table(rows: Sequence[Row], summary: Summary, width: int, piped: bool, full: bool, unicode: bool) -> Table:
    """What fits the width: the trend is narrower, and times are left out, where there is little room."""
    timed = any(row.per_minute is not None for row in rows)
    levels = any(row.severity for row in rows)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("lines", justify="right", no_wrap=True)
    shown.add_column("share", justify="right", no_wrap=True)
    if timed:
        shown.add_column("/min", justify="right", no_wrap=True)
    if levels:
        shown.add_column("level", no_wrap=True)
    wide = (width >= WIDE and not piped) or piped
    if wide:
        shown.add_column("first seen" if timed else "first line", no_wrap=True)
        shown.add_column("last seen" if timed else "last line", no_wrap=True)
    shown.add_column("new", no_wrap=True)
    trend = TREND if width >= NARROW else TREND_NARROW
    shown.add_column("trend", no_wrap=True)
    shown.add_column("template", no_wrap=piped, overflow="fold")
    part = _part(summary)
    room = _room(rows, width, trend, timed, levels, wide, part)
    for row in rows:
        level = level_name(row.severity)
        cells: list[Any] = [f"{row.lines:,}", percent(row.share)]
        if timed:
            cells.append(rate(row.per_minute))
        if levels:
            cells.append(Text(level, style=STYLES.get(level, "")))
        if wide and timed:
            cells += [_when(row.first_ts, part), _when(row.last_ts, part)]
        elif wide:
            cells += [f"{row.first_line:,}", f"{row.last_line:,}"]
        cells.append(Text("new" if row.new else "", style="bold magenta"))
        cells.append(Text(spark(stretched(row.trend, trend), BARS if unicode else ASCII_BARS), style="green"))
        text = highlighted(row.template)
        if not full and not piped and len(text) > MOST_LINES * room:
            text.truncate(MOST_LINES * room, overflow="ellipsis")
        cells.append(text)
        shown.add_row(*cells)
    return shown


def _room(
    rows: Sequence[Row], width: int, trend: int, timed: bool, levels: bool, wide: bool, part: slice
) -> int:
    """Characters of a line of a template, about."""
    used = max((len(f"{row.lines:,}") for row in rows), default=5) + 8 + 5 + trend + 8
    used += 9 * timed + 6 * levels + (2 * 13 if wide else 0)
    return max(20, width - used)


def _part(summary: Summary) -> slice:
    """The part of `2026-03-01 14:02:10` that tells times of the file apart."""
    begin, end = utc(summary.first_ts), utc(summary.last_ts)
    if begin[:10] == end[:10]:
        return slice(11, 19)
    return slice(5, 16) if begin[:4] == end[:4] else slice(0, 10)


def _when(ts: int | None, part: slice) -> str:
    return utc(ts)[part] if ts is not None else NONE


def show(rows: Sequence[Row], summary: Summary, hidden: Sequence[Row], console: Console, full: bool) -> None:
    """Heading, table, and what was left out."""
    piped = not console.is_terminal
    if piped:
        # Whole lines, so that grep and cut see all of them.
        console = Console(file=console.file, width=PIPE_WIDTH, color_system=None)
    unicode = (console.encoding or "").lower().startswith("utf")
    console.print(heading(summary), style="dim" if not piped else "", soft_wrap=True, highlight=False)
    if rows:
        made = table(rows, summary, console.width, piped, full, unicode)
        if piped:
            with console.capture() as captured:
                console.print(made, highlight=False)
            for line in captured.get().splitlines():
                console.file.write(line.rstrip() + "\n")
        else:
            console.print(made, highlight=False)
    for line in footing(rows, summary, hidden):
        console.print(line, style="dim" if not piped else "", soft_wrap=True, highlight=False)


def heading(summary: Summary) -> str:
    """`access.log: 2,000 lines, 14 templates (2 new), 2026-03-01 14:02:10 to 14:40:00 UTC (37 min 50 s)`."""
    new = f" ({summary.new:,} new)" if summary.new else ""
    parts = [f"{summary.lines:,} lines"]
    if summary.events != summary.lines:
        parts.append(f"{summary.events:,} log records")
    parts.append(f"{summary.templates:,} template{'' if summary.templates == 1 else 's'}{new}")
    if summary.first_ts is not None and summary.last_ts is not None:
        begin, end = utc(summary.first_ts), utc(summary.last_ts)
        until = end[11:] if begin[:10] == end[:10] else end
        parts.append(f"{begin} to {until} UTC ({figure(summary.last_ts - summary.first_ts)})")
    elif summary.events:
        parts.append("no times")
    if summary.masked:
        parts.append(f"{some(sum(summary.masked.values()), 'secret')} masked")
    return f"{summary.source}: {', '.join(parts)}"


def footing(rows: Sequence[Row], summary: Summary, hidden: Sequence[Row]) -> list[str]:
    """What the table leaves out, each with the option that shows it."""
    lines = []
    if hidden:
        count = sum(row.lines for row in hidden)
        share = percent(count / max(1, summary.events))
        new = sum(row.new for row in hidden)
        also = f", {new:,} of them new: --sort new" if new else ""
        more = f"{some(len(hidden), 'more template')} with {share} of the lines{also}"
        lines.append(f"{more}; --top 0 shows all")
    if summary.left_out:
        lines.append(f"{summary.left_out:,} lines of templates beyond the first 10,000 are not listed")
    if summary.evicted:
        lines.append(f"{summary.evicted:,} templates were forgotten and may be counted twice")
    return lines


FIELDS = (
    *("id", "template", "count", "share", "per_minute", "severity", "first_seen", "last_seen"),
    *("first_line", "last_line", "new", "trend", "example"),
)


def as_object(row: Row) -> dict[str, Any]:
    """A row as JSON has it."""
    return {
        "id": row.id,
        "template": row.template,
        "count": row.lines,
        "share": round(row.share, 6),
        "per_minute": round(row.per_minute, 6) if row.per_minute is not None else None,
        "severity": level_name(row.severity) or None,
        "first_seen": _iso(row.first_ts),
        "last_seen": _iso(row.last_ts),
        "first_line": row.first_line,
        "last_line": row.last_line,
        "new": row.new,
        "trend": stretched(row.trend, TREND),
        "example": row.example,
    }


def _iso(ts: int | None) -> str | None:
    return f"{utc(ts).replace(' ', 'T')}.{ts % 1000:03}Z" if ts is not None else None


def as_csv(rows: Sequence[Row]) -> str:
    """The same as a table; the trend as numbers apart by blanks."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        found = as_object(row)
        writer.writerow({**found, "trend": " ".join(map(str, found["trend"])), "new": str(row.new).lower()})
    return out.getvalue()
