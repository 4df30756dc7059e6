"""Hand-made incidents, alerts and records. Minutes count from T0."""

from __future__ import annotations

from typing import Any

import msgspec

from correlator.atlas import LearnedCall, ServiceSeen
from correlator.incident import Evidence, Hint, Incident, Member, Reason, ServiceRole, TimelineEntry
from detectors.alert import Alert
from streams.records.messages import DeadLetter
from streams.records.stage import Record

T0 = 1_767_261_600_000
"""2026-01-01 10:00:00 UTC in ms"""
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

MEMBER = Member(
    alert_id="a1", service="payment", kind="metric", metric="latency", severity="error", started_at=T0,
    detected_at=T0 + MINUTE, resolved_at=None, strength=7.5, summary="latency 900 ms, usually 90 ms",
    joined_at=T0 + MINUTE,
    reasons=(Reason("topology", 0.6, "checkout calls payment"), Reason("time", 0.3, "12 s")),
)  # fmt: skip
HINT = Hint(
    service="payment",
    confidence=0.8,
    evidence=(
        Evidence("onset", "first by 12 s", 0.5, T0, "a1"),
        Evidence("change", "deployed v2", 0.3, T0, "c1"),
    ),
    cause="latency",
)


def incident(id: str = "00000000000000aa", version: int = 1, **changes: Any) -> Incident:
    """An open incident: started at T0, detected and opened a minute later."""
    plain: dict[str, Any] = {
        "id": id, "version": version, "domain": "", "state": "open", "title": "payment is slow",
        "category": "performance degradation", "severity": "error", "priority": "P2",
        "started_at": T0, "detected_at": T0 + MINUTE, "opened_at": T0 + MINUTE, "updated_at": T0 + MINUTE,
        "acknowledged_at": None, "mitigated_at": None, "resolved_at": None, "closed_at": None,
        "first_resolved_at": None, "active_ms": 0, "resolved_by": "", "acknowledged_by": "", "reopened": 0,
        "services": (
            ServiceRole("payment", "suspected cause", "pay", 1, "https://wiki/pay", (("board", "https://b/1"),)),
            ServiceRole("checkout", "affected"),
        ),
        "calls": (("checkout", "payment", 0.25),),
        "alerts": ("a1",), "members": (MEMBER,), "hints": (HINT,),
        "timeline": (TimelineEntry(T0, "alert", "latency of payment", "a1"),), "changes": ("c1",),
    }  # fmt: skip
    return Incident(**(plain | changes))


def resolved(minutes: float, by: str = "auto", **changes: Any) -> dict[str, Any]:
    """Fields of an incident resolved so many minutes after T0."""
    at = T0 + int(minutes * MINUTE)
    fields = {"state": "resolved", "resolved_at": at, "first_resolved_at": at, "resolved_by": by}
    return fields | {"active_ms": at - T0, "updated_at": at} | changes


def alert(id: str = "a1", version: int = 1, **changes: Any) -> Alert:
    plain: dict[str, Any] = {
        "id": id, "version": version, "state": "firing", "kind": "metric", "fingerprint": "f1",
        "service": "payment", "metric": "latency", "severity": "error", "started_at": T0,
        "detected_at": T0 + MINUTE, "last_seen_at": T0 + MINUTE, "resolved_at": None,
        "summary": "latency 900 ms, usually 90 ms", "value": 900.0, "labels": (("route", "/pay"),),
    }  # fmt: skip
    return Alert(**(plain | changes))


def service(name: str = "checkout", at: int = T0, **changes: Any) -> ServiceSeen:
    """A service that calls payment."""
    calls = (LearnedCall("payment", T0 - HOUR, at, 12.5, 0.25, 3),)
    return ServiceSeen(**({"service": name, "at_ms": at, "seen_ms": at, "calls": calls} | changes))


def dead_letter(offset: int = 3, **changes: Any) -> DeadLetter:
    plain: dict[str, Any] = {
        "topic": "otlp_metrics", "partition": 1, "offset": offset, "timestamp_ms": T0,
        "reason": "undecodable", "detail": "OTLP expected", "value": b"\x00\xffjunk",
    }  # fmt: skip
    return DeadLetter(**(plain | changes))


def event(data: Any, **changes: Any) -> bytes:
    """A CloudEvent as correlate writes it."""
    envelope = {
        "specversion": "1.0", "id": "x/1", "source": "tocsin", "type": "tocsin.incident",
        "datacontenttype": "application/json", "data": data,
    }  # fmt: skip
    return msgspec.json.encode(envelope | changes)


def record(item: Any, offset: int = 0) -> Record:
    """The record an item travels in."""
    if isinstance(item, Incident):
        return Record("tocsin.incidents", 0, offset, T0, item.id.encode(), event(item))
    topic = {DeadLetter: "tocsin.deadletters", ServiceSeen: "tocsin.topology"}.get(
        type(item), "tocsin.alerts"
    )
    return Record(topic, 0, offset, T0, None, msgspec.json.encode(item))
