"""Who calls whom, declared and learned."""

from __future__ import annotations

from correlator.topology import Topology
from streams.records.messages import Edge

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
