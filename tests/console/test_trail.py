"""Records of the audit on their way: repeats folded, the queue bounded, each a line of the log."""

from __future__ import annotations

import asyncio
import json
import logging

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.access.folding import BEYOND, WINDOW_MS, Folds
from console.store import Unavailable
from console.trail import Trail
from streams.records.audit import NAME, AuditRecord, clipped
from tests.console.conftest import NOW_MS


def refused(at: int = 0, **changes: object) -> AuditRecord:
    plain: dict[str, object] = {
        "id": f"r{at}", "at": NOW_MS + at, "action": "token_refused", "outcome": "refused", "status": 401,
        "method": "GET", "route": "/incidents", "address": "192.0.2.7", "request_id": f"q{at}",
    }  # fmt: skip
    return AuditRecord(**(plain | changes))  # type: ignore[arg-type]


def done(at: int = 0, **changes: object) -> AuditRecord:
    return refused(
        at,
        **(
            {"who": "ann", "action": "acknowledge", "outcome": "done", "status": 200, "method": "POST"}
            | changes
        ),
    )


class Way:
    """In place of the bus."""

    def __init__(self, *, there: bool = True) -> None:
        self.there = there
        self.sent: list[AuditRecord] = []
        self.took = asyncio.Event()

    async def send(
        self, topic: str, key: bytes | None, value: bytes, *, headers: list[tuple[str, bytes]]
    ) -> None:
        if not self.there:
            raise Unavailable("Kafka", "away")
        self.sent.append(msgspec.json.decode(value, type=AuditRecord))
        self.took.set()


def test_the_first_refusal_goes_through_at_once_and_repeats_as_one() -> None:
    folds = Folds()
    assert [one.n for one in folds.take(refused(0), NOW_MS)] == [1]
    assert [one for n in range(1, 50) for one in folds.take(refused(n), NOW_MS + n)] == []
    assert folds.due(NOW_MS + WINDOW_MS - 1) == []
    assert folds.due(NOW_MS + WINDOW_MS) == [refused(49, n=49)]
    assert folds.due(NOW_MS + WINDOW_MS) == []


def test_other_addresses_and_what_was_done_are_not_folded() -> None:
    folds = Folds()
    records = [refused(0), refused(1, address="192.0.2.8"), refused(2, who="ann"), done(3), done(4)]
    assert [one for record in records for one in folds.take(record, NOW_MS)] == records


def test_what_nobody_known_does_and_previews_are_folded() -> None:
    folds = Folds()
    pairs = [(done(0, who=""), done(1, who="")), (done(2, action="preview"), done(3, action="preview"))]
    assert [len(folds.take(one, NOW_MS)) for pair in pairs for one in pair] == [1, 0, 1, 0]


def test_from_very_many_addresses_only_how_many_is_kept() -> None:
    folds = Folds(most=2)
    through = [one for n in range(9) for one in folds.take(refused(n, address=str(n)), NOW_MS)]
    assert [one.address for one in through] == ["0", "1", BEYOND]
    assert [(one.address, one.n) for one in folds.due(NOW_MS, all=True)] == [(BEYOND, 6)]


def test_a_clock_set_back_holds_nothing_up() -> None:
    folds = Folds()
    folds.take(refused(0), NOW_MS)
    folds.take(refused(1), NOW_MS)
    assert [one.n for one in folds.due(NOW_MS - 1)] == [1]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40_000), st.booleans()), max_size=60))
def test_every_request_is_counted_once(requests: list[tuple[int, int, bool]]) -> None:
    folds = Folds(most=2)
    now, found = NOW_MS, []
    for n, (address, later, bad) in enumerate(requests):
        now += later
        found += folds.take((refused if bad else done)(n, address=str(address)), now)
    assert sum(one.n for one in [*found, *folds.due(now, all=True)]) == len(requests)


async def test_while_kafka_is_away_they_wait_and_what_is_too_much_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "tocsin.audit")
    way = Way(there=False)
    trail = Trail(way, "tocsin.audit", lambda: NOW_MS, most=3)
    for n in range(5):
        trail.keep(done(n))
    with pytest.raises(Unavailable):
        await trail.send()
    assert (trail.waiting, trail.dropped) == (3, 2)
    way.there = True
    await trail.send()
    assert way.sent == [done(n) for n in range(3)]
    lines = [json.loads(one.message) for one in caplog.records if one.name == "tocsin.audit"]
    assert [line["id"] for line in lines] == [f"r{n}" for n in range(5)], "the log has all"
    assert any("in this log alone" in one.message for one in caplog.records)


async def test_it_sends_by_itself_and_the_rest_when_it_stops() -> None:
    way = Way()
    trail = Trail(way, "tocsin.audit", lambda: NOW_MS)
    await trail.start()
    for n in range(3):
        trail.keep(refused(n))
    async with asyncio.timeout(5):
        await way.took.wait()
    await trail.stop()
    assert [one.n for one in way.sent] == [1, 2]


async def test_a_broker_that_is_away_does_not_hold_up_the_end() -> None:
    trail = Trail(Way(there=False), "tocsin.audit", lambda: NOW_MS)
    await trail.start()
    trail.keep(done())
    async with asyncio.timeout(5):
        await trail.stop()
    assert trail.waiting == 1


@given(st.text(max_size=500))
def test_a_clipped_text_is_short_on_one_line_and_can_be_sent(text: str) -> None:
    found = clipped(text, NAME)
    assert len(found) <= NAME
    assert found.isprintable()
    assert msgspec.json.decode(msgspec.json.encode(found)) == found
