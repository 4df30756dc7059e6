"""Formats `registry`, `avro`, `json-schema` and `protobuf`: values framed with the id of their schema."""

from __future__ import annotations

from streams.decode.columns import Columns
from streams.decode.schemas import rows
from streams.decode.schemas.known import Schemas


def any_kind(value: bytes, sink: Columns) -> None:
    """Whatever kind its schema is of. Raises `BadRecord`."""
    _decode(value, sink, "")


def avro(value: bytes, sink: Columns) -> None:
    """Avro only. Raises `BadRecord`."""
    _decode(value, sink, "avro")


def json_schema(value: bytes, sink: Columns) -> None:
    """JSON with a schema only. Raises `BadRecord`."""
    _decode(value, sink, "json-schema")


def protobuf(value: bytes, sink: Columns) -> None:
    """Protobuf only. Raises `BadRecord`."""
    _decode(value, sink, "protobuf")


def _decode(value: bytes, sink: Columns, kind: str) -> None:
    schemas = sink.catalog.schemas or Schemas()
    rows.append(schemas.read(value, kind), sink)
