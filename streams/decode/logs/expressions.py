"""Expressions of the configuration, looked for in many lines at once before any line is looked at alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from config.logs import Pattern
from config.matchers import compiled

_ANCHORED = re.compile(r"[\^$]|\\[AzBb]")
"""what may hold in a line and not where it stands among others"""


class Expression:
    """One pattern of the configuration."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        found = compiled(pattern.regex)
        self.search: Callable[..., Any] = found.search
        """in the bytes of a line"""
        self.groups: int = found.groups
        self.anchored = _ANCHORED.search(pattern.regex) is not None
        self._name = b"<%s>" % pattern.name.encode()

    def masked(self, raw: bytes) -> tuple[bytes, int]:
        """The line with what matches (its first group, if it has one) named, and how often that was."""
        parts: list[bytes] = []
        at = done = count = 0
        while (found := self.search(raw, at)) is not None:
            start, end = found.span(1) if self.groups and found.start(1) >= 0 else found.span()
            if end > start:
                parts += raw[done:start], self._name
                done, count = end, count + 1
            at = max(found.end(), at + 1)
        return b"".join([*parts, raw[done:]]), count


def possible(expressions: Sequence[Expression], lines: Iterable[bytes]) -> frozenset[int]:
    """Places of the expressions that may match one of these lines: no others do."""
    if not expressions:
        return frozenset()
    joined = b"\x00".join(lines)
    return frozenset(i for i, one in enumerate(expressions) if one.anchored or one.search(joined) is not None)
