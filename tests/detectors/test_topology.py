"""Calls between services from spans."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.topology import BUCKET_MS, MAX_SPANS, MEMORY_MS, ROOT, Span, Topology, TopologyState
from streams.records.messages import Edge

T0 = 1_700_000_000_000
TRACE = bytes(16)


def span(ts: int, name: int, parent: int, service: str, failed: bool = False) -> Span:
    return Span(T0 + ts, TRACE, name.to_bytes(8, "big"), parent.to_bytes(8, "big"), service, failed)


def test_a_child_in_another_service_is_a_call() -> None:
    """Counted with its failures at the end of its bucket."""
    spans = [span(1, 1, 0, "gateway"), span(2, 2, 1, "cart"), span(3, 3, 1, "cart", failed=True)]
    [(at, edges)] = Topology().run(spans, T0 + BUCKET_MS)
    assert at == T0 + BUCKET_MS
    assert edges == (Edge("gateway", "cart", 2, 1),)


def test_spans_inside_one_service_are_no_call() -> None:
    """Internal spans are not edges."""
    assert Topology().run([span(1, 1, 0, "cart"), span(2, 2, 1, "cart")], T0 + BUCKET_MS) == []


def test_a_child_that_starts_before_its_parent_is_still_joined() -> None:
    """Clocks of two hosts differ; the later side decides the bucket."""
    spans = [span(9_999, 2, 1, "cart"), span(10_001, 1, 0, "gateway")]
    [(at, edges)] = Topology().run(spans, T0 + 2 * BUCKET_MS)
    assert at == T0 + 2 * BUCKET_MS
    assert edges == (Edge("gateway", "cart", 1, 0),)


def test_a_span_delivered_twice_counts_once() -> None:
    """Ingest is at least once."""
    spans = [span(1, 1, 0, "gateway"), span(2, 2, 1, "cart"), span(2, 2, 1, "cart")]
    [(_, edges)] = Topology().run(spans, T0 + BUCKET_MS)
    assert edges[0].calls == 1


def test_a_side_that_never_comes_is_forgotten_and_counted() -> None:
    """Nothing waits for ever."""
    topology = Topology()
    topology.run([span(1, 2, 1, "cart"), span(2 + MEMORY_MS, 9, 0, "gateway")], T0 + MEMORY_MS + BUCKET_MS)
    assert topology.counters["unmatched_spans"] == 1
    assert len(topology.export().spans) == 1


def test_memory_is_bounded_and_evictions_counted() -> None:
    """The oldest span goes first."""
    topology = Topology()
    topology.run([span(1, i + 1, 0, "cart") for i in range(MAX_SPANS + 7)], T0 + 1_000)
    assert topology.counters["evicted_spans"] == 7
    assert len(topology.export().spans) == MAX_SPANS


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 40_000), st.integers(1, 30), st.integers(0, 30), st.sampled_from("abc"))
    ),
    st.integers(0, 41),
)
def test_edges_do_not_depend_on_where_runs_end(rows: list[tuple[int, int, int, str]], cut: int) -> None:
    """Also not on a snapshot in between."""
    spans = sorted(span(*row) for row in rows)
    end, middle = T0 + 50_000, T0 + cut * 1_000
    whole = Topology().run(spans, end)
    first, second = Topology(), Topology()
    before = first.run([s for s in spans if s.ts <= middle], middle)
    second.load(msgspec.msgpack.decode(msgspec.msgpack.encode(first.export()), type=TopologyState))
    assert before + second.run([s for s in spans if s.ts > middle], end) == whole


def test_root_is_no_parent() -> None:
    """Eight zero bytes mean there is none."""
    topology = Topology()
    topology.run([Span(T0, TRACE, b"\1" * 8, ROOT, "cart", False)], T0 + 1_000)
    assert topology.export().waiting == []
