"""The compiled pass that makes a skeleton of a line: what certainly varies is replaced by a mark.

A line is a row of *atoms* (words) with *glue* (blanks and punctuation) between them. An atom that carries
digits, a path, an address, a truth value or part of a date becomes `VAR`; runs of blanks become one; all
else stays. Words with a single digit behind two letters (`ssh2`, `eth0`, `IPv4`) stay too: whether these
vary is for the miner to see. Every byte is looked at a few times at most, and what is looked ahead at is
a word: time is linear in the line, whatever the line holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detectors.compiled import kernel, part, source_digest
from streams.decode.rawbytes import byte_at, copied, int_at, put_byte, put_int

VAR = 1
"""stands for what varies; a control character, which no skeleton holds otherwise"""
MAX_ATOMS = 100
"""words of a line that are looked at; the rest counts as one that varies"""

MARK, LOWER, UPPER, DIGIT, LOW_LINE, DOT, SLASH, BACKSLASH, AT = range(9)
"""kinds of bytes in atoms"""
GLUE, COLON, BLANK, ESCAPE, FOREIGN = 16, 17, 18, 19, 20
"""kinds of bytes between atoms, and of those that are not ASCII"""
BYTES = int.from_bytes(b"bytes", "little")


@part
def packed(raw: Any, at: int, end: int) -> int:
    """The bytes as one number, the first lowest; 0 if they are none or more than seven."""
    if end - at > 7:
        return 0
    word = 0
    while end > at:
        end -= 1
        word = (word << 8) | byte_at(raw, end)
    return word


@part
def among(word: int, words: Any, many: int) -> bool:
    """Whether a packed word is one of these."""
    if word:
        for k in range(many):
            if int_at(words, k) == word:
                return True
    return False


@part
def kind_at(raw: Any, at: int, end: int, kinds: Any) -> int:
    """Kind of a byte; past the end, blank."""
    if at >= end:
        return BLANK
    kind: int = byte_at(kinds, byte_at(raw, at))
    return kind


@part
def past_blanks(raw: Any, at: int, end: int, kinds: Any) -> int:
    while at < end and byte_at(kinds, byte_at(raw, at)) == BLANK:
        at += 1
    return at


@part
def atom_end(raw: Any, at: int, end: int, kinds: Any) -> int:
    while at < end and byte_at(kinds, byte_at(raw, at)) < GLUE:
        at += 1
    return at


@part
def is_hex(byte: int) -> bool:
    return 0x30 <= byte <= 0x39 or 0x61 <= byte <= 0x66 or 0x41 <= byte <= 0x46


@part
def is_date(raw: Any, at: int, stop: int, end: int, kinds: Any, days: Any, months: Any) -> bool:
    """Whether these three letters are the month before a day, or the weekday before a month or a day."""
    word = packed(raw, at, stop)
    if among(word, months, 12):
        return kind_at(raw, past_blanks(raw, stop, end, kinds), end, kinds) == DIGIT
    if among(word, days, 7):
        if stop < end and byte_at(raw, stop) == 0x2C:
            stop += 1
        stop = past_blanks(raw, stop, end, kinds)
        if kind_at(raw, stop, end, kinds) == DIGIT:
            return True
        return stop + 3 <= end and among(packed(raw, stop, stop + 3), months, 12)
    return False


@part
def past_unit(raw: Any, at: int, end: int, kinds: Any, units: Any, many: int) -> int:
    """Behind a unit of size that follows a number, else where we were."""
    start = past_blanks(raw, at, end, kinds)
    if start == at or kind_at(raw, start, end, kinds) not in (UPPER, LOWER):
        return at
    stop = start
    while stop < end and stop < start + 8 and byte_at(kinds, byte_at(raw, stop)) < GLUE:
        stop += 1
    if kind_at(raw, stop, end, kinds) >= GLUE and among(packed(raw, start, stop), units, many):
        return stop
    return at


@part
def restated(out: Any, first: int, o: int) -> bool:
    """Whether what was written ends in a size said once more: `2048 bytes (2 KB)`."""
    if o - first < 5 or byte_at(out, o - 3) != 0x28 or byte_at(out, o - 4) != 0x20:
        return False
    if byte_at(out, o - 5) == VAR:
        return True
    return o - first >= 10 and byte_at(out, o - 10) == 0x20 and packed(out, o - 9, o - 4) == BYTES


@part
def url_end(raw: Any, at: int, end: int, kinds: Any) -> int:
    """Behind the address that goes on here: up to a blank, a comma, a quote or a bracket."""
    while at < end:
        kind = byte_at(kinds, byte_at(raw, at))
        if kind in (BLANK, ESCAPE):
            break
        if kind == GLUE:
            byte = byte_at(raw, at)
            if byte != 0x3D and byte != 0x23:  # = and # are part of an address
                break
        at += 1
    return at


def _build(version: int) -> Callable[..., int]:
    @kernel
    def run(
        raw: Any, ends: Any, lines: int, out: Any, out_ends: Any, kinds: Any, days: Any, months: Any,
        truths: Any, many_truths: int, nothings: Any, many_nothings: int, tops: Any, many_tops: int,
        units: Any, many_units: int, spans: Any, many_spans: int,
    ) -> int:  # fmt: skip
        """Skeletons of lines that lie one behind the other; `out` has room for twice their bytes."""
        if version < 0:
            return 0
        o = 0
        at = 0
        for n in range(lines):
            end = int_at(ends, n)
            first = o
            atoms = 0
            bound = False  # whether a number follows that is said to be a bound
            sized = 0  # where a size with its unit ended
            at = past_blanks(raw, at, end, kinds)
            while at < end:
                byte = byte_at(raw, at)
                kind = byte_at(kinds, byte)
                if kind == BLANK:
                    at = past_blanks(raw, at, end, kinds)
                    if at < end and o > first and byte_at(out, o - 1) != 0x20:
                        put_byte(out, o, 0x20)
                        o += 1
                    continue
                if kind == ESCAPE:  # a terminal's colours
                    at += 1
                    if at < end and byte_at(raw, at) == 0x5B:
                        at += 1
                        while at < end and not 0x40 <= byte_at(raw, at) <= 0x7E:
                            at += 1
                        at += 1
                    continue
                if kind in (GLUE, COLON):
                    if byte == 0x3C and kind_at(raw, at + 1, end, kinds) == DIGIT:
                        stop = atom_end(raw, at + 1, end, kinds)
                        if stop >= end or byte_at(raw, stop) != 0x3E:  # <1 sec
                            bound = True
                            at += 1
                            continue
                    put_byte(out, o, byte)
                    o += 1
                    at += 1
                    if byte == 0x29 and sized == o - 1 and restated(out, first, o):
                        o -= 4
                    # empty brackets that stand alone hold a value that is empty
                    elif at < end and (byte == 0x28 or byte == 0x5B):
                        closing = 0x29 if byte == 0x28 else 0x5D
                        alone = o - 1 == first or byte_at(out, o - 2) == 0x20
                        if alone and byte_at(raw, at) == closing:
                            put_byte(out, o, VAR)
                            o += 1
                    continue
                if kind == DOT and at + 1 < end and byte_at(raw, at + 1) == 0x2E:
                    while at < end and byte_at(raw, at) == 0x2E:
                        put_byte(out, o, 0x2E)
                        o += 1
                        at += 1
                    continue
                atoms += 1
                if atoms > MAX_ATOMS:
                    put_byte(out, o, VAR)
                    o += 1
                    at = end
                    break
                start = at
                if kind == FOREIGN:  # a script without blanks: it stays, numbers in it are atoms of their own
                    while at < end and byte_at(kinds, byte_at(raw, at)) == FOREIGN:
                        at += 1
                    o = copied(raw, start, at, out, o)
                    continue
                digits = 0
                slashes = 0
                dots = 0
                others = 0
                uppers = 0
                signs = 0
                last_dot = 0
                word_digit = True
                hexes = True
                varies = False
                while at < end:
                    byte = byte_at(raw, at)
                    kind = byte_at(kinds, byte)
                    if kind >= GLUE or (kind == DOT and at + 1 < end and byte_at(raw, at + 1) == 0x2E):
                        break
                    if kind == DIGIT:
                        digits += 1
                        if at < start + 2:
                            word_digit = False
                        else:
                            for back in range(1, 3):
                                before = byte_at(kinds, byte_at(raw, at - back))
                                if before != LOWER and before != UPPER:
                                    word_digit = False
                    elif kind == LOWER:
                        hexes = hexes and byte <= 0x66
                    else:
                        hexes = False
                        if kind == UPPER:
                            uppers += 1
                        elif kind == DOT:
                            dots += 1
                            last_dot = at
                        elif kind in (SLASH, BACKSLASH):
                            slashes += 1
                        elif kind == AT:
                            varies = varies or at > start
                            signs += 1
                        elif kind != LOW_LINE and byte != 0x24:
                            others += 1
                    at += 1
                stop = at
                size = stop - start
                if size == 1 and kind == COLON and at + 1 < end and not digits and not others and (
                    byte_at(raw, at + 1) == 0x5C or byte_at(raw, at + 1) == 0x2F
                ) and (at + 2 >= end or byte_at(raw, at + 2) != 0x2F):  # a drive  # fmt: skip
                    at = stop = atom_end(raw, at + 1, end, kinds)
                    varies = True
                elif kind == COLON and at + 2 < end and (
                    byte_at(raw, at + 1) == 0x2F and byte_at(raw, at + 2) == 0x2F and not digits
                ):  # an address with its scheme  # fmt: skip
                    o = copied(raw, start, at + 3, out, o)
                    start = at + 3
                    at = stop = url_end(raw, start, end, kinds)
                    varies = stop > start
                    if not varies:
                        continue
                elif digits:
                    varies = varies or not (digits == 1 and word_digit and not others and not slashes)
                elif not varies:
                    head = byte_at(raw, start)
                    if slashes >= 2:
                        if head == 0x2F or head == 0x5C or head == 0x7E or head == 0x2E:
                            varies = True  # a path
                    elif dots and not uppers:
                        until = stop
                        if last_dot == stop - 1:
                            until -= 1
                            last_dot = until - 1
                            while last_dot > start and byte_at(raw, last_dot) != 0x2E:
                                last_dot -= 1
                        varies = last_dot > start and among(packed(raw, last_dot + 1, until), tops, many_tops)
                    elif size == 3 and uppers == 1:
                        varies = is_date(raw, start, stop, end, kinds, days, months)
                    elif hexes and size <= 4 and o >= first + 2 and byte_at(out, o - 1) == 0x3A and (
                        byte_at(out, o - 2) == VAR
                    ):  # a further part of a hardware or IPv6 address  # fmt: skip
                        varies = True
                    elif hexes and size == 2 and kind == COLON and at + 2 < end and (
                        is_hex(byte_at(raw, at + 1)) and is_hex(byte_at(raw, at + 2))
                    ):  # its first part  # fmt: skip
                        varies = kind_at(raw, at + 3, end, kinds) == COLON
                    elif size <= 5 and not dots:
                        word = packed(raw, start, stop)
                        if uppers == 1:
                            word |= 0x20
                        elif uppers == size:
                            word |= 0x2020202020 >> (8 * (5 - size))
                        varies = among(word, truths, many_truths)
                        if not varies and o > first:
                            head = byte_at(out, o - 1)
                            varies = (head == 0x3D or head == 0x3A) and among(word, nothings, many_nothings)
                if not varies:
                    o = copied(raw, start, stop, out, o)
                    continue
                put_byte(out, o, VAR)
                o += 1
                tail = stop
                while tail > start + 1 and (
                    byte_at(raw, tail - 1) == 0x2E
                    or byte_at(raw, tail - 1) == 0x21
                    or byte_at(raw, tail - 1) == 0x3F
                    or byte_at(raw, tail - 1) == 0x3A
                ):
                    tail -= 1
                if tail < stop:
                    o = copied(raw, tail, stop, out, o)
                elif digits and digits + dots == size:
                    at = past_unit(raw, at, end, kinds, units, many_units)
                    if bound and at == stop:
                        at = past_unit(raw, at, end, kinds, spans, many_spans)
                    if at > stop:
                        sized = o
                bound = False
            at = end
            while o > first and byte_at(out, o - 1) == 0x20:
                o -= 1
            put_int(out_ends, n, o)
        return o

    return run


run = _build(source_digest())
