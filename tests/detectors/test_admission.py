"""Series limits: who gets in, what is dropped and said of it, and that cutting changes nothing."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.settings import Ingest, Settings
from detectors import admission
from detectors.admission import HOLD_MS, Admission, label_values
from detectors.rules import OWN_SERVICE, SERIES_DROPPED
from detectors.shard import ShardCore
from streams.records.digest import fingerprint
from streams.records.pages import Page, Series
from tests.detectors.pagelog import (
    SETTINGS,
    T0,
    Rows,
    alerts,
    decided,
    feed,
    interleaved,
    make,
    records,
    series,
)

LIMIT = 10


def limited(limit: int = LIMIT, **detect: int) -> Settings:
    changed = msgspec.structs.replace(SETTINGS.detect, **detect)
    return msgspec.structs.replace(
        SETTINGS, ingest=Ingest(shards=1, max_series_per_service=limit), detect=changed
    )


def one(service: str, n: int) -> Series:
    """The n-th series of a service whose request ids explode."""
    return series(service, "requests", (("pod", str(n % 3)), ("request_id", str(n))))


def said(core: ShardCore, pages: list[Page]) -> list[tuple[int, str, float]]:
    """`tocsin.series_dropped` as the bank hears it: (seconds, service, value)."""
    heard: list[tuple[int, str, float]] = []
    own = {fingerprint(OWN_SERVICE, SERIES_DROPPED, (("service", name),)): name for name in ("boom", "calm")}
    inner = core.engine.bank.feed

    def spy(fps, ts, values):  # type: ignore[no-untyped-def]
        for fp, at, value in zip(fps.tolist(), ts.tolist(), values.tolist(), strict=True):
            if fp in own:
                heard.append(((at - T0) // 1_000, own[fp], value))
        return inner(fps, ts, values)

    core.engine.bank.feed = spy  # type: ignore[method-assign]
    feed(core, records(pages))
    return heard


def explosion(service: str = "boom", n: int = 25, seconds: int = 60, first: int = 0) -> list[Page]:
    """`n` series that all go on sending every five seconds, described with their first row."""
    pages = []
    for at in range(0, seconds, 5):
        rows = Rows()
        for i in range(first, first + n):
            rows.numbers.append((one(service, i), T0 + 1_000 * at + i, float(i)))
            if not at:
                rows.described.append(one(service, i))
        pages.append(rows.page(T0 + 1_000 * at + 4_000))
    return pages


def watched(core: ShardCore, service: str) -> list[int]:
    """Numbers of the series that got in."""
    return sorted(
        int(dict(s.labels)["request_id"]) for s in core.engine.numbers.table.series if s.service == service
    )


def test_the_first_in_event_time_get_in_and_the_others_are_dropped_and_counted() -> None:
    """In the order of their first rows, whatever the order of their descriptions."""
    core = make(limited())
    pages = explosion()
    pages[0].series.reverse()
    feed(core, records(pages))
    assert watched(core, "boom") == list(range(LIMIT))
    counters = core.engine.counters()
    assert counters["refused_series"] == 15
    assert counters["limited_rows"] == 15 * 12
    assert counters["undescribed_rows"] == 0


def test_series_that_got_in_go_on_and_other_services_have_room_of_their_own() -> None:
    """A neighbour that explodes takes nothing away."""
    core = make(limited())
    calm = [one("calm", i) for i in range(LIMIT)]
    pages = [Rows([(s, T0 + 500 + i, 1.0) for i, s in enumerate(calm)], described=calm).page(T0)]
    feed(core, records([*pages, *explosion(n=500)]))
    assert watched(core, "calm") == list(range(LIMIT))
    assert watched(core, "boom") == list(range(LIMIT))


def test_no_limit_admits_everything() -> None:
    """0 switches it off."""
    core = make(limited(0))
    feed(core, records(explosion(n=500)))
    assert len(watched(core, "boom")) == 500


def test_what_is_dropped_is_said_per_service_and_window_and_ends_with_zeros() -> None:
    """So that the alert ends: not in the pause between two exports, but some time after the last one."""
    core = make(limited())
    end = [Rows().page(T0 + 1_000 * at) for at in range(100, 600, 20)]
    heard = said(core, [*explosion(seconds=60), *end])
    assert {service for _, service, _ in heard} == {"boom"}
    assert heard[0] == (10, "boom", 15.0)
    values = [value for _, _, value in heard]
    assert values == [15.0] * (len(values) - 6) + [0.0] * 6
    assert HOLD_MS / 1_000 <= heard[-7][0] <= HOLD_MS / 1_000 + 70


def test_the_alert_names_the_service_and_the_labels_with_the_most_values() -> None:
    """An operator should see at once which label to drop."""
    end = [Rows().page(T0 + 1_000 * at) for at in range(100, 600, 20)]
    found = alerts(feed(make(limited()), records([*explosion(), *end])))
    own = [a for a in found if a.service == "tocsin"]
    assert [(a.version, a.state, a.severity) for a in own] == [
        (1, "firing", "error"),
        (2, "resolved", "error"),
    ]
    assert own[0].summary.startswith(
        "series limit of service boom reached (request_id: 10 values, pod: 3 values): 15.0 series dropped"
    )
    assert own[0].labels == (("service", "boom"),)


def test_a_series_below_the_limit_says_nothing_about_ourselves() -> None:
    """A normal pipeline opens no incident."""
    found = alerts(feed(make(limited(25)), records(explosion(n=25))))
    assert [a for a in found if a.service == "tocsin"] == []


def test_idle_series_make_room_when_others_want_in() -> None:
    """Pods come and go; what has not been heard for a quarter of an hour no longer counts."""
    core = make(limited())
    late = T0 + 1_000_000
    newcomers = [one("boom", n) for n in range(100, 106)]
    old = [(one("boom", n), late - 1_000, 1.0) for n in range(4)]
    rows = Rows(old + [(s, late + i, 1.0) for i, s in enumerate(newcomers)], described=newcomers)
    feed(core, records([*explosion(n=LIMIT), rows.page(late + 5_000)]))
    assert watched(core, "boom") == [0, 1, 2, 3, 100, 101, 102, 103, 104, 105]
    assert core.engine.counters()["freed_series"] == 6
    assert core.engine.counters()["refused_series"] == 0


def test_a_refused_series_gets_in_when_it_is_described_again_and_there_is_room() -> None:
    """Ingest describes every series again now and then."""
    core = make(limited())
    late = T0 + 1_000_000
    again = one("boom", 20)
    rows = Rows([(again, late, 1.0)], described=[again])
    feed(core, records([*explosion(n=25), rows.page(late + 5_000)]))
    assert 20 in watched(core, "boom")
    assert len(watched(core, "boom")) <= LIMIT


def test_refused_series_are_kept_in_mind_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """An explosion takes no memory; what is forgotten is counted."""
    monkeypatch.setattr(admission, "MOST_REFUSED", 50)
    core = make(limited())
    feed(core, records(explosion(n=200)))
    assert core.engine.admission.refused == 50
    assert core.engine.counters()["evicted_refused"] == 140
    assert core.telemetry().totals["evicted", "refused_series"] == 140


def test_what_waits_for_its_first_row_is_bounded() -> None:
    """Descriptions far ahead of the watermark take no memory without end."""
    core = make(limited())
    many = [one("boom", n) for n in range(3_000)]
    page = Rows([(s, T0 + 60_000 + n, 1.0) for n, s in enumerate(many)], described=many).page(T0)
    feed(core, records([page]))
    assert len(core.engine.admission.waiting) == admission.LEAST_WAITING
    assert core.engine.counters()["refused_series"] == 2_000


def test_a_late_first_row_does_not_lose_the_series() -> None:
    """Its next rows come without a description."""
    core = make(limited())
    slow = one("calm", 1)
    pages = [
        Rows([(one("calm", 0), T0 + 100, 1.0)], described=[one("calm", 0)]).page(T0 + 10_000),
        Rows([(slow, T0 + 5_000, 1.0)], described=[slow]).page(T0 + 11_000),
        Rows([(slow, T0 + 12_000, 1.0)]).page(T0 + 20_000),
    ]
    feed(core, records(pages))
    assert core.counters["late_rows"] == 1
    assert watched(core, "calm") == [0, 1]
    assert core.engine.counters()["undescribed_rows"] == 0


def test_labels_are_ranked_by_their_number_of_values() -> None:
    """Equal numbers by name, so that the order is stable."""
    found = label_values([one("a", n) for n in range(5)])
    assert found == [("request_id", 5), ("pod", 3)]


def test_ten_thousand_labels_are_no_trouble() -> None:
    """One series with them is one series."""
    wide = series("wide", "m", tuple((f"label{i:05d}", "x") for i in range(10_000)))
    core = make(limited())
    feed(core, records([Rows([(wide, T0 + 1, 1.0)], described=[wide]).page(T0 + 10_000)]))
    assert len(core.engine.numbers.table) == 1


def storm(seed: int) -> list[list[Page]]:
    """Two sources that describe and send exploding and calm series, a little out of order."""
    dice = random.Random(seed)
    sources = []
    for source in range(2):
        described: set[int] = set()
        pages = []
        at = T0
        for _ in range(dice.randrange(6, 14)):
            rows = Rows()
            at += dice.choice((1_000, 2_000, 4_000, 10_000, 500_000 if at - T0 < 1_200_000 else 500))
            for _ in range(dice.randrange(1, 12)):
                found = one(dice.choice(("boom", "boom", "calm")), dice.randrange(30) * 2 + source)
                rows.numbers.append((found, at + dice.randrange(1_000), 1.0))
                if found.fp not in described or dice.random() < 0.1:
                    described.add(found.fp)
                    if found not in rows.described:
                        rows.described.append(found)
            pages.append(rows.page(at, f"in/{source}", 2))
        pages.append(Rows().page(T0 + 2_500_000, f"in/{source}", 2))
        sources.append(pages)
    return sources


def outcome(core: ShardCore) -> tuple[object, ...]:
    table = core.engine.numbers.table
    return sorted(s.fp for s in table.series), core.engine.admission.counters


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 60), max_size=20), st.sampled_from([8, 200_000]))
@example(153, [51, 32, 32, 20, 42, 38, 57], 200_000)  # an expectation replaced a due row
@example(334, [23, 49, 48, 13, 0, 53, 16, 49, 58, 27, 54], 200_000)
def test_cutting_changes_nothing_about_who_gets_in(seed: int, cuts: list[int], shard_limit: int) -> None:
    """Neither which series are watched nor what is said; also when the shard as a whole is full."""
    log = records(interleaved(storm(seed), random.Random(seed)))
    given_limits = limited(max_series_per_shard=shard_limit)
    cores = [make(given_limits) for _ in range(3)]
    said_by = [
        decided(feed(core, log, where))
        for core, where in zip(cores, ([], cuts, range(len(log))), strict=True)
    ]
    assert said_by[0] == said_by[1] == said_by[2]
    assert outcome(cores[0]) == outcome(cores[1]) == outcome(cores[2])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_the_order_of_sources_changes_nothing_about_who_gets_in(seed: int, order: int) -> None:
    """So that it does not matter how many ingest workers there are."""
    pages = storm(seed)
    cores = [make(limited()), make(limited())]
    feed(cores[0], records(interleaved(pages, random.Random(0))))
    feed(cores[1], records(interleaved(pages, random.Random(order))))
    assert outcome(cores[0]) == outcome(cores[1])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 50), st.integers(0, 20))
def test_a_restart_changes_nothing_about_who_gets_in(seed: int, at: int, lost: int) -> None:
    """The decisions are in the snapshot; what waits is read again."""
    log = records(interleaved(storm(seed), random.Random(seed)))
    at = min(at, len(log))
    whole = make(limited())
    everything = decided(feed(whole, log))
    first, second = make(limited()), make(limited())
    before = decided(feed(first, log[:at]))
    blob, needed = first.snapshot(), first.needed_offset(at)
    feed(first, log[at : at + lost])
    assert blob is not None
    second.restore(blob)
    after = decided(feed(second, log[needed:]))
    assert before + after == everything
    assert outcome(second)[0] == outcome(whole)[0]


def test_admission_starts_empty() -> None:
    """Nothing waits, nothing is said."""
    fresh = Admission(5, 10)
    assert (fresh.refused, fresh.waiting, fresh.due([])) == (0, {}, [])
