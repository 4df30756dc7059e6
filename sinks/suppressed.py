"""Questions about what was held back, and about the alerts a rule is tried on. Times are ms UTC."""

from __future__ import annotations

import msgspec

from config.schedules import Window
from detectors.alert import Alert
from sinks.reader import OPEN_STATES, Reader
from sinks.rows import ALERTS, alert_of


class SilenceRow(msgspec.Struct, frozen=True):
    """A silence made at run time, newest version."""

    name: str
    state: str
    matchers: tuple[str, ...]
    starts: str
    ends: str
    rrule: str
    duration: str
    ends_at: str
    zone: str
    comment: str
    actor: str
    """who changed it last; empty: its time was over"""
    made_by: str
    changed_at: int
    alerts: int
    """it has held back"""
    held: int
    """it holds back now"""

    @property
    def window(self) -> Window:
        """When it holds, as the configuration says such things."""
        return Window(
            from_=self.starts,
            until=self.ends,
            rrule=self.rrule,
            duration=self.duration,
            to=self.ends_at,
            zone=self.zone,
        )


class Membership(msgspec.Struct, frozen=True):
    """An incident that is not over, and the alerts it is made of."""

    id: str
    title: str
    state: str
    severity: str
    priority: str
    domain: str
    started_at: int
    services: tuple[str, ...]
    alerts: frozenset[str]


class SuppressionRow(msgspec.Struct, frozen=True):
    """What held an alert back, newest version."""

    alert: str
    state: str
    outcome: str
    kind: str
    rule: str
    rule_version: str
    reason: str
    by_alert: str
    since: int
    until: int | None
    service: str
    metric: str
    severity: str
    summary: str


def silences(reader: Reader, *, every: bool = False) -> list[SilenceRow]:
    """Those in force, newest first; with `every` those that are over, too."""
    columns = ", ".join(name for name in SilenceRow.__struct_fields__ if name != "made_by")
    rows = reader.ask(
        f"""
        SELECT {columns}, made.made_by AS made_by
        FROM silences
        LEFT JOIN
        (
            SELECT name, argMax(actor, version) AS made_by
            FROM silence_versions
            WHERE state = 'active'
            GROUP BY name
        ) AS made USING (name)
        WHERE {{every:Bool}} OR state = 'active'
        ORDER BY silences.changed_at DESC, name
        LIMIT 10000
        """,  # noqa: S608
        every=every,
    )
    return [msgspec.convert(row, SilenceRow) for row in rows]


def suppressions(
    reader: Reader,
    *,
    active: bool = False,
    kind: str = "",
    service: str = "",
    since_ms: int = 0,
    limit: int = 50,
) -> list[SuppressionRow]:
    """Newest first. `since_ms`: held back then or later."""
    columns = ", ".join(SuppressionRow.__struct_fields__)
    rows = reader.ask(
        f"""
        SELECT {columns} FROM suppressions
        WHERE (NOT {{active:Bool}} OR state = 'active')
          AND ({{kind:String}} = '' OR kind = {{kind:String}})
          AND ({{service:String}} = '' OR service = {{service:String}})
          AND (state = 'active' OR toUnixTimestamp64Milli(assumeNotNull(until)) >= {{since:Int64}})
        ORDER BY suppressions.since DESC, alert
        LIMIT {{limit:UInt32}}
        """,  # noqa: S608
        active=active,
        kind=kind,
        service=service,
        since=since_ms,
        limit=limit,
    )
    return [msgspec.convert(row, SuppressionRow) for row in rows]


def alerts(reader: Reader, since_ms: int, until_ms: int, limit: int) -> list[Alert]:
    """Alerts that fired at some time in [since, until), newest versions, by detection."""
    columns = ", ".join(f"`{name}`" for name in ALERTS.columns)
    rows = reader.ask(
        f"""
        SELECT {columns} FROM alerts
        WHERE toUnixTimestamp64Milli(alerts.detected_at) < {{until:Int64}}
          AND (alerts.resolved_at IS NULL
               OR toUnixTimestamp64Milli(assumeNotNull(alerts.resolved_at)) >= {{since:Int64}})
        ORDER BY alerts.detected_at DESC, id
        LIMIT {{limit:UInt32}}
        """,  # noqa: S608
        since=since_ms,
        until=until_ms,
        limit=limit,
    )
    return sorted((alert_of(row) for row in rows), key=lambda a: (a.detected_at, a.id))


def memberships(reader: Reader, limit: int = 5_000) -> list[Membership]:
    """Incidents that are not over, newest first, with their alerts."""
    rows = reader.ask(
        """
        SELECT id, title, state, severity, priority, domain, started_at,
            `services.service` AS services, alerts
        FROM incidents WHERE has({states:Array(String)}, state)
        ORDER BY incidents.started_at DESC, id
        LIMIT {limit:UInt32}
        """,
        states=list(OPEN_STATES),
        limit=limit,
    )
    return [msgspec.convert(row, Membership) for row in rows]
