"""The webhook of Prometheus Alertmanager (version 4), and Grafana's, which is the same and more."""

from __future__ import annotations

import msgspec

from streams.decode.alerts import common
from streams.decode.columns import Columns
from streams.decode.errors import UNREADABLE_JSON, WRONG_TYPE, BadRecord, json_fault
from streams.decode.look import Look
from streams.decode.otlp import RowFault
from streams.decode.resource import clip
from streams.records.digest import digest_hex
from streams.records.messages import ExternalAlert

ALERTMANAGER, GRAFANA = "alertmanager", "grafana"
_COMMON = frozenset(("receiver", "status", "alerts", "groupKey", "version"))
_STATES = ("firing", "resolved")


class Said(msgspec.Struct, rename="camel"):
    """One alert; fields we do not use are stepped over."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str] | None = None
    starts_at: str = ""
    ends_at: str = ""
    fingerprint: str = ""
    values: dict[str, float | str | None] | None = None
    """Grafana: what the expressions of the rule came to"""


MOST_LEFT_OUT = 100_000
"""counted of what a sender says it left out: it may say any number"""


class _Webhook(msgspec.Struct, rename="camel"):
    alerts: list[msgspec.Raw]
    truncated_alerts: int = 0


_webhook = msgspec.json.Decoder(_Webhook)
_said = msgspec.json.Decoder(Said)


def claims_alertmanager(look: Look) -> bool:
    """Receiver, status, group key, version and alerts, and nothing of Grafana's."""
    return look.keys >= _COMMON and "orgId" not in look.keys


def claims_grafana(look: Look) -> bool:
    """The same with Grafana's organisation."""
    return look.keys >= _COMMON and "orgId" in look.keys


def alertmanager(value: bytes, sink: Columns) -> None:
    """A notification of Alertmanager. Raises `BadRecord`."""
    _decode(value, sink, ALERTMANAGER)


def grafana(value: bytes, sink: Columns) -> None:
    """A notification of Grafana's unified alerting. Raises `BadRecord`."""
    _decode(value, sink, GRAFANA)


def _decode(value: bytes, sink: Columns, source: str) -> None:
    try:
        webhook = _webhook.decode(value)
    except UNREADABLE_JSON as error:
        raise BadRecord(*json_fault(error)) from None
    if not webhook.alerts:
        raise BadRecord(WRONG_TYPE, "a notification without alerts")
    for raw in webhook.alerts:
        try:
            common.tell(sink, external(_said.decode(raw), sink, source))
        except UNREADABLE_JSON as error:
            sink.refuse(*json_fault(error))
        except RowFault as fault:
            sink.refuse(fault.reason, fault.detail)
    if webhook.truncated_alerts > 0:
        left_out = min(webhook.truncated_alerts, MOST_LEFT_OUT)
        detail = f"the sender left out {left_out} alerts (truncatedAlerts): raise its max_alerts"
        sink.refuse(WRONG_TYPE, detail, left_out)


def external(said: Said, sink: Columns, source: str) -> ExternalAlert:
    """One alert of a notification. Raises `RowFault`."""
    if said.status not in _STATES:
        raise RowFault(f"status must be firing or resolved, not {said.status[:40]!r}")
    labels = said.labels
    if not labels:
        raise RowFault("an alert without labels")
    started = common.time_of(said.starts_at)
    resolved = said.status == "resolved"
    ended = common.time_of(said.ends_at) if resolved else None
    who = common.meant({k: v for k, v in labels.items() if k != "alertname"}, sink)
    name = labels.get("alertname") or "alert"
    own = said.fingerprint or digest_hex(*(part for pair in sorted(labels.items()) for part in pair))
    return ExternalAlert(
        id=common.identity(source, own),
        source=source,
        state=said.status,
        seen_at=common.seen_ms(sink, started, ended),
        started_at=started,
        ended_at=ended,
        service=who.origin.service,
        name=clip(name),
        severity=common.severity(labels),
        summary=common.summary_of(said.annotations or {}, name),
        value=_value(said.values),
        instance=who.origin.instance,
        labels=common.kept(who.labels, sink, ("severity",)),
        resource=who.origin.resource,
    )


def _value(values: dict[str, float | str | None] | None) -> float | None:
    """The number, if there is exactly one: of several nobody says which one was compared."""
    numbers = [v for v in (values or {}).values() if isinstance(v, float)]
    return numbers[0] if len(numbers) == 1 else None
