"""Values framed with a schema's id: Avro, JSON, protobuf; and how their fields become rows."""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import Any

import fastavro
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

from config.load import ConfigError, load
from config.settings import InputTopic, Registry, Settings, Topics
from streams.decode import formats
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from streams.decode.errors import REASONS, BadRecord
from streams.decode.ingest import ingest_factory
from streams.decode.schemas import compiling
from streams.decode.schemas.known import Schemas, schema_id
from tests.decode.support import T0, Read, read, record

READING = {
    "type": "record",
    "name": "Reading",
    "fields": [
        {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "device", "type": {"type": "record", "name": "Device", "fields": [
            {"name": "name", "type": "string"}, {"name": "rack", "type": ["null", "string"]}]}},
        {"name": "reading", "type": ["null", "double"]},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
    ],
}  # fmt: skip
FIELDS = {"ts": "event_time", "value": "reading", "metric": "=temperature", "labels": "tags,device.rack"}
AT = dt.datetime.fromtimestamp(T0 / 1000, dt.UTC)
ROW = {"event_time": AT, "device": {"name": "d1", "rack": "r7"}, "reading": 20.5, "tags": {"room": "a"}}


def framed(id: int, data: bytes) -> bytes:
    return b"\0" + id.to_bytes(4, "big") + data


def avro(value: Any, schema: Any = READING) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), value)
    return out.getvalue()


def proto_file() -> descriptor_pb2.FileDescriptorProto:
    """Two messages; the second holds one within."""
    file = descriptor_pb2.FileDescriptorProto(name="p.proto", package="p", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto
    for name in ("Other", "Sample"):
        made = file.message_type.add(name=name)
        for number, (own, kind) in enumerate(
            (("ts", field.TYPE_INT64), ("service", field.TYPE_STRING), ("metric", field.TYPE_STRING),
             ("value", field.TYPE_DOUBLE), ("unit", field.TYPE_STRING)), 1
        ):  # fmt: skip
            made.field.add(name=own, number=number, type=kind, label=field.LABEL_OPTIONAL)
    file.message_type[1].nested_type.add(name="Inner").CopyFrom(file.message_type[0])
    return file


def proto(**fields: Any) -> bytes:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(proto_file())
    made: bytes = message_factory.GetMessageClass(pool.FindMessageTypeByName("p.Sample"))(
        **fields
    ).SerializeToString()
    return made


def known() -> Schemas:
    schemas = Schemas()
    schemas.put(1, compiling.avro(json.dumps(READING)))
    schemas.put(2, compiling.json_schema())
    schemas.put(3, compiling.protobuf([proto_file()]))
    schemas.put(4, compiling.unusable("the registry has none"))
    return schemas


def sent(raw: bytes, /, wire_format: str = "registry", service: tuple[str, ...] = (), **fields: str) -> Read:
    topic = InputTopic(name="in", format=wire_format, service=service, fields=fields)
    of = Settings(topics=Topics(inputs=(topic,)), registry=Registry(url="http://r"))
    return read(ingest_factory(of, ["in/0"], known())("in", 0).process([record(raw)]), of=of)


def test_avro_fields_are_renamed_as_configured() -> None:
    """Fields within records, fixed texts, several sources of labels; a time becomes ms."""
    found = sent(framed(1, avro(ROW)), service=("device.name",), **FIELDS)
    assert not found.letters
    (series,) = found.named("temperature")
    assert (series.service, series.labels) == ("d1", (("rack", "r7"), ("room", "a")))
    assert found.by_name() == {"temperature": [(T0, 20.5)]}


def test_json_with_a_schema_has_our_names_unless_told_otherwise() -> None:
    """One record or an array; a bad one leaves the others."""
    line = {"ts": T0, "service": "cart", "metric": "hits", "value": "3", "labels": {"a": 1}, "unit": "ms"}
    found = sent(framed(2, json.dumps([line, {**line, "ts": "later"}, {**line, "value": 4}]).encode()))
    assert found.by_name() == {"hits": [(T0, 3.0), (T0, 4.0)]}
    assert [(letter.reason, letter.rows) for letter in found.letters] == [("wrong-type", 1)]
    assert found.named("hits")[0].labels == (("a", "1"),)


def test_a_log_line_and_a_span_are_what_they_are_in_tocsin_json() -> None:
    """By `body` and by `span_id`."""
    log = {"when": "2023-11-14T22:13:20Z", "service": "cart", "text": "no stock", "level": "ERROR"}
    found = sent(framed(2, json.dumps(log).encode()), ts="when", body="text", severity="level")
    assert [(row[0].service, *row[1:4]) for row in found.logs] == [("cart", T0, 17, "no stock")]
    span = {"ts": T0, "service": "a", "trace_id": "t", "span_id": "s"}
    assert len(sent(framed(2, json.dumps(span).encode())).spans) == 1


def test_protobuf_is_read_by_its_message_indexes() -> None:
    """The second message of the file; zero is a value like any other."""
    found = sent(framed(3, b"\x02\x02" + proto(ts=T0, service="cart", metric="hits")))
    assert found.by_name() == {"hits": [(T0, 0.0)]}


def test_the_first_message_needs_no_indexes_but_a_zero() -> None:
    """And one within another has two."""
    data = proto(ts=T0, service="cart", metric="hits", value=2.0)
    assert sent(framed(3, b"\x00" + data)).by_name() == {"hits": [(T0, 2.0)]}
    assert sent(framed(3, b"\x04\x02\x00" + data)).by_name() == {"hits": [(T0, 2.0)]}


@pytest.mark.parametrize(
    ("value", "wire_format", "reason", "word"),
    [
        (framed(9, b""), "registry", "undecodable", "schema 9 is not known"),
        (framed(4, b""), "registry", "undecodable", "the registry has none"),
        (b'{"ts": 1}', "registry", "undecodable", "no schema id"),
        (b"\0\0", "avro", "undecodable", "no schema id"),
        (framed(1, avro(ROW)), "protobuf", "undecodable", "the topic's format is protobuf"),
        (framed(1, avro(ROW)[:-3]), "registry", "undecodable", "not Avro"),
        (framed(1, avro(ROW) + b"x"), "registry", "undecodable", "1 bytes more"),
        (framed(1, avro(ROW)), "avro", "wrong-type", "no ts and no service"),
        (framed(2, b"[]"), "json-schema", "wrong-type", "without records"),
        (framed(2, b"7"), "json-schema", "wrong-type", "int"),
        (framed(2, b"{"), "json-schema", "undecodable", "JSON"),
        (framed(3, b"\x02\x09" + proto()), "protobuf", "undecodable", "no message at [-5]"),
        (framed(3, b"\x00\xff\xff"), "protobuf", "undecodable", "protobuf"),
        (framed(3, b"\xff"), "protobuf", "undecodable", "indexes"),
    ],
)
def test_what_cannot_be_read_says_why(value: bytes, wire_format: str, reason: str, word: str) -> None:
    """A dead letter each, with the bytes as they came."""
    found = sent(value, wire_format)
    assert [(letter.reason, letter.value) for letter in found.letters] == [(reason, value)]
    assert word in found.letters[0].detail


def test_schemas_are_bounded_and_those_needed_now_stay() -> None:
    """The oldest that nobody needs goes first."""
    schemas = Schemas(most=2)
    for id in (1, 2, 3):
        schemas.put(id, compiling.json_schema(), needed=(1,))
    assert schemas.missing((1, 2, 3)) == [2]
    assert schemas.evicted == 1


def test_what_the_registry_did_not_have_can_be_asked_for_again() -> None:
    """It may have been registered since."""
    schemas = known()
    schemas.forget_problems()
    assert schemas.missing((1, 2, 3, 4)) == [4]


@pytest.mark.parametrize(
    "items",
    [
        "null",
        {"type": "null"},
        {"type": "fixed", "name": "f", "size": 0},
        {"type": "record", "name": "e", "fields": []},
        {"type": "record", "name": "e", "fields": [{"name": "n", "type": "null"}]},
        {"type": "map", "values": {"type": "array", "items": "null"}},
    ],
)
def test_an_avro_array_of_nothing_is_refused(items: object) -> None:
    """Five bytes would be billions of items."""
    field = {"name": "x", "type": ["null", {"type": "array", "items": items}]}
    with pytest.raises(compiling.Uncompilable, match="take no bytes"):
        compiling.avro(json.dumps({"type": "record", "name": "a", "fields": [field]}))


def test_an_avro_record_may_hold_itself() -> None:
    """A tree; its items do take bytes."""
    children = {"type": "array", "items": "a"}
    fields = [{"name": "n", "type": "int"}, {"name": "x", "type": children}]
    schema = compiling.avro(json.dumps({"type": "record", "name": "a", "fields": fields}))
    assert schema.read(b"\x02\x02\x04\x00\x00") == {"n": 1, "x": [{"n": 2, "x": []}]}


def test_an_avro_schema_may_refer_to_others() -> None:
    """By name, in the order they need each other."""
    inner = {"type": "record", "name": "x.Inner", "fields": [{"name": "n", "type": "long"}]}
    outer = {"type": "record", "name": "Outer", "fields": [{"name": "inner", "type": "x.Inner"}]}
    schema = compiling.avro(json.dumps(outer), [json.dumps(inner)])
    assert schema.read(b"\x0e") == {"inner": {"n": 7}}


@pytest.mark.parametrize("text", ["", "{", '{"type": "nonsense"}'])
def test_a_schema_that_is_none_cannot_be_compiled(text: str) -> None:
    """Its records become dead letters, not the worker's end."""
    with pytest.raises(compiling.Uncompilable):
        compiling.avro(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("topics: {inputs: [{name: a, format: avro}]}", "registry.url is empty"),
        ("registry: {url: r:1}", "expected http://HOST:PORT"),
        ("topics: {inputs: [{name: a, fields: {time: t}}]}", "expected one of ts, service"),
    ],
)
def test_a_bad_configuration_is_named(tmp_path: Any, text: str, expected: str) -> None:
    """Before anything starts."""
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load(path)


@settings(max_examples=300, deadline=None)
@given(
    base=st.sampled_from(
        (framed(1, avro(ROW)), framed(3, b"\0" + proto(ts=T0, metric="m")), framed(2, b'{"ts":1}'))
    ),
    at=st.integers(0, 60),
    noise=st.binary(max_size=8),
)
def test_damaged_values_are_read_or_refused(base: bytes, at: int, noise: bytes) -> None:
    """No other exception comes out, and rows stay whole."""
    value = base[:5] + base[5 : 5 + at] + noise + base[5 + at + len(noise) :]
    columns = Columns(Catalog(4, 1_000, schemas=known()))
    mark, reason = columns.mark(), REASONS[0]
    try:
        formats.DECODERS["registry"](value, columns)
    except BadRecord as bad:
        columns.undo(mark)
        reason = bad.reason
    assert reason in REASONS
    assert len(columns.slot) == len(columns.ts) == len(columns.value)


def test_only_framed_values_have_an_id() -> None:
    """A 0 and four bytes."""
    assert schema_id(framed(258, b"")) == 258
    assert [schema_id(v) for v in (None, b"", b"\0\0\0\0", b"\1\0\0\0\1")] == [None] * 4
