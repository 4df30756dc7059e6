"""Skeletons of log lines: the compiled pass (logscan) with its tables and its memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from detectors.logscan import (
    AT,
    BACKSLASH,
    BLANK,
    COLON,
    DIGIT,
    DOT,
    ESCAPE,
    FOREIGN,
    GLUE,
    LOW_LINE,
    LOWER,
    MARK,
    SLASH,
    UPPER,
    run,
)
from streams.decode.rawbytes import handle

MAX_LINE = 2_000
"""characters of a line that are looked at"""
ROOM = 1 << 18
"""bytes of lines that are taken at once; more than the longest line has"""


def _kinds() -> Any:
    kinds = np.full(256, MARK, np.uint8)
    kinds[:33] = kinds[127] = BLANK
    kinds[27] = ESCAPE
    kinds[128:] = FOREIGN
    for characters, kind in (
        (b"abcdefghijklmnopqrstuvwxyz", LOWER),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", UPPER),
        (b"0123456789", DIGIT),
        (b"=,;()[]{}\"'|<>#`", GLUE),
        (b"_", LOW_LINE),
        (b".", DOT),
        (b"/", SLASH),
        (b"\\", BACKSLASH),
        (b"@", AT),
        (b":", COLON),
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
        return bytes(self._out[: run(*given, 1, *rest)])

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
            out = bytes(self._out[: run(*given, len(raw), *rest)])
            start = 0
            for end in self._out_ends[: len(raw)].tolist():
                found.append(out[start:end])
                start = end
            at += len(raw)
        return found
