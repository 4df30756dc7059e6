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
    new: bool
    """nothing like it had been logged before"""
    first: str
    """its first line; empty: not kept"""
    others: tuple[str, ...]
    """lines between, as samples"""
    last: str
    """the newest line; empty: not kept, or the same as another one"""


def log_views(alerts: Iterable[Alert]) -> list[LogView]:
    """Of the alerts of kind log, the gravest and earliest first."""
    return [_view(alert) for alert in alerts if alert.kind == "log"]


def _view(alert: Alert) -> LogView:
    lines = list(dict.fromkeys(alert.samples))
    last = alert.last_line if alert.last_line not in lines else ""
    new = " logs a new " in alert.summary.partition(",")[0]
    return LogView(alert, pieces(alert.metric), new, lines[0] if lines else "", tuple(lines[1:]), last)


def pieces(template: str) -> tuple[Piece, ...]:
    """The template cut where lines differ."""
    return tuple(Piece(part, at % 2 == 1) for at, part in enumerate(_VARYING.split(template)) if part)
