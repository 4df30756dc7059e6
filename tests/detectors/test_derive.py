"""Derived rows: rates, quantiles, error ratios."""

from __future__ import annotations

import random

import numpy as np
import pytest

from detectors.derive import FIRST_GAP_MS, MIN_GAP_MS, rate_unit
from detectors.numbers import Numbers
from detectors.quantiles import WINDOW_MS, quantile
from detectors.release import Slice
from streams.records.digest import fingerprint
from streams.records.pages import Kind, Series

T0 = 1_700_000_000_000
REQUESTS = "http.server.request.duration"
BOUNDS = (0.1, 0.2, 0.4, 0.8)


def make(kind: Kind, metric: str = "jobs", service: str = "cart", **labels: str) -> Series:
    pairs = tuple(sorted((name.replace("__", "."), value) for name, value in labels.items()))
    bounds = BOUNDS if kind >= Kind.HISTOGRAM else ()
    return Series(fingerprint(service, metric, pairs), service, metric, pairs, "s", kind, bounds)


class Feed:
    """Numbers fed one export at a time; remembers what came out by metric and labels."""

    def __init__(self, *series: Series) -> None:
        self.numbers = Numbers(1_000)
        for one in series:
            self.numbers.describe(one, T0)
        self.out: dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[int, float]]] = {}

    def values(self, ts: int, rows: list[tuple[Series, float]]) -> None:
        n = len(rows)
        part = Slice(
            np.full(n, T0 + ts),
            (np.array([s.fp for s, _ in rows], np.uint64), np.array([v for _, v in rows])),
            None,
        )
        self._run([part], [], ts)

    def buckets(self, ts: int, rows: list[tuple[Series, list[float], float]]) -> None:
        n = len(rows)
        widths = np.array([len(counts) for _, counts, _ in rows], np.int64)
        columns = (
            np.array([s.fp for s, _, _ in rows], np.uint64),
            np.array([total for _, _, total in rows]),
            np.cumsum(widths) - widths,
            widths,
        )
        counts = np.array([count for _, counts, _ in rows for count in counts], np.float64)
        self._run([], [Slice(np.full(n, T0 + ts), columns, counts)], ts)

    def _run(self, plain: list[Slice], histograms: list[Slice], ts: int) -> None:
        rows, _, _ = self.numbers.run(plain, histograms, T0 + ts)
        for fp, at, value in zip(rows.fps.tolist(), rows.ts.tolist(), rows.values.tolist(), strict=True):
            described = self.numbers.gauge(fp, at)
            assert described is not None
            key = (described[0].metric, described[0].labels)
            self.out.setdefault(key, []).append((at - T0, value))

    def series(self, metric: str, *labels: tuple[str, str]) -> list[float]:
        return [value for _, value in self.out.get((metric, labels), [])]


def test_a_counter_becomes_a_rate_per_second() -> None:
    """The first value says nothing; after that the change per second."""
    jobs = make(Kind.COUNTER)
    feed = Feed(jobs)
    for i, total in enumerate((100, 150, 150, 250)):
        feed.values(10_000 * i, [(jobs, total)])
    assert feed.series("jobs") == [5.0, 0.0, 10.0]


def test_a_decrease_is_a_restart_from_zero() -> None:
    """What was counted since the restart is the increase."""
    jobs = make(Kind.COUNTER)
    feed = Feed(jobs)
    for i, total in enumerate((100, 200, 30)):
        feed.values(10_000 * i, [(jobs, total)])
    assert feed.series("jobs") == [10.0, 3.0]


@pytest.mark.parametrize(("gap", "rates"), [(MIN_GAP_MS, 2), (MIN_GAP_MS + 1, 1)])
def test_no_rate_over_a_gap_that_is_too_long(gap: int, rates: int) -> None:
    """Quarter of an hour for a series that came every ten seconds."""
    jobs = make(Kind.COUNTER)
    feed = Feed(jobs)
    for at, total in ((0, 0), (10_000, 10), (10_000 + gap, 900)):
        feed.values(at, [(jobs, total)])
    assert len(feed.series("jobs")) == rates


def test_the_first_gap_may_be_an_hour() -> None:
    """Before a series' interval is known, more is allowed."""
    jobs = make(Kind.COUNTER)
    feed = Feed(jobs)
    feed.values(0, [(jobs, 0)])
    feed.values(FIRST_GAP_MS, [(jobs, 3_600)])
    assert feed.series("jobs") == [1.0]


def test_a_delta_is_divided_by_its_interval() -> None:
    """No differences are taken of differences."""
    jobs = make(Kind.DELTA)
    feed = Feed(jobs)
    for i, added in enumerate((7, 50, 20)):
        feed.values(10_000 * i, [(jobs, added)])
    assert feed.series("jobs") == [5.0, 2.0]


def test_repeated_rows_are_dropped_and_counted() -> None:
    """The first of equal (series, time) counts: the smallest value, whatever came first."""
    level = make(Kind.GAUGE, "level")
    feed = Feed(level)
    feed.values(1_000, [(level, 9.0), (level, 4.0), (level, 4.0)])
    assert feed.series("level") == [4.0]
    assert feed.numbers.counters["repeated_rows"] == 2


def test_rows_without_a_description_are_counted() -> None:
    """They cannot be used."""
    feed = Feed()
    feed.values(1_000, [(make(Kind.GAUGE), 1.0)])
    assert feed.out == {}
    assert feed.numbers.counters["undescribed_rows"] == 1


@pytest.mark.parametrize(
    ("unit", "rate"), [("", "1/s"), ("1", "1/s"), ("By", "By/s"), ("{requests}", "requests/s")]
)
def test_units_follow_the_rate(unit: str, rate: str) -> None:
    """A rate of bytes is bytes per second."""
    assert rate_unit(unit) == rate


@pytest.mark.parametrize("q", [0.05, 0.5, 0.9, 0.95, 0.99])
def test_a_quantile_is_off_by_less_than_its_bucket(q: float) -> None:
    """The stated error: the width of the bucket the quantile lies in."""
    dice = random.Random(7)
    values = np.array([dice.uniform(0, 0.8) for _ in range(5_000)])
    counts = np.histogram(values, [0, *BOUNDS, np.inf])[0].astype(np.float64)
    bounds = np.array([*BOUNDS, np.inf])
    exact = float(np.quantile(values, q))
    width = next(high - low for low, high in zip([0, *BOUNDS], BOUNDS, strict=False) if exact <= high)
    assert abs(quantile(counts, bounds, 5_000.0, q) - exact) < width


def test_a_quantile_in_the_unbounded_bucket_is_its_lower_bound() -> None:
    """An underestimate, as documented."""
    assert quantile(np.array([0.0, 0, 0, 0, 9]), np.array([*BOUNDS, np.inf]), 9.0, 0.5) == 0.8


def test_a_services_histograms_are_summed_over_their_label_sets() -> None:
    """One mean, one rate and quantiles for the service, whatever routes there are."""
    routes = [make(Kind.HISTOGRAM_DELTA, REQUESTS, http__route=route) for route in "abc"]
    feed = Feed(*routes)
    for i in range(3):
        feed.buckets(5_000 * i + 1_000, [(one, [2.0, 0, 0, 0, 0], 0.1) for one in routes])
    feed.buckets(20_000, [])
    assert feed.series(f"{REQUESTS}.mean") == pytest.approx([0.05] * 3)
    assert feed.series(f"{REQUESTS}.p50") == pytest.approx([0.05] * 3)
    assert feed.series(f"{REQUESTS}.rate")[1:] == pytest.approx([1.2, 1.2])


def test_sparse_routes_have_no_rows_of_their_own() -> None:
    """Two requests an export are not a series; a busy route beside them is."""
    busy, sparse = (make(Kind.HISTOGRAM_DELTA, REQUESTS, http__route=route) for route in ("busy", "sparse"))
    feed = Feed(busy, sparse)
    for i in range(30):
        feed.buckets(5_000 * i, [(busy, [200.0, 0, 0, 0, 0], 10.0), (sparse, [2.0, 0, 0, 0, 0], 0.1)])
    assert feed.series(f"{REQUESTS}.p95", ("http.route", "busy"))
    assert not feed.series(f"{REQUESTS}.rate", ("http.route", "sparse"))


def test_few_observations_wait_for_more() -> None:
    """A quiet service's windows are added up until they say something."""
    one = make(Kind.HISTOGRAM_DELTA, REQUESTS)
    feed = Feed(one)
    for i in range(7):
        feed.buckets(5_000 * i + 1, [(one, [2.0, 0, 0, 0, 0], 0.1)])
    assert [at for at, _ in feed.out[f"{REQUESTS}.mean", ()]] == [3 * WINDOW_MS, 6 * WINDOW_MS]


def test_a_restarted_histogram_counts_from_zero() -> None:
    """A process that came back small has not served negative requests."""
    one = make(Kind.HISTOGRAM, REQUESTS)
    feed = Feed(one)
    for i, n in enumerate((100.0, 200.0, 50.0)):
        feed.buckets(5_000 * i + 1, [(one, [n, 0, 0, 0, 0], n * 0.05)])
    feed.buckets(20_000, [])
    assert feed.series(f"{REQUESTS}.rate") == [20.0, 10.0]


@pytest.mark.parametrize("kind", [Kind.HISTOGRAM, Kind.COUNTER])
def test_a_status_code_first_seen_now_counts_in_the_error_ratio(kind: Kind) -> None:
    """A label set that appears in a known exporter has counted from zero."""
    good, bad = (make(kind, REQUESTS, http__response__status_code=code) for code in ("200", "503"))
    feed = Feed(good, bad)

    def send(ts: int, rows: list[tuple[Series, float]]) -> None:
        if kind == Kind.COUNTER:
            feed.values(ts, rows)
        else:
            feed.buckets(ts, [(s, [n, 0, 0, 0, 0], n * 0.05) for s, n in rows])

    send(1, [(good, 1_000.0)])
    send(5_001, [(good, 1_100.0)])
    send(10_001, [(good, 1_175.0), (bad, 25.0)])
    send(15_000, [])
    labels = (("source", REQUESTS),) if kind == Kind.COUNTER else ()
    assert feed.series("http.server.error_ratio", *labels) == [0.0, 0.25]


def test_client_errors_are_told_apart_by_peer() -> None:
    """Who answers badly is what one wants to know."""
    metric = "http.client.request.duration"
    series = {
        (peer, error): make(
            Kind.HISTOGRAM_DELTA, metric, server__address=peer, **({"error__type": error} if error else {})
        )
        for peer in ("db", "cart")
        for error in ("", "timeout")
    }
    feed = Feed(*series.values())
    for i in range(2):
        feed.buckets(
            5_000 * i + 1,
            [
                (one, [0.0 if key == ("cart", "timeout") else 5.0, 0, 0, 0, 0], 1.0)
                for key, one in series.items()
            ],
        )
    feed.buckets(20_000, [])
    assert feed.series("http.client.error_ratio", ("peer", "db")) == [0.5, 0.5]
    assert feed.series("http.client.error_ratio", ("peer", "cart")) == [0.0, 0.0]


def test_a_status_below_500_is_no_error_whatever_its_type() -> None:
    """A client that asks for what is not there is not a failing service."""
    found = make(Kind.HISTOGRAM_DELTA, REQUESTS, http__response__status_code="404", error__type="404")
    feed = Feed(found)
    feed.buckets(1, [(found, [9.0, 0, 0, 0, 0], 0.1)])
    feed.buckets(5_000, [])
    assert feed.series("http.server.error_ratio") == [0.0]


def test_bucket_counts_that_do_not_fit_the_description_are_counted() -> None:
    """Nothing is guessed about bounds."""
    one = make(Kind.HISTOGRAM, REQUESTS)
    feed = Feed(one)
    feed.buckets(1, [(one, [1.0, 2.0], 0.1)])
    assert feed.numbers.counters["mismatched_rows"] == 1


def test_a_derived_series_carries_what_the_resources_have_in_common() -> None:
    """Of the series with rows by then: no host that only one instance is on."""
    one, two = (make(Kind.HISTOGRAM_DELTA, REQUESTS, instance=i) for i in ("a", "b"))
    feed = Feed()
    for series, host in ((one, "h1"), (two, "h2")):
        resource = (("env", "prod"), ("host", host))
        feed.numbers.describe(Series(*(*_fields(series)[:-1], resource)), T0)
    feed.buckets(1, [(one, [9.0, 0, 0, 0, 0], 0.1)])
    feed.buckets(5_001, [(two, [9.0, 0, 0, 0, 0], 0.1)])
    fp = fingerprint("cart", f"{REQUESTS}.mean", ())
    early, late = feed.numbers.gauge(fp, T0 + 5_000), feed.numbers.gauge(fp, T0 + 10_000)
    assert early is not None
    assert early[0].resource == (("env", "prod"), ("host", "h1"))
    assert late is not None
    assert late[0].resource == (("env", "prod"),)


def _fields(series: Series) -> tuple[object, ...]:
    return tuple(getattr(series, name) for name in series.__struct_fields__)


@pytest.mark.parametrize(("service", "sparse"), [("cart", False), ("tocsin", True)])
def test_what_the_pipeline_says_of_itself_may_stop(service: str, sparse: bool) -> None:
    """The share of refused records is only told while there are any: its end is no absence."""
    numbers = Numbers(10)
    series = make(Kind.GAUGE, "deadletter_ratio", service)
    numbers.describe(series, 0)
    assert numbers.gauge(series.fp, 0) == (series, sparse)
