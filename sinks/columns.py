"""What rows are made of, and the checks their values pass before ClickHouse sees them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from streams.records.messages import MAX_MS

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
