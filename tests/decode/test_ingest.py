"""The ingest core: what passes, what is late, what is refused, and what it says of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.decode import deadletter
from streams.records.messages import DeadLetter
from streams.records.pages import NO_WATERMARK, SourceState
from tests.decode.support import T0, control, core, read, record, settings

S = 1_000


def line(ts: int, value: float = 1.0, service: str = "a", **more: Any) -> dict[str, Any]:
    return {"ts": ts, "service": service, "metric": "m", "value": value, **more}


def test_every_shard_gets_one_page_with_the_watermark() -> None:
    """The shard that owns the service gets the row, the others a bare watermark."""
    found = read(core().process([record(line(T0))]))
    assert sorted(shard for shard, _ in found.pages) == [0, 1, 2, 3]
    assert len(found.samples) == 1
    assert set(found.watermarks.values()) == {(T0 - 5 * S, SourceState.ACTIVE, "")}


def test_rows_at_or_before_the_watermark_are_late() -> None:
    """Dropped and counted, no dead letter: the record was fine."""
    records = [record(line(T0)), record(line(T0 - 5 * S, 2), 1), record(line(T0 - 5 * S + 1, 3), 2)]
    found = read(core(settings("tocsin")).process(records))
    assert [value for *_, value in found.samples] == [1.0, 3.0]
    assert not found.letters


def test_rows_of_one_record_are_never_late_by_each_other() -> None:
    """A batch may span any time."""
    both = json.dumps(line(T0 + 60 * S)) + "\n" + json.dumps(line(T0, 2))
    records = [record(line(T0 + 1 * S)), record(both, 1, ts=T0 + 60 * S)]
    assert len(read(core(settings("tocsin")).process(records)).samples) == 3


def test_a_clock_ahead_does_not_make_the_others_late() -> None:
    """A row within `max_future_ms` passes, but moves the watermark only as far as its record allows."""
    found = read(core(settings("tocsin")).process([record(line(T0 + 500 * S)), record(line(T0), 1)]))
    assert len(found.samples) == 2
    assert found.watermarks[0][0] == T0 - 5 * S


@pytest.mark.parametrize(
    ("ts", "reason"),
    [
        (T0 + 600 * S, None),
        (T0 + 600 * S + 1, "future"),
        (T0 - 7 * 86_400 * S, None),
        (T0 - 7 * 86_400 * S - 1, "ancient"),
        (-1, "ancient"),
        (2**61, "future"),
    ],
)
def test_event_times_are_compared_with_the_record(ts: int, reason: str | None) -> None:
    """Far in the future or in the past: a dead letter with the reason."""
    found = read(core(settings("tocsin")).process([record(line(ts))]))
    assert [letter.reason for letter in found.letters] == ([reason] if reason else [])
    assert len(found.samples) == (0 if reason else 1)


def test_a_replay_brings_its_own_now() -> None:
    """With the header old rows are not ancient."""
    then = T0 - 400 * 86_400 * S
    old = record(line(then), headers=(("tocsin-now", str(then).encode()),))
    found = read(core(settings("tocsin")).process([old]))
    assert len(found.samples) == 1
    assert not found.letters


def test_a_dead_letter_holds_all_that_is_needed_to_put_the_record_back() -> None:
    """Topic, partition, offset, time, reason, detail, key, headers and the bytes."""
    bad = record("junk", 41, headers=(("trace", b"\x00\xff"),))._replace(key=b"k")
    (letter,) = read(core(settings("tocsin")).process([bad])).letters
    assert letter == DeadLetter(
        "in", 0, 41, T0, "undecodable", letter.detail, b"junk", b"k", (("trace", b"\x00\xff"),), 0
    )


@pytest.mark.parametrize("value", [None, b""])
def test_an_empty_record_is_refused(value: bytes | None) -> None:
    """Unless it is a control record."""
    assert [letter.reason for letter in read(core().process([record(value)])).letters] == ["empty"]


def test_an_oversized_record_is_refused_unread() -> None:
    """The limit is on the bytes of the value."""
    found = read(core(settings("tocsin", max_record_bytes=100)).process([record("x" * 101)]))
    assert [letter.reason for letter in found.letters] == ["oversized"]


def test_a_large_dead_letter_still_fits_a_message() -> None:
    """It is compressed, and comes back as it was."""
    value = json.dumps({"padding": "x" * 3_000_000}).encode()
    (output,) = [
        o for o in core(settings("tocsin")).process([record(value)]) if o.topic == "tocsin.deadletters"
    ]
    assert output.value is not None
    assert len(output.value) < 900_000
    assert deadletter.original(deadletter.read(output.value)) == value


def test_a_series_is_described_before_its_first_row_and_then_rarely() -> None:
    """Again after `describe_every_ms` of event time."""
    of = settings("tocsin", describe_every_ms=60 * S)
    made = core(of)
    told = []
    for i in range(0, 150, 10):
        found = read(made.process([record(line(T0 + i * S), i, ts=T0 + i * S)]))
        told += [i for _, page in found.pages if page.series]
    assert told == [0, 60, 120]


def test_a_new_core_describes_everything_anew() -> None:
    """After a rebalance the new owner cannot know what the old one said."""
    of = settings("tocsin")
    for _ in range(2):
        assert len(read(core(of).process([record(line(T0))])).series) == 1


def test_a_begin_reaches_every_shard_before_any_row() -> None:
    """With all partitions of the topic as peers, and a watermark just before the first row."""
    begin = T0 - 400 * 86_400 * S
    row = record(line(begin), 1, headers=(("tocsin-now", str(begin).encode()),))
    found = read(core().process([control("begin", "e1", begin), row]))
    for shard in range(4):
        first, *rest = [page for at, page in found.pages if at == shard]
        assert (first.state, first.watermark, first.epoch) == (SourceState.BEGIN, begin - 1, "e1")
        assert first.peers == ["in/0", "in/1"]
        assert all(page.epoch == "e1" and page.state == SourceState.ACTIVE for page in rest)
    assert len(found.samples) == 1


def test_within_a_replay_the_watermark_does_not_fall_behind_its_begin() -> None:
    """Nothing older than the begin can follow, whatever the allowed lateness."""
    found = read(core(settings("tocsin")).process([control("begin", "e1", T0), record(line(T0), 1)]))
    assert found.watermarks[0] == (T0 - 1, SourceState.ACTIVE, "e1")


def test_an_end_carries_the_newest_event_time() -> None:
    """Without allowed lateness: nothing follows any more."""
    records = [control("begin", "e1", T0), record(line(T0 + 7 * S), 1), control("end", "e1", T0, 2)]
    found = read(core().process(records))
    assert set(found.watermarks.values()) == {(T0 + 7 * S, SourceState.ENDED, "e1")}


def test_a_replay_has_a_time_of_its_own() -> None:
    """Rows older than what came before the replay are on time in it."""
    made = core(settings("tocsin"))
    made.process([record(line(T0))])
    found = read(made.process([control("begin", "e1", T0 - 3_600 * S), record(line(T0 - 3_600 * S), 1)]))
    assert len(found.samples) == 1


def test_rows_before_the_begin_of_their_replay_are_late() -> None:
    """The begin was announced, and shards have gone on from there."""
    found = read(core(settings("tocsin")).process([control("begin", "e1", T0), record(line(T0 - 1), 1)]))
    assert not found.samples


def test_nothing_is_idle_within_a_replay() -> None:
    """However long its producer pauses."""
    made = core()
    made.process([control("begin", "e1", T0), record(line(T0), 1)])
    assert not [output for s in range(0, 500, 10) for output in made.tick(T0 + s * S, True)]


def test_a_replay_that_stops_without_an_end_is_ended_at_last() -> None:
    """Its producer was killed: shards must not wait for it for ever."""
    made = core()
    made.process([control("begin", "e1", T0), record(line(T0), 1)])
    made.tick(T0, True)
    found = read(made.tick(T0 + 600 * S, True))
    assert set(found.watermarks.values()) == {(T0, SourceState.ENDED, "e1")}


def test_after_a_replay_the_wall_clock_moves_nothing() -> None:
    """What was replayed must not look as if it had gone silent."""
    made = core()
    made.process([control("begin", "e1", T0), record(line(T0), 1), control("end", "e1", T0, 2)])
    assert not [output for s in range(0, 900, 30) for output in made.tick(T0 + s * S, True)]


def test_a_partition_never_fed_is_idle_at_once() -> None:
    """It has been read to its end; it says so without a time."""
    found = read(core().tick(T0, True))
    assert set(found.watermarks.values()) == {(NO_WATERMARK, SourceState.IDLE, "")}


def test_a_partition_not_yet_read_to_its_end_is_not_idle() -> None:
    """What waits there may be old."""
    assert not core().tick(T0, False)


def test_a_quiet_partition_becomes_idle_at_its_newest_time_and_then_follows_the_clock() -> None:
    """First its newest event time, then on at twice the allowed lateness behind."""
    made = core()
    made.process([record(line(T0))])
    assert not made.tick(T0 + 1 * S, True)
    assert not made.tick(T0 + 5 * S, True)
    seen = [read(made.tick(T0 + s * S, True)).watermarks.get(0) for s in (6, 11, 21, 31)]
    assert seen == [
        (T0, SourceState.IDLE, ""),
        None,
        (T0 + 10 * S, SourceState.IDLE, ""),
        (T0 + 20 * S, SourceState.IDLE, ""),
    ]


def test_an_outage_of_the_broker_is_no_silence_of_the_source() -> None:
    """Producers wait for the broker, too: what they send afterwards must not be late."""
    made = core()
    made.process([record(line(T0))])
    made.tick(T0, True)
    for second in range(1, 600):
        assert not made.tick(T0 + second * S, False)
    assert not made.tick(T0 + 600 * S, True)
    found = read(made.process([record(line(T0 + 1 * S), 1, ts=T0 + 600 * S)]))
    assert len(found.samples) == 1
    assert set(found.watermarks.values()) == {(T0 - 4 * S, SourceState.ACTIVE, "")}


def test_an_outage_of_the_broker_does_not_end_a_replay() -> None:
    """Its silence begins anew when the broker is back."""
    made = core()
    made.process([control("begin", "e1", T0), record(line(T0), 1)])
    made.tick(T0, True)
    for second in range(0, 1_200, 10):
        made.tick(T0 + second * S, False)
    assert not made.tick(T0 + 1_200 * S, True)


def test_a_backfill_is_not_overtaken_by_the_wall_clock() -> None:
    """An idle partition goes on from its own event time, an hour ago as it may be."""
    made = core()
    made.process([record(line(T0 - 3_600 * S))])
    made.tick(T0, True)
    assert read(made.tick(T0 + 20 * S, True)).watermarks[0][0] == T0 - 3_590 * S


def test_rows_make_an_idle_partition_active_again() -> None:
    """From then on its rows say where it is."""
    made = core(settings("tocsin"))
    made.process([record(line(T0))])
    for s in (0, 6, 60):
        made.tick(T0 + s * S, True)
    found = read(made.process([record(line(T0 + 61 * S), 1, ts=T0 + 61 * S)]))
    assert set(found.watermarks.values()) == {(T0 + 56 * S, SourceState.ACTIVE, "")}


def test_bad_records_alone_do_not_hold_a_shard_back() -> None:
    """A partition that never had a usable row stays idle."""
    made = core(settings("tocsin"))
    found = read(made.process([record("junk", i, ts=T0 + i * S) for i in range(30)]))
    assert {state for _, state, _ in found.watermarks.values()} == {SourceState.IDLE}


def test_a_flood_of_dead_letters_is_reported_per_window_of_reference_time() -> None:
    """The share of refused records; a record of which half the lines are bad counts half."""
    made = core(settings("tocsin"))
    half = json.dumps(line(T0)) + "\n{"
    values = ["junk", half, json.dumps(line(T0)), json.dumps(line(T0))]
    found = read(made.process([record(value, i, ts=T0 + i) for i, value in enumerate(values)]))
    assert "tocsin.deadletter_ratio" not in found.by_name()
    read(made.process([record(line(T0 + 10 * S), 9, ts=T0 + 10 * S)]), found)
    assert found.by_name()["tocsin.deadletter_ratio"] == [(T0 + 10 * S, 0.375)]
    (series,) = found.named("tocsin.deadletter_ratio")
    assert series.service == "tocsin"
    assert dict(series.labels) == {"topic": "in", "partition": "0"}


def test_late_rows_are_reported_per_window() -> None:
    """By their number."""
    made = core(settings("tocsin"))
    values = [line(T0), line(T0 - 9 * S), line(T0 - 8 * S), line(T0 + 10 * S)]
    found = read(made.process([record(value, i, ts=max(T0, value["ts"])) for i, value in enumerate(values)]))
    assert found.by_name()["tocsin.late_rows"] == [(T0 + 10 * S, 2.0)]


def test_a_partition_without_trouble_says_nothing_of_itself() -> None:
    """No series of ours for healthy topics."""
    made = core(settings("tocsin"))
    found = read(made.process([record(line(T0 + i * S), i, ts=T0 + i * S) for i in range(100)]))
    assert set(found.by_name()) == {"m"}


def test_after_a_flood_zeros_are_reported_for_a_while() -> None:
    """So that its alert can end."""
    made = core(settings("tocsin"))
    records = [record("junk"), *(record(line(T0 + i * S), i, ts=T0 + i * S) for i in range(1, 200))]
    reported = read(made.process(records)).by_name()["tocsin.deadletter_ratio"]
    assert [ts - T0 for ts, _ in reported] == [i * 10 * S for i in range(1, 8)]
    assert [value for _, value in reported] == [0.1, 0, 0, 0, 0, 0, 0]


def test_a_flood_that_stops_the_topic_is_reported_by_the_clock() -> None:
    """No further record closes the window, so ticks do. Silence is no recovery: at first the share stands."""
    made = core(settings("tocsin"))
    found = read(made.process([record("junk", i) for i in range(5)]))
    for s in range(0, 300, 2):
        read(made.tick(T0 + s * S, True), found)
    reported = found.by_name()["tocsin.deadletter_ratio"]
    assert [ts - T0 for ts, _ in reported] == [10 * i * S for i in range(1, 20)]
    assert [value for _, value in reported] == [1.0] * 13 + [0.0] * 6


def test_what_we_say_of_a_topic_of_bad_records_is_released() -> None:
    """With nothing else to tell the time, a shard learns it from our own samples, a little later."""
    made = core(settings("tocsin"))
    made.process([record("junk")])
    marks = {s: read(made.tick(T0 + s * S, True)).watermarks.get(0) for s in range(0, 22, 2)}
    assert marks[10] == (T0, SourceState.IDLE, "")
    assert marks[20] == (T0 + 10 * S, SourceState.IDLE, "")


def test_state_survives_a_restart() -> None:
    """After `restore` the same records have the same fate and the same watermark."""
    of = settings("tocsin")
    first, second = core(of), core(of)
    head = [record(line(T0)), record("junk", 1), control("begin", "e", T0, 2), record(line(T0 + 9 * S), 3)]
    tail = [record(line(T0 + 3 * S), 4), record(line(T0 + 30 * S), 5), control("end", "e", T0, 6)]
    first.process(head)
    blob = first.snapshot()
    assert blob is not None
    second.restore(blob)
    expected, found = read(first.process(tail)), read(second.process(tail))
    assert found.rows() == expected.rows()
    assert found.watermarks == expected.watermarks
    assert found.letters == expected.letters


def test_a_full_catalog_is_forgotten_and_changes_nothing() -> None:
    """Bounded memory: with room for ten series a hundred still come through, described."""
    of = settings("tocsin", max_series=10)
    made = core(of)
    found = read([])
    for i in range(300):
        read(made.process([record(line(T0 + i, labels={"n": i % 100}), i)]), found)
    assert len(found.samples) == 300
    assert len(found.series) == 100
    assert not found.undescribed
    assert made._catalog.evicted > 0
