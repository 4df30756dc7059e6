"""StatsD lines: `name:value|type|@rate|#tag:value,…`, with the tags of DogStatsD, InfluxDB and Graphite.

A line has no time (DogStatsD's `|T` apart), so that all of a record have that of the record. What one
record says of one series is therefore put together: counts added up, measurements of a timer to one
histogram, of a gauge the last. What only a server that remembers can know is refused: the level of a
gauge that is only said to move, and how many different members a set has.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE
from streams.decode.look import Look
from streams.decode.metrics.flat import describe, text_of
from streams.decode.metrics.refused import Refused
from streams.decode.metrics.spread import BOUNDS, spread, weight
from streams.decode.otlp import RowFault
from streams.decode.senders import Usual
from streams.decode.times import epoch_ms
from streams.records.pages import Kind

_CLAIMED = re.compile(
    r"[^\s:|{}\"<>\[\]]+:[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?(?::[-+]?[0-9.]+)*\|(?:c|g|ms|h|d|s|m)"
    r"(?:\|(?:@[0-9.]+|#[^|]*|T[0-9]+|c:[^|]*|e:[^|]*|card:[^|]*))*\s*"
)

_KINDS = {b"c": Kind.DELTA, b"m": Kind.DELTA, b"g": Kind.GAUGE} | dict.fromkeys(
    (b"ms", b"h", b"d"), Kind.HISTOGRAM_DELTA
)
_TAG = re.compile(rb"[,;]")

_FIRST = "name before the first dot"
_HOSTS = ("host.name", "hostname", "host")
_USUAL = Usual(
    service=(*(name for name in Usual().service if name not in _HOSTS), _FIRST, *_HOSTS),
)
"""By custom, names begin with the application: better than the host, not as good as a tag."""


class _Line(NamedTuple):
    head: tuple[bytes, bytes, bytes]
    """name, type, tags: the raw key of the series"""
    values: list[float]
    rate: float
    ts: int
    """ms, -1 if none was sent"""


def claims(look: Look) -> bool:
    """The first line has a number, a type and nothing but known parts behind it."""
    return look.line is not None and len(look.line) < 100_000 and _CLAIMED.fullmatch(look.line) is not None


def decode(value: bytes, sink: Columns) -> None:
    """Append what the lines say; a bad one is refused alone. Raises `BadRecord` if all are bad."""
    refused = Refused(sink)
    group = sink.catalog.group("statsd")
    added: dict[tuple[int, int], float] = {}
    last: dict[tuple[int, int], float] = {}
    measured: dict[tuple[int, int], list[tuple[float, int]]] = {}
    good = 0
    for raw in value.split(b"\n"):
        line = raw.strip()
        if not line:
            continue
        try:
            found = _parse(line)
            kind = _KINDS[found.head[1]]
            times = weight(found.rate) if found.rate != 1.0 else 1
            slot = group.get(found.head)
            if slot is None:
                slot = _describe(found.head, kind, sink)
            at = (slot, found.ts if found.ts >= 0 else sink.reference_ms)
            if kind is Kind.DELTA:
                added[at] = added.get(at, 0.0) + sum(found.values) / found.rate
            elif kind is Kind.GAUGE:
                last[at] = found.values[-1]
            else:
                measured.setdefault(at, []).extend((number, times) for number in found.values)
            good += 1
        except RowFault as fault:
            refused.add(fault.reason, fault.detail)
    refused.close(good)
    for rows in (added, last):
        for (slot, ts), number in rows.items():
            sink.sample(slot, ts, number)
    for (slot, ts), numbers in measured.items():
        sink.histogram(slot, ts, *spread(numbers))


def _parse(line: bytes) -> _Line:
    """Raises `RowFault`."""
    if line.startswith((b"_e{", b"_sc|")):
        raise RowFault("events and service checks of DogStatsD are not read")
    said, *parts = line.split(b"|")
    name, colon, numbers = said.partition(b":")
    if not colon or not name or not parts:
        raise RowFault(f"not a line of name:value|type: {line[:80]!r}", UNDECODABLE)
    kind = parts[0]
    if kind not in _KINDS:
        if kind == b"s":
            raise RowFault("how many different members a set has is known to a StatsD server only")
        raise RowFault(f"a type must be c, g, ms, h, d, m or s, not {kind[:20]!r}")
    rate, tags, ts = 1.0, b"", -1
    for part in parts[1:]:
        mark = part[:1]
        if mark == b"@":
            rate = _number(part[1:])
        elif mark == b"#":
            tags = part[1:]
        elif mark == b"T":
            ts = epoch_ms(_number(part[1:]))
    if kind == b"g" and numbers[:1] in (b"+", b"-"):
        raise RowFault("the level of a gauge that is only said to move is known to a StatsD server only")
    try:
        values = list(map(float, numbers.split(b":")))
    except ValueError:
        raise RowFault(f"a value must be a number, not {numbers[:40]!r}") from None
    if not all(map(math.isfinite, values)):
        raise RowFault(f"a value must be finite, not {numbers[:40]!r}", "non-finite")
    if not 0.0 < rate <= 1.0:
        raise RowFault(f"a sample rate must be above 0 and at most 1, not {rate}")
    return _Line((name, kind, tags), values, rate, ts)


def _number(raw: bytes) -> float:
    try:
        return float(raw)
    except ValueError:
        raise RowFault(f"a rate or a time must be a number, not {raw[:40]!r}") from None


def _describe(head: tuple[bytes, bytes, bytes], kind: Kind, sink: Columns) -> int:
    raw, kind_name, more = head
    name, *tags = _TAG.split(raw)
    metric = text_of(name, "a name")
    pairs = [tag.partition(b"=") for tag in tags] + [tag.partition(b":") for tag in more.split(b",")]
    labels = {text_of(key, "a tag"): text_of(value, "a tag") or "true" for key, _, value in pairs if key}
    first, dot, _ = metric.partition(".")
    beside = {_FIRST: first} if dot and first else {}
    bounds = BOUNDS if kind is Kind.HISTOGRAM_DELTA else ()
    unit = "ms" if kind_name == b"ms" else ""
    series = describe(sink, metric, labels, unit, kind, usual=_USUAL, bounds=bounds, beside=beside)
    return sink.catalog.add_series(sink.catalog.group("statsd"), head, series)
