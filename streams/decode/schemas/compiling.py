"""From a schema's text to how its data are read. The libraries come with the extra `registry`."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message, message_factory

from streams.decode.errors import UNDECODABLE, UNREADABLE_JSON, BadRecord, json_fault
from streams.decode.schemas.known import Schema

AVRO, JSON, PROTOBUF = "avro", "json-schema", "protobuf"

Names = frozenset[str]

_anything = msgspec.json.Decoder()


class Uncompilable(ValueError):
    """The schema cannot be used; the message says why."""


def avro(text: str, references: Sequence[str] = ()) -> Schema:
    """Read Avro data. `references`: texts of the schemas it refers to, in the order they need each other."""
    import fastavro
    from fastavro.schema import SchemaParseException, UnknownType

    named: dict[str, Any] = {}
    try:
        for each in references:
            fastavro.parse_schema(json.loads(each), named_schemas=named)
        parsed = fastavro.parse_schema(json.loads(text), named_schemas=named)
    except (SchemaParseException, UnknownType, ValueError, KeyError, TypeError) as error:
        raise Uncompilable(f"not an Avro schema: {error}"[:300]) from None

    if _has_weightless_items(parsed, named):
        raise Uncompilable("an array whose items take no bytes: five bytes could say there are billions")

    def read(data: bytes) -> object:
        source = io.BytesIO(data)
        try:
            found: object = fastavro.schemaless_reader(source, parsed, None)
        # Broken bytes show in as many ways as there are types: fastavro has no error of its own for them.
        except Exception as error:  # noqa: BLE001
            raise BadRecord(UNDECODABLE, f"not Avro of this schema: {error!r}"[:300]) from None
        if source.tell() != len(data):
            raise BadRecord(UNDECODABLE, f"{len(data) - source.tell()} bytes more than its Avro schema has")
        return found

    return Schema(AVRO, read)


def _has_weightless_items(
    schema: Any, named: Mapping[str, Any], within: frozenset[str] = frozenset()
) -> bool:
    """Is there an array, anywhere in it, of items whose data are empty?"""
    if isinstance(schema, list):
        return any(_has_weightless_items(each, named, within) for each in schema)
    if isinstance(schema, str):
        if schema in within or schema not in named:
            return False
        return _has_weightless_items(named[schema], named, within | {schema})
    inner = schema.get("type")
    if inner == "array":
        items = schema["items"]
        return _weightless(items, named) or _has_weightless_items(items, named, within)
    if inner == "map":
        return _has_weightless_items(schema["values"], named, within)
    if inner in ("record", "error"):
        known = within | {schema["name"]}
        return any(_has_weightless_items(field["type"], named, known) for field in schema["fields"])
    return isinstance(inner, dict | list) and _has_weightless_items(inner, named, within)


def _weightless(schema: Any, named: Mapping[str, Any], within: Names = frozenset()) -> bool:
    """Are its data always empty? A union is not: it says which branch it is."""
    if isinstance(schema, str):
        if schema in within:
            return True  # a record in itself without end has no data at all
        return schema == "null" or (schema in named and _weightless(named[schema], named, within | {schema}))
    if not isinstance(schema, dict):
        return False
    inner = schema.get("type")
    if inner in ("record", "error"):
        known = within | {schema["name"]}
        return all(_weightless(field["type"], named, known) for field in schema["fields"])
    if inner == "fixed":
        return schema.get("size") == 0
    return inner == "null" or (isinstance(inner, dict) and _weightless(inner, named, within))


def json_schema() -> Schema:
    """Read JSON data. The schema itself is the producer's promise; it is not checked again."""

    def read(data: bytes) -> object:
        try:
            return _anything.decode(data)
        except UNREADABLE_JSON as error:
            raise BadRecord(*json_fault(error)) from None

    return Schema(JSON, read)


def protobuf(files: Sequence[descriptor_pb2.FileDescriptorProto]) -> Schema:
    """Read protobuf data. `files`: descriptors, each after those it imports; the last is the schema."""
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in files:
            pool.Add(file)
        top = pool.FindFileByName(files[-1].name)
        types = _types(files[-1], top.package)
        classes = {
            path: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
            for path, name in types.items()
        }
    except (TypeError, KeyError) as error:
        raise Uncompilable(f"not a protobuf schema: {error}"[:300]) from None

    def read(data: bytes) -> object:
        path, at = _path(data)
        made = classes.get(path)
        if made is None:
            raise BadRecord(UNDECODABLE, f"the schema has no message at {list(path)}")
        try:
            found = made.FromString(data[at:])
            return json_format.MessageToDict(
                found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        except (message.DecodeError, json_format.Error, RecursionError, ValueError, TypeError) as error:
            raise BadRecord(UNDECODABLE, f"not protobuf of this schema: {error}"[:300]) from None

    return Schema(PROTOBUF, read)


def _types(file: descriptor_pb2.FileDescriptorProto, package: str) -> Mapping[tuple[int, ...], str]:
    """Messages by their indexes from the outermost: `(1, 0)` is the first one in the second."""
    found: dict[tuple[int, ...], str] = {}

    def walk(messages: Any, path: tuple[int, ...], scope: str) -> None:
        for i, each in enumerate(messages):
            name = f"{scope}.{each.name}" if scope else each.name
            found[*path, i] = name
            walk(each.nested_type, (*path, i), name)

    walk(file.message_type, (), package)
    return found


def _path(data: bytes) -> tuple[tuple[int, ...], int]:
    """Which message it is, and where it begins: zigzag varints, a count and the indexes; 0 alone is `[0]`."""
    count, at = _varint(data, 0)
    if count == 0:
        return (0,), at
    if not 0 < count <= 32:
        raise BadRecord(UNDECODABLE, f"{count} message indexes")
    path = []
    for _ in range(count):
        index, at = _varint(data, at)
        path.append(index)
    return tuple(path), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
    raise BadRecord(UNDECODABLE, "message indexes that end too early")


def descriptor(encoded: bytes) -> descriptor_pb2.FileDescriptorProto:
    """A file descriptor as bytes. Raises `Uncompilable`."""
    try:
        return descriptor_pb2.FileDescriptorProto.FromString(encoded)
    except message.DecodeError as error:
        raise Uncompilable(f"not a file descriptor: {error}") from None


def unusable(problem: str) -> Schema:
    """A schema there is none of: its records are dead letters with this reason."""

    def read(data: bytes) -> object:
        raise BadRecord(UNDECODABLE, problem)

    return Schema("", read, problem)
