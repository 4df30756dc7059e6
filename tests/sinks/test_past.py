"""Problems, recorded causes and similar incidents, as ClickHouse shows them."""

from __future__ import annotations

from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from config.settings import Topics
from correlator.incident import Similar
from correlator.past import Knowledge, Problem
from sinks import past
from sinks.inbox import Unreadable, open_record
from sinks.reader import Reader
from sinks.rows import KNOWLEDGE, PROBLEMS
from streams.records.stage import Record
from tests.sinks.make import DAY, T0, event, incident
from tests.sinks.store import store


def problem(id: str = "5c1a000000000001", version: int = 1, **changes: Any) -> Problem:
    fields: dict[str, Any] = {
        "id": id, "version": version, "domain": "default", "state": "open", "signature": "s1",
        "title": "payment is slow", "opened_at": T0, "updated_at": T0, "first_seen": T0 - DAY,
        "last_seen": T0,        "count": 3, "incidents": ("i1", "i2"), "starts": (T0 - DAY, T0),
        "services": ("checkout", "payment"),
        "interval_ms": DAY,
    }  # fmt: skip
    return Problem(**(fields | changes))


def known(incident: str = "i1", version: int = 1, **changes: Any) -> Knowledge:
    fields: dict[str, Any] = {
        "incident": incident, "version": version, "domain": "default", "title": "payment is slow",
        "started_at": T0, "services": ("checkout",), "cause": "Pool too small", "cause_service": "payment",
        "fix": "rolled back", "runbook": "", "actor": "ann", "at_ms": T0,
    }  # fmt: skip
    return Knowledge(**(fields | changes))


def test_the_newest_version_of_a_problem_is_shown_whole(client: Client) -> None:
    newest = problem(version=2, state="known_error", cause="pool", closed_at=None, reopened=1, note="n")
    store(client, problem(), newest, newest, problem("77", last_seen=T0 - DAY, state="closed", closed_at=T0))
    reader = Reader(client)
    assert past.problems(reader) == [newest]
    assert [p.id for p in past.problems(reader, every=True)] == [newest.id, "77"]
    assert past.problems(reader, service="cart") == []
    assert past.problems_like(reader, "5c1a") == [newest]


def test_knowledge_is_found_by_words_and_by_service(client: Client) -> None:
    """Every word must occur, whatever its case; a correction replaces what was said before."""
    later = known("i2", at_ms=T0 + 1, cause="disk full", cause_service="store", services=("store",))
    store(client, known(), known(version=2, fix="resized"), later)
    reader = Reader(client)
    assert [k.incident for k in past.knowledge(reader)] == ["i2", "i1"]
    assert [k.fix for k in past.knowledge(reader, ["POOL", "resized"])] == ["resized"]
    assert past.knowledge(reader, ["pool", "disk"]) == []
    assert [k.incident for k in past.knowledge(reader, service="payment")] == ["i1"], "of the cause"
    assert [k.incident for k in past.knowledge(reader, service="checkout")] == ["i1"], "of the incident"
    found = past.known_of(reader, "i1")
    assert found is not None
    assert (found.cause, found.fix, found.recorded_at) == ("Pool too small", "resized", T0)
    assert past.known_of(reader, "nobody") is None


def test_similar_incidents_have_a_row_each(client: Client) -> None:
    two = (Similar("p1", 0.9, "payment latency up", T0, True, "pool"), Similar("p2", 0.5, "", T0))
    store(client, incident("i1", similar=two, suggestion="the last time", problem="5c1a"))
    rows = client.query("SELECT past, rank, similarity, same, cause FROM similar ORDER BY rank").result_rows
    assert rows == [("p1", 1, 0.9, True, "pool"), ("p2", 2, 0.5, False, "")]
    found = Reader(client).incident("i1")
    assert found is not None
    assert (found.similar, found.suggestion, found.problem) == (two, "the last time", "5c1a")


def test_an_incident_from_before_these_columns_is_still_read(client: Client) -> None:
    store(client, incident("i1"))
    client.command("ALTER TABLE incident_versions UPDATE similar = '' WHERE 1 SETTINGS mutations_sync = 2")
    found = Reader(client).incident("i1")
    assert found is not None
    assert found.similar == ()


def test_every_field_has_a_column() -> None:
    """Or it silently never reaches the analyst."""
    assert set(PROBLEMS.columns) == set(Problem.__struct_fields__)
    assert {"at_ms" if c == "recorded_at" else c for c in KNOWLEDGE.columns} == set(
        Knowledge.__struct_fields__
    )


@pytest.mark.parametrize("fact", [problem(), known()])
def test_both_are_read_from_the_topic_of_problems(fact: Problem | Knowledge) -> None:
    record = Record("tocsin.problems", 0, 3, T0, None, event(fact))
    delivery = open_record(record, Topics())
    assert delivery is not None
    assert delivery.item == fact


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (event(problem(), specversion="2.0"), "wrong-type"),
        (event({"type": "rumour"}), "wrong-type"),
        (b"{", "undecodable"),
    ],
)
def test_what_is_no_such_record_is_refused_with_its_reason(value: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        open_record(Record("tocsin.problems", 0, 3, T0, None, value), Topics())
    assert caught.value.reason == reason
    assert caught.value.detail
