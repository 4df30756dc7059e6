"""Finding a topic's format out from its first records."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

from config.settings import FORMATS, InputTopic, Settings, Topics
from streams.decode import formats, wire
from streams.decode.formats import sniff
from streams.decode.ingest import ingest_factory
from tests.decode import producers
from tests.decode.support import T0, TOPIC, core, numbered, read, record, settings

METRIC = json.dumps({"ts": T0, "service": "a", "metric": "m", "value": 1})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (producers.metrics().SerializeToString(), "otlp"),
        (producers.logs().SerializeToString(), "otlp"),
        (producers.traces().SerializeToString(), "otlp"),
        (producers.as_json(producers.metrics()), "otlp-json"),
        (producers.as_json(producers.logs()), "otlp-json"),
        (b"\n " + producers.as_json(producers.traces()), "otlp-json"),
        (METRIC.encode(), "tocsin"),
        (f"{METRIC}\n{METRIC}".encode(), "tocsin"),
        (b'{"ts":1,"service":"a","body":""}', "tocsin"),
        (b'{"ts":1,"service":"a","version":"2"}', "changes"),
        (b'{"ts":1,"incident":"i","action":"resolve"}', "actions"),
        (b'{"ts":1,"service":"a"}', None),
        (b'{"ts":1,"service":"a","incident":"i"}', None),
        (b'{"nonsense":1}', None),
        (b"[]", None),
        (b"plain text", "lines"),
        (b"\n", None),
        (b"\x00", None),
    ],
)
def test_a_format_is_told_by_its_shape(value: bytes, expected: str | None) -> None:
    """One format or none: never the likelier of two."""
    assert sniff(value) == expected


@pytest.mark.parametrize("signal", ["metrics", "logs", "traces"])
def test_the_three_signals_are_told_apart(signal: str) -> None:
    """By field numbers and wire types of their items."""
    assert wire.signals(getattr(producers, signal)().SerializeToString()) == {signal}


def test_a_log_line_without_a_time_is_not_taken_for_a_metric() -> None:
    """Its body has the number of a metric's gauge, but a metric has a name."""
    data = LogsData()
    data.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "hello"
    assert wire.signals(data.SerializeToString()) == {"logs"}


def test_an_item_that_decides_nothing_leaves_it_to_the_next() -> None:
    """Items are looked at until one signal is left."""
    data = LogsData()
    scope = data.resource_logs.add().scope_logs.add()
    scope.log_records.add().severity_text = "INFO"
    scope.log_records.add(time_unix_nano=5).body.string_value = "hello"
    assert wire.signals(data.SerializeToString()) == {"logs"}


def test_a_json_record_that_looks_like_protobuf_is_json_and_the_other_way_round() -> None:
    r"""A protobuf record whose first field has 123 bytes begins with "\n{"."""
    data = MetricsData()
    metric = data.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    metric.gauge.data_points.add(time_unix_nano=5, as_double=1.0)
    metric.description = "x" * (123 - len(data.resource_metrics[0].SerializeToString()) - 2)
    raw = data.SerializeToString()
    assert raw.startswith(b"\n{")
    assert sniff(raw) == "otlp"


def test_records_are_refused_until_one_decides_and_that_one_is_read() -> None:
    """The choice then stays: a record of another format is a dead letter."""
    chosen = core(settings("auto"))
    found = read(
        chosen.process(
            numbered(['{"a":1}', '{"ts":1,"service":"a"}', METRIC, producers.metrics().SerializeToString()])
        )
    )
    assert [letter.reason for letter in found.letters] == ["unknown-format", "unknown-format", "undecodable"]
    assert len(found.samples) == 1
    assert chosen.format == "tocsin"


def test_a_topic_on_which_nothing_fits_has_every_record_in_the_dead_letters() -> None:
    """And its format stays open."""
    chosen = core(settings("auto"))
    found = read(chosen.process(numbered(["[1, 2]", "\x02", '{"nonsense": 1}'])))
    assert [(letter.offset, letter.reason) for letter in found.letters] == [
        (i, "unknown-format") for i in range(3)
    ]
    assert chosen.format == "auto"


def test_the_choice_survives_a_restart() -> None:
    """It is part of the snapshot."""
    first = core(settings("auto"))
    first.process(numbered([METRIC]))
    blob = first.snapshot()
    assert blob is not None
    second = core(settings("auto"))
    second.restore(blob)
    assert second.format == "tocsin"


def test_the_settings_know_the_same_formats() -> None:
    """`config` is below `streams` and keeps a list of its own."""
    assert tuple(each.name for each in formats.FORMATS) == FORMATS


def test_topics_with_rules_of_their_own_do_not_share_what_they_remember() -> None:
    """The same bytes mean another service under other rules."""
    inputs = (
        InputTopic(name=TOPIC, format="otlp", partitions=2),
        InputTopic(name="other", format="otlp", service=("=fixed",)),
    )
    factory = ingest_factory(Settings(topics=Topics(inputs=inputs)), [f"{TOPIC}/0", f"{TOPIC}/1", "other/0"])
    sent = record(producers.logs().SerializeToString())
    services = [
        {origin.service for origin, *_ in read(factory(topic, 0).process([sent])).logs}
        for topic in (TOPIC, "other")
    ]
    assert services == [{"checkout"}, {"fixed"}]
