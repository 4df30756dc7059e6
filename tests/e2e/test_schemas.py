"""The published schemas: as the types are, as AsyncAPI wants it, and true of what the pipeline writes."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from config.settings import Correlate, Settings, Topics
from console.trail import Trail
from sinks.asyncapi import channels, document, files
from sinks.notification import Notification
from sinks.targets.ledger import encoded
from streams.agents.local import LocalPipeline
from streams.records.audit import AuditRecord
from streams.records.stage import Output, Record
from tests.correlator.test_suppress_pipeline import MINUTE, T0, action, notification, sample

ROOT = Path(__file__).parents[2]
OFFICIAL = ROOT / "tests" / "sinks" / "data" / "asyncapi-3.0.0.json.gz"
"""of the AsyncAPI initiative, Apache-2.0: @asyncapi/specs 6.11.1"""
CHANNELS = {channel.topic: channel for channel in channels()}
STRUCTURED = {name for name, channel in CHANNELS.items() if channel.mode == "structured"}
BINARY = {name for name, channel in CHANNELS.items() if channel.mode == "binary"}


def schema(topic: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(files()[f"{topic}.json"]))


def test_what_is_published_is_what_the_types_say() -> None:
    """After a change of a message: tocsin schemas -o docs/schemas."""
    published = {
        file.name: file.read_text(encoding="utf-8") for file in (ROOT / "docs" / "schemas").iterdir()
    }
    assert published == files()


def test_the_document_is_valid_asyncapi() -> None:
    """By the official JSON Schema of AsyncAPI 3.0; and everything it refers to is there."""
    official = json.loads(gzip.decompress(OFFICIAL.read_bytes()))
    made = document()
    errors = list(jsonschema.Draft7Validator(official).iter_errors(made))
    assert not errors, errors[0].message
    for ref in refs(made):
        place: Any = made
        for part in ref.removeprefix("#/").split("/"):
            place = place[part]
    assert list(jsonschema.Draft7Validator(official).iter_errors({**made, "channels": []})), "it tells"


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            if key == "$ref":
                yield one
            else:
                yield from refs(one)
    elif isinstance(value, list):
        for one in value:
            yield from refs(one)


def test_every_topic_is_described() -> None:
    """Those the settings name, inputs included."""
    topics = Topics()
    named = {getattr(topics, name) for name in topics.__struct_fields__ if name != "inputs"}
    inputs = {topic.name for topic in topics.inputs if not topic.name.startswith("otlp_")}
    assert named | inputs == set(CHANNELS)


def began(at: int, record: Record) -> Record:
    """The same, of alerts that began then and end five minutes later."""
    value = record.value or b""
    for told, ms in ((b"T10:00:00Z", at), (b"T10:05:00Z", at + 5 * MINUTE)):
        value = value.replace(
            told, datetime.fromtimestamp((T0 + ms) / 1000, UTC).strftime("T%H:%M:%SZ").encode()
        )
    return record._replace(value=value)


def audited(record: AuditRecord) -> list[Output]:
    """As the console sends it."""
    sent: list[Output] = []

    class Way:
        async def send(
            self, topic: str, key: bytes | None, value: bytes, *, headers: list[tuple[str, bytes]]
        ) -> None:
            sent.append(Output(topic, value, key or b"", headers=tuple(headers)))

    trail = Trail(Way(), Topics().audit, lambda: T0)
    trail.keep(record)
    asyncio.run(trail.send())
    return sent


@pytest.fixture(scope="module")
def played() -> tuple[list[Record], list[Output]]:
    """Inputs and all that every stage wrote of them: a fault told by another system, and what people do."""
    outputs: list[Output] = []
    inputs = [(topic, 0) for topic in ("tocsin.external", "tocsin.actions", "tocsin.changes", "tocsin.in")]
    pipeline = LocalPipeline(
        Settings(correlate=Correlate(problem_incidents=2)), inputs, outputs.append, edges=(("cart", "db"),)
    )
    log: list[Record] = []

    def feed(record: Record) -> None:
        log.append(record)
        pipeline.feed([record])

    def lines(at: int, *said: dict[str, Any]) -> None:
        value = b"\n".join(json.dumps({"ts": T0 + at, **one}).encode() for one in said)
        feed(Record("tocsin.in", 0, at, T0 + at, None, value))

    def do(at: int, verb: str, incident: str, **more: Any) -> None:
        value = {"ts": T0 + at, "action": verb, "incident": incident, "actor": "ann", **more}
        feed(Record("tocsin.actions", 0, at, T0 + at, None, json.dumps(value).encode()))

    change = {"ts": T0, "service": "db", "version": "v42", "summary": "new pool"}
    feed(Record("tocsin.changes", 0, 0, T0, None, json.dumps(change).encode()))
    feed(sample(0))
    feed(action(500, "add", name="move", matchers=['service="mail"'], until="2026-01-01T23:00"))
    lines(
        1_000,
        {"service": "cart", "body": "order 1 done", "severity": "info"},
        {"service": "cart", "trace_id": "t1", "span_id": "s1"},
        {"service": "db", "trace_id": "t1", "span_id": "s2", "parent_id": "s1", "error": True},
    )
    feed(notification(2_000, ("firing", "DiskFull", "mail"), node="n2"))
    for round in range(3):
        begin = (1 + round * 45) * MINUTE
        feed(began(begin, notification(begin, ("firing", "DbDown", "db"), ("firing", "CartDown", "cart"))))
        for minute in range(1, 5):
            feed(sample(begin + minute * MINUTE))
        newest = [json.loads(o.value or b"") for o in outputs if o.topic == "tocsin.incidents"][-1]["data"]
        do(begin + 4 * MINUTE + 1, "acknowledge", newest["id"])
        over = notification(
            begin + 5 * MINUTE, ("resolved", "DbDown", "db"), ("resolved", "CartDown", "cart")
        )
        feed(began(begin, over))
        for minute in range(6, 44):
            feed(sample(begin + minute * MINUTE))
        now = begin + 44 * MINUTE
        do(now + 1, "record", newest["id"], cause="pool", cause_service="db", fix="rollback")
        do(now + 2, "item", newest["id"], fields={"op": "add", "text": "bigger", "owner": "bob"})
        do(now + 3, "review", newest["id"], fields={"text": "# Review"})
    do(3 * 60 * MINUTE, "juggle", "0000000000000000")
    feed(Record("tocsin.in", 0, 10**9, T0, None, b"\x00\x01 no"))
    pipeline.finish(T0 + 4 * 60 * MINUTE)
    told = Notification(
        target="pager", kind="pagerduty", dedup_key="d", incident="i", about="opened", version=1,
        incident_version=1, state="sent", attempts=1, queued_at=T0, at_ms=T0,
    )  # fmt: skip
    outputs.append(Output("tocsin.notifications", encoded(told), b"pager/d"))
    outputs += audited(AuditRecord(
        id="a", at=T0, action="acknowledge", outcome="done", status=200, method="POST", request_id="r",
    ))  # fmt: skip
    return log, outputs


def test_what_the_stages_write_is_as_published(played: tuple[list[Record], list[Output]]) -> None:
    """Each record of each topic; and there is one of nearly every kind."""
    _, outputs = played
    kinds: set[tuple[str, str]] = set()
    validators = {topic: schema(topic) for topic, channel in CHANNELS.items() if channel.types}
    for output in outputs:
        if output.topic == "tocsin.pages" or output.value is None:
            continue
        value = json.loads(output.value)
        validators[output.topic].validate(value)
        data = value["data"] if output.topic in STRUCTURED else value
        kinds.add((output.topic, str(data.get("type", ""))))
    missing = {
        (topic, msgspec.inspect.type_info(one).tag or "")  # type: ignore[attr-defined]
        for topic, channel in CHANNELS.items()
        if channel.action == "send"
        for one in channel.types
    } - kinds
    assert missing <= {("tocsin.response", "notice"), ("tocsin.alerts", "outside")}, missing


def test_output_topics_are_cloudevents(played: tuple[list[Record], list[Output]]) -> None:
    """1.0, in structured or binary mode, with an id of its own for every version."""
    _, outputs = played
    seen: set[tuple[str, str, str]] = set()
    for output in outputs:
        headers = {name: value.decode() for name, value in output.headers}
        if output.topic in STRUCTURED:
            event = json.loads(output.value or b"")
            found = event["specversion"], event["id"], event["source"], event["type"]
        elif output.topic in BINARY:
            assert headers["content-type"] == "application/json"
            found = tuple(headers[f"ce_{name}"] for name in ("specversion", "id", "source", "type"))  # type: ignore[assignment]
        else:
            continue
        assert found[0] == "1.0"
        assert all(found)
        assert (output.topic, found[1], found[2]) not in seen, found
        seen.add((output.topic, found[1], found[2]))
    assert {topic for topic, _, _ in seen} == STRUCTURED | BINARY


def test_inputs_are_as_published(played: tuple[list[Record], list[Output]]) -> None:
    """What was fed in above, but the record that was refused."""
    log, _ = played
    for record in log:
        for line in (record.value or b"").splitlines():
            if line.startswith(b"{"):
                schema(record.topic).validate(json.loads(line))


def test_a_schema_refuses_what_is_not_so(played: tuple[list[Record], list[Output]]) -> None:
    """A field left out, of another type, a wrong version of the envelope."""
    _, outputs = played
    event = next(json.loads(o.value or b"") for o in outputs if o.topic == "tocsin.incidents")
    check = schema("tocsin.incidents")
    assert check.is_valid(event)
    assert not check.is_valid({**event, "specversion": "0.3"})
    assert not check.is_valid({**event, "data": {**event["data"], "version": "1"}})
    assert not check.is_valid({**event, "data": {k: v for k, v in event["data"].items() if k != "state"}})
