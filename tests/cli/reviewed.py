"""A hand-made incident with everything a review can say, and one that tries to break out of it."""

from __future__ import annotations

from msgspec.structs import replace

from correlator.afterwards import ActionItem, Review, StatusUpdate
from correlator.incident import (
    Edit,
    Evidence,
    Figure,
    Filing,
    Hint,
    Incident,
    Member,
    Pause,
    Reason,
    ServiceRole,
    Similar,
    TimelineEntry,
)
from correlator.past import Knowledge
from correlator.response import Clock, Duty
from correlator.suppression import Suppression
from sinks.notification import Notification
from tests.sinks.make import DAY, HOUR, MINUTE, T0

ID = "3f9a1c0de2b47756"
EVIL = "<script>alert(1)</script> [x](javascript:alert(1)) | `a` ![i](http://evil/x.png) *b* # h"
WHY = (Reason("topology", 0.6, "checkout calls payment"),)


def _member(id: str, service: str, summary: str, began: float, noticed: float, over: float) -> Member:
    return Member(
        id, service, "metric", "latency", "error", T0 + int(began * MINUTE), T0 + int(noticed * MINUTE),
        T0 + int(over * MINUTE), 9.0, summary, T0 + int(noticed * MINUTE), WHY,
    )  # fmt: skip


def incident() -> Incident:
    """Closed; acknowledged after four minutes, contained, resolved by a person, came back once."""
    return Incident(
        id=ID, version=12, domain="default", state="closed", title="payment: pool exhausted after v42",
        category="service disruption", severity="critical", priority="P1", started_at=T0,
        detected_at=T0 + 2 * MINUTE, opened_at=T0 + 2 * MINUTE, updated_at=T0 + 90 * MINUTE,
        acknowledged_at=T0 + 6 * MINUTE, mitigated_at=T0 + 25 * MINUTE, resolved_at=T0 + 70 * MINUTE,
        closed_at=T0 + 85 * MINUTE, first_resolved_at=T0 + 40 * MINUTE, active_ms=60 * MINUTE,
        resolved_by="human", acknowledged_by="ann", reopened=1,
        services=(
            ServiceRole("payment", "suspected cause", "team-pay", 1, "https://wiki.example/pay"),
            ServiceRole("checkout", "affected", "team-shop", 1), ServiceRole("gateway", "affected"),
        ),
        alerts=("a1", "a2", "a3"),
        members=(
            _member("a1", "payment", "latency 900 ms, usually 90 ms", 0, 2, 68),
            _member("a2", "checkout", "errors 31 %, usually 0.2 %", 1.5, 2.5, 69),
            _member("a3", "gateway", "latency 1.4 s, usually 210 ms", 2, 3, 69.5),
        ),
        hints=(
            Hint("payment", 0.81, (
                Evidence("change", "deployed v42 three minutes before", 0.5, T0 - 3 * MINUTE, "c1"),
                Evidence("onset", "first by 90 s", 0.3, T0, "a1"),
            ), "pool exhausted"),
            Hint("checkout", 0.09, (Evidence("path", "calls payment", 0.1),)),
        ),
        timeline=(
            TimelineEntry(T0 - 3 * MINUTE, "change", "payment: deployment v42", "c1"),
            TimelineEntry(T0 + 2 * MINUTE, "alert", "payment latency 900 ms, usually 90 ms", "a1"),
            TimelineEntry(T0 + 2 * MINUTE, "state", "opened: severe enough"),
            TimelineEntry(T0 + 6 * MINUTE, "action", "acknowledge by ann: looking at the pool", "x1"),
            TimelineEntry(T0 + 25 * MINUTE, "action", "mitigate by ann: traffic to the other zone", "x2"),
            TimelineEntry(T0 + 40 * MINUTE, "state", "resolved: all alerts have resolved and stayed so"),
            TimelineEntry(T0 + 50 * MINUTE, "state", "reopened: the same series deviates again", "a1"),
            TimelineEntry(T0 + 70 * MINUTE, "action", "resolve by ann: rolled back", "x3"),
            TimelineEntry(T0 + 85 * MINUTE, "state", "closed: stable since it was resolved"),
        ),
        changes=("c1",), recurrence_of="", owner="team-pay", signature="payment/latency",
        similar=(Similar("aa00000000000000", 0.83, "payment latency up", T0 - 9 * DAY, True, "pool too small",
                         "payment", "raised the limit"),),
        assignee="ann", impact_level="high", urgency="high", priority_basis="tier 1 service, 12,000 customers",
        impact=(
            Figure("customers", 12_000, "", "confirmed", "billing's count", "kim", T0 + 2 * HOUR),
            Figure("customer_share", 0.082, "", "estimate", "users in the catalogue", "", T0),
            Figure("damage", 48_500, "EUR", "estimate", "revenue per minute x 60 min", "", T0),
        ),
        reputation=("social media",), aware_at=T0 + 6 * MINUTE, major_at=T0 + 12 * MINUTE,
        pauses=(Pause(T0 + 30 * MINUTE, T0 + 35 * MINUTE, "waiting for the supplier", "ann"),),
        filings=(Filing("dora initial", T0 + 3 * HOUR, "kim", "no. 4711"),),
        edits=(Edit(T0 + DAY, "kim", "started_at", "2026-01-01 10:01:00", "2026-01-01 10:00:00",
                    "logs show it", "e1"),),
    )  # fmt: skip


def everything() -> list[object]:
    """The incident and all that hangs on it."""
    i = incident()
    earlier = replace(
        i, id="aa00000000000000", version=3, started_at=T0 - 9 * DAY, state="closed", title="payment is slow",
        updated_at=T0 - 9 * DAY + HOUR, members=(), timeline=(), similar=(),
    )  # fmt: skip
    return [
        i, earlier,
        Knowledge(incident=ID, version=1, domain="default", title=i.title, started_at=T0, services=("payment",),
                  cause="pool too small for v42", cause_service="payment", fix="rolled back",
                  runbook="https://wiki.example/pool", actor="ann", at_ms=T0 + 2 * HOUR),
        Suppression(alert="s1", version=2, state="ended", outcome="resolved", kind="silence", rule="nightly",
                    rule_version="1", reason="silence nightly", by="", domain="default", from_ms=T0 + MINUTE,
                    until_ms=T0 + 20 * MINUTE, at_ms=T0 + 20 * MINUTE, service="checkout", metric="disk",
                    severity="warning", fingerprint="1", started_at=T0 + MINUTE, summary="disk 91 % busy"),
        Clock(id="k1", version=2, incident=ID, domain="default", name="sla respond", kind="sla", state="met",
              started_at=T0 + 2 * MINUTE, warn_at=T0 + 9 * MINUTE, due_at=T0 + 12 * MINUTE,
              stopped_at=T0 + 6 * MINUTE, paused_ms=0, at_ms=T0 + 6 * MINUTE, basis="P1: 10 min from detection"),
        Clock(id="k2", version=3, incident=ID, domain="default", name="sla resolve", kind="sla", state="missed",
              started_at=T0 + 2 * MINUTE, warn_at=T0 + 50 * MINUTE, due_at=T0 + 62 * MINUTE,
              stopped_at=None, paused_ms=5 * MINUTE, at_ms=T0 + 62 * MINUTE, basis="P1: 1 h from detection"),
        Duty(incident=ID, version=1, domain="default", team="team-pay", reason="owner of payment",
             on_call=("ann",), level=1, levels=3, policy="pay", next_at=None, acknowledged=True, at_ms=T0),
        Notification(target="pager", kind="pagerduty", dedup_key=ID, incident=ID, about="opened", version=1,
                     incident_version=1, state="sent", attempts=1, queued_at=T0 + 2 * MINUTE,
                     at_ms=T0 + 2 * MINUTE + 900, external_id="P1", status=202, open=True),
        Notification(target="chat", kind="slack", dedup_key=ID, incident=ID, about="opened", version=3,
                     incident_version=1, state="failed", attempts=5, queued_at=T0 + 2 * MINUTE,
                     at_ms=T0 + 9 * MINUTE, error="channel_not_found", status=200),
        ActionItem(id="7c1e000000000001", version=2, incident=ID, text="alert on the pool's queue", owner="ann",
                   state="in progress", due="2026-01-15", created_at=T0 + DAY, at_ms=T0 + 2 * DAY, actor="kim"),
        StatusUpdate(id="52aa000000000001", version=2, incident=ID, audience="customers", about="resolved",
                     state="sent", title="Over: Card payments", text="Card payments work again.", actor="kim",
                     at_ms=T0 + 85 * MINUTE, sent_at=T0 + 85 * MINUTE),
    ]  # fmt: skip


def hostile() -> list[object]:
    """Everything people and telemetry can write says `EVIL`."""
    i = incident()
    evil = replace(
        i, title=EVIL, priority_basis=EVIL, assignee=EVIL, acknowledged_by=EVIL, resolved_by="human",
        reputation=(EVIL,),
        members=tuple(replace(m, summary=EVIL, service=EVIL) for m in i.members),
        hints=(Hint(EVIL, 0.5, (Evidence("onset", EVIL, 0.5),), EVIL),),
        timeline=(*i.timeline, TimelineEntry(T0, "action", EVIL)),
        services=(ServiceRole(EVIL, "affected"),),
        impact=(Figure("damage", 1.0, EVIL, "estimate", EVIL, EVIL),),
        pauses=(Pause(T0, None, EVIL, EVIL),), filings=(Filing("dora initial", T0, EVIL, EVIL),),
        edits=(Edit(T0, EVIL, "severity", EVIL, EVIL, EVIL, "e"),),
        similar=(Similar("aa", 0.5, EVIL, T0, False, EVIL, EVIL, EVIL),),
    )  # fmt: skip
    return [
        evil,
        ActionItem(id="7c1e", version=1, incident=ID, text=EVIL, owner=EVIL, state="open", due="",
                   created_at=T0, at_ms=T0, actor=EVIL, note=EVIL),
        Knowledge(incident=ID, version=1, domain="", title=EVIL, started_at=T0, services=(), cause=EVIL,
                  cause_service=EVIL, fix=EVIL, runbook="javascript:alert(1)", actor=EVIL, at_ms=T0),
        StatusUpdate(id="52aa", version=1, incident=ID, audience="customers", about="resolved", state="sent",
                     title=EVIL, text=EVIL, actor=EVIL, at_ms=T0, sent_at=T0),
    ]  # fmt: skip


EDITED = Review(incident=ID, version=1, text=f"# Ours\n\n<b onclick=alert(1)>bold</b> {EVIL}\n", actor="ann", at_ms=T0)
