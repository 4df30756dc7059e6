"""The detect stage's core: what is released when, and what is refused how."""

from __future__ import annotations

import cramjam
import msgspec
import numpy as np
import pytest

from detectors import shard as shard_module
from detectors.release import ReorderBuffer, step_ceil, step_floor
from streams.records.messages import DeadLetter
from streams.records.pages import Page, SourceState, encode_page
from streams.records.stage import Record
from tests.detectors.pagelog import (
    SETTINGS,
    T0,
    Rows,
    alerts,
    decided,
    edges,
    feed,
    make,
    records,
    series,
    watermarks,
)

LEVEL = series("cart", "level")
STEP = SETTINGS.detect.step_ms


def level(*rows: tuple[int, float], described: bool = True) -> Rows:
    return Rows([(LEVEL, T0 + ts, value) for ts, value in rows], described=[LEVEL] if described else [])


def fed(pages: list[Page]) -> list[tuple[int, float]]:
    """What the bank is fed, by a core that is given the pages in one call."""
    core = make()
    rows: list[tuple[int, float]] = []
    inner = core.engine.bank.feed

    def spy(fps, ts, values):  # type: ignore[no-untyped-def]
        rows.extend(zip((ts - T0).tolist(), values.tolist(), strict=True))
        return inner(fps, ts, values)

    core.engine.bank.feed = spy  # type: ignore[method-assign]
    feed(core, records(pages))
    return rows


def test_rows_wait_until_the_watermark_has_passed_their_step() -> None:
    """A step is decided when no source can add to it: not one row of it before."""
    assert fed([level((100, 1.0), (501, 2.0)).page(T0 + 499)]) == []
    assert fed([level((100, 1.0), (501, 2.0)).page(T0 + 500)]) == [(100, 1.0)]


def test_a_row_on_a_step_boundary_belongs_to_the_step_it_ends() -> None:
    """Steps are (start, end]."""
    assert fed([level((500, 1.0), (501, 2.0)).page(T0 + 999)]) == [(500, 1.0)]
    assert step_ceil(T0 + 500, 500) == step_floor(T0 + 500, 500) == T0 + 500
    assert step_ceil(T0 + 501, 500) == T0 + 1_000


def test_a_page_that_raises_the_watermark_keeps_its_own_rows() -> None:
    """A watermark speaks of what follows, not of the rows it comes with."""
    assert fed([level((100, 1.0), (2_000, 2.0)).page(T0 + 2_000)]) == [(100, 1.0), (2_000, 2.0)]


def test_rows_at_or_before_the_released_time_are_dropped_and_counted() -> None:
    """Decided is decided."""
    core = make()
    feed(
        core,
        records([level((100, 1.0)).page(T0 + 1_000), level((1_000, 2.0), (1_001, 3.0)).page(T0 + 2_000)]),
    )
    assert core.counters["late_rows"] == 1
    assert core.counters["rows"] == 3


def test_lateness_does_not_depend_on_how_pages_are_cut_into_calls() -> None:
    """A late row is late although nothing was released between the two pages."""
    log = records([level((100, 1.0)).page(T0 + 1_000), level((900, 2.0)).page(T0 + 2_000)])
    one, two = make(), make()
    feed(one, log)
    feed(two, log, [1])
    assert one.counters["late_rows"] == two.counters["late_rows"] == 1


def test_the_slowest_source_holds_the_shard_back() -> None:
    """The watermark is the minimum over sources, and unknown until each was heard of."""
    core = make()
    assert watermarks(feed(core, records([level((100, 1.0)).page(T0 + 5_000, "in/0", 2)]))) == []
    assert watermarks(feed(core, records([Rows().page(T0 + 1_700, "in/1", 2)], 1))) == [T0 + 1_500] * 2


def test_the_end_of_a_bounded_replay_decides_its_last_step() -> None:
    """When all sources have ended, nothing will follow: the step of the newest row is complete."""
    core = make()
    out = feed(
        core, records([level((100, 1.0), (1_234, 2.0)).page(T0 + 1_234, state=SourceState.ENDED, epoch="e")])
    )
    assert watermarks(out) == [T0 + 1_500] * 2
    assert core.held.oldest_ts() is None


def test_one_watermark_a_call_and_partition_after_everything_it_covers() -> None:
    """To every partition of the alerts topic, last."""
    out = make().process(records([level((100, 1.0)).page(T0 + 1_000), level((1_100, 1.0)).page(T0 + 2_000)]))
    last = out[-2:]
    assert [(o.topic, o.partition) for o in last] == [("tocsin.alerts", 0), ("tocsin.alerts", 1)]
    assert watermarks(last) == watermarks(out) == [T0 + 2_000] * 2


def test_an_undecodable_page_is_dead_lettered_and_the_stream_goes_on() -> None:
    """With its bytes and where it was."""
    good = encode_page(level((100, 1.0)).page(T0 + 1_000))
    short = encode_page(Page("in/0", 1, T0, fps=b"\0" * 8))
    log = [
        Record("tocsin.pages", 3, i, T0, b"k", value)
        for i, value in enumerate((b"\xc1bad", None, short, good))
    ]
    out = make().process(log)
    letters = [
        msgspec.json.decode(o.value or b"", type=DeadLetter) for o in out if o.topic == "tocsin.deadletters"
    ]
    assert [letter.reason for letter in letters] == ["bad-page"] * 3
    assert (letters[0].partition, letters[0].offset, letters[0].value) == (3, 0, b"\xc1bad")
    assert watermarks(out) == [T0 + 1_000] * 2


def test_needed_offset_is_the_oldest_page_with_rows_held_back() -> None:
    """Its rows are not in the snapshot, so it must be read again."""
    core = make()
    pages = [
        level((100, 1.0)).page(T0),
        level((5_000, 1.0)).page(T0 + 1_000),
        level((1_500, 1.0)).page(T0 + 2_000),
    ]
    feed(core, records(pages, first=40))
    assert core.needed_offset(43) == 41
    feed(core, records([Rows().page(T0 + 5_000)], first=43))
    assert core.needed_offset(44) == 44


def test_pages_read_again_do_not_move_the_clock() -> None:
    """Old states of sources, met again with today's watermarks, must not let anything pass."""
    pages = [
        Rows().page(T0 + 100, "in/0", 2, SourceState.IDLE),
        level((4_000, 1.0)).page(T0 + 200, "in/1", 2),
        level((900, 1.0)).page(T0 + 300, "in/0", 2, SourceState.ACTIVE),
        Rows().page(T0 + 3_000, "in/1", 2),
    ]
    log = records(pages)
    first = make()
    feed(first, log)
    blob = first.snapshot()
    second = make()
    assert blob is not None
    second.restore(blob)
    again = second.process(log[:2])
    assert set(watermarks(again)) <= {first.released}
    assert second.released == first.released


def test_alerts_go_to_the_partition_of_their_domain() -> None:
    """By the resource label that names the domain; watermarks go everywhere."""
    rows = [(i * 1_000, 10.0 + i % 3) for i in range(30)] + [(30_000, 900.0), (31_000, 900.0)]
    out = feed(make(), records([level(*rows).page(T0 + 40_000)]))
    from streams.records.digest import shard_of

    homes = {o.partition for o in out if o.value and b'"type":"alert"' in o.value[:20]}
    assert homes == {shard_of("prod", 2)}


def test_a_changed_description_holds_from_its_own_time_on() -> None:
    """A deployment's version label appears on alerts after it, not before."""
    newer = series("cart", "level", version="2")
    rows = [(i * 1_000, 10.0 + i % 3) for i in range(30)]
    early = level(*rows, (30_100, 900.0))
    late = Rows([(newer, T0 + 35_000, 10.0), (newer, T0 + 36_000, 900.0)], described=[newer])
    found = alerts(feed(make(), records([early.page(T0 + 1), late.page(T0 + 40_000)])))
    versions = {(a.detected_at - T0 > 35_000): dict(a.resource)["version"] for a in found if a.version == 1}
    assert versions == {False: "1", True: "2"}


def test_edges_are_told_to_every_domain() -> None:
    """Spans do not say which domain they belong to."""
    spans = [
        ("gateway", T0 + 1, b"t" * 16, b"a" * 8, bytes(8), False),
        ("cart", T0 + 2, b"t" * 16, b"b" * 8, b"a" * 8, True),
    ]
    out = feed(make(), records([Rows(spans=spans).page(T0 + 20_000)]))
    assert [(e.at_ms, e.edges[0].caller, e.edges[0].failed) for e in edges(out) if e.edges] == [
        (T0 + 10_000, "gateway", 1)
    ] * 2
    assert [e.services for e in edges(out) if e.services] == [("cart", "gateway")] * 2


def test_too_much_held_back_is_decided_early_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest steps go first, no row of them is lost, and what follows late is counted."""
    monkeypatch.setattr(shard_module, "MAX_HELD_BYTES", 24 * 50)
    core = make()
    pages = [level((1_000 * i + 1, 1.0)).page(T0, "in/0", 2) for i in range(60)]
    feed(core, records(pages))
    assert core.counters["forced_releases"] == 1
    assert core.counters["late_rows"] == 0
    assert core.held.held_bytes() <= 24 * 50
    assert core.engine.numbers.table.last_seen[0] == core.released - STEP + 1


def test_forced_decisions_do_not_depend_on_cutting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also under pressure, the log alone decides."""
    monkeypatch.setattr(shard_module, "MAX_HELD_BYTES", 24 * 10)
    pages = [level((700 * i + 1, 10.0 + 90 * (i > 40))).page(T0, "in/0", 2) for i in range(60)]
    log = records(pages)
    assert decided(feed(make(), log)) == decided(feed(make(), log, range(60)))


def test_series_beyond_the_limit_push_out_the_least_recently_seen() -> None:
    """Counted; what is sent still is decided."""
    limit = msgspec.structs.replace(SETTINGS.detect, max_series_per_shard=64)
    core = make(msgspec.structs.replace(SETTINGS, detect=limit))
    many = [series("cart", f"m{i}") for i in range(100)]
    pages = [
        Rows([(one, T0 + 1_000 * i, 1.0)], described=[one]).page(T0 + 1_000 * i) for i, one in enumerate(many)
    ]
    feed(core, records(pages), range(100))
    assert core.engine.counters()["evicted_series"] == 36
    assert core.engine.counters()["undescribed_rows"] == 0
    assert core.engine.known(many[0].fp) is None
    assert core.engine.known(many[-1].fp) == many[-1]


def test_a_snapshot_of_another_format_is_refused() -> None:
    """Rather than misread."""
    core = make()
    state = shard_module.ShardState(99, 0, 0, core.clock, core.engine.snapshot())
    blob = bytes(cramjam.zstd.compress(msgspec.msgpack.encode(state)))
    with pytest.raises(msgspec.ValidationError, match="format 99"):
        core.restore(blob)


def test_idle_series_are_forgotten_in_event_time() -> None:
    """Whether or not anything arrives in between; others keep their rates."""
    idle = msgspec.structs.replace(SETTINGS.detect, series_idle_ms=3_600_000)
    gone, kept = series("cart", "gone"), series("cart", "kept", kind=1)
    rows = [(kept, T0 + 600_000 * i, 60.0 * i) for i in range(12)]
    log = records([Rows([(gone, T0, 1.0), *rows], described=[gone, kept]).page(T0 + 7_000_000)])
    core = make(msgspec.structs.replace(SETTINGS, detect=idle))
    feed(core, log)
    assert core.engine.known(gone.fp) is None
    assert core.engine.known(kept.fp) == kept
    assert core.engine.bank.counters["repeated_rows"] == 0


def test_the_buffer_hands_out_every_row_once() -> None:
    """Across chunks that overlap in time."""
    buffer = ReorderBuffer()
    for offset, times in enumerate(([5, 1, 3], [2, 9], [4])):
        ts = np.array(times, np.int64)
        buffer.add(ts, (ts * 10,), None, after=1, offset=offset, row_bytes=8)
    first = sorted(np.concatenate([s.columns[0] for s in buffer.take(4)]).tolist())
    assert (first, buffer.oldest_offset(), buffer.rows) == ([20, 30, 40], 0, 2)
    assert sorted(np.concatenate([s.ts for s in buffer.take(99)]).tolist()) == [5, 9]
    assert (buffer.held_bytes, buffer.oldest_ts()) == (0, None)
