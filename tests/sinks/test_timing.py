"""Golden figures of the timing views on hand-made incidents, by the real engine."""

from __future__ import annotations

from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from tests.sinks.make import DAY, MINUTE, T0, incident, resolved
from tests.sinks.store import store


@pytest.fixture
def client(client: Client) -> Client:
    return client


def timing(client: Client, id: str) -> dict[str, Any]:
    """The one row of an incident in the timing view, or an assertion error."""
    result = client.query(
        "SELECT * FROM incident_timing WHERE id = {id:String}", parameters={"id": id}
    ).named_results()
    (row,) = list(result)
    return row


def daily(client: Client) -> list[dict[str, Any]]:
    return list(client.query("SELECT * FROM incident_timing_daily ORDER BY day").named_results())


def test_the_components_are_differences_of_the_stated_times(client: Client) -> None:
    """MTTD = detected - started, MTTA = acknowledged - detected, MTTR = resolved - started."""
    store(
        client,
        incident(
            detected_at=T0 + 2 * MINUTE, opened_at=T0 + 3 * MINUTE, acknowledged_at=T0 + 5 * MINUTE,
            acknowledged_by="ann", **resolved(20, by="human"),
        ),
    )  # fmt: skip
    row = timing(client, "00000000000000aa")
    assert row["mttd_ms"] == 2 * MINUTE
    assert row["mtta_ms"] == 3 * MINUTE
    assert row["mttr_ms"] == 20 * MINUTE
    assert row["ack_from_open_ms"] == 2 * MINUTE
    assert row["resolve_from_open_ms"] == 17 * MINUTE
    assert row["resolved_by"] == "human"


def test_milliseconds_are_kept(client: Client) -> None:
    """Nothing is rounded to seconds."""
    store(client, incident(detected_at=T0 + 1_234, opened_at=T0 + 1_234))
    assert timing(client, "00000000000000aa")["mttd_ms"] == 1_234


def test_never_acknowledged_has_no_time_to_acknowledge(client: Client) -> None:
    """NULL, so that averages leave it out, and the ack rate counts it."""
    store(client, incident("acked", acknowledged_at=T0 + 3 * MINUTE, **resolved(10)))
    store(client, incident("never", **resolved(10)))
    row = timing(client, "never")
    assert row["mtta_ms"] is None
    assert row["acknowledged"] == 0
    (day,) = daily(client)
    assert day["ack_rate"] == 0.5
    assert day["mtta_mean_ms"] == 2 * MINUTE


def test_an_active_incident_has_no_time_to_restore(client: Client) -> None:
    """Open incidents are in the view, with what is known so far."""
    store(client, incident())
    row = timing(client, "00000000000000aa")
    assert (row["mttd_ms"], row["mttr_ms"], row["active_ms"]) == (MINUTE, None, None)
    assert daily(client) == []


def test_a_merged_incident_is_counted_once_with_the_earliest_start(client: Client) -> None:
    """The survivor stands for both; it began when the first of them began."""
    early = incident(
        "early", version=2, state="merged", merged_into="survivor", started_at=T0 - 4 * MINUTE,
        detected_at=T0 - 3 * MINUTE, opened_at=T0 - 3 * MINUTE,
    )  # fmt: skip
    store(client, early, incident("survivor", merged_from=("early",), **resolved(10)))
    assert client.query("SELECT id FROM incident_timing").result_rows == [("survivor",)]
    row = timing(client, "survivor")
    assert (row["mttd_ms"], row["mttr_ms"], row["merged"]) == (MINUTE, 14 * MINUTE, 1)


def test_a_survivor_that_began_first_keeps_its_own_start(client: Client) -> None:
    """Merging a later incident changes no time."""
    late = incident("late", state="merged", merged_into="survivor", started_at=T0 + MINUTE)
    store(client, late, incident("survivor", merged_from=("late",), **resolved(10)))
    assert timing(client, "survivor")["mttr_ms"] == 10 * MINUTE


def test_a_reopened_incident_keeps_first_and_last_resolve_and_the_active_time(client: Client) -> None:
    """Resolved at 10, back at 30, resolved at 50: 50 to restore, 10 the first time, 30 active."""
    fields = resolved(50, reopened=1, first_resolved_at=T0 + 10 * MINUTE, active_ms=30 * MINUTE)
    store(client, incident(**fields))
    row = timing(client, "00000000000000aa")
    assert row["mttr_ms"] == 50 * MINUTE
    assert row["first_mttr_ms"] == 10 * MINUTE
    assert row["active_ms"] == 30 * MINUTE


def test_while_reopened_there_is_a_first_restore_but_no_last_one(client: Client) -> None:
    """It is not restored now."""
    first = T0 + 10 * MINUTE
    store(client, incident(state="reopened", reopened=1, first_resolved_at=first, active_ms=10 * MINUTE))
    row = timing(client, "00000000000000aa")
    assert (row["mttr_ms"], row["first_mttr_ms"]) == (None, 10 * MINUTE)
    assert daily(client) == []


def test_auto_and_human_resolves_are_told_apart(client: Client) -> None:
    """A pipeline that resolves by itself must not flatter the people's figure."""
    for number, minutes in enumerate((2, 4, 6)):
        store(client, incident(f"auto{number}", **resolved(minutes)))
    store(client, incident("human", **resolved(60, by="human")))
    (day,) = daily(client)
    assert (day["n"], day["n_auto"], day["n_human"]) == (4, 3, 1)
    assert day["mttr_auto_p50_ms"] == 4 * MINUTE
    assert day["mttr_human_p50_ms"] == 60 * MINUTE
    assert day["mttr_mean_ms"] == 18 * MINUTE


def test_a_side_without_incidents_is_null(client: Client) -> None:
    """No human resolved anything: no figure, not a zero."""
    store(client, incident(**resolved(2)))
    (day,) = daily(client)
    assert (day["n_human"], day["mttr_human_p90_ms"], day["mttr_human_mean_ms"]) == (0, None, None)


def test_quantiles_interpolate_between_neighbours(client: Client) -> None:
    """1 to 10 minutes: p50 5.5, p90 9.1, p95 9.55, mean 5.5 (as a spreadsheet or numpy says)."""
    for minutes in range(1, 11):
        store(client, incident(f"i{minutes}", **resolved(minutes)))
    (day,) = daily(client)
    assert day["mttr_p50_ms"] == pytest.approx(5.5 * MINUTE)
    assert day["mttr_p90_ms"] == pytest.approx(9.1 * MINUTE)
    assert day["mttr_p95_ms"] == pytest.approx(9.55 * MINUTE)
    assert day["mttr_mean_ms"] == pytest.approx(5.5 * MINUTE)


def test_an_empty_day_is_null_never_zero(client: Client) -> None:
    """The day between two resolves is there, with n 0 and no figures."""
    store(client, incident("first", **resolved(1)))
    store(client, incident("third", **resolved(2 * DAY / MINUTE)))
    days = daily(client)
    assert [day["n"] for day in days] == [1, 0, 1]
    figures = [value for name, value in days[1].items() if name.endswith("_ms") or name == "ack_rate"]
    assert figures == [None] * len(figures)
    assert len(figures) == 21


def test_the_bucket_is_the_day_of_the_resolve(client: Client) -> None:
    """Detected at 23:50, resolved after midnight UTC: counted on the second day."""
    late = T0 + 13 * 60 * MINUTE + 50 * MINUTE
    store(
        client,
        incident(
            started_at=late, detected_at=late, opened_at=late, state="resolved", resolved_by="auto",
            resolved_at=late + 20 * MINUTE, first_resolved_at=late + 20 * MINUTE,
        ),
    )  # fmt: skip
    (day,) = daily(client)
    assert str(day["day"]) == "2026-01-02"


def test_only_the_newest_version_counts(client: Client) -> None:
    """Versions arrive in any order and more than once."""
    newest = incident(version=3, **resolved(20))
    for item in (incident(version=2, **resolved(5)), newest, incident(version=1), newest):
        store(client, item)
    assert timing(client, "00000000000000aa")["mttr_ms"] == 20 * MINUTE
    (day,) = daily(client)
    assert day["n"] == 1


def test_hints_memberships_and_timeline_are_rows(client: Client) -> None:
    """An analyst can join them without reading JSON."""
    store(client, incident(version=1, hints=()), incident(version=2))
    hint = client.query("SELECT rank, service, confidence, evidence[1].text FROM hints").result_rows
    assert hint == [(1, "payment", 0.8, "first by 12 s")]
    member = client.query("SELECT alert, service, reasons[1].name, resolved_at FROM memberships").result_rows
    assert member == [("a1", "payment", "topology", None)]
    entry = client.query("SELECT position, kind, toUnixTimestamp64Milli(at) FROM timeline").result_rows
    assert entry == [(1, "alert", T0)]
