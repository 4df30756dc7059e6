"""What the terminal shows: lines that stay, and below them a live picture where the terminal can do that."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.findings import Finding
from demo.schedule import Plan
from demo.scoring import Row, Score

SEVERITY_STYLE = {
    "critical": "bold red",
    "high": "red",
    "major": "red",
    "warning": "yellow",
    "medium": "yellow",
}
STATE_STYLE = {"resolved": "green", "closed": "green", "open": "bold", "reopened": "bold", "merged": "dim"}
PLAIN_STATS_EVERY_S = 10.0
PLAIN_WIDTH = 120
MOST_SHOWN = 5
SVG_WIDTH = 118


@dataclass(slots=True)
class Picture:
    """Everything the live picture is drawn from; the director writes it, the screen reads it."""

    plan: Plan
    phase: str = "starting"
    phase_ends_s: float = 0.0
    injected_ms: dict[str, int] = field(default_factory=dict)
    healed_ms: dict[str, int] = field(default_factory=dict)
    stats: dict[str, Any] | None = None
    findings: tuple[Finding, ...] = ()


class Screen:
    """Use as a context manager. Plain lines when standard output is no terminal or NO_COLOR is set."""

    def __init__(self, picture: Picture, console: Console | None = None) -> None:
        self._picture = picture
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal and "COLUMNS" not in os.environ:
            self.console.width = PLAIN_WIDTH
        self.live = self.console.is_terminal and not os.environ.get("NO_COLOR")
        self._live = Live(console=self.console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._began = time.monotonic()
        self._stats_at = 0.0

    def __enter__(self) -> Self:
        if self.live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()

    def save(self, path: Path, score: Score) -> None:
        """Write the live picture as it stands and the table to an SVG file (`--svg`)."""
        console = Console(record=True, width=SVG_WIDTH, file=StringIO(), force_terminal=True, highlight=False)
        console.print(draw(self._picture, self.elapsed_s))
        console.print(score_table(score))
        console.print(summary(score))
        # Without rich's web font: the file must not make a reader's browser fetch anything.
        template = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
        console.save_svg(str(path), title="tocsin demo", code_format=template)

    def pause(self) -> None:
        """Take the live picture off, so that other output has the terminal."""
        if self.live:
            self._live.stop()

    def resume(self) -> None:
        """Bring the live picture back."""
        if self.live:
            self._live.start()

    def start_clock(self) -> None:
        """From now on, elapsed time counts from here."""
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the clock was started."""
        return time.monotonic() - self._began

    def say(self, text: str, style: str = "") -> None:
        """A line that stays."""
        line = Text.assemble((f"{_clock(self.elapsed_s)}  ", "dim"), (text, style))
        self.console.print(line, soft_wrap=not self.live)

    def refresh(self) -> None:
        """Draw the picture again; without a terminal, a line about the shop every ten seconds."""
        if self.live:
            self._live.update(draw(self._picture, self.elapsed_s), refresh=True)
        elif self._picture.stats and self.elapsed_s - self._stats_at >= PLAIN_STATS_EVERY_S:
            self._stats_at = self.elapsed_s
            self.say(f"shop: {shop_line(self._picture.stats)}")


def draw(picture: Picture, elapsed_s: float) -> RenderableType:
    """The live picture at `elapsed_s`."""
    left = max(0.0, picture.phase_ends_s - elapsed_s)
    head = Text.assemble(
        ("  tocsin demo  ", "reverse bold"),
        f"  {_clock(elapsed_s)} of {_clock(picture.plan.end_s)}   ",
        (picture.phase, "bold"),
        (f"   {left:.0f} s left" if picture.phase_ends_s else "", "dim"),
    )
    shop = Text.assemble(("shop   ", "dim"), shop_line(picture.stats))
    return Panel(Group(head, shop, Text(), _faults(picture, elapsed_s), Text(), _incidents(picture)))


def shop_line(stats: dict[str, Any] | None) -> str:
    """Request rate, failures and latency as the customers see them."""
    if not stats:
        return "opening"
    p50, p95 = stats.get("p50_ms"), stats.get("p95_ms")
    latency = f", p50 {p50:.0f} ms, p95 {p95:.0f} ms" if p50 is not None and p95 is not None else ""
    return f"{stats['rate']:.1f} requests/s, {stats['failure_ratio']:.1%} failing{latency}"


def incident_line(finding: Finding, injected_ms: Sequence[int]) -> str:
    """One incident in words: severity, title, first hint, its evidence, time to detect."""
    parts = [f"{finding.severity or 'incident'}: {finding.title or finding.id}"]
    if finding.hints:
        service, confidence, _, evidence = finding.hints[0]
        parts.append(f"first hint {service} ({confidence:.0%}){': ' + evidence if evidence else ''}")
    parts.append(detect_text(finding, injected_ms))
    return " | ".join(parts)


def detect_text(finding: Finding, injected_ms: Sequence[int]) -> str:
    """Time to detect: from the injection it follows, if it follows one, else from its own start."""
    before = [at for at in injected_ms if at - 5_000 <= finding.started_ms]
    if before:
        return f"detected {(finding.detected_ms - max(before)) / 1000:.1f} s after injection"
    return f"detected {(finding.detected_ms - finding.started_ms) / 1000:.1f} s after it began"


def score_table(score: Score) -> Table:
    """Truth against findings, for the end."""
    table = Table(title="Truth against findings", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column("fault and its root", no_wrap=True)
    for heading in ("found as", "first hint"):
        table.add_column(heading, overflow="fold")
    for heading in ("count", "detected", "readable"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in score.rows:
        table.add_row(
            Text.assemble(row.fault, (f"\n  root {row.service}", "dim")),
            Text(row.incident, "green") if row.found else Text("not found", "red"),
            _hint_mark(row),
            _count(row),
            _seconds(row.detect_ms),
            _seconds(row.seen_ms),
        )
    return table


def summary(score: Score) -> str:
    """The table in one sentence."""
    return (
        f"{score.passed} of {len(score.rows)} faults found as one incident each with the right "
        f"first hint; {len(score.unrelated)} incidents belong to no fault."
    )


def _faults(picture: Picture, elapsed_s: float) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for slot in picture.plan.slots:
        name = slot.fault.name
        if name in picture.healed_ms:
            state = Text("healed", "green")
        elif name in picture.injected_ms:
            state = Text(f"going on for {elapsed_s - slot.start_s:.0f} s", "bold red")
        else:
            state = Text(f"in {max(0.0, slot.start_s - elapsed_s):.0f} s", "dim")
        table.add_row(Text("fault", "dim"), name, Text(f"root {slot.fault.service}", "dim"), state)
    return table


def _incidents(picture: Picture) -> RenderableType:
    if not picture.findings:
        return Text("no incidents yet", "dim")
    injected = tuple(picture.injected_ms.values())
    return Group(*(_incident(finding, injected) for finding in picture.findings[-MOST_SHOWN:]))


def _incident(finding: Finding, injected_ms: Sequence[int]) -> Text:
    lines = [
        Text.assemble(
            (f"{finding.severity} ", SEVERITY_STYLE.get(finding.severity, "")),
            (f"{finding.state} ", STATE_STYLE.get(finding.state, "")),
            (finding.title, "bold"),
            (f"  {detect_text(finding, injected_ms)}", "cyan"),
        )
    ]
    if finding.hints:
        service, confidence, _, evidence = finding.hints[0]
        lines.append(Text.assemble("  first hint ", (service, "bold"), f" ({confidence:.0%}): {evidence}"))
    else:
        lines.append(Text("  no hint yet", "dim"))
    return Text("\n").join(lines)


def _hint_mark(row: Row) -> Text:
    if not row.first_hint:
        return Text("-")
    right = ("right", "green") if row.hint_right else ("wrong", "red")
    return Text.assemble(f"{row.first_hint}: ", right)


def _count(row: Row) -> Text:
    older = row.incidents - row.new_incidents
    words = f"{row.new_incidents} new" + (f"\n{older} older" if older else "")
    return Text(words, "green" if row.incidents == 1 else "red")


def _seconds(ms: int | None) -> str:
    return "-" if ms is None else f"{ms / 1000:.1f} s"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
