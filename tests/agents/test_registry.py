"""Schemas from a registry: fetched before they are needed, with patience.

Here a local server speaks the documented API. With TOCSIN_TEST_REGISTRY=http://HOST:PORT/PATH the last
test registers and fetches schemas at a real one.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiokafka
import pytest
from aiohttp import web

from config.settings import InputTopic, Kafka, Registry, Settings, Topics
from streams.agents import registry
from streams.agents.process import WorkerConfig
from streams.agents.registry import Fetcher, prefetch_of, protobuf_files
from streams.agents.stages import build_plan, topic_specs
from streams.decode.schemas.known import Schemas
from streams.records.pages import decode_page
from streams.records.stage import Record
from tests.agents import kit
from tests.agents.test_worker import working
from tests.decode.test_schemas import READING, ROW, avro, framed, proto, proto_file

PROTO = """syntax = "proto3";
package p;
import "google/protobuf/timestamp.proto";
import "common.proto";
message Sample { google.protobuf.Timestamp at = 1; c.Source source = 2; double value = 3; }
"""
COMMON = """syntax = "proto3"; package c; message Source { string service = 1; string metric = 2; }"""


class FakeRegistry:
    """Answers `/schemas/ids/ID` and `/subjects/S/versions/V`; can be down."""

    def __init__(self) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.asked: list[int] = []
        self.down = False

    async def by_id(self, request: web.Request) -> web.Response:
        id = int(request.match_info["id"])
        self.asked.append(id)
        if self.down:
            return web.json_response({"error_code": 50001, "message": "down"}, status=500)
        if id not in self.schemas:
            return web.json_response({"error_code": 40403, "message": "Schema not found"}, status=404)
        return web.json_response(self.schemas[id])

    async def by_version(self, request: web.Request) -> web.Response:
        found = next(s for s in self.schemas.values() if s.get("subject") == request.match_info["subject"])
        return web.json_response({"id": 1, "version": 1, **found})


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[FakeRegistry, str]]:
    fake = FakeRegistry()
    app = web.Application()
    app.router.add_get("/schemas/ids/{id}", fake.by_id)
    app.router.add_get("/subjects/{subject}/versions/{version}", fake.by_version)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield fake, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def settings(url: str, bootstrap: str = "", topic: str = "in") -> Settings:
    fields = {"ts": "event_time", "service": "device.name", "metric": "=t", "value": "reading"}
    inputs = (InputTopic(name=topic, format="registry", partitions=1, fields=fields),)
    return Settings(
        kafka=Kafka(bootstrap=bootstrap), topics=Topics(inputs=inputs), registry=Registry(url=url)
    )


def fetcher(url: str, schemas: Schemas) -> Fetcher:
    found = prefetch_of(settings(url), schemas)
    assert found is not None
    return found


def wrapped(value: bytes, topic: str = "in") -> Record:
    return Record(topic, 0, 0, 0, None, value)


async def test_each_schema_is_asked_for_once() -> None:
    """And only for the topics that need them; what there is none of is remembered, too."""
    async with serving() as (fake, url):
        fake.schemas[1] = {"schema": json.dumps(READING)}
        schemas = Schemas()
        prefetch = fetcher(url, schemas)
        values = [framed(1, avro(ROW)), framed(7, b""), b"text", b"{}"]
        for _ in range(2):
            await prefetch.prepare([*map(wrapped, values), wrapped(framed(8, b""), "other")])
        assert sorted(fake.asked) == [1, 7]
        assert schemas.missing((1, 7)) == []
        assert schemas.read(values[0], "avro") == ROW


async def test_an_unreachable_registry_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is not the record's."""
    monkeypatch.setattr(registry, "AGAIN_S", (0.02, 0.1))
    async with serving() as (fake, url):
        fake.schemas[1], fake.down = {"schema": json.dumps(READING)}, True
        schemas = Schemas()
        prefetch = fetcher(url, schemas)
        waiting = asyncio.create_task(prefetch.prepare([wrapped(framed(1, b""))]))
        await kit.eventually(lambda: prefetch.retries >= 2, 20, "asked again")
        assert not waiting.done()
        fake.down = False
        await asyncio.wait_for(waiting, 20)
        assert not schemas.missing((1,))


async def test_a_schema_that_cannot_be_used_is_its_records_problem() -> None:
    """Not the worker's."""
    async with serving() as (fake, url):
        fake.schemas[1] = {"schema": "{"}
        fake.schemas[2] = {"schema": "x", "schemaType": "XML"}
        schemas = Schemas()
        await fetcher(url, schemas).prepare([wrapped(framed(i, b"")) for i in (1, 2)])
        assert not schemas.missing((1, 2))


async def test_a_protobuf_schema_may_come_as_a_descriptor() -> None:
    """As registries hand it out that know `format=serialized`."""
    async with serving() as (fake, url):
        encoded = base64.b64encode(proto_file().SerializeToString()).decode()
        fake.schemas[3] = {"schema": encoded, "schemaType": "PROTOBUF"}
        schemas = Schemas()
        await fetcher(url, schemas).prepare([wrapped(framed(3, b""))])
        found = schemas.read(framed(3, b"\x02\x02" + proto(service="cart", value=2.0)), "protobuf")
        assert isinstance(found, dict)
        assert (found["service"], found["value"]) == ("cart", 2.0)


async def test_a_protobuf_schema_may_come_as_text_with_references() -> None:
    """Then protoc compiles it."""
    pytest.importorskip("grpc_tools")
    async with serving() as (fake, url):
        fake.schemas[4] = {"subject": "common", "schema": COMMON, "schemaType": "PROTOBUF"}
        references = [{"name": "common.proto", "subject": "common", "version": 1}]
        fake.schemas[5] = {"schema": PROTO, "schemaType": "PROTOBUF", "references": references}
        schemas = Schemas()
        await fetcher(url, schemas).prepare([wrapped(framed(5, b""))])
        found = schemas.read(framed(5, b"\0\x12\x06\x0a\x04cart"), "protobuf")
        assert isinstance(found, dict)
        assert found["source"]["service"] == "cart"


def test_a_file_of_a_schema_stays_in_its_folder() -> None:
    """A reference may be named anything."""
    with pytest.raises(ValueError, match="a file named"):
        protobuf_files([("../../x.proto", COMMON), ("a.proto", COMMON)])


async def test_records_wait_for_their_schema_and_none_is_lost(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker with the registry down: reading pauses; once it answers all records are rows."""
    monkeypatch.setattr(registry, "AGAIN_S", (0.05, 0.2))
    topic = kit.unique("readings")
    async with serving() as (fake, url):
        fake.schemas[1], fake.down = {"schema": json.dumps(READING)}, True
        of = settings(url, bootstrap, topic)
        specs = topic_specs(of)
        await kit.create(bootstrap, *specs)
        plan, now = (
            build_plan("ingest", of, {spec.name: spec.partitions for spec in specs}),
            datetime.datetime.now(datetime.UTC),
        )
        async with kit.producer(bootstrap) as client:
            for _ in range(50):
                await client.send_and_wait(topic, framed(1, avro({**ROW, "event_time": now})))
        async with working(WorkerConfig(bootstrap, kit.unique("g")), [plan], specs):
            await kit.eventually(lambda: len(fake.asked) >= 3, 30, "asked")
            fake.down = False
            rows = await _rows(bootstrap, of, 50)
    assert rows == 50


async def _rows(bootstrap: str, of: Settings, count: int) -> int:

    reader = aiokafka.AIOKafkaConsumer(
        of.topics.pages, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    )
    await reader.start()
    found = 0
    try:
        async with asyncio.timeout(30):
            while found < count:
                page = decode_page((await reader.getone()).value)
                if page.source.startswith("readings"):
                    found += len(page.ts) // 8
    finally:
        await reader.stop()
    return found


@pytest.mark.skipif("TOCSIN_TEST_REGISTRY" not in os.environ, reason="no real registry named")
async def test_a_real_registry_is_read_as_it_answers() -> None:
    """Avro, JSON and protobuf with a reference, registered through the library and fetched by id."""
    from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient

    url = os.environ["TOCSIN_TEST_REGISTRY"]
    client = SchemaRegistryClient({"url": url})
    anything = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
    ids = [
        client.register_schema(kit.unique("avro"), Schema(json.dumps(READING), "AVRO")),
        client.register_schema(kit.unique("json"), Schema(json.dumps(anything), "JSON")),
    ]
    common = kit.unique("common")
    client.register_schema(common, Schema(COMMON, "PROTOBUF"))
    references = [SchemaReference("common.proto", common, 1)]
    ids.append(client.register_schema(kit.unique("proto"), Schema(PROTO, "PROTOBUF", references)))
    schemas = Schemas()
    await fetcher(url, schemas).prepare([wrapped(framed(id, b"")) for id in (*ids, 99_999)])
    assert schemas.read(framed(ids[0], avro(ROW)), "avro") == ROW
    assert schemas.read(framed(ids[1], b'{"a": 1}'), "json-schema") == {"a": 1}
    found = schemas.read(framed(ids[2], b"\0\x12\x06\x0a\x04cart"), "protobuf")
    assert isinstance(found, dict)
    assert found["source"]["service"] == "cart"
    assert not schemas.missing((99_999,))
