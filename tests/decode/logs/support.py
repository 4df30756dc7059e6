"""Decodes one record and gives its log rows back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from streams.decode import formats
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from streams.decode.rules import Rules

GOLDEN = Path(__file__).parents[1] / "golden"


class Row(NamedTuple):
    service: str
    instance: str
    context: dict[str, str]
    ts: int
    severity: int
    body: str
    trace_id: str
    exception: str


def columns(reference_ms: int = -1, rules: Rules = Rules()) -> Columns:  # noqa: B008 - frozen
    made = Columns(Catalog(4, 1_000, rules=rules))
    made.reference_ms = reference_ms
    return made


def rows_of(sink: Columns) -> list[Row]:
    found = []
    for i, slot in enumerate(sink.l_origin):
        origin = sink.catalog.origins.entries[slot]
        found.append(
            Row(
                origin.service,
                origin.instance,
                dict(origin.resource),
                sink.l_ts[i],
                sink.l_severity[i],
                sink.bodies[i],
                sink.trace_ids[i],
                sink.exceptions[i],
            )
        )
    return found


def read(
    wire_format: str | Callable[[bytes, Columns], None],
    value: bytes | str,
    reference_ms: int = -1,
    rules: Rules = Rules(),  # noqa: B008 - frozen
) -> list[Row]:
    """Rows of one record, of which nothing may be refused. Raises `BadRecord`."""
    sink = columns(reference_ms, rules)
    decode: Any = formats.DECODERS[wire_format] if isinstance(wire_format, str) else wire_format
    decode(value.encode() if isinstance(value, str) else value, sink)
    sink.finish()
    assert not sink.refusals
    return rows_of(sink)


def golden(name: str, reference_ms: int = -1) -> list[Row]:
    """Rows of a golden record, named `format/file`."""
    return read(name.partition("/")[0], (GOLDEN / name).read_bytes(), reference_ms)
