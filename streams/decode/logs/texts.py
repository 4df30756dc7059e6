"""Texts of log records: what is taken out of them, where they are cut, what a stack trace begins with."""

from __future__ import annotations

import re

from streams.decode.anyvalue import MAX_DEPTH, render
from streams.decode.otlp import MAX_BODY

_COLOURS = re.compile(r"\x1b(?:\[[0-9;:?]{0,32}[@-~]?|[@-Z\\^_])?")
"""terminal control sequences; bounded, so that none of them is looked at twice"""

CONTROL = bytes(c for c in range(32) if c not in b"\t\n\x1b") + b"\x7f"
"""bytes that stand for nothing in a text; tab, newline and the escape of colours are looked at elsewhere"""

MAX_ID = 64
MAX_TYPE = 200


def plain(text: str) -> str:
    """Without colours, without white space at its ends, cut."""
    if "\x1b" in text:
        text = _COLOURS.sub("", text[: 4 * MAX_BODY])
    return text.strip()[:MAX_BODY]


def rendered(value: object) -> str:
    """A structured message as text: JSON with sorted keys, cut; what is nested too deeply is null."""
    if isinstance(value, str):
        return value
    return render(_bounded(value, 0))[:MAX_BODY]


def _bounded(value: object, depth: int) -> object:
    if isinstance(value, dict):
        if depth >= MAX_DEPTH:
            return None
        return {key if isinstance(key, str) else str(key): _bounded(v, depth + 1) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return None if depth >= MAX_DEPTH else [_bounded(item, depth + 1) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if value is None or isinstance(value, str | int | float) else str(value)


def trace_id(value: object) -> str:
    """A trace id as text; anything else than a text or a number is none."""
    if isinstance(value, str):
        return value.strip().lower()[:MAX_ID]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value else ""


def exception_type(stack: str) -> str:
    """Type of the exception of a stack trace (`java.io.IOException`, `ValueError`), or nothing."""
    head = stack.lstrip()[:MAX_BODY]
    if head.startswith("Traceback (most recent call last)"):
        head = stack.rstrip()[-MAX_BODY:].rpartition("\n")[2]
    line = head.partition("\n")[0].strip()
    name = line.partition(":")[0]
    if name.startswith("Exception in thread "):
        name = name.rpartition(" ")[2]
    return name if name[:1].isalpha() and _is_type(name) else ""


def _is_type(name: str) -> bool:
    return len(name) <= MAX_TYPE and name.replace(".", "_").replace("$", "_").isidentifier()
