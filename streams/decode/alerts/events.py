"""What Alertmanager's event recorder writes (0.33 and later, as JSON): alerts created, grouped, resolved."""

from __future__ import annotations

import msgspec

from streams.decode.alerts import common, webhook
from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON, BadRecord, json_fault
from streams.decode.look import Look
from streams.decode.otlp import RowFault

_EVENTS = (
    "alertCreated", "alertGrouped", "alertResolved", "notification", "silenceCreated", "silenceUpdated",
    "silenceMutedAlert", "inhibitionMutedAlert", "alertmanagerStartupEvent", "alertmanagerShutdownEvent",
)  # fmt: skip


class EventLabel(msgspec.Struct, frozen=True):
    key: str = ""
    value: str = ""


class EventLabels(msgspec.Struct, frozen=True):
    labels: tuple[EventLabel, ...] = ()

    def plain(self) -> dict[str, str]:
        return {pair.key: pair.value for pair in self.labels}


class EventAlert(msgspec.Struct, rename="camel"):
    """protojson leaves out what is zero, and writes 64-bit numbers as texts."""

    fingerprint: int = 0
    labels: EventLabels = EventLabels()
    annotations: EventLabels = EventLabels()
    starts_at: str = ""
    ends_at: str = ""
    resolved: bool = False


class EventCreated(msgspec.Struct):
    alert: EventAlert


class EventGrouped(msgspec.Struct):
    details: EventAlert | None = None


class EventGrouping(msgspec.Struct):
    alert: EventGrouped


class EventNotification(msgspec.Struct):
    alerts: list[EventGrouped] = []


class EventData(msgspec.Struct, rename="camel"):
    alert_created: EventCreated | None = None
    alert_grouped: EventGrouping | None = None
    alert_resolved: EventGrouping | None = None
    notification: EventNotification | None = None


class AlertmanagerEvent(msgspec.Struct):
    data: EventData


_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])
_anything = msgspec.json.Decoder()


def claims(look: Look) -> bool:
    """A time, the instance, and one of the recorder's events."""
    fields = look.object
    if fields is None or not {"@timestamp", "data"} <= fields.keys():
        return False
    try:
        return any(name in _keys.decode(fields["data"]) for name in _EVENTS)
    except UNREADABLE_JSON:
        return False


def decode(value: bytes, sink: Columns) -> None:
    """An event; those that say nothing new of an alert (silences, start-up) are stepped over.

    Raises `BadRecord`.
    """
    try:
        data = msgspec.convert(_anything.decode(value), AlertmanagerEvent, strict=False).data
    except UNREADABLE_JSON as error:
        raise BadRecord(*json_fault(error)) from None
    found: list[tuple[EventAlert, bool]] = []
    if data.alert_created is not None:
        found.append((data.alert_created.alert, False))
    for grouping, over in ((data.alert_grouped, False), (data.alert_resolved, True)):
        if grouping is not None and grouping.alert.details is not None:
            found.append((grouping.alert.details, over))
    if data.notification is not None:
        found += [(each.details, False) for each in data.notification.alerts if each.details is not None]
    for alert, over in found:
        try:
            common.tell(sink, webhook.external(_said(alert, over), sink, webhook.ALERTMANAGER))
        except RowFault as fault:
            sink.refuse(fault.reason, fault.detail)


def _said(alert: EventAlert, over: bool) -> webhook.Said:
    """As the webhook would say it, with the same fingerprint, so that both ways name one alert."""
    return webhook.Said(
        status="resolved" if over or alert.resolved else "firing",
        labels=alert.labels.plain(),
        annotations=alert.annotations.plain(),
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        fingerprint=f"{alert.fingerprint & (2**64 - 1):016x}" if alert.fingerprint else "",
    )
