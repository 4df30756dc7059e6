"""The list: what a filter lets through, in which order, and what stays in memory."""

from __future__ import annotations

import msgspec
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from console.live.board import KEEP_OVER_MS, Board
from console.live.filters import BadFilter, Filter, filter_of
from console.live.row import Row, due_of
from correlator.response import Clock

MINUTE = 60_000
ROW = Row(
    id="a" * 16, version=1, domain="eu", state="open", priority="P2", severity="error",
    category="service disruption", title="checkout fails", started_at=10 * MINUTE, detected_at=11 * MINUTE,
    acknowledged_at=None, resolved_at=None, updated_at=12 * MINUTE, services=("checkout", "payment"),
    owner="shop", acknowledged_by="", alerts=3, cause_service="payment", cause="payment: errors",
    confidence=0.7, leading_alert="b" * 16, leading="errors 12 %", text="checkout fails\npayment: errors",
)  # fmt: skip
CLOCK = Clock(
    id="c", version=1, incident=ROW.id, domain="eu", name="sla respond", kind="sla", state="running",
    started_at=0, warn_at=20 * MINUTE, due_at=25 * MINUTE, stopped_at=None, paused_ms=0, at_ms=0, basis="",
)  # fmt: skip


def row(**changes: object) -> Row:
    return msgspec.structs.replace(ROW, **changes)


def board_of(*rows: Row, most: int = 1_000) -> Board:
    board = Board(most)
    for one in rows:
        board.put(one)
    return board


def ids(board: Board, wanted: Filter = Filter(), domains: tuple[str, ...] = ()) -> list[str]:  # noqa: B008
    return [entry.row.id for entry in board.select(wanted, domains, 100).entries]


def test_an_older_version_changes_nothing() -> None:
    board = board_of(row(version=3, title="newer"))
    assert not board.put(row(version=2, title="older"))
    assert board.get(ROW.id).row.title == "newer"  # type: ignore[union-attr]


def test_without_a_filter_what_is_active_is_shown() -> None:
    board = board_of(row(id="1"), row(id="2", state="resolved"), row(id="3", state="reopened"))
    assert sorted(ids(board)) == ["1", "3"]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("severity", "critical")], []),
        ([("severity", "critical"), ("severity", "error")], ["a" * 16]),
        ([("service", "payment")], ["a" * 16]),
        ([("service", "cart")], []),
        ([("team", "shop")], ["a" * 16]),
        ([("team", "-")], []),
        ([("q", "CHECKOUT errors")], ["a" * 16]),
        ([("q", "checkout inventory")], []),
        ([("unacknowledged", "1")], ["a" * 16]),
        ([("at_risk", "1")], []),
    ],
)
def test_a_filter_lets_through_what_it_names(pairs: list[tuple[str, str]], expected: list[str]) -> None:
    assert ids(board_of(ROW), filter_of(pairs)) == expected


def test_a_filter_survives_its_own_address() -> None:
    pairs = [("severity", "error"), ("service", "pay&ment"), ("q", "a b"), ("at_risk", "1"), ("sort", "due")]
    wanted = filter_of(pairs)
    with_query = TestClient(FastAPI()).build_request("GET", f"/?{wanted.query()}")
    assert filter_of(with_query.url.params.multi_items()) == wanted


@pytest.mark.parametrize(
    "pair", [("severity", "bad"), ("state", "<script>"), ("sort", "x"), ("q", "x" * 201)]
)
def test_a_value_no_filter_has_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(BadFilter, match=pair[0]):
        filter_of([pair])


def test_other_domains_are_neither_listed_nor_counted_nor_named() -> None:
    board = board_of(row(id="1", domain="eu"), row(id="2", domain="us", services=("secret",), owner="them"))
    found = board.select(Filter(), ("eu",), 100)
    assert ([entry.row.id for entry in found.entries], found.total) == (["1"], 1)
    assert board.names(("eu",)) == {"service": ["checkout", "payment"], "team": ["shop"], "domain": ["eu"]}


def test_the_most_urgent_comes_first() -> None:
    board = board_of(
        row(id="1", priority="P3"),
        row(id="2", priority="P1", state="acknowledged"),
        row(id="3", priority="P1"),
    )
    assert ids(board) == ["3", "1", "2"]


def test_a_warned_clock_puts_an_incident_at_risk() -> None:
    board = board_of(ROW)
    board.clock(CLOCK)
    assert ids(board, Filter(at_risk=True)) == []
    board.clock(msgspec.structs.replace(CLOCK, version=2, state="warned"))
    assert ids(board, Filter(at_risk=True)) == [ROW.id]


def test_what_is_due_first_counts_and_what_is_met_does_not() -> None:
    later = msgspec.structs.replace(CLOCK, id="d", name="sla resolve", due_at=90 * MINUTE)
    met = msgspec.structs.replace(CLOCK, state="met", stopped_at=MINUTE)
    assert due_of((CLOCK, later)).name == "sla respond"  # type: ignore[union-attr]
    assert due_of((met, later)).name == "sla resolve"  # type: ignore[union-attr]
    assert due_of((met,)) is None


def test_a_full_board_lets_go_of_what_is_over() -> None:
    over = [row(id=f"{n:016x}", state="closed", updated_at=n) for n in range(5)]
    active = [row(id=f"{n:016x}", updated_at=0) for n in range(5, 11)]
    board = board_of(*over, *active, most=10)
    assert (len(board), board.dropped) == (10, 1)
    assert board.get(f"{0:016x}") is None


def test_what_has_been_over_for_a_day_leaves_the_board() -> None:
    board = board_of(row(id="1", state="closed", updated_at=0), row(id="2", updated_at=0))
    board.tidy(KEEP_OVER_MS + 1)
    assert (board.get("1"), board.get("2") is not None) == (None, True)


def test_the_page_shows_what_is_on_the_board(app: FastAPI, client: TestClient) -> None:
    app.state.console.board.put(row(title="<script>alert(1)</script> fails"))
    html = client.get("/incidents").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; fails" in html
    assert "<script>alert" not in html


def test_a_bad_filter_is_a_page_that_says_what_was_expected(client: TestClient) -> None:
    answer = client.get("/incidents?severity=worst")
    assert answer.status_code == 400
    assert "expected one of info, warning, error, critical" in answer.text


def test_the_api_lists_the_same(app: FastAPI, client: TestClient) -> None:
    app.state.console.board.put(ROW)
    app.state.console.board.clock(CLOCK)
    (listed,) = client.get("/api/v1/incidents?service=payment").json()["incidents"]
    assert (listed["id"], listed["due_name"], listed["due_at"]) == (ROW.id, "sla respond", 25 * MINUTE)
