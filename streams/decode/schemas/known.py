"""The schemas there are: found by the shell, read by the decoders. And the framing that names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from streams.decode.errors import UNDECODABLE, BadRecord

HEAD = 5
"""bytes before the data: 0, and the id as 4 bytes, most significant first"""


class Schema(NamedTuple):
    """How to read the data of one schema."""

    kind: str
    """avro | json-schema | protobuf; empty: there is none, `problem` says why"""
    read: Callable[[bytes], object]
    """data -> what JSON could hold (and times and bytes); raises `BadRecord`"""
    problem: str = ""


def schema_id(value: bytes | None) -> int | None:
    """The id a value names; None if it is not framed."""
    if value is None or len(value) < HEAD or value[0] != 0:
        return None
    return int.from_bytes(value[1:HEAD], "big")


class Schemas:
    """Schemas by id. Mutable, filled from outside: the decoders never wait for one. Bounded."""

    def __init__(self, most: int = 1_000) -> None:
        self.most = most
        self.evicted = 0
        self._by_id: dict[int, Schema] = {}

    def missing(self, ids: Iterable[int]) -> list[int]:
        """Those of `ids` that are not known, sorted."""
        return sorted(set(ids) - self._by_id.keys())

    def put(self, id: int, schema: Schema, needed: Iterable[int] = ()) -> None:
        """Keep a schema; beyond `most` the oldest that is not `needed` now is forgotten."""
        self._by_id[id] = schema
        if len(self._by_id) > self.most:
            keep = {id, *needed}
            gone = next((old for old in self._by_id if old not in keep), None)
            if gone is not None:
                del self._by_id[gone]
                self.evicted += 1

    def forget_problems(self) -> None:
        """Ask again for what the registry did not have: it may have been registered since."""
        self._by_id = {id: schema for id, schema in self._by_id.items() if schema.kind}

    def read(self, value: bytes, kind: str) -> object:
        """What a framed value holds. `kind` empty takes any. Raises `BadRecord`."""
        id = schema_id(value)
        if id is None:
            raise BadRecord(
                UNDECODABLE, f"no schema id: expected a 0 and four bytes, not {bytes(value[:HEAD])!r}"
            )
        schema = self._by_id.get(id)
        if schema is None:
            raise BadRecord(UNDECODABLE, f"schema {id} is not known")
        if not schema.kind:
            raise BadRecord(UNDECODABLE, f"schema {id}: {schema.problem}")
        if kind and schema.kind != kind:
            raise BadRecord(UNDECODABLE, f"schema {id} is {schema.kind}, the topic's format is {kind}")
        return schema.read(value[HEAD:])
