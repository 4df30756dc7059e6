"""Which signal an OTLP protobuf record carries, told from its wire format without parsing it.

The three export requests share their outer shape: `{repeated Resource… = 1 {Resource = 1;
repeated Scope… = 2 {Scope = 1; repeated Leaf = 2}}}`. Their leaves differ in field numbers *and* wire
types, and a parser would happily read one as another, so the leaf is looked at:

metric   1 bytes (name), every other field bytes too
log      1 or 11 fixed64 (times), 2 varint (severity), 8 fixed32 (flags), 12 bytes
span     1 bytes of length 16 (trace id), 2 bytes of length 8 (span id), 7 and 8 fixed64 (times)

A leaf that fits more than one signal decides nothing, and the next one is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

METRICS, LOGS, TRACES = "metrics", "logs", "traces"
SIGNALS = frozenset((METRICS, LOGS, TRACES))

_LEAVES_LOOKED_AT = 16
_OLD_SCOPES = 1000
"""field of the deprecated list of instrumentation libraries"""

_ALLOWED: dict[str, dict[int, int]] = {
    METRICS: dict.fromkeys((1, 2, 3, 5, 7, 9, 10, 11, 12), BYTES),
    LOGS: {1: FIXED64, 2: VARINT, 3: BYTES, 5: BYTES, 6: BYTES, 7: VARINT, 8: FIXED32, 9: BYTES, 10: BYTES}
    | {11: FIXED64, 12: BYTES},
    TRACES: {1: BYTES, 2: BYTES, 3: BYTES, 4: BYTES, 5: BYTES, 6: VARINT, 7: FIXED64, 8: FIXED64, 9: BYTES}
    | {10: VARINT, 11: BYTES, 12: VARINT, 13: BYTES, 14: VARINT, 15: BYTES, 16: FIXED32},
}
"""field number -> wire type; numbers not listed (of a later version of the protocol) may be anything"""


class Malformed(ValueError):
    """Not a protobuf message."""


Field = tuple[int, int, int, int]
"""number, wire type, start and end of the content"""


def _varint(raw: bytes, at: int, end: int) -> tuple[int, int]:
    shift = value = 0
    while at < end:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            break
    raise Malformed(f"unfinished number at byte {at}")


def fields(raw: bytes, at: int, end: int) -> Iterator[Field]:
    """Fields of the message in raw[at:end]. Raises `Malformed`."""
    while at < end:
        tag, at = _varint(raw, at, end)
        number, kind = tag >> 3, tag & 7
        start = at
        if kind == VARINT:
            _, at = _varint(raw, at, end)
        elif kind == FIXED64:
            at += 8
        elif kind == BYTES:
            size, start = _varint(raw, at, end)
            at = start + size
        elif kind == FIXED32:
            at += 4
        else:
            raise Malformed(f"wire type {kind} at byte {start}")
        if number == 0 or at > end:
            raise Malformed(f"field {number} at byte {start} runs over the end")
        yield number, kind, start, at


def _leaves(raw: bytes) -> Iterator[list[Field]]:
    for number, kind, start, end in fields(raw, 0, len(raw)):
        if number != 1 or kind != BYTES:
            raise Malformed(f"field {number} at the top, where only field 1 may be")
        for inner in fields(raw, start, end):
            if inner[0] == 2 and inner[1] == BYTES:
                for leaf in fields(raw, inner[2], inner[3]):
                    if leaf[0] == 2 and leaf[1] == BYTES:
                        yield list(fields(raw, leaf[2], leaf[3]))
            elif (inner[0] > 3 or inner[1] != BYTES) and inner[0] != _OLD_SCOPES:
                raise Malformed(f"field {inner[0]} beside resource, scopes and schema")


def _fits(leaf: list[Field]) -> set[str]:
    fitting = {
        signal
        for signal, allowed in _ALLOWED.items()
        if all(allowed.get(number, kind) == kind for number, kind, _, _ in leaf)
    }
    sizes = {number: end - start for number, kind, start, end in leaf if kind == BYTES}
    numbers = {number for number, *_ in leaf}
    said = {
        METRICS: 1 in sizes,  # a name
        LOGS: bool(numbers & {1, 2, 5, 11}),  # a time, a severity or a body
        TRACES: sizes.get(1) == 16 and sizes.get(2) == 8 and 7 in numbers,  # both ids and the start
    }
    # An item that says nothing of use decides nothing, unless its fields do.
    return {signal for signal in fitting if said[signal]} or fitting


def signals(raw: bytes) -> set[str]:
    """Signals the record may carry: one, if it is clear; several or none, if it is not.

    An export without any leaf fits all three. Raises `Malformed` if it is no OTLP export at all.
    """
    fitting = set(SIGNALS)
    for looked_at, leaf in enumerate(_leaves(raw)):
        fitting &= _fits(leaf)
        if len(fitting) < 2 or looked_at == _LEAVES_LOOKED_AT:
            break
    return fitting
