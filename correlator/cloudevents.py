"""A fact as a CloudEvent 1.0, structured mode."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from correlator import render

_encoder = msgspec.json.Encoder()


def encoded(key: str, kind: str, version: int, at_ms: int, fact: Any) -> bytes:
    """`key`: of the record, ending with what it is about; `kind`: last part of the type."""
    when = datetime.fromtimestamp(at_ms / 1000, UTC)
    event = render.CloudEvent(
        specversion="1.0",
        id=f"{key}/{version}",
        source=render.SOURCE,
        type=f"tocsin.{kind}",
        subject=key.rpartition("/")[2],
        time=when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        datacontenttype="application/json",
        data=fact,
    )
    return _encoder.encode(event)
