"""Records of the output topics are opened or refused with a reason."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Topics
from sinks.inbox import Unreadable, open_record
from streams.records.messages import Action, Change, Edge, Edges, ShardWatermark
from streams.records.stage import Record
from tests.sinks.make import alert, dead_letter, event, incident, record, service

TOPICS = Topics()


@pytest.mark.parametrize(
    "item", [incident(), alert(), service(), dead_letter()], ids=lambda item: type(item).__name__
)
def test_what_a_stage_wrote_is_read_back_whole(item: object) -> None:
    """Incidents, alerts and dead letters come out as they went in."""
    delivery = open_record(record(item), TOPICS)
    assert delivery is not None
    assert delivery.item == item


@pytest.mark.parametrize(
    "message",
    [
        ShardWatermark(0, 4, 5),
        Edges(0, 5, (Edge("a", "b", 1),)),
        Change("c", 5, "payment"),
        Action("x", 5, "i", "acknowledge"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_messages_between_stages_are_passed_over(message: object) -> None:
    """The alerts topic also carries watermarks, edges, changes and actions: no fault, no row."""
    assert open_record(record(message), TOPICS) is None


def test_a_kind_of_message_yet_to_come_is_passed_over() -> None:
    """A newer correlator's messages must not flood an older sink's dead letters."""
    assert open_record(Record("tocsin.alerts", 0, 0, 0, None, b'{"type":"probe"}'), TOPICS) is None


def test_a_tombstone_is_passed_over() -> None:
    """Compacted topics carry records without a value."""
    assert open_record(Record("tocsin.incidents", 0, 0, 0, b"k", None), TOPICS) is None


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        ("tocsin.incidents", b"not json", "undecodable"),
        ("tocsin.incidents", b"", "undecodable"),
        ("tocsin.incidents", b"\xff\xfe", "undecodable"),
        ("tocsin.incidents", b'{"specversion":"1.0","id":"\\ud800"}', "undecodable"),
        ("tocsin.incidents", b'{"specversion":"1.0","data":{}}', "wrong-type"),
        ("tocsin.incidents", event(incident(), specversion="0.3"), "wrong-type"),
        ("tocsin.alerts", b"[1,2]", "wrong-type"),
        ("tocsin.alerts", b'{"type":"alert","id":7}', "wrong-type"),
        ("tocsin.deadletters", b'{"topic":"t","partition":"one"}', "wrong-type"),
        ("elsewhere", b"{}", "unknown-topic"),
    ],
)
def test_a_bad_record_is_refused_with_its_reason(topic: str, value: bytes, reason: str) -> None:
    """Each kind of nonsense has a machine-readable name."""
    with pytest.raises(Unreadable) as caught:
        open_record(Record(topic, 0, 0, 0, None, value), TOPICS)
    assert caught.value.reason == reason
    assert caught.value.detail


@given(st.sampled_from(("tocsin.incidents", "tocsin.alerts", "tocsin.deadletters")), st.binary(max_size=200))
def test_no_bytes_make_the_inbox_fail_otherwise(topic: str, value: bytes) -> None:
    """Any bytes are read, passed over or refused; nothing else may escape."""
    reason = ""
    try:
        open_record(Record(topic, 0, 0, 0, None, value), TOPICS)
    except Unreadable as error:
        reason = error.reason
    assert reason in ("", "undecodable", "wrong-type")


def test_unknown_attributes_of_the_event_do_no_harm() -> None:
    """CloudEvents allows extension attributes."""
    value = msgspec.json.encode(msgspec.json.decode(event(incident())) | {"traceparent": "00-ab-cd-01"})
    delivery = open_record(Record("tocsin.incidents", 0, 0, 0, None, value), TOPICS)
    assert delivery is not None
