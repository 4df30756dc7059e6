"""No secret comes out anywhere: every log format, all stages, good records and dead letters."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from config.logs import LogRules, Pattern, Secrets
from config.settings import Detect, Ingest, InputTopic, Settings, Topics
from sinks.handler import SinkHandler
from sinks.memory import MemorySink
from sinks.rows import row_of
from streams.agents.local import LocalPipeline
from streams.decode import deadletter, formats
from streams.records.stage import Output, Record
from streams.records.telemetry import DEAD, MASKED
from tests.decode.logs.support import columns
from tests.decode.producers import as_json

T0 = 1_700_000_000_000
ISO = "2023-11-14T22:13:20.000Z"
FUTURE = "2031-01-01T00:00:00.000Z"
FUTURE_MS = 1_925_000_000_000
SECRETS = {
    "password": "correct-horse-7",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP",
    "cloud-key": "AKIAIOSFODNN7EXAMPLE",
    "api-token": "ghp_" + "a1B2c3D4e5" * 4,
    "mail": "alice.liddell@example.com",
    "card": "5555555555554444",
    "iban": "DE89370400440532013000",
    "bearer": "f00dfeedf00dfeed42",
    "url-password": "tr0ub4dor",
}
LINE = (
    "LEAK login password={password} with {jwt} by {cloud-key}, {api-token} of {mail} pays {card} to {iban}, "
    "Bearer {bearer} at amqp://app:{url-password}@mq/"
).format(**SECRETS)


def otlp(ms: int) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    part = request.resource_logs.add()
    part.resource.attributes.add(key="service.name").value.string_value = "cart"
    row = part.scope_logs.add().log_records.add(time_unix_nano=ms * 1_000_000, severity_number=17)
    row.body.string_value = LINE
    row.attributes.add(key="exception.type").value.string_value = f"Denied {SECRETS['mail']}"
    return request


def values(stamp: str, ms: int) -> dict[str, bytes]:
    """One record of each log format with the secrets in its message."""
    seconds = ms / 1000

    def packed(found: Any) -> bytes:
        return json.dumps(found).encode()

    bsd = "Jan  1 00:00:00" if ms == FUTURE_MS else "Nov 14 22:13:20"
    return {
        "otlp": otlp(ms).SerializeToString(),
        "otlp-json": as_json(otlp(ms)),
        "tocsin": packed({"ts": ms, "service": "cart", "body": LINE, "severity": 17}),
        "fluent-bit": packed(
            {"@timestamp": seconds, "log": LINE, "app": "cart", "password": "correct-horse-7"}
        ),
        "fluent-bit-msgpack": msgspec.msgpack.encode([seconds, {"log": LINE, "app": "cart"}]),
        "filebeat": packed(
            {"@timestamp": stamp, "message": LINE, "ecs.version": "1", "service.name": "cart"}
        ),
        "gelf": packed({"version": "1.1", "host": "h", "short_message": LINE, "timestamp": seconds}),
        "rsyslog-json": packed(
            {"@timestamp": stamp, "host": "h", "severity": "err", "syslog-tag": "app:", "message": LINE}
        ),
        "syslog": f"<11>1 {stamp} host cart 12 - - {LINE}".encode(),
        "syslog-file": f"{stamp.removesuffix('.000Z')}Z host cart[1]: {LINE}".encode(),
        "lines": f'{stamp} ERROR {LINE}\n{stamp} ERROR {{"password": "correct-horse-7"}}'.encode(),
        "vector": packed({"source_type": "file", "timestamp": stamp, "message": LINE, "host": "h"}),
        "bsd": f"<11>{bsd} host cart[1]: {LINE}".encode(),
    }


WIRE = {"bsd": "syslog"}


def settings(name: str, mask: bool = True) -> Settings:
    return Settings(
        topics=Topics(
            inputs=(
                InputTopic(name="in", format=WIRE.get(name, name), partitions=1),
                InputTopic(name="tocsin.changes", format="changes", partitions=1),
            )
        ),
        ingest=Ingest(shards=1),
        detect=Detect(log_learning_ms=1_000),
        logs=LogRules(secrets=Secrets(mask=mask), patterns=(Pattern(name="leak", regex="LEAK", do="alert"),)),
    )


@pytest.mark.parametrize(("name", "mask"), [*((name, True) for name in values(ISO, T0)), ("otlp", False)])
async def test_no_secret_comes_out(name: str, mask: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Pages, alerts and their samples, incidents, rows of ClickHouse, dead letters, what the worker says;
    they all do where masking is turned off."""
    caplog.set_level(logging.DEBUG)
    chosen = settings(name, mask)
    outputs: list[Output] = []
    pipeline = LocalPipeline(chosen, [("in", 0)], outputs.append)
    good, ahead = values(ISO, T0)[name], values(FUTURE, FUTURE_MS)[name]
    later = values(ISO.replace("22:13:20", "22:13:50"), T0 + 30_000)[name]
    sent = [good, ahead, later, b"\xff\xfe" + good, good[: len(good) * 2 // 3] + b"\x00"]
    records = [
        Record("in", 0, i, T0 + 30_000 * (i > 1), None, value, (("note", LINE.encode()),))
        for i, value in enumerate(sent)
    ]
    control = (("tocsin-control", b"begin"), ("tocsin-epoch", b"e"), ("tocsin-begin", str(T0 - 1).encode()))
    pipeline.feed([Record("in", 0, 0, T0, None, None, control)])
    pipeline.feed(records)
    pipeline.feed([Record("in", 0, 9, T0, None, None, (("tocsin-control", b"end"), *control[1:]))])
    topics = {output.topic for output in outputs}
    assert topics >= {
        chosen.topics.pages, chosen.topics.alerts, chosen.topics.incidents, chosen.topics.deadletters
    }  # fmt: skip

    sink = MemorySink()
    handler = SinkHandler(chosen.topics, sink)
    await handler.write(
        [
            Record(output.topic, 0, i, T0, output.key, output.value, output.headers)
            for i, output in enumerate(outputs)
            if output.topic in handler.topics
        ]
    )
    assert handler.counts["written"] == sum(handler.counts.values()) - handler.counts.get("skipped", 0)
    rows = repr([row_of(item) for item in sink.kept.values()])
    assert ("<password>" in rows) is mask
    everything = [rows, caplog.text]
    for output in outputs:
        everything.append((output.value or b"").decode("latin-1"))
        if output.topic == chosen.topics.deadletters:
            letter = msgspec.json.decode(output.value or b"")
            raw = [letter["value"], letter["key"], *[content for _, content in letter["headers"]]]
            everything += [
                msgspec.convert(part, bytes, strict=False).decode("latin-1") for part in raw if part
            ]
    text = "\n".join(everything)
    assert [kind for kind, secret in SECRETS.items() if secret in text] == ([] if mask else list(SECRETS))
    totals = pipeline._cores["in", 0].telemetry().totals  # type: ignore[attr-defined]
    masked = {which for what, which in totals if what == MASKED}
    assert masked >= set(SECRETS) if mask else masked == set()
    assert totals[DEAD, "future"] > 0


@pytest.mark.parametrize("name", list(values(ISO, T0)))
def test_dead_letters_without_secrets_can_be_put_back(name: str) -> None:
    """What was a record of its format still is one, with the same rows."""
    chosen, outputs = settings(name), []
    LocalPipeline(chosen, [("in", 0)], outputs.append).feed(
        [Record("in", 0, 1, T0, None, values(FUTURE, FUTURE_MS)[name])]
    )
    [letter] = [deadletter.read(o.value or b"") for o in outputs if o.topic == chosen.topics.deadletters]
    sink = columns(T0)
    formats.DECODERS[chosen.topics.inputs[0].format](letter.value or b"", sink)
    [body, *_] = sink.bodies
    assert f"password={'*' * 15} with" in body
    assert body.endswith("@mq/")
