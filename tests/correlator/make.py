"""Alerts, and a core fed like Kafka would feed it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from config.catalogue import Catalogue, Service
from config.settings import Correlate, Settings
from correlator.domain import DomainCore
from correlator.incident import Incident
from detectors.alert import Alert, alert_id
from streams.records.messages import (
    Action,
    ActionResult,
    Change,
    Edges,
    ExternalAlert,
    OutsideTime,
    ShardWatermark,
)
from streams.records.stage import Output, Record

T0 = 1_700_000_000_000
EDGES = (("gateway", "checkout"), ("checkout", "payment"), ("gateway", "cart"), ("cart", "store"))
Message = Alert | ShardWatermark | Edges | Change | Action | ExternalAlert | OutsideTime


def firing(
    service: str,
    metric: str = "latency",
    at: int = 0,
    *,
    strength: float = 20.0,
    delay: int = 2_000,
    **more: Any,
) -> Alert:
    """An alert whose anomaly began `at` ms after T0 and was noticed `delay` ms later."""
    kind = more.get("kind", "metric")
    fingerprint = f"{service}/{metric}"
    fields: dict[str, Any] = {
        "id": alert_id(fingerprint, kind, T0 + at),
        "version": 1,
        "state": "firing",
        "kind": kind,
        "fingerprint": fingerprint,
        "service": service,
        "metric": metric,
        "severity": "warning",
        "started_at": T0 + at,
        "detected_at": T0 + at + delay,
        "last_seen_at": T0 + at + delay,
        "resolved_at": None,
        "summary": f"{service} {metric} off by {strength}",
        "strength": strength,
    }
    return Alert(**{**fields, **more})


def resolved(alert: Alert, at: int) -> Alert:
    """Its last version, back to normal `at` ms after T0."""
    return msgspec.structs.replace(
        alert, version=alert.version + 1, state="resolved", resolved_at=T0 + at, last_seen_at=T0 + at
    )


def mark(at: int, shard: int = 0, shards: int = 1) -> ShardWatermark:
    return ShardWatermark(shard, shards, T0 + at)


def records(messages: Iterable[Message], first: int = 0) -> list[Record]:
    """The messages as records of the alerts topic."""
    return [
        Record("tocsin.alerts", 0, first + i, 0, None, msgspec.json.encode(m)) for i, m in enumerate(messages)
    ]


def new_core(
    edges: Sequence[tuple[str, str]] = EDGES, services: Sequence[Service] = (), **correlate: Any
) -> DomainCore:
    return DomainCore(Settings(correlate=Correlate(**correlate)), Catalogue(services, edges))


def versions(outputs: Iterable[Output]) -> list[tuple[str, Incident]]:
    """(last part of the event type, incident) of each incident version, in order."""
    found = []
    for output in outputs:
        if output.topic == "tocsin.incidents":
            event = msgspec.json.decode(output.value or b"")
            found.append((event["type"].rpartition(".")[2], msgspec.convert(event["data"], Incident)))
    return found


def answers(outputs: Iterable[Output]) -> list[ActionResult]:
    return [
        msgspec.json.decode(o.value or b"", type=ActionResult)
        for o in outputs
        if o.topic == "tocsin.action-results"
    ]


def final(outputs: Iterable[Output]) -> dict[str, Incident]:
    """Newest version of each incident."""
    newest: dict[str, Incident] = {}
    for _, incident in versions(outputs):
        known = newest.get(incident.id)
        assert known is None or incident.version >= known.version, "versions only grow"
        newest[incident.id] = incident
    return newest


def run(messages: Iterable[Message], **correlate: Any) -> dict[str, Incident]:
    """Final incidents of a log."""
    return final(new_core(**correlate).process(records(messages)))
