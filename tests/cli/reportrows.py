"""Six weeks of a small shop: incidents, clocks, alerts and held-back alerts, the same every time."""

from __future__ import annotations

from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client
from msgspec.structs import replace

from correlator.incident import Incident, ServiceRole
from correlator.response import Clock
from sinks.rows import row_of
from tests.sinks.make import DAY, HINT, HOUR, MINUTE, T0, alert, incident, resolved

KINDS = (
    ("payment", "checkout", "team-pay", "payment latency up, pool exhausted", "error", "P2"),
    ("search", "gateway", "team-find", "search answers 5xx", "critical", "P1"),
    ("mail", "notify", "", "mail queue grows <b>fast</b>", "warning", "P3"),
)
DAYS = 42


def incidents() -> list[Incident]:
    """One or two a day on most days; the last of all is still open."""
    made: list[Incident] = []
    for n in range(DAYS * 2):
        if n % 7 in (3, 5):
            continue
        service, other, owner, title, severity, priority = KINDS[(n * n + n // 3) % 3]
        start = T0 + (n // 2) * DAY + (n * 5 % 24) * HOUR
        seen = start + (1 + n % 4) * MINUTE
        took = 12 + (n * 37) % 90
        heard = n % 3 != 0
        made.append(
            incident(
                f"{n:016x}", title=title, severity=severity, priority=priority, owner=owner,
                services=(ServiceRole(service, "suspected cause", owner, 1), ServiceRole(other, "affected")),
                hints=(replace(HINT, service=service),), signature=f"s-{service}",
                cause_service=service if n % 5 else other, cause="pool" if n % 2 else "",
                category="service disruption" if severity == "critical" else "performance degradation",
                acknowledged_by="ann" if heard else "",
                **(
                    resolved(
                        0, by="human" if heard else "auto", resolved_at=start + took * MINUTE,
                        first_resolved_at=start + took * MINUTE, active_ms=took * MINUTE,
                        updated_at=start + took * MINUTE,
                    )
                    if n < DAYS * 2 - 1
                    else {}
                ),
                started_at=start, detected_at=seen, opened_at=seen,
                acknowledged_at=seen + (2 + n % 9) * MINUTE if heard else None,
            )
        )  # fmt: skip
    return made


def clocks() -> list[Clock]:
    """Two of each incident: missed by every fourth and every ninth."""
    made = []
    for n, item in enumerate(incidents()):
        for name, allowed, late in (("sla respond", 15, n % 4 == 0), ("sla resolve", 120, n % 9 == 0)):
            due = item.opened_at + allowed * MINUTE
            state = "running" if item.resolved_at is None else "missed" if late else "met"
            made.append(
                Clock(
                    id=f"{name}/{item.id}", version=1, incident=item.id, domain="", name=name, kind="sla",
                    state=state, started_at=item.opened_at, warn_at=due - 5 * MINUTE, due_at=due,
                    stopped_at=due - MINUTE if state == "met" else None, paused_ms=0, at_ms=due,
                    basis="from opened", severity=item.severity, owner=item.owner,
                )
            )  # fmt: skip
    return made


def fill(client: Client) -> None:
    """All of it into migrated tables."""
    _insert(client, [*incidents()])
    _insert(client, [*clocks()])
    alerts = [
        alert(f"a{n}", started_at=at, detected_at=at + MINUTE, last_seen_at=at + MINUTE)
        for n in range(DAYS * 9)
        for at in [T0 + (n // 9) * DAY + n % 9 * HOUR]
    ]
    _insert(client, [*alerts])
    held = [(one.detected_at, one.id) for one in alerts[::6]]
    client.insert(
        "suppressed_facts",
        [[datetime.fromtimestamp(at / 1000, UTC).date(), id] for at, id in held],
        column_names=["day", "alert"],
    )


def _insert(client: Client, items: list[object]) -> None:
    rows = [row_of(item) for item in items]
    table = rows[0].table
    client.insert(table.name, [row.values for row in rows], column_names=table.columns)
