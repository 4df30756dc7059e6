"""From a log line to its skeleton: what certainly varies is replaced by a mark, in one compiled pass.

A line is a row of *atoms* (words) with *glue* (blanks and punctuation) between them. An atom that carries
digits, a path, an address, a truth value or part of a date becomes `VAR`; runs of blanks become one; all
else stays. Words with a single digit at their end or inside (`ssh2`, `eth0`, `IPv4`) stay too: whether
these vary is for the miner to see. The pass looks at every byte once and a few bytes ahead, so its time
is linear in the line, whatever the line holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from detectors.compiled import kernel, part, source_digest
from streams.decode.rawbytes import byte_at, copied, handle, int_at, put_byte, put_int

VAR = 1
"""stands for what varies; a control character, which no skeleton holds otherwise"""
MAX_LINE = 2_000
"""characters of a line that are looked at"""
MAX_ATOMS = 100
"""words of a line that are looked at; the rest counts as one that varies"""

_MARK, _LOWER, _UPPER, _DIGIT, _LOW_LINE, _DOT, _SLASH, _BACKSLASH, _AT = range(9)
_GLUE, _COLON, _BLANK, _ESCAPE, _FOREIGN = 16, 17, 18, 19, 20
ROOM = 1 << 18
"""bytes of lines that are taken at once; more than the longest line has"""


def _kinds() -> Any:
    kinds = np.full(256, _MARK, np.uint8)
    kinds[:33] = kinds[127] = _BLANK
    kinds[27] = _ESCAPE
    kinds[128:] = _FOREIGN
    for characters, kind in (
        (b"abcdefghijklmnopqrstuvwxyz", _LOWER),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", _UPPER),
        (b"0123456789", _DIGIT),
        (b"=,;()[]{}\"'|<>#`", _GLUE),
        (b"_", _LOW_LINE),
        (b".", _DOT),
        (b"/", _SLASH),
        (b"\\", _BACKSLASH),
        (b"@", _AT),
        (b":", _COLON),
    ):
        kinds[list(characters)] = kind
    return kinds


def _packed(words: str) -> Any:
    """Words of at most seven letters as numbers, the first letter lowest."""
    return np.array([int.from_bytes(word.encode(), "little") for word in words.split()], np.int64)


_KINDS = _kinds()
_DAYS = _packed("Mon Tue Wed Thu Fri Sat Sun")
_MONTHS = _packed("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")
_TRUTHS = _packed("true false")
_NOTHINGS = _packed("null nil")
_TOPS = _packed(
    "com net org edu gov mil int info biz local lan arpa uk de fr cn jp kr ru br au hk tw mx nl eu ch se pl"
)
"""ends of host names, without those that are endings of files or words as well"""
_UNITS = _packed("B KB MB GB TB PB kB KiB MiB GiB TiB PiB")
_SPANS = _packed("ns us ms s sec secs second seconds m min mins minute minutes h hour hours")
_BYTES = int(_packed("bytes")[0])


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
        return _BLANK
    kind: int = byte_at(kinds, byte_at(raw, at))
    return kind


@part
def past_blanks(raw: Any, at: int, end: int, kinds: Any) -> int:
    while at < end and byte_at(kinds, byte_at(raw, at)) == _BLANK:
        at += 1
    return at


@part
def atom_end(raw: Any, at: int, end: int, kinds: Any) -> int:
    while at < end and byte_at(kinds, byte_at(raw, at)) < _GLUE:
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
        return kind_at(raw, past_blanks(raw, stop, end, kinds), end, kinds) == _DIGIT
    if among(word, days, 7):
        if stop < end and byte_at(raw, stop) == 0x2C:
            stop += 1
        stop = past_blanks(raw, stop, end, kinds)
        if kind_at(raw, stop, end, kinds) == _DIGIT:
            return True
        return stop + 3 <= end and among(packed(raw, stop, stop + 3), months, 12)
    return False


@part
def past_unit(raw: Any, at: int, end: int, kinds: Any, units: Any, many: int) -> int:
    """Behind a unit of size that follows a number, else where we were."""
    start = past_blanks(raw, at, end, kinds)
    if start == at or kind_at(raw, start, end, kinds) not in (_UPPER, _LOWER):
        return at
    stop = start
    while stop < end and stop < start + 8 and byte_at(kinds, byte_at(raw, stop)) < _GLUE:
        stop += 1
    if kind_at(raw, stop, end, kinds) >= _GLUE and among(packed(raw, start, stop), units, many):
        return stop
    return at


@part
def restated(out: Any, first: int, o: int) -> bool:
    """Whether what was written ends in a size said once more: `2048 bytes (2 KB)`."""
    if o - first < 5 or byte_at(out, o - 3) != 0x28 or byte_at(out, o - 4) != 0x20:
        return False
    if byte_at(out, o - 5) == VAR:
        return True
    return o - first >= 10 and byte_at(out, o - 10) == 0x20 and packed(out, o - 9, o - 4) == _BYTES


@part
def url_end(raw: Any, at: int, end: int, kinds: Any) -> int:
    """Behind the address that goes on here: up to a blank, a comma, a quote or a bracket."""
    while at < end:
        kind = byte_at(kinds, byte_at(raw, at))
        if kind in (_BLANK, _ESCAPE):
            break
        if kind == _GLUE:
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
                if kind == _BLANK:
                    at = past_blanks(raw, at, end, kinds)
                    if at < end and o > first and byte_at(out, o - 1) != 0x20:
                        put_byte(out, o, 0x20)
                        o += 1
                    continue
                if kind == _ESCAPE:  # a terminal's colours
                    at += 1
                    if at < end and byte_at(raw, at) == 0x5B:
                        at += 1
                        while at < end and not 0x40 <= byte_at(raw, at) <= 0x7E:
                            at += 1
                        at += 1
                    continue
                if kind in (_GLUE, _COLON):
                    if byte == 0x3C and kind_at(raw, at + 1, end, kinds) == _DIGIT:
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
                if kind == _DOT and at + 1 < end and byte_at(raw, at + 1) == 0x2E:
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
                if (
                    kind == _FOREIGN
                ):  # a script without blanks: it stays, numbers in it are atoms of their own
                    while at < end and byte_at(kinds, byte_at(raw, at)) == _FOREIGN:
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
                    if kind >= _GLUE or (kind == _DOT and at + 1 < end and byte_at(raw, at + 1) == 0x2E):
                        break
                    if kind == _DIGIT:
                        digits += 1
                        if at < start + 2:
                            word_digit = False
                        else:
                            for back in range(1, 3):
                                before = byte_at(kinds, byte_at(raw, at - back))
                                if before != _LOWER and before != _UPPER:
                                    word_digit = False
                    elif kind == _LOWER:
                        hexes = hexes and byte <= 0x66
                    else:
                        hexes = False
                        if kind == _UPPER:
                            uppers += 1
                        elif kind == _DOT:
                            dots += 1
                            last_dot = at
                        elif kind in (_SLASH, _BACKSLASH):
                            slashes += 1
                        elif kind == _AT:
                            varies = varies or at > start
                            signs += 1
                        elif kind != _LOW_LINE and byte != 0x24:
                            others += 1
                    at += 1
                stop = at
                size = stop - start
                if size == 1 and kind == _COLON and at + 1 < end and not digits and not others and (
                    byte_at(raw, at + 1) == 0x5C or byte_at(raw, at + 1) == 0x2F
                ) and (at + 2 >= end or byte_at(raw, at + 2) != 0x2F):  # a drive  # fmt: skip
                    at = stop = atom_end(raw, at + 1, end, kinds)
                    varies = True
                elif kind == _COLON and at + 2 < end and (
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
                    elif hexes and size == 2 and kind == _COLON and at + 2 < end and (
                        is_hex(byte_at(raw, at + 1)) and is_hex(byte_at(raw, at + 2))
                    ):  # its first part  # fmt: skip
                        varies = kind_at(raw, at + 3, end, kinds) == _COLON
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


_run = _build(source_digest())


class Skeletons:
    """The pass with its memory. Not for two threads at once."""

    def __init__(self) -> None:
        self._raw = bytearray(ROOM)
        self._out = bytearray(2 * ROOM)
        self._ends = np.zeros(ROOM // 64, np.int64)
        self._out_ends = np.zeros(ROOM // 64, np.int64)
        self._keep = (np.frombuffer(self._raw, np.uint8), np.frombuffer(self._out, np.uint8))
        raw, out = self._keep
        tables = (_TRUTHS, _NOTHINGS, _TOPS, _UNITS, _SPANS)
        self._args = (
            (handle(raw), handle(self._ends)),
            (
                handle(out),
                handle(self._out_ends),
                handle(_KINDS),
                handle(_DAYS),
                handle(_MONTHS),
                *(value for table in tables for value in (handle(table), len(table))),
            ),
        )
        self._in = memoryview(self._raw)

    def of(self, line: str) -> bytes:
        """Skeleton of one line."""
        raw = line[:MAX_LINE].encode("utf-8", "surrogatepass")
        size = len(raw)
        self._in[:size] = raw
        self._ends[0] = size
        given, rest = self._args
        return bytes(self._out[: _run(*given, 1, *rest)])

    def of_many(self, lines: Sequence[str]) -> list[bytes]:
        """Skeletons of many lines: what `of` gives for each."""
        found: list[bytes] = []
        given, rest = self._args
        at = 0
        most = len(self._ends)
        while at < len(lines):
            # As many as surely have room: a character is at most four bytes.
            part_of = [line[:MAX_LINE] for line in lines[at : at + most]]
            raw: list[bytes] = []
            size = 0
            for line in part_of:
                encoded = line.encode("utf-8", "surrogatepass")
                size += len(encoded)
                if size > ROOM:
                    break
                raw.append(encoded)
            joined = b"".join(raw)
            self._in[: len(joined)] = joined
            self._ends[: len(raw)] = np.cumsum([len(line) for line in raw])
            out = bytes(self._out[: _run(*given, len(raw), *rest)])
            start = 0
            for end in self._out_ends[: len(raw)].tolist():
                found.append(out[start:end])
                start = end
            at += len(raw)
        return found
