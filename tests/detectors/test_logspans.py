"""Slow requests, told by lines that carry trace ids."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from config.settings import Detect
from detectors.bank import Bank
from detectors.buckets import Buckets, BucketState
from detectors.lines import Line
from detectors.logs import Logs
from detectors.logspans import MOST_OPEN, Requests, request_of, requests_of
from detectors.rules import SLOW_REQUESTS

T0 = 1_700_000_000_000
CONFIG = Detect(step_ms=1_000, log_bucket_ms=10_000)


def line(ts: int, body: str, trace_id: str = "") -> Line:
    return Line(ts, "cart", "cart-1", body, 9, trace_id, "", (), "in/0", 0)


def request(at: int, k: int, ms: int) -> list[Line]:
    """Two lines of one request."""
    head = f"TraceID: {k:032x} SpanID: {k:016x}"
    return [line(at, f"{head} got an order"), line(at + ms, f"{head} done")]


def traffic(slow_from: int, n: int = 120, slow_ms: int = 900) -> list[Line]:
    """A request a second of 100 to 190 ms, from one on slow."""
    lines = []
    for k in range(n):
        at = T0 + 1_000 * k
        lines += request(at, k, slow_ms if k >= slow_from else 100 + 10 * (k % 10))
    return sorted(lines, key=lambda one: one.ts)


def shares(lines: list[Line]) -> list[float]:
    logs = Logs(CONFIG)
    end = lines[-1].ts // 10_000 * 10_000 + 30_000
    logs.run(lines, end)
    rows, described = logs.buckets.finish(end)
    fps = {one.fp for _, one in described if one.metric == SLOW_REQUESTS}
    return [value for fp, _, value in rows if fp in fps]


def test_slow_requests_are_a_share() -> None:
    """None while they take what they usually do, all once they take five times as long."""
    assert set(shares(traffic(slow_from=1_000))) == {0.0}
    found = shares(traffic(slow_from=80))
    assert found[0] == 0.0
    assert max(found) == 1.0


def test_what_takes_a_few_milliseconds_is_never_slow() -> None:
    """Ten times as long as usual, and nobody notices."""
    lines = []
    for k in range(120):
        lines += request(T0 + 1_000 * k, k, 3 if k < 80 else 30)
    assert set(shares(lines)) == {0.0}


@pytest.mark.parametrize(
    ("body", "trace_id", "known_by"),
    [
        (
            "TraceID: 0123456789ABCDEF SpanID: 00ff00ff00ff00ff took 3 ms",
            "",
            "0123456789abcdef 00ff00ff00ff00ff",
        ),
        ('{"trace_id":"0123456789abcdef0123456789abcdef"}', "", "0123456789abcdef0123456789abcdef"),
        ("plain", "0123456789abcdef", "0123456789abcdef"),
        ("a race against time", "", ""),
        ("plain", "", ""),
    ],
)
def test_a_request_is_known_by_trace_and_span(body: str, trace_id: str, known_by: str) -> None:
    """Of the record or of the text."""
    assert request_of(line(T0, body, trace_id)) == known_by


def test_requests_that_never_end_are_bounded() -> None:
    """The first begun goes, and is counted."""
    known = requests_of("cart")
    for k in range(MOST_OPEN + 5):
        known.see(str(k), T0 + k)
    assert len(known.begun) == MOST_OPEN
    assert known.evicted == 5
    assert "4" not in known.begun


def test_a_snapshot_goes_on_the_same() -> None:
    """Cut anywhere: the same rows follow."""
    lines = traffic(slow_from=80)

    def count(buckets: Buckets, some: list[Line]) -> None:
        for one in some:
            buckets.line(one.ts, one.service, (), False, False, None, one.body, request_of(one))

    for cut in (1, 37, 170):
        whole, first, second = Buckets(10_000), Buckets(10_000), Buckets(10_000)
        count(whole, lines)
        count(first, lines[:cut])
        blob = msgspec.msgpack.encode(first.export())
        second.load(msgspec.msgpack.decode(blob, type=BucketState))
        count(second, lines[cut:])
        rows = first.finish(first._current * 10_000)[0] + second.finish(T0 + 150_000)[0]
        expected = [row for row in whole.finish(T0 + 150_000)[0] if row[0] == requests_of("cart").fp]
        assert [row for row in rows if row[0] == requests_of("cart").fp] == expected
        assert len(expected) > 5


def test_what_is_usual_is_learned_reluctantly_while_most_are_slow() -> None:
    """A long fault does not become normal at once."""
    known = requests_of("cart")
    for _ in range(200):
        known._learn(100, 1.0)
    for _ in range(200):
        known._learn(2_000, 0.1)
    assert known._usually(0.5) < 200
    assert Requests(1).over == 0


def test_many_slow_requests_fire_at_once() -> None:
    """Without a warm-up: what is usual has been learned of the requests themselves."""
    bank = Bank(CONFIG)
    one = requests_of("cart").series("cart")
    bank.describe(one, sparse=True)
    ts = T0 + 10_000 * np.arange(3, dtype=np.int64)
    (alert,) = bank.feed(np.full(3, one.fp, np.uint64), ts, np.array([0.0, 0.5, 0.75]))
    assert (alert.severity, alert.detected_at) == ("error", T0 + 20_000)
    assert alert.summary.startswith("cart: by its log, share of requests that are slow: 0.75")
