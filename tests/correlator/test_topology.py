"""Who calls whom, declared and learned."""

from __future__ import annotations

import pytest

from correlator import topology as module
from correlator.topology import IN_METRICS, IN_TRACES, Topology
from streams.records.messages import ADDRESSES, METRICS, Edge

HOUR = 3_600_000


def test_neighbours_are_up_or_down_the_chain_of_calls() -> None:
    """Distance follows calls one way; siblings are not neighbours."""
    topology = Topology([("a", "b"), ("b", "c"), ("a", "d")], HOUR)
    assert topology.within("b", 2) == {"b": 0, "a": 1, "c": 1}
    assert topology.within("c", 2) == {"c": 0, "b": 1, "a": 2}


def test_cycles_end() -> None:
    """a calls b calls a."""
    assert Topology([("a", "b"), ("b", "a")], HOUR).within("a", 9) == {"a": 0, "b": 1}


def test_an_unknown_service_is_alone() -> None:
    assert Topology([], HOUR).within("x", 2) == {"x": 0}


def test_learned_edges_are_forgotten_when_unseen() -> None:
    """After the memory, and only then; declared ones stay."""
    topology = Topology([("a", "b")], HOUR)
    topology.observe([Edge("a", "c", 5)], 0)
    topology.observe([Edge("a", "d", 5)], HOUR)
    assert topology.callees("a") == ("b", "c", "d")
    topology.observe([Edge("a", "d", 5)], HOUR + 1)
    assert topology.callees("a") == ("b", "d")


def test_parts_of_one_bucket_add_up() -> None:
    """Two shards saw half of the calls each, in either order."""
    both = [[Edge("a", "b", 8, 4)], [Edge("a", "b", 2, 1)]]
    shares = []
    for order in (both, both[::-1]):
        topology = Topology([], HOUR)
        for part in order:
            topology.observe(part, 1_000)
        shares.append(topology.failing_share("a", "b"))
    assert shares == [0.5, 0.5]


def test_the_memory_is_bounded() -> None:
    """The edge unseen for longest goes first, and is counted."""
    topology = Topology([], HOUR, max_edges=2)
    for i, callee in enumerate("bcd"):
        topology.observe([Edge("a", callee, 1)], i)
    assert topology.callees("a") == ("c", "d")
    assert topology.evicted == 1


def test_metrics_count_where_both_are_seen() -> None:
    """Traces may be a sample; what they count does not add up with the metrics."""
    topology = Topology([], HOUR)
    topology.observe([Edge("a", "b", 10, 5)], 1_000)
    assert topology.failing_share("a", "b") == 0.5
    topology.observe([Edge("a", "b", 1_000, 10)], 1_000, METRICS)
    assert topology.failing_share("a", "b") == 0.01
    (link,) = topology.links_of("a")
    assert link[1].seen_in == IN_TRACES | IN_METRICS


def test_an_address_is_taken_only_for_a_service_that_is_known() -> None:
    """From the catalogue, its telemetry or other calls; everything else is counted and left out."""
    topology = Topology([("x", "y")], HOUR, known={"store"})
    topology.meet(["cart"], 0)
    hosts = ("store.shop.svc:80", "cart", "y:443", "s3.amazonaws.com", "10.0.0.1")
    topology.observe([Edge("a", host, 1) for host in hosts], 0, ADDRESSES)
    assert topology.callees("a") == ("cart", "store", "y")
    assert topology.unnamed == 2


def test_services_met_are_bounded_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longest ago first, counted."""
    monkeypatch.setattr(module, "MAX_MET", 2)
    topology = Topology([], HOUR)
    topology.meet(["a", "b", "c"], 0)
    assert (list(topology.met), topology.evicted) == (["b", "c"], 1)
    topology.meet(["d"], 2 * HOUR + 1)
    assert (list(topology.met), topology.evicted) == (["d"], 1)


def test_ten_thousand_services_in_a_cycle() -> None:
    """A neighbourhood is a lookup, the part of the graph found without recursion."""
    n = 10_000
    topology = Topology([(f"s{i}", f"s{(i + 1) % n}") for i in range(n)], HOUR)
    assert topology.near("s0").all == ("s0", "s1", "s2", "s9998", "s9999")
    assert topology.part("s0") == topology.part("s5000")
