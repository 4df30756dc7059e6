"""The section `history`: which samples are kept in ClickHouse, and for how long. See docs/history.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from config.suppression import matcher_problems


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    enabled: bool = True
    days: Annotated[int, Meta(ge=1, le=3_650)] = 3
    """samples are kept so long, from when they were written"""
    matchers: tuple[str, ...] = ()
    """all of them hold of a series that is kept; none: every series"""
    max_series: Annotated[int, Meta(ge=1)] = 1_000_000
    """series one worker remembers; what it forgets it asks ClickHouse for again"""


def problems(history: History) -> Iterator[tuple[str, Any, str]]:
    """Key, value and what was expected."""
    yield from matcher_problems("history.matchers", history.matchers)
