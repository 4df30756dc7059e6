"""How `tocsin top` looks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from urllib.parse import urlsplit

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from cli.output import NONE, plain, some, table
from streams.agents import metric_names as names
from streams.agents.watching import Frame, PartitionLag, StageRow, Worker

NARROW = 96
"""columns below which the less important figures are left out"""
BLOCKS = " ▏▎▍▌▋▊▉█"
FULL_LAG = 1_000_000
"""records at which a bar is full; its length grows with the number's digits"""
LATE_S = 30.0
MOST_REASONS = 3
LARGE_LAG = 100_000


def amount(value: float | None) -> str:
    """A count or a rate in at most five characters: 0, 0.4, 87, 1.2k, 3.4M."""
    if value is None:
        return NONE
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def seconds(value: float | None) -> str:
    """7 ms, 1.2 s, 4 min, 3 h."""
    if value is None:
        return NONE
    if value == 0:
        return "0 s"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.0f} h"


def bar(lag: int, width: int) -> str:
    """Length by the logarithm: one record can be seen, and a million still fits."""
    share = min(1.0, math.log10(lag + 1) / math.log10(FULL_LAG))
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (BLOCKS[rest] if rest else "")


class Picture:
    """One frame as rich wants it; fits the width and the height it is given."""

    def __init__(self, frame: Frame, live: bool) -> None:
        self.frame = frame
        self.live = live

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        height = options.height if self.live and options.height else 10_000
        parts: list[RenderableType] = [*self._workers(), Text(), self._stages(width)]
        used = sum(1 + len(w.reasons[:MOST_REASONS]) for w in self.frame.workers) + len(self.frame.stages) + 2
        trouble = self._trouble(width)
        room = height - used - (3 if self.live else 1)
        most_trouble = max(3, room // 2)
        shown = trouble[:most_trouble]
        parts += self._lags(width, max(3, room - len(shown) - 5))
        parts += [Text(), Text("Trouble", style="bold")]
        parts += shown or [Text("none", style="dim")]
        if len(trouble) > len(shown):
            parts.append(Text(f"and {len(trouble) - len(shown)} more", style="dim"))
        if self.live:
            parts.append(Text("q quits", style="dim"))
        yield Group(*parts)

    def _workers(self) -> Iterator[Text]:
        for worker in self.frame.workers:
            yield _worker(worker)
            for reason in worker.reasons[:MOST_REASONS]:
                yield plain(f"  {reason}")

    def _stages(self, width: int) -> Table:
        narrow = width < NARROW
        columns = ["Stage", "Parts", "Records/s", "Rows/s", "Lag", "Delay", "p50", "p99", "Unsaved", "Queue"]
        dropped = {"Parts", "p50", "Unsaved"} if narrow else set()
        shown = [column for column in columns if column not in dropped]
        made = table(*shown, right=shown[1:])
        for row in self.frame.stages:
            cells = dict(zip(columns, _cells(row), strict=True))
            made.add_row(*(cells[column] for column in shown))
        return made

    def _lags(self, width: int, most: int) -> list[RenderableType]:
        behind = [p for p in self.frame.lags if p.lag][:most]
        idle = len(self.frame.lags) - sum(1 for p in self.frame.lags if p.lag)
        more = len(self.frame.lags) - idle - len(behind)
        parts: list[RenderableType] = [Text(), Text("Lag by partition", style="bold")]
        names_wide = max((len(_name(p)) for p in behind), default=0)
        names_wide = min(names_wide, max(12, width - 24))
        for p in behind:
            line = plain(f"{_name(p)[:names_wide]:<{names_wide}} {amount(p.lag):>6} ")
            style = "red" if p.lag >= LARGE_LAG else "yellow" if p.lag >= 1_000 else "green"
            line.append(bar(p.lag, max(5, min(40, width - names_wide - 8))), style=style)
            parts.append(line)
        said = some(idle, "partition") + " without lag" + (f", {more} more with lag" if more > 0 else "")
        parts.append(Text(said, style="dim"))
        return parts

    def _trouble(self, width: int) -> list[Text]:
        lines = []
        for what, stage, which, rate, total in self.frame.trouble:
            line = Text(f"{what:<13} {stage:<10}")
            line.append(plain(f"{which[:24]:<24} "))
            going_on = bool(rate)
            grave = what in ("dead letters", "sink retries")
            line.append(f"{amount(rate):>6}/s", style=("red" if grave else "yellow") if going_on else "dim")
            line.append(f"  {amount(total):>6} in all", style="" if width >= 72 else "dim")
            line.truncate(width)
            lines.append(line)
        return lines


def _cells(row: StageRow) -> list[Text | str]:
    lag_style = "bold red" if row.lag >= LARGE_LAG else "yellow" if row.lag >= 1_000 else ""
    delay_style = "yellow" if row.delay_s is not None and row.delay_s > LATE_S else ""
    return [
        row.name,
        str(row.partitions),
        amount(row.records),
        amount(row.rows),
        Text(amount(row.lag), style=lag_style),
        Text(seconds(row.delay_s), style=delay_style),
        seconds(row.p50_s),
        seconds(row.p99_s),
        seconds(row.checkpoint_s),
        str(row.queued),
    ]


def _name(p: PartitionLag) -> str:
    return f"{p.stage} {p.topic}/{p.partition}"


def _worker(worker: Worker) -> Text:
    line = Text(urlsplit(worker.url).netloc, style="bold")
    now = worker.now
    if now is None:
        return line.append("  no answer: ", style="red").append(plain(worker.error))
    ready = now.total(names.READY.name) >= 1
    line.append("  ready" if ready else "  not ready", style="green" if ready else "bold red")
    cpu = [rate for _, rate in worker.rates("process_cpu_seconds_total")]
    if cpu:
        line.append(f"  CPU {100 * sum(cpu):.0f} %", style="")
    memory = now.total("process_resident_memory_bytes")
    if memory:
        line.append(f"  {memory / 1e6:.0f} MB", style="")
    for labels, _ in now.of(names.BUILD_INFO.name):
        line.append(f"  tocsin {labels.get('version', '?')}", style="dim")
    if worker.error:
        line.append("  last answer is old: ", style="red").append(plain(worker.error))
    return line
