"""Times as producers write them: epoch numbers of any unit, RFC 3339 texts. All to ms UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from streams.decode.otlp import RowFault
from streams.records.messages import MAX_MS

_EPOCH = datetime.fromtimestamp(0, UTC)
_MS = MAX_MS
"""seconds up to 2100 are below it / 1000, ms below it, µs below it * 1000, ns below it * 1,000,000"""


def epoch_ms(number: int | float) -> int:
    """A time since 1970 in s, ms, µs or ns: its size says which, for every time from 1970-02-18 on.

    A time in the next larger unit would be in the far future, one in the next smaller before then.
    Raises `RowFault` for anything else.
    """
    if not math.isfinite(number) or number <= 0:
        raise RowFault(f"a time must be a number since 1970, not {number}")
    if number < _MS // 1_000:
        return round(number * 1_000)
    if number < _MS:
        return int(number)
    if number < _MS * 1_000:
        return int(number // 1_000)
    if number < _MS * 1_000_000:
        return int(number // 1_000_000)
    raise RowFault(f"a time beyond 2100: {number}")


def rfc3339_ms(text: str) -> int:
    """An RFC 3339 / ISO 8601 time; digits beyond µs are cut; without a zone it is UTC. Raises `RowFault`."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise RowFault(f"not a time: {text[:60]!r}") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        # Exact: a float of seconds would be off by one ms now and then.
        since = found - _EPOCH
    except OverflowError:
        raise RowFault(f"not a time: {text[:60]!r}") from None
    return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000


def any_ms(value: object) -> int:
    """A time in either form, also a number as text. Raises `RowFault`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise RowFault(f"a time must be a number or a text, not {type(value).__name__}")
    if isinstance(value, str):
        try:
            return (
                epoch_ms(float(value) if "." in value else int(value))
                if len(value) < 40
                else rfc3339_ms(value)
            )
        except ValueError as error:
            if isinstance(error, RowFault):
                raise
            return rfc3339_ms(value)
    try:
        return epoch_ms(value)
    except OverflowError:
        raise RowFault("a time beyond 2100") from None
