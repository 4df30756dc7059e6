"""What rows are made of, and the checks their values pass before ClickHouse sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from streams.records.messages import MAX_MS

U16_MAX = 2**16 - 1
U32_MAX = 2**32 - 1
I32_MAX = 2**31 - 1
I64_MAX = 2**63 - 1
U64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Table:
    """A table and the columns the sink fills, in order."""

    name: str
    columns: tuple[str, ...]


class Row(NamedTuple):
    """Values in the order of `table.columns`."""

    table: Table
    values: tuple[Any, ...]


Values = list[Any]
Check = Callable[[str, Values], None]
"""raises `RowError` for the first value that no column can hold"""


class Part(NamedTuple):
    """One column of a table: where its values come from, and what must hold of them."""

    column: str
    values: Callable[[Sequence[Any]], Values]
    """of many items at once"""
    check: Check | None = None


class RowError(ValueError):
    """A value no column can hold; the message names the field, the value and what was expected."""


def json(items: Iterable[Any]) -> str:
    return msgspec.json.encode(items).decode()


def text(name: str, value: str) -> str:
    """An identifier."""
    if not value:
        raise RowError(f"{name} is empty, an identifier was expected")
    return value


def within(name: str, value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise RowError(f"{name} is {value}, expected 0 to {most}")
    return value


def ms(name: str, value: int) -> int:
    return within(name, value, MAX_MS)


def maybe_ms(name: str, value: int | None) -> int | None:
    return None if value is None else within(name, value, MAX_MS)


def of(name: str, check: Check | None = None, column: str = "") -> Part:
    """The attribute of this name."""
    get = attrgetter(name)
    return Part(column or name, lambda items: list(map(get, items)), check)


def made(column: str, make: Callable[[Any], Any], check: Check | None = None) -> Part:
    """Worked out from each item."""
    return Part(column, lambda items: [make(item) for item in items], check)


def columns_of(parts: Sequence[Part], items: Sequence[Any]) -> list[Values]:
    """A list of values for each column. Raises `RowError`."""
    found = []
    for part in parts:
        values = part.values(items)
        if part.check is not None:
            part.check(part.column, values)
        found.append(values)
    return found


def texts(name: str, values: Values) -> None:
    """Identifiers."""
    if not all(values):
        text(name, "")


def up_to(most: int) -> Check:
    """Whole numbers from 0 to `most`."""

    def check(name: str, values: Values) -> None:
        if values and (min(values) < 0 or max(values) > most):
            within(name, next(value for value in values if not 0 <= value <= most), most)

    return check


def maybe(check: Check) -> Check:
    """The same of all but None."""

    def checked(name: str, values: Values) -> None:
        check(name, [value for value in values if value is not None])

    return checked


TIME = up_to(MAX_MS)
MAYBE_TIME = maybe(TIME)
U32 = up_to(U32_MAX)
