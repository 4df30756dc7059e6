"""From a record of an output topic to what a sink is given. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from config.settings import Topics
from correlator.afterwards import Written
from correlator.atlas import ServiceSeen
from correlator.incident import Incident
from correlator.past import Knowledge, Problem
from correlator.response import Response
from correlator.suppression import SilenceRecord, Suppression
from detectors.alert import Alert
from sinks.notification import Notification
from streams.records.audit import AuditRecord
from streams.records.messages import ActionResult, DeadLetter
from streams.records.stage import Record

Item = (
    Incident | Alert | Suppression | SilenceRecord | Problem | Knowledge | ServiceSeen | DeadLetter
    | Response | Written | Notification | ActionResult | AuditRecord
)  # fmt: skip


class Origin(NamedTuple):
    """Where a delivery came from, so that a refusal can name it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Delivery(NamedTuple):
    """One thing a sink is asked to keep or pass on."""

    origin: Origin
    item: Item


class Unreadable(Exception):
    """A record that is not what its topic promises. `reason` is machine-readable, `detail` for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class _CloudEvent(msgspec.Struct, frozen=True):
    """CloudEvents 1.0, JSON structured mode; attributes we do not read are ignored."""

    specversion: str
    data: Incident


class _PastEvent(msgspec.Struct, frozen=True):
    """The same, on the topic of problems."""

    specversion: str
    data: Problem | Knowledge


class _ResponseEvent(msgspec.Struct, frozen=True):
    """The same, on the topic of clocks, duty and notices."""

    specversion: str
    data: Response


class _WrittenEvent(msgspec.Struct, frozen=True):
    """The same, on the topic of what people write."""

    specversion: str
    data: Written


class _NotificationEvent(msgspec.Struct, frozen=True):
    """The same, on the topic of notifications."""

    specversion: str
    data: Notification


class _Tagged(msgspec.Struct, frozen=True):
    """Just enough of a message on the alerts topic to see what it is."""

    type: str


_event = msgspec.json.Decoder(_CloudEvent)
_past_event = msgspec.json.Decoder(_PastEvent)
_response_event = msgspec.json.Decoder(_ResponseEvent)
_written_event = msgspec.json.Decoder(_WrittenEvent)
_notification_event = msgspec.json.Decoder(_NotificationEvent)
_tagged = msgspec.json.Decoder(_Tagged)
_alert = msgspec.json.Decoder(Alert)
_suppression: msgspec.json.Decoder[Suppression | SilenceRecord] = msgspec.json.Decoder(
    Suppression | SilenceRecord
)
_result = msgspec.json.Decoder(ActionResult)
_audit = msgspec.json.Decoder(AuditRecord)
_service = msgspec.json.Decoder(ServiceSeen)
_dead_letter = msgspec.json.Decoder(DeadLetter)


def origin_of(record: Record) -> Origin:
    return Origin(record.topic, record.partition, record.offset, record.timestamp_ms)


def open_record(record: Record, topics: Topics) -> Delivery | None:
    """What the record carries, or None for records that are not for sinks.

    Not for sinks: tombstones, and messages between stages on the alerts topic (watermarks, edges,
    changes, actions, and kinds yet to come). Raises `Unreadable` for everything else that cannot be
    read, including a topic no sink reads.
    """
    if record.value is None:
        return None
    try:
        if record.topic == topics.incidents:
            event = _event.decode(record.value)
            _check(event.specversion)
            return Delivery(origin_of(record), event.data)
        if record.topic == topics.problems:
            past = _past_event.decode(record.value)
            _check(past.specversion)
            return Delivery(origin_of(record), past.data)
        if record.topic == topics.response:
            said = _response_event.decode(record.value)
            _check(said.specversion)
            return Delivery(origin_of(record), said.data)
        if record.topic == topics.written:
            written = _written_event.decode(record.value)
            _check(written.specversion)
            return Delivery(origin_of(record), written.data)
        if record.topic == topics.notifications:
            told = _notification_event.decode(record.value)
            _check(told.specversion)
            return Delivery(origin_of(record), told.data)
        if record.topic == topics.alerts:
            if _tagged.decode(record.value).type != "alert":
                return None
            return Delivery(origin_of(record), _alert.decode(record.value))
        if record.topic == topics.suppressions:
            return Delivery(origin_of(record), _suppression.decode(record.value))
        if record.topic == topics.action_results:
            return Delivery(origin_of(record), _result.decode(record.value))
        if record.topic == topics.audit:
            return Delivery(origin_of(record), _audit.decode(record.value))
        if record.topic == topics.topology:
            return Delivery(origin_of(record), _service.decode(record.value))
        if record.topic == topics.deadletters:
            return Delivery(origin_of(record), _dead_letter.decode(record.value))
    except msgspec.ValidationError as error:
        raise Unreadable("wrong-type", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable("undecodable", f"JSON expected: {error}") from error
    raise Unreadable("unknown-topic", f"no sink reads topic {record.topic!r}")


def _check(specversion: str) -> None:
    if specversion != "1.0":
        raise Unreadable("wrong-type", f"CloudEvents 1.0 expected, found {specversion!r}")
