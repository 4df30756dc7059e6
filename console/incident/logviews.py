"""Kinds of log lines in an incident, with lines to read. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from detectors.alert import Alert

_VARYING = re.compile(r"(<[^<>\s]{1,40}>)")


class Piece(msgspec.Struct, frozen=True):
    text: str
    varying: bool
    """stands for what differs from line to line"""


class LogView(msgspec.Struct, frozen=True):
    alert: Alert
    template: tuple[Piece, ...]
    lines: tuple[str, ...]


def log_views(alerts: Iterable[Alert]) -> list[LogView]:
    """Of the alerts of kind log, the gravest and earliest first."""
    found = []
    for alert in alerts:
        if alert.kind == "log":
            lines = dict.fromkeys([*alert.samples, *([alert.last_line] if alert.last_line else [])])
            found.append(LogView(alert, pieces(alert.metric), tuple(lines)))
    return found


def pieces(template: str) -> tuple[Piece, ...]:
    """The template cut where lines differ."""
    return tuple(Piece(part, at % 2 == 1) for at, part in enumerate(_VARYING.split(template)) if part)
