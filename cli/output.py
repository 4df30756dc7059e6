"""How incidents look in a terminal: styles, and times given by people."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from cli.errors import CliError
from correlator.when import NONE, figure, percent, some

# The sixteen terminal colours only, and no blue: readable on dark and on light. Every colour repeats
# what a word says, so nothing is lost under NO_COLOR.
STYLES = {
    "open": "bold red",
    "reopened": "bold red",
    "acknowledged": "yellow",
    "mitigated": "cyan",
    "resolved": "green",
    "closed": "dim",
    "merged": "dim",
    "known_error": "yellow",
    "critical": "bold red",
    "error": "red",
    "warning": "yellow",
    "info": "cyan",
    "P1": "bold red",
    "P2": "red",
    "P3": "yellow",
    "P4": "dim",
}

__all__ = ["NONE", "figure", "parse_when", "percent", "plain", "some", "styled", "table", "wall_ms"]

_AGO = re.compile(r"^(\d+(?:\.\d+)?)\s*(s|m|h|d|w)$")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}


def wall_ms() -> int:
    """Now, in ms UTC. The commands' only clock."""
    return time.time_ns() // 1_000_000


def styled(word: str) -> Text:
    """A state, severity or priority in its colour."""
    return Text(word, style=STYLES.get(word, ""))


def plain(text: str) -> Text:
    """Text from outside: markup in it is not interpreted, control characters are dropped."""
    return Text("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text))


def table(*columns: str, right: Sequence[str] = (), title: str = "") -> Table:
    """A table without frame; the columns named in `right` are numbers."""
    made = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        number = column in right
        made.add_column(
            column,
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
            header_style="bold",
        )
    return made


def parse_when(text: str, now_ms: int, option: str) -> int:
    """ms UTC of `24h`, `7d` (before now), `2026-03-01` or `2026-03-01T14:00[+02:00]` (UTC if not said).

    Raises `CliError` naming the option.
    """
    ago = _AGO.match(text.strip())
    if ago:
        return int(now_ms - float(ago[1]) * _UNIT_MS[ago[2]])
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise CliError(
            f"{option} is {text!r}: expected an age or a time",
            f"for example {option} 24h or 2026-03-01T14:00",
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
