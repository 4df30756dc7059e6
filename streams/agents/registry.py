"""Fetches schemas for the decoders before they need them: in a thread, with patience, once each.

A chunk of records is looked through for schema ids that are not known; it waits here until the registry
has answered for each of them, and with it the reading. What the registry says it does not have is known
as such for a minute; its records are dead letters. An unreachable registry is asked again and again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from google.protobuf import descriptor_pb2

from config import secrets
from config.settings import REGISTERED_FORMATS, Registry, Settings
from streams.agents.topics import StartError
from streams.decode import envelope
from streams.decode.errors import BadRecord
from streams.decode.schemas import compiling
from streams.decode.schemas.known import Schema, Schemas, schema_id
from streams.records.stage import Record

log = logging.getLogger(__name__)

AGAIN_S = (0.5, 15.0)
"""first and longest wait before the registry is asked again"""
FORGET_S = 60.0
"""what the registry did not have is asked for again after this"""
PROTOC_S = 20.0
_STUCK = (404, 422)
"""answers that will not change by asking again at once"""


class Unavailable(Exception):
    """The registry did not answer, or not with what it should: ask again."""


class Client(Protocol):
    """What we ask of `confluent_kafka.schema_registry.SchemaRegistryClient`."""

    def get_schema(self, schema_id: int, subject_name: str | None = None, fmt: str | None = None) -> Any: ...

    def get_version(
        self, subject_name: str, version: int, deleted: bool = False, fmt: str | None = None
    ) -> Any: ...


def prefetch_of(settings: Settings, schemas: Schemas) -> Fetcher | None:
    """What has to happen before a chunk is decoded; None without topics that need it.

    Raises `StartError` when the libraries are missing.
    """
    topics = frozenset(t.name for t in settings.topics.inputs if t.format in REGISTERED_FORMATS)
    if not topics:
        return None
    try:
        import fastavro  # noqa: F401
        from confluent_kafka.schema_registry import SchemaRegistryClient  # type: ignore[import-untyped]
    except ImportError as error:
        raise StartError(
            f"topics with a schema registry need {error.name}: install tocsin[registry]"
        ) from error
    client = SchemaRegistryClient(_config(settings.registry))
    return Fetcher(client, schemas, topics, settings.ingest.max_record_bytes)


def _config(registry: Registry) -> dict[str, Any]:
    config: dict[str, Any] = {"url": registry.url, "timeout": registry.timeout_s, "max.retries": 0}
    if registry.user:
        config["basic.auth.user.info"] = f"{registry.user}:{secrets.read(registry.password)}"
    return config


class Fetcher:
    """Keeps `schemas` ahead of the records of `topics`."""

    def __init__(self, client: Client, schemas: Schemas, topics: frozenset[str], max_bytes: int) -> None:
        self._client = client
        self._schemas = schemas
        self.topics = topics
        self._max_bytes = max_bytes
        self._forgotten_at = time.monotonic()
        self.retries = 0

    async def prepare(self, records: Sequence[Record]) -> None:
        """Return when every schema these records name is known, one way or the other."""
        ids = self._ids(records)
        if time.monotonic() - self._forgotten_at > FORGET_S:
            self._forgotten_at = time.monotonic()
            self._schemas.forget_problems()
        for id in self._schemas.missing(ids):
            self._schemas.put(id, await self._patiently(id), ids)

    def _ids(self, records: Sequence[Record]) -> set[int]:
        found: set[int] = set()
        for record in records:
            if record.topic not in self.topics or not record.value:
                continue
            try:
                opened = envelope.open(record, self._max_bytes)
            except BadRecord:
                continue  # ingest says why
            for part in (opened, *opened.more):
                id = schema_id(part.value)
                if id is not None:
                    found.add(id)
        return found

    async def _patiently(self, id: int) -> Schema:
        wait, longest = AGAIN_S
        while True:
            try:
                return await asyncio.to_thread(self._fetch, id)
            except Unavailable as error:
                self.retries += 1
                log.warning("schema registry: schema %s: %s; asking again in %.1f s", id, error, wait)
                await asyncio.sleep(wait)
                wait = min(2 * wait, longest)

    def _fetch(self, id: int) -> Schema:
        try:
            found = self._ask(lambda: self._client.get_schema(id, fmt="serialized"))
            kind = (found.schema_type or "AVRO").upper()
            if kind == "AVRO":
                texts = [text for _, text in self._references(found)]
                return compiling.avro(found.schema_str, texts)
            if kind == "JSON":
                return compiling.json_schema()
            if kind == "PROTOBUF":
                return compiling.protobuf(self._descriptors(id, found))
        except (compiling.Uncompilable, LookupError) as error:
            return compiling.unusable(str(error.args[0]) if error.args else str(error))
        return compiling.unusable(f"its type {kind} is not read")

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Raises `LookupError` when there is no such schema, `Unavailable` for everything passing."""
        from confluent_kafka.schema_registry.error import SchemaRegistryError  # type: ignore[import-untyped]

        try:
            return question()
        except SchemaRegistryError as error:
            if error.http_status_code in _STUCK:
                raise LookupError(f"the registry has none: {error.error_message}") from None
            raise Unavailable(str(error)) from error
        except (OSError, ValueError) as error:
            raise Unavailable(repr(error)) from error
        except Exception as error:
            # Its HTTP client's errors have no common ground with ours but the module they come from.
            if type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore"):
                raise Unavailable(repr(error)) from error
            raise

    def _references(self, schema: Any, seen: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
        """(name, text) of what a schema refers to, each after what it needs itself."""
        found: list[tuple[str, str]] = []
        for reference in schema.references or ():
            if reference.name in seen or len(seen) > 100:
                raise compiling.Uncompilable(f"references in a circle, at {reference.name}")
            within = self._version(reference.subject, reference.version)
            found += self._references(within, seen | {reference.name})
            found.append((reference.name, within.schema_str))
        return list(dict.fromkeys(found))

    def _version(self, subject: str, version: int) -> Any:
        return self._ask(lambda: self._client.get_version(subject, version, fmt="serialized")).schema

    def _descriptors(self, id: int, schema: Any) -> list[descriptor_pb2.FileDescriptorProto]:
        files = [*self._references(schema), (f"schema-{id}.proto", schema.schema_str)]
        return protobuf_files(files)


def protobuf_files(files: Sequence[tuple[str, str]]) -> list[descriptor_pb2.FileDescriptorProto]:
    """Descriptors of schemas as (name, text or base64), with what they import of protobuf's own.

    A registry that knows `format=serialized` hands out descriptors; others only the text, which
    protoc then compiles. Raises `Uncompilable`.
    """
    found: list[descriptor_pb2.FileDescriptorProto] = []
    for name, text in files:
        try:
            one = compiling.descriptor(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            return _compiled(files)
        one.name = name
        found.append(one)
    own = {name for name, _ in files}
    wanted = {name for file in found for name in file.dependency if name not in own}
    return [*_well_known(sorted(wanted)), *found]


def _well_known(names: Sequence[str]) -> list[descriptor_pb2.FileDescriptorProto]:
    """Files that come with protobuf itself."""
    from google.protobuf import (  # noqa: F401 - their import registers them
        any_pb2,
        descriptor_pool,
        duration_pb2,
        struct_pb2,
        timestamp_pb2,
        wrappers_pb2,
    )

    found = []
    for name in names:
        file = descriptor_pb2.FileDescriptorProto()
        try:
            descriptor_pool.Default().FindFileByName(name).CopyToProto(file)
        except KeyError:
            raise compiling.Uncompilable(f"it imports {name}, which it does not refer to") from None
        found.append(file)
    return found


def _compiled(files: Sequence[tuple[str, str]]) -> list[descriptor_pb2.FileDescriptorProto]:
    """By protoc, in a process of its own: schemas are somebody else's text."""
    with tempfile.TemporaryDirectory(prefix="tocsin-proto-") as folder:
        root = Path(folder)
        for name, text in files:
            path = (root / name).resolve()
            if not path.is_relative_to(root.resolve()):
                raise compiling.Uncompilable(f"a file named {name[:60]!r}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        out = root / "descriptors.bin"
        try:
            done = subprocess.run(
                [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", *_includes(),
                 "--include_imports", f"--descriptor_set_out={out}", files[-1][0]],
                capture_output=True, text=True, timeout=PROTOC_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Unavailable(f"protoc took more than {PROTOC_S:.0f} s") from None
        if done.returncode != 0:
            said = " ".join(done.stderr.split())[-300:]
            if "No module named" in said:
                said = "the registry hands out only its text; compiling it needs grpcio-tools"
            raise compiling.Uncompilable(said)
        described = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    return list(described.file)


def _includes() -> list[str]:
    """Where protoc finds protobuf's own files."""
    from importlib.util import find_spec

    spec = find_spec("grpc_tools")
    return [] if spec is None or not spec.origin else [f"-I{Path(spec.origin).parent / '_proto'}"]
