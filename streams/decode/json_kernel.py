"""Walks JSON lines that hold one sample each, a chunk of records at once.

A producer writes the same series with the same bytes, all but two numbers: the time and the value. The
line without these two is the raw key of the series. Whether that is JSON of the right shape, and what it
means, is found out once, by the ordinary decoder; a number in the place of another number changes
nothing about it. Taken are records of lines of which each is one object with one time in ms (digits
only) and one number as value at its top, and names there without escapes; anything else is left.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from streams.decode.decimals import MOST_DIGITS, nearest
from streams.decode.keys import FULL, entry_of
from streams.decode.rawbytes import byte_at, copied, equal, int_at, put_byte, put_double, put_int
from streams.records.compiled import kernel, part, source_digest

TAKEN, LEFT, NO_ROOM = 0, 1, 2
"""what became of a record"""

ROWS, UNSURE = 0, 1
"""places in `filled`"""

TIME_MARK, VALUE_MARK = 1, 2
"""control characters, which no line may hold, stand for the two numbers in a raw key"""

LEAST_LINE = 18
"""bytes of the shortest line that makes a row"""


@part
def number(raw: Any, at: int, end: int) -> tuple[int, float, bool]:
    """A JSON number at `at`: where it ends (-1: not to be taken), its value, and if that is certain."""
    negative = byte_at(raw, at) == 0x2D
    if negative:
        at += 1
    mantissa = np.uint64(0)
    digits = 0
    first = at
    while at < end and 0x30 <= byte_at(raw, at) <= 0x39:
        if digits or byte_at(raw, at) != 0x30:
            digits += 1
            if digits <= MOST_DIGITS:
                mantissa = mantissa * np.uint64(10) + np.uint64(byte_at(raw, at) - 0x30)
        at += 1
    if at == first or (byte_at(raw, first) == 0x30 and at > first + 1):
        return -1, 0.0, False
    power = 0
    whole = True
    if at < end and byte_at(raw, at) == 0x2E:
        whole = False
        at += 1
        first = at
        while at < end and 0x30 <= byte_at(raw, at) <= 0x39:
            if digits or byte_at(raw, at) != 0x30:
                digits += 1
                if digits <= MOST_DIGITS:
                    mantissa = mantissa * np.uint64(10) + np.uint64(byte_at(raw, at) - 0x30)
            at += 1
        if at == first:
            return -1, 0.0, False
        power = first - at
    if at < end and (byte_at(raw, at) | 0x20) == 0x65:
        whole = False
        at += 1
        sign = 1
        if at < end and (byte_at(raw, at) == 0x2B or byte_at(raw, at) == 0x2D):
            sign = 0x2C - byte_at(raw, at)
            at += 1
        first = at
        exponent = 0
        while at < end and 0x30 <= byte_at(raw, at) <= 0x39 and at - first < 4:
            exponent = exponent * 10 + byte_at(raw, at) - 0x30
            at += 1
        if at == first:
            return -1, 0.0, False
        power += sign * exponent
    if at == end or power < -280 or power + digits > 280:
        return -1, 0.0, False
    if negative and whole and mantissa == np.uint64(0):
        return -1, 0.0, False  # is a whole zero negative? for the parser to say
    if digits > MOST_DIGITS:
        return at, 0.0, False
    value, certain = nearest(mantissa, power)
    return at, -value if negative else value, certain


@part
def line(
    raw: Any, at: int, end: int, names: Any, scratch: Any, keys: Any, out: Any, filled: Any
) -> tuple[int, int]:
    """One object at `at`: where it ends, and what became of it."""
    entries, times, values, unsure = out
    time_name, time_size, value_name, value_size = names
    kept = at
    key = 0
    depth = 1
    naming = True
    timed = False
    valued = False
    time = 0
    value = 0.0
    certain = True
    value_at = at
    value_end = at
    at += 1
    while at < end:
        c = byte_at(raw, at)
        if c == 0x22:
            at += 1
            name_at = at
            escaped = False
            while True:
                if at >= end:
                    return at, LEFT
                c = byte_at(raw, at)
                if c == 0x22:
                    break
                if c < 0x20:
                    return at, LEFT
                if c == 0x5C:
                    escaped = True
                    at += 1
                at += 1
            name_end = at
            at += 1
            if not naming or depth != 1:
                continue
            naming = False
            while at < end and byte_at(raw, at) == 0x20:
                at += 1
            if escaped or at >= end or byte_at(raw, at) != 0x3A:
                return at, LEFT
            at += 1
            while at < end and byte_at(raw, at) == 0x20:
                at += 1
            if at >= end:
                return at, LEFT
            if name_end - name_at == time_size and equal(raw, name_at, time_name, 0, time_size):
                if timed:
                    return at, LEFT
                timed = True
                start = at
                while at < end and 0x30 <= byte_at(raw, at) <= 0x39 and at - start < 16:
                    time = time * 10 + byte_at(raw, at) - 0x30
                    at += 1
                size = at - start
                if size == 0 or size > 15 or (byte_at(raw, start) == 0x30 and size > 1):
                    return at, LEFT
                key = copied(raw, kept, start, scratch, key)
                put_byte(scratch, key, TIME_MARK)
            elif name_end - name_at == value_size and equal(raw, name_at, value_name, 0, value_size):
                if valued:
                    return at, LEFT
                valued = True
                value_at = at
                at, value, certain = number(raw, at, end)
                if at < 0:
                    return at, LEFT
                value_end = at
                key = copied(raw, kept, value_at, scratch, key)
                put_byte(scratch, key, VALUE_MARK)
            else:
                continue
            key += 1
            kept = at
            if at >= end:
                return at, LEFT
            c = byte_at(raw, at)
            if c != 0x2C and c != 0x7D and c != 0x20:
                return at, LEFT  # more of a number
            continue
        if c == 0x7B or c == 0x5B:
            depth += 1
        elif c == 0x7D or c == 0x5D:
            depth -= 1
            if depth == 0:
                at += 1
                break
        elif c == 0x2C:
            if depth == 1:
                naming = True
        elif c < 0x20:
            return at, LEFT
        at += 1
    if depth or not timed or not valued:
        return at, LEFT
    key = copied(raw, kept, at, scratch, key)
    entry = entry_of(keys, 0, scratch, 0, key)
    if entry < 0:
        return at, NO_ROOM if entry == FULL else LEFT
    row = int_at(filled, ROWS)
    put_int(entries, row, entry)
    put_int(times, row, time)
    put_double(values, row, value)
    put_int(filled, ROWS, row + 1)
    if not certain:
        place = int_at(filled, UNSURE)
        put_int(unsure, 3 * place, row)
        put_int(unsure, 3 * place + 1, value_at)
        put_int(unsure, 3 * place + 2, value_end)
        put_int(filled, UNSURE, place + 1)
    return at, TAKEN


@part
def record(raw: Any, at: int, end: int, names: Any, scratch: Any, keys: Any, out: Any, filled: Any) -> int:
    """All lines of one record."""
    lines = 0
    while at < end:
        c = byte_at(raw, at)
        if c == 0x0A:
            at += 1
            continue
        if c != 0x7B:
            return LEFT
        at, found = line(raw, at, end, names, scratch, keys, out, filled)
        if found != TAKEN:
            return found
        if at < end and byte_at(raw, at) != 0x0A:
            return LEFT
        lines += 1
    return TAKEN if lines else LEFT


def _build(sources: int) -> Callable[..., int]:
    @kernel
    def run(
        raw: Any,
        ends: Any,
        first: int,
        n: int,
        names: Any,
        scratch: Any,
        keys: Any,
        out: Any,
        filled: Any,
        states: Any,
        counts: Any,
    ) -> int:
        """Walk records `first` to `n`, which lie side by side and end at `ends`; all arrays by handle.

        `names`: handle and size of the names of time and value. States and (first of four) numbers of
        rows are filled in. Returns the first record that was not looked at for want of room for its keys,
        else `n`.
        """
        if sources < 0:
            return -1  # never; but closing over it has a change in any part compile this anew
        for i in range(first, n):
            row, unsure = int_at(filled, ROWS), int_at(filled, UNSURE)
            start = int_at(ends, i - 1) if i else 0
            state = record(raw, start, int_at(ends, i), names, scratch, keys, out, filled)
            put_int(states, i, state)
            if state != TAKEN:
                put_int(filled, ROWS, row)
                put_int(filled, UNSURE, unsure)
                if state == NO_ROOM:
                    return i
            put_int(counts, 4 * i, int_at(filled, ROWS) - row)
        return n

    return run


run = _build(source_digest(Path(__file__).parent))
