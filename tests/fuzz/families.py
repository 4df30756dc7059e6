"""What no golden record stands for: values wrapped in events or compressed, and those that name a schema."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import NamedTuple

import msgspec

from config.settings import InputTopic, Registry, Settings
from streams.decode import formats
from streams.decode.schemas import compiling
from streams.decode.schemas.known import Schemas
from tests.decode.test_golden import GOLDEN
from tests.decode.test_schemas import avro, framed, proto, proto_file

T0 = 1_700_000_000_000
AVRO = {
    "type": "record",
    "name": "Sample",
    "fields": [
        {"name": "ts", "type": "long"},
        {"name": "service", "type": "string"},
        {"name": "metric", "type": "string"},
        {"name": "value", "type": ["null", "double"]},
        {"name": "labels", "type": {"type": "map", "values": "string"}},
        {"name": "history", "type": {"type": "array", "items": "double"}},
    ],
}
LINE = {"ts": T0, "service": "cart", "metric": "hits", "value": 1.5, "labels": {"a": "b"}}
EVENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "t", "time": "2023-11-14T22:13:20Z"}


class Family(NamedTuple):
    """Records of one topic."""

    format: str
    records: tuple[tuple[str, bytes], ...]
    ts: int
    """reference time: just after all that is in them"""


def _framed() -> tuple[tuple[str, bytes], ...]:
    record = {**LINE, "history": [1.0, 2.0]}
    return (
        ("avro", framed(1, avro(record, AVRO))),
        ("json-schema", framed(2, json.dumps([LINE, LINE]).encode())),
        ("protobuf", framed(3, b"\x02\x02" + proto(ts=T0, service="cart", metric="hits", value=2.0))),
    )


def _events() -> tuple[tuple[str, bytes], ...]:
    line = json.dumps(LINE).encode()
    json_event = {**EVENT, "datacontenttype": "application/json", "data": LINE}
    return (
        ("structured", json.dumps(json_event).encode()),
        ("base64", json.dumps({**EVENT, "data_base64": base64.b64encode(line).decode()}).encode()),
        ("batch", json.dumps([json_event, json_event]).encode()),
    )


def _alerts() -> tuple[tuple[str, bytes], ...]:
    found = [path for name in formats.EXTERNAL for path in (GOLDEN / name).glob("*")]
    return tuple((f"{path.parent.name}-{path.name}", path.read_bytes()) for path in sorted(found))


@cache
def families() -> dict[str, Family]:
    """By name; none of these names is a format of its own."""
    return {
        "framed": Family("registry", _framed(), T0 + 1_000),
        "cloudevents": Family(formats.TOCSIN, _events(), T0 + 1_000),
        "any-alerts": Family(formats.ALERTS, _alerts(), 1_900_000_000_000),
    }


def names() -> list[str]:
    """All formats and families."""
    return [*(each.name for each in formats.FORMATS), *families()]


def format_of(name: str) -> str:
    """The format a topic of this family has."""
    return families()[name].format if name in families() else name


@cache
def schemas() -> Schemas:
    """Those that the framed records name."""
    found = Schemas()
    found.put(1, compiling.avro(json.dumps(AVRO)))
    found.put(2, compiling.json_schema())
    found.put(3, compiling.protobuf([proto_file()]))
    return found


def settings_for(name: str, topic: str, settings: Settings) -> Settings:
    """The settings with one input topic, for records of this name."""
    inputs = (InputTopic(name=topic, format=format_of(name), partitions=1),)
    topics = msgspec.structs.replace(settings.topics, inputs=inputs)
    return msgspec.structs.replace(settings, topics=topics, registry=Registry(url="http://registry"))
