"""What was held back, as ClickHouse shows it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from config.suppression import Silence
from correlator.suppression import SilenceRecord, Suppression
from sinks.reader import Reader
from sinks.suppressed import alerts, silences, suppressions
from tests.sinks.make import MINUTE, T0, alert
from tests.sinks.store import store


@pytest.fixture
def client(client: Client) -> Client:
    """All tables and views, empty."""
    return client


def record(alert: str = "a1", version: int = 1, **changes: Any) -> Suppression:
    fields: dict[str, Any] = {
        "alert": alert, "version": version, "state": "active", "kind": "silence", "rule": "night",
        "rule_version": "0a", "reason": "silence night", "domain": "default", "from_ms": T0,
        "until_ms": T0 + MINUTE, "at_ms": T0, "service": "db", "metric": "disk", "severity": "error",
        "fingerprint": "f", "started_at": T0, "summary": "disk is busy",
    }  # fmt: skip
    return Suppression(**(fields | changes))


def silence(name: str, version: int, state: str = "active") -> SilenceRecord:
    written = Silence(name=name, matchers=('service="db"',), until="2026-01-02", comment="known")
    return SilenceRecord(
        name=name, version=version, state=state, rule_version="0a", silence=written, actor="ann", at_ms=T0
    )


def test_the_newest_version_of_each_record_is_shown(client: Client) -> None:
    """Whatever was delivered twice; the newest first."""
    over = record(version=2, state="ended", outcome="resolved", at_ms=T0 + MINUTE)
    store(client, record(), record(), over, over, record("a2", from_ms=T0 + 1))
    reader = Reader(client)
    assert [(s.alert, s.state, s.outcome) for s in suppressions(reader)] == [
        ("a2", "active", ""),
        ("a1", "ended", "resolved"),
    ]
    assert [s.alert for s in suppressions(reader, active=True)] == ["a2"]
    assert not suppressions(reader, kind="flap")
    assert [s.alert for s in suppressions(reader, since_ms=T0 + 2 * MINUTE)] == ["a2"]


def test_silences_show_what_they_held_and_hold(client: Client) -> None:
    """Counted from the records, by version of the rule."""
    gone = record(version=2, state="ended", outcome="correlated", at_ms=T0 + MINUTE)
    other = record("a3", rule_version="0b")
    store(client, silence("night", 1), silence("old", 1), silence("old", 2, "expired"))
    store(client, record(), gone, record("a2"), other)
    reader = Reader(client)
    (night,) = silences(reader)
    assert (night.name, night.alerts, night.held, night.actor) == ("night", 2, 1, "ann")
    assert night.made_by == "ann"
    assert night.matchers == ('service="db"',)
    assert [(s.name, s.state, s.alerts) for s in silences(reader, every=True)] == [
        ("night", "active", 2),
        ("old", "expired", 0),
    ]
    rows = client.query(
        "SELECT rule_version, alerts, held, correlated FROM suppression_rules ORDER BY 1"
    ).result_rows
    assert rows == [("0a", 2, 1, 1), ("0b", 1, 1, 0)]


def test_alerts_of_a_time_are_read_back_whole(client: Client) -> None:
    """Those that fired in it, and those still firing in it."""
    before = alert("a0", detected_at=T0 - 5 * MINUTE, started_at=T0 - 5 * MINUTE, resolved_at=None)
    over = alert("a1", started_at=T0 - 5 * MINUTE, detected_at=T0 - 5 * MINUTE, resolved_at=T0 - 2 * MINUTE)
    later = alert("a2", detected_at=T0 + 9 * MINUTE)
    inside = alert("a3", labels=(("b", "x"),), detected_at=T0 + 1, resolved_at=T0 + 2)
    store(client, before, over, later, inside)
    assert alerts(Reader(client), T0, T0 + 5 * MINUTE, 10) == [before, inside]


def test_a_silence_that_is_over_still_says_who_made_it(client: Client) -> None:
    over = msgspec.structs.replace(silence("old", 2, "expired"), actor="")
    store(client, silence("old", 1), over)
    (found,) = silences(Reader(client), every=True)
    assert (found.actor, found.made_by, found.state) == ("", "ann", "expired")
