"""Events as PagerDuty takes them (Events API v2): trigger, acknowledge, resolve by a key of the sender's."""

from __future__ import annotations

import msgspec

from streams.decode.alerts import common
from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON, WRONG_TYPE, BadRecord, json_fault
from streams.decode.look import Look
from streams.decode.otlp import RowFault
from streams.decode.resource import clip
from streams.decode.senders import Usual
from streams.records.digest import digest_hex
from streams.records.messages import ExternalAlert

SOURCE = "pagerduty"
_STATES = {"trigger": "firing", "acknowledge": "acknowledged", "resolve": "resolved"}
_USUAL = Usual(
    service=("service", "service_name", "app", "application", "component", "source"),
    instance=("source", "pod", "instance", "host"),
    env=common.USUAL.env,
)


class PagerDutyPayload(msgspec.Struct):
    summary: str = ""
    source: str = ""
    severity: str = ""
    timestamp: str | None = None
    component: str | None = None
    group: str | None = None
    class_: str | None = msgspec.field(default=None, name="class")
    custom_details: object = None


class PagerDutyEvent(msgspec.Struct):
    event_action: str
    dedup_key: str | None = None
    payload: PagerDutyPayload | None = None


_event = msgspec.json.Decoder(PagerDutyEvent)


def claims(look: Look) -> bool:
    """An action, and what it is about."""
    return "event_action" in look.keys and bool(look.keys & {"payload", "dedup_key"})


def decode(value: bytes, sink: Columns) -> None:
    """One event. Raises `BadRecord`."""
    try:
        event = _event.decode(value)
        common.tell(sink, _external(event, sink))
    except UNREADABLE_JSON as error:
        raise BadRecord(*json_fault(error)) from None
    except RowFault as fault:
        raise BadRecord(fault.reason, fault.detail) from None


def _external(event: PagerDutyEvent, sink: Columns) -> ExternalAlert:
    state = _STATES.get(event.event_action)
    if state is None:
        raise RowFault(
            f"event_action must be trigger, acknowledge or resolve, not {event.event_action[:40]!r}"
        )
    payload = event.payload or PagerDutyPayload()
    if state == "firing" and not payload.summary.strip():
        raise RowFault("a trigger needs payload.summary")
    if state != "firing" and not event.dedup_key:
        raise RowFault(f"{event.event_action} needs a dedup_key", WRONG_TYPE)
    labels = _labels(payload)
    at = common.time_of(payload.timestamp)
    who = common.meant(labels, sink, _USUAL)
    # Without a key each trigger is an alert of its own, for PagerDuty as for us.
    seen = common.seen_ms(sink, at)
    own = event.dedup_key or digest_hex(payload.summary, payload.source, str(at if at is not None else seen))
    name = payload.class_ or payload.summary
    return ExternalAlert(
        id=common.identity(SOURCE, own),
        source=SOURCE,
        state=state,
        seen_at=seen,
        started_at=at if state == "firing" else None,
        ended_at=at if state == "resolved" else None,
        service=who.origin.service,
        name=clip(" ".join(name.split())),
        severity=common.severity({"severity": payload.severity}),
        summary=common.summary_of({"summary": payload.summary}, name),
        instance=who.origin.instance,
        labels=common.kept(who.labels, sink),
        resource=who.origin.resource,
    )


def _labels(payload: PagerDutyPayload) -> dict[str, str]:
    """The payload's own words, and the texts, numbers and booleans of its details."""
    details = payload.custom_details if isinstance(payload.custom_details, dict) else {}
    found = {
        str(key): value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for key, value in details.items()
        if isinstance(value, str | int | float | bool)
    }
    own = {
        "source": payload.source,
        "component": payload.component,
        "group": payload.group,
        "class": payload.class_,
    }
    return found | {key: value for key, value in own.items() if value}
