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


class _Pair(msgspec.Struct, frozen=True):
    key: str = ""
    value: str = ""


class _Labels(msgspec.Struct, frozen=True):
    labels: tuple[_Pair, ...] = ()

    def plain(self) -> dict[str, str]:
        return {pair.key: pair.value for pair in self.labels}


class _Alert(msgspec.Struct, rename="camel"):
    """protojson leaves out what is zero, and writes 64-bit numbers as texts."""

    fingerprint: int = 0
    labels: _Labels = _Labels()
    annotations: _Labels = _Labels()
    starts_at: str = ""
    ends_at: str = ""
    resolved: bool = False


class _Created(msgspec.Struct):
    alert: _Alert


class _Grouped(msgspec.Struct):
    details: _Alert | None = None


class _Grouping(msgspec.Struct):
    alert: _Grouped


class _Notification(msgspec.Struct):
    alerts: list[_Grouped] = []


class _Data(msgspec.Struct, rename="camel"):
    alert_created: _Created | None = None
    alert_grouped: _Grouping | None = None
    alert_resolved: _Grouping | None = None
    notification: _Notification | None = None


class _Event(msgspec.Struct):
    data: _Data


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
        data = msgspec.convert(_anything.decode(value), _Event, strict=False).data
    except UNREADABLE_JSON as error:
        raise BadRecord(*json_fault(error)) from None
    found: list[tuple[_Alert, bool]] = []
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


def _said(alert: _Alert, over: bool) -> webhook.Said:
    """As the webhook would say it, with the same fingerprint, so that both ways name one alert."""
    return webhook.Said(
        status="resolved" if over or alert.resolved else "firing",
        labels=alert.labels.plain(),
        annotations=alert.annotations.plain(),
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        fingerprint=f"{alert.fingerprint & (2**64 - 1):016x}" if alert.fingerprint else "",
    )
