"""Where the catalogue and telemetry disagree."""

from __future__ import annotations

from config.catalogue import Catalogue, Service
from correlator.atlas import LearnedCall, ServiceSeen
from correlator.conflicts import Conflict, Graph, conflicts
from correlator.topology import IN_METRICS, IN_TRACES

DAY = 86_400_000


def seen(service: str, *callees: str, at: int = 10 * DAY) -> ServiceSeen:
    calls = tuple(LearnedCall(callee, 0, at, 1.0, 0.0, IN_TRACES) for callee in callees)
    return ServiceSeen(service, at, at, calls)


def found(services: list[Service], *records: ServiceSeen) -> list[tuple[str, str, str]]:
    graph = Graph(Catalogue(services), records)
    return [(c.kind, c.service, c.other) for c in conflicts(graph, 5 * DAY)]


def test_agreement_is_no_conflict() -> None:
    """Also under an alias, and for a callee that sends nothing itself."""
    services = [Service(service="a", depends_on=("b",)), Service(service="b", aliases=("bee",))]
    assert found(services, seen("a", "bee")) == []


def test_declared_and_never_seen_or_not_lately() -> None:
    """A stale one says when."""
    services = [Service(service="a", depends_on=("b", "c")), Service(service="b"), Service(service="c")]
    graph = Graph(Catalogue(services), [seen("a", "b", at=2 * DAY), seen("b"), seen("c")])
    assert conflicts(graph, 5 * DAY) == [
        Conflict("unseen", "a", "b", "not seen lately", 2 * DAY),
        Conflict("unseen", "a", "c", "never seen"),
    ]


def test_seen_and_not_declared() -> None:
    """Of a service with an entry."""
    services = [Service(service="a"), Service(service="b")]
    assert found(services, seen("a", "b")) == [("undeclared", "a", "b")]


def test_declared_one_way_and_seen_the_other() -> None:
    """Said once, not as two other conflicts."""
    services = [Service(service="a", depends_on=("b",)), Service(service="b")]
    assert found(services, seen("a"), seen("b", "a")) == [
        ("reversed", "a", "b"),
        ("cycle", "a", "b"),
    ]


def test_services_only_one_side_knows() -> None:
    """Nothing is unlisted where there is no catalogue."""
    assert found([Service(service="a")], seen("x")) == [("unlisted", "x", ""), ("silent", "a", "")]
    assert found([], seen("x", "y")) == []


def test_the_newest_of_two_records_holds() -> None:
    """An alias's record beside that of the service."""
    old = ServiceSeen("x", 1, 1, (LearnedCall("b", 0, 1, 5.0, 0.0, IN_METRICS),))
    graph = Graph(Catalogue([Service(service="a", aliases=("x",))]), [old, seen("a", "b")])
    assert graph.learned["a", "b"].places == ("traces",)
    assert graph.met == {"a": 10 * DAY}
