"""What is damaged: the golden records of all formats, each with the shape it has inside its wrapping."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import cramjam

from streams.decode import formats
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from streams.decode.errors import BadRecord
from tests.decode.test_golden import GOLDEN
from tests.fuzz.families import families
from tests.fuzz.shapes import Field, JsonShape, Span, json_shape, marks, proto_shape
from tests.fuzz.times import when

T0 = 1_700_000_000_000
_LARGEST = 64_000
"""a larger golden record is for tests of its own"""


class Wrap(NamedTuple):
    """A compression of the payload."""

    name: str
    open: Callable[[bytes], bytes]
    close: Callable[[bytes], bytes]


def _bytes(function: Callable[[bytes], object]) -> Callable[[bytes], bytes]:
    return lambda raw: bytes(function(raw))  # type: ignore[call-overload]


WRAPS = (
    Wrap("gzip", gzip.decompress, lambda raw: gzip.compress(raw, 1, mtime=0)),
    Wrap("zstd", _bytes(cramjam.zstd.decompress), _bytes(lambda raw: cramjam.zstd.compress(raw, 1))),
    Wrap("lz4", _bytes(cramjam.lz4.decompress), _bytes(cramjam.lz4.compress)),
    Wrap("snappy", _bytes(cramjam.snappy.decompress_raw), _bytes(cramjam.snappy.compress_raw)),
)


class Seed(NamedTuple):
    """One golden record."""

    format: str
    name: str
    raw: bytes
    """as it is below its wrapping"""
    wrap: Wrap | None
    ts: int
    """ms UTC, just after all that is in it"""
    json: JsonShape | None
    proto: tuple[Field, ...]
    marks: tuple[Span, ...]


@cache
def seeds() -> dict[str, tuple[Seed, ...]]:
    """format or family -> its records."""
    found: dict[str, list[Seed]] = {each.name: [] for each in formats.FORMATS}
    for path in sorted(path for path in GOLDEN.glob("*/*") if path.is_file()):
        value, name = path.read_bytes(), path.parent.name
        if name in found and len(value) <= _LARGEST:
            found[name].append(_seed(name, path.name, value))
    missing = [name for name, records in found.items() if not records]
    if missing:
        raise SystemExit(f"no golden record of {', '.join(missing)} under {GOLDEN}")
    for name, family in families().items():
        found[name] = [_seed(name, each, value, family.ts) for each, value in family.records]
    return {name: tuple(records) for name, records in found.items()}


def _seed(wire_format: str, name: str, value: bytes, ts: int = -1) -> Seed:
    raw, wrap = _unwrapped(value)
    shape = json_shape(raw)
    proto = () if shape else proto_shape(raw)
    is_text = not re.search(rb"[\x00-\x08\x0e-\x1f]", raw)
    return Seed(
        wire_format,
        name,
        raw,
        wrap,
        ts if ts >= 0 else _newest(wire_format, value),
        shape,
        proto,
        marks(raw) if is_text else (),
    )


def _unwrapped(value: bytes) -> tuple[bytes, Wrap | None]:
    if value.lstrip()[:1] in (b"{", b"["):
        return value, None
    for wrap in WRAPS:
        try:
            raw = wrap.open(value)
        except (OSError, EOFError, cramjam.DecompressionError):
            continue
        # Nearly anything opens as raw snappy; only what it makes smaller was meant so.
        if raw and (wrap.name != "snappy" or len(raw) > len(value)):
            return raw, wrap
    return value, None


def _newest(wire_format: str, value: bytes) -> int:
    """Reference time for a seed: all its rows are a second to minutes old at it."""
    columns = Columns(Catalog(1, 1_000))
    columns.reference_ms = T0
    try:
        formats.DECODERS[wire_format](value, columns)
    except BadRecord:
        return T0
    times = [
        *columns.ts,
        *columns.h_ts,
        *columns.l_ts,
        *columns.s_ts,
        *(when(m) for _, m in columns.messages),
    ]
    return max((time for time in times if time > 0), default=T0) + 1_000
