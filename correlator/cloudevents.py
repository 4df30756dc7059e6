"""A fact as a CloudEvent 1.0, in structured or binary mode."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from correlator import render

Headers = tuple[tuple[str, bytes], ...]
_encoder = msgspec.json.Encoder()


def headers(id: str, kind: str, subject: str = "", at_ms: int | None = None) -> Headers:
    """Binary mode: the attributes are headers of the record, its value is the fact and nothing else."""
    said = [
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_source", render.SOURCE),
        ("ce_type", f"tocsin.{kind}"),
    ]
    if subject:
        said.append(("ce_subject", subject))
    if at_ms is not None:
        said.append(("ce_time", _time(at_ms)))
    return (*((name, value.encode()) for name, value in said), ("content-type", b"application/json"))


def encoded(key: str, kind: str, version: int, at_ms: int, fact: Any) -> bytes:
    """`key`: of the record, ending with what it is about; `kind`: last part of the type."""
    event = render.CloudEvent(
        specversion="1.0",
        id=f"{key}/{version}",
        source=render.SOURCE,
        type=f"tocsin.{kind}",
        subject=key.rpartition("/")[2],
        time=_time(at_ms),
        datacontenttype="application/json",
        data=fact,
    )
    return _encoder.encode(event)


def _time(at_ms: int) -> str:
    when = datetime.fromtimestamp(at_ms / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
