"""Log templates: what lines of one service have in common, learned line by line.

A template's id is a digest of the template: it is the same wherever and whenever the template is found.
A template may become part of a more general one; then lines get the new id, which is not new, and
`current` tells what became of the old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from detectors.logtokens import Skeletons
from detectors.patterns import text_of


class Template(NamedTuple):
    """Answer to one line."""

    id: str
    text: str
    is_new: bool
    """whether a kind of line was seen for the first time; not when a known one became more general"""


class MinerState(msgspec.Struct, array_like=True):
    """Snapshot of a miner."""

    counter: int
    evicted: int
    merged: int
    clusters: list[tuple[int, bytes, int]]
    """(number, form, lines), least recently seen first"""
    lineage: list[tuple[str, str]]
    """(id that is no more, what it became), oldest first"""


class TemplateMiner(Protocol):
    """Anything that turns lines into templates."""

    def learn(self, line: str) -> Template:
        """The line's template, learning from it."""
        ...

    def learn_many(self, lines: Sequence[str]) -> list[Template]:
        """What `learn` gives for each line in turn."""
        ...

    def current(self, template_id: str) -> str:
        """What a template is now, if it became part of another."""
        ...


def mask(line: str) -> str:
    """The line with the parts that certainly vary replaced: numbers, ids, addresses, paths, times."""
    return text_of(_skeletons.of(line))


_skeletons = Skeletons()
