"""The template miner as `tocsin logs` uses it, and what varies in a line of a template."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import re2  # type: ignore[import-untyped]

import detectors.miner
from detectors.templates import Template

MAX_TEMPLATES = 10_000
PARAMETER = re.compile(r"<[^<>\s]{1,60}>")
"""what stands for a part that varies"""
MAX_SHAPES = 20_000
MAX_PARAMETERS = 100


class Miner:
    """Templates of one file."""

    def __init__(self) -> None:
        self._miner = detectors.miner.Miner(MAX_TEMPLATES)

    @property
    def evicted(self) -> int:
        """Templates forgotten because there were too many."""
        return self._miner.evicted

    def learn(self, lines: Sequence[str]) -> list[Template]:
        """The template of each line, learning from it."""
        return self._miner.learn_many(lines)

    def became(self, ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Templates that have become part of a more general one: its id and text."""
        texts = self._miner.texts()
        pairs = ((id, self._miner.current(id)) for id in ids)
        return {id: (now, texts[now]) for id, now in pairs if now != id and now in texts}


class Parameters:
    """What stands in a line in place of the parameters of its template. Bounded."""

    def __init__(self) -> None:
        self._shapes: dict[str, Any] = {}

    def of(self, template: str, line: str) -> list[str] | None:
        """In order; None if the line no longer fits (it was cut, or the template says less)."""
        shape = self._shapes.get(template)
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            shape = self._shapes[template] = _shape(template)
        found = shape.fullmatch(line) if shape else None
        return [text or "" for text in found.groups()] if found is not None else None


def _shape(template: str) -> Any:
    parts = PARAMETER.split(template)
    if len(parts) > MAX_PARAMETERS:
        return False
    literals = [r"\s+".join(re2.escape(word) for word in re.split(r"\s+", part)) for part in parts]
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile(r"\s*" + "(.*?)".join(literals) + r"\s*", options)
    except re2.error:
        return False
