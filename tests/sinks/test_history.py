"""Samples of the last days: written by the stage, read back by what the console asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

from config.history import History
from config.settings import ClickHouse, Detect
from detectors.explore import explore
from detectors.origins import derived_from
from embedded.probe import free_port
from sinks.clickhouse import ClickHouseSink
from sinks.historian import HISTOGRAMS, SERIES, Historian, Known, Seen
from sinks.history import raw_of, samples_of, series_like, source_of, sparklines
from sinks.protocol import SinkUnavailable
from sinks.reader import Reader
from streams.records.pages import Kind, Page, Series
from streams.records.stage import Record
from tests.sinks.pages import buckets, page, records, series

T0 = 1_700_000_000_000
MINUTE = 60_000
QUEUE = series()
REQUESTS = series("http.server.requests", Kind.COUNTER, labels=(("instance", "a"), ("status", "200")))
LATENCY = series(
    "http.server.request.duration", Kind.HISTOGRAM, bounds=(0.1, 1.0), labels=(("route", "/pay"),)
)


def write(settings: ClickHouse, *calls: Sequence[Record], history: History | None = None) -> Historian:
    """Through a historian of its own, which is returned, stopped."""

    async def run() -> Historian:
        sink = ClickHouseSink(settings, patience_s=0.0, tables=(SERIES,))
        writer = Historian(history or History(), sink, "env", pause_s=0.0)
        await writer.start()
        for call in calls:
            await writer.write(call)
        await writer.stop()
        return writer

    return asyncio.run(run())


def hexed(one: Series) -> str:
    return f"{one.fp:016x}"


def gauge_page(values: Sequence[float], of: Series = QUEUE, step: int = MINUTE) -> Page:
    return page([of], [(of, T0 + i * step, value) for i, value in enumerate(values)])


@pytest.fixture
def reader(client: Client) -> Reader:
    return Reader(client)


def test_samples_come_back_as_they_were_sent(settings: ClickHouse, reader: Reader) -> None:
    """To the last bit and millisecond."""
    values = [0.1, -2.5e300, 3.0]
    write(settings, records(gauge_page(values, step=7)))
    curve = samples_of(reader, [hexed(QUEUE)], T0, T0 + MINUTE)[hexed(QUEUE)]
    assert (curve.ts_ms, curve.value, curve.thinned) == ([T0, T0 + 7, T0 + 14], values, False)


def test_a_page_delivered_again_changes_nothing(settings: ClickHouse, reader: Reader) -> None:
    """Also by another worker, in another batch."""
    once = records(gauge_page([1.0, 2.0]), buckets(LATENCY, [(T0, 1.0, (1, 2, 0))]))
    write(settings, once, once[1:])
    write(settings, once[:1])
    assert samples_of(reader, [hexed(QUEUE)], T0, T0 + MINUTE)[hexed(QUEUE)].value == [1.0, 2.0]
    assert len(series_like(reader)) == 2
    assert reader.ask("SELECT count() AS n FROM histogram_samples FINAL") == [{"n": 1}]


def test_a_series_is_described_by_its_newest_description(settings: ClickHouse, reader: Reader) -> None:
    """First seen stays what it was, also after the worker was started again."""
    write(settings, records(gauge_page([1.0])))
    newer = series(resource=(("env", "prod"), ("version", "2")))
    write(settings, records(page([newer], [(newer, T0 + MINUTE, 5.0)])))
    (row,) = series_like(reader)
    assert row.resource == {"env": "prod", "version": "2"}
    assert (row.first_seen, row.last_seen) == (T0, T0 + MINUTE)
    assert row.series == newer


def test_series_are_found_by_words_and_domain(settings: ClickHouse, reader: Reader) -> None:
    """Every word occurs; of other domains nothing is told."""
    other = series("cpu.load", service="ledger", resource=(("env", "test"),))
    write(settings, records(gauge_page([1.0]), gauge_page([1.0], other)))

    def names(**asked: object) -> list[str]:
        return [row.metric for row in series_like(reader, **asked)]  # type: ignore[arg-type]

    assert names(text="SHOP queue") == ["queue.length"]
    assert names(service="ledger") == ["cpu.load"]
    assert names(metric="queue.length") == ["queue.length"]
    assert names(domains=["test"]) == ["cpu.load"]
    assert names(domains=[]) == []
    assert len(names(limit=1)) == 1
    assert samples_of(reader, [hexed(other)], T0, T0, domains=["prod"]) == {}
    assert source_of(reader, hexed(other), domains=["prod"]) == []


def test_many_samples_are_thinned_without_losing_the_peak(settings: ClickHouse, reader: Reader) -> None:
    """Lowest, highest and last value of each stretch."""
    values = [float(i % 5) for i in range(1_000)]
    values[500] = 99.0
    write(settings, records(gauge_page(values)))
    until = T0 + 999 * MINUTE
    curve = samples_of(reader, [hexed(QUEUE)], T0, until, most_points=100)[hexed(QUEUE)]
    assert curve.thinned
    assert len(curve.ts_ms) == 100
    assert (max(curve.high), min(curve.low), curve.value[-1]) == (99.0, 0.0, 4.0)
    assert curve.ts_ms[-1] == until


def test_what_was_derived_leads_back_to_what_was_sent(settings: ClickHouse, reader: Reader) -> None:
    """Rates, quantiles and error ratios; what is unknown leads nowhere."""
    write(
        settings,
        records(page([REQUESTS], [(REQUESTS, T0, 1.0)]), buckets(LATENCY, [(T0, 1.0, (1, 2, 0))])),
    )
    for fp in derived_from(LATENCY):
        assert [row.fingerprint for row in source_of(reader, f"{fp:016x}")] == [hexed(LATENCY)]
    assert [row.kind for row in source_of(reader, hexed(REQUESTS))] == ["counter"]
    assert source_of(reader, "0123456789abcdef") == []
    assert source_of(reader, "not a fingerprint") == []


def test_an_exploration_of_the_history_is_one_of_the_data(settings: ClickHouse, reader: Reader) -> None:
    """Raw counter rows through ClickHouse give the same rates and scores."""
    steps = np.random.default_rng(1).normal(60, 2, 300)
    steps[200:210] += 600
    rows = [(REQUESTS, T0 + i * MINUTE, float(v)) for i, v in enumerate(np.cumsum(steps))]
    write(settings, records(page([REQUESTS], rows)))
    found = explore(raw_of(reader, hexed(REQUESTS), T0, T0 + 300 * MINUTE), hexed(REQUESTS), Detect())
    assert found is not None
    np.testing.assert_allclose(found.value, steps[1:] / 60)
    (span,) = found.spans
    assert (span.started_at, found.worst[0].ts_ms) == (T0 + 200 * MINUTE, T0 + 200 * MINUTE)


def test_sparklines_show_what_detectors_see(settings: ClickHouse, reader: Reader) -> None:
    """Of gauges the values, of counters rates, of histograms the figure that was asked for."""
    gauge = gauge_page([float(i) for i in range(64)])
    total = page([REQUESTS], [(REQUESTS, T0 + i * MINUTE, 120.0 * i) for i in range(64)])
    rows = [(T0 + i * MINUTE, 30.0 * i, (50 * i, 50 * i, 0)) for i in range(64)]
    write(settings, records(gauge, total, buckets(LATENCY, rows)))
    mean = next(f"{fp:016x}" for fp in derived_from(LATENCY) if _metric(reader, fp).endswith(".mean"))
    window = (T0, T0 + 64 * MINUTE - 1)
    asked = dict.fromkeys([hexed(QUEUE), hexed(REQUESTS), mean, "00000000000000aa"], window)
    found = sparklines(reader, asked, points=16)
    assert set(found) == {hexed(QUEUE), hexed(REQUESTS), mean}
    assert found[hexed(QUEUE)].values == [float(4 * i + 3) for i in range(16)]
    assert found[hexed(REQUESTS)].values[1:] == [2.0] * 15
    means = [value for value in found[mean].values if value is not None]
    assert len(means) >= 14
    np.testing.assert_allclose(means, 0.3)


def _metric(reader: Reader, fp: int) -> str:
    found = explore(raw_of(reader, f"{fp:016x}", T0, T0 + 64 * MINUTE), f"{fp:016x}", Detect())
    return "" if found is None else found.metric


def test_only_series_that_match_are_kept(settings: ClickHouse, reader: Reader) -> None:
    """The others are counted; what was kept before a restart is kept on without a description."""
    other = series("cpu.load", resource=(("env", "test"),))
    only = History(matchers=('env="prod"',))
    both = page([QUEUE, other], [(QUEUE, T0, 1.0), (other, T0, 1.0)])
    later = page([], [(QUEUE, T0 + 1, 2.0), (other, T0 + 1, 2.0)])
    assert write(settings, records(both), history=only).counts["left_out"] == 1
    counts = write(settings, records(later), history=only).counts
    assert (counts["samples"], counts["left_out"]) == (1, 1)
    assert samples_of(reader, [hexed(QUEUE)], T0, T0 + 1)[hexed(QUEUE)].value == [1.0, 2.0]
    assert [row.metric for row in series_like(reader)] == ["queue.length"]


def test_a_record_that_is_no_page_is_passed_over(settings: ClickHouse, reader: Reader) -> None:
    """The detect stage makes a dead letter of it."""
    bad = Record("tocsin.pages", 0, 0, 1_000, b"", b"no page")
    torn = gauge_page([1.0])
    torn.ts = torn.ts[:-8]
    counts = write(settings, [bad, *records(torn, gauge_page([1.0]))]).counts
    assert (counts["written"], counts["skipped"], counts["samples"]) == (1, 2, 1)


def test_samples_are_kept_as_long_as_configured(settings: ClickHouse, reader: Reader) -> None:
    """The setting becomes the TTL of all three tables, and again when it changes."""
    question = (
        "SELECT name FROM system.tables WHERE database = currentDatabase()"
        " AND position(engine_full, {ttl:String}) > 0 ORDER BY name"
    )
    for days in (3, 11, 2):
        write(settings, history=History(days=days))
        found = [row["name"] for row in reader.ask(question, ttl=f"toIntervalDay({days})")]
        assert found == [HISTOGRAMS.name, "samples", "series"]


def test_a_server_that_is_away_is_unavailable() -> None:
    """Not a crash: the shell tries again."""
    away = ClickHouse(url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SinkUnavailable, match="ClickHouse at http"):
        write(away)


def test_tables_that_vanish_are_made_again(unused: ClickHouse, bare: Client) -> None:
    """The write fails as unavailable, and succeeds when it is tried again."""

    async def run() -> None:
        sink = ClickHouseSink(unused, patience_s=5.0, tables=(SERIES,))
        writer = Historian(History(), sink, pause_s=0.0)
        await writer.start()
        bare.command(f"DROP DATABASE {unused.database}")
        await writer.write(records(gauge_page([1.0])))
        await writer.stop()

    asyncio.run(run())
    assert len(series_like(Reader(bare))) == 1


def test_what_is_remembered_is_bounded() -> None:
    """The oldest goes first, and is counted."""
    known = Known(100)
    for fp in range(150):
        known.keep(fp, Seen(fp))
    assert len(known.kept) <= 100
    assert known.evicted == 150 - len(known.kept)
    assert 149 in known.kept


def test_a_description_that_says_nothing_new_is_not_written_again(
    settings: ClickHouse, reader: Reader
) -> None:
    """Until an hour of event time has passed; one that changed is written at once."""

    def at(minute: int, of: Series = QUEUE) -> list[Record]:
        return records(page([of], [(of, T0 + minute * MINUTE, 1.0)]))

    moved = series(resource=(("env", "prod"), ("host", "b")))
    assert write(settings, at(0), at(10), at(59)).counts["series"] == 1
    assert write(settings, at(0), at(10), at(60), at(61, moved)).counts["series"] == 3
    (row,) = series_like(reader)
    assert (row.first_seen, row.last_seen, row.resource["host"]) == (T0, T0 + 61 * MINUTE, "b")
