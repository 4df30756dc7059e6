"""Calls that metrics count, and the services that are named."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import Detect
from detectors import calls as module
from detectors.callers import Role, role_of
from detectors.calls import BUCKET_MS, Calls, CallsState, Seen
from detectors.engine import Due, Engine
from detectors.lines import Line
from detectors.release import Slice
from streams.records.digest import fingerprint
from streams.records.messages import ADDRESSES, METRICS, Edge
from streams.records.pages import Kind, Series
from streams.records.peers import host_names

T0 = 1_700_000_000_000 // BUCKET_MS * BUCKET_MS


def series(metric: str, labels: dict[str, str], kind: int = Kind.COUNTER, service: str = "shop") -> Series:
    pairs = tuple(sorted(labels.items()))
    return Series(fingerprint(service, metric, pairs), service, metric, pairs, kind=kind)


@pytest.mark.parametrize(
    ("metric", "labels", "kind", "role"),
    [
        (
            "traces_service_graph_request_total",
            {"client": "cart", "server": "store"},
            Kind.COUNTER,
            Role("cart", "store", METRICS, True, False),
        ),
        (
            "traces_service_graph_request_failed_total",
            {"client": "cart", "server": "store"},
            Kind.COUNTER,
            Role("cart", "store", METRICS, False, True),
        ),
        (
            "traces_service_graph_request_total",
            {"client": "cart", "server": "redis", "connection_type": "database"},
            Kind.COUNTER,
            Role("cart", "redis", ADDRESSES, True, False),
        ),
        (
            "traces_service_graph_request_server_seconds",
            {"client": "cart", "server": "store"},
            Kind.HISTOGRAM,
            Role("cart", "store", METRICS),
        ),
        (
            "istio_requests_total",
            {
                "source_workload": "cart-v1", "source_app": "cart", "destination_app": "store",
                "destination_workload": "store-v2", "reporter": "source", "response_code": "503",
            },
            Kind.COUNTER,
            Role("cart", "store", METRICS, True, True),
        ),
        (
            "istio_requests_total",
            {"source_workload": "cart", "destination_workload": "store", "reporter": "destination"},
            Kind.COUNTER,
            Role("cart", "store", METRICS),
        ),
        (
            "response_total",
            {
                "deployment": "cart", "dst_deployment": "store",
                "direction": "outbound", "classification": "failure",
            },
            Kind.COUNTER,
            Role("cart", "store", METRICS, False, True),
        ),
        (
            "http.client.request.duration",
            {"server.address": "store.shop.svc", "http.response.status_code": "500"},
            Kind.HISTOGRAM,
            Role("shop", "store.shop.svc", ADDRESSES, True, True),
        ),
        (
            "http_client_request_duration_seconds",
            {"peer_service": "store", "server_address": "10.0.0.3"},
            Kind.HISTOGRAM,
            Role("shop", "store", ADDRESSES, True, False),
        ),
        (
            "rpc.client.duration",
            {"peer.service": "store", "rpc.grpc.status_code": "14"},
            Kind.HISTOGRAM,
            Role("shop", "store", ADDRESSES, True, True),
        ),
        (
            "traces.span.metrics.calls",
            {"service.name": "cart", "peer.service": "store", "span.kind": "SPAN_KIND_CLIENT"},
            Kind.DELTA,
            Role("cart", "store", ADDRESSES, True, False),
        ),
        (
            "http.client.request.body.size",
            {"peer.service": "store"},
            Kind.HISTOGRAM,
            Role("shop", "store", ADDRESSES),
        ),
        ("istio_rps", {"source_app": "a", "destination_app": "b"}, Kind.GAUGE, Role("a", "b", METRICS)),
    ],
)  # fmt: skip
def test_series_that_name_both_sides(metric: str, labels: dict[str, str], kind: int, role: Role) -> None:
    """By the conventions of service graphs, meshes and client-side metrics."""
    assert role_of(series(metric, labels, kind)) == role


@pytest.mark.parametrize(
    ("metric", "labels"),
    [
        ("http.server.request.duration", {"server.address": "store"}),
        ("http.client.request.duration", {"server.address": "10.1.2.3"}),
        ("http.client.request.duration", {"server.address": "localhost"}),
        ("http.client.request.duration", {"peer.service": "shop"}),
        ("traces_service_graph_request_total", {"client": "user", "server": "store"}),
        ("istio_requests_total", {"source_app": "unknown", "destination_app": "store"}),
        ("redis_clients", {"client": "a", "server": "b"}),
        ("process.cpu.time", {"state": "user"}),
    ],
)
def test_series_that_do_not(metric: str, labels: dict[str, str]) -> None:
    """A server's own address, numbers, this machine, itself, stand-ins for nobody."""
    assert role_of(series(metric, labels)) is None


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("cart", ("cart",)),
        ("cart:8080", ("cart:8080", "cart")),
        ("team/cart", ("team/cart", "team")),
        (
            "cart.shop.svc.cluster.local:80",
            ("cart.shop.svc.cluster.local:80", "cart.shop.svc.cluster.local", "cart"),
        ),
        ("10.0.0.1:5432", ()),
        ("[::1]:80", ()),
        ("fe80::1", ()),
        ("127.0.0.1", ()),
        ("", ()),
    ],
)
def test_names_of_an_address(address: str, names: tuple[str, ...]) -> None:
    """All of it, the host, the host's first part; numbers name nobody."""
    assert host_names(address) == names


GRAPH = series("traces_service_graph_request_total", {"client": "cart", "server": "store"})
FAILED = series("traces_service_graph_request_failed_total", {"client": "cart", "server": "store"})


def rows(*given: tuple[Series, int, float]) -> Slice:
    fps, ts, values = zip(*((s.fp, T0 + at, value) for s, at, value in given), strict=True)
    columns = (np.array(fps, np.uint64), np.array(values, np.float64))
    return Slice(np.array(ts, np.int64), columns, np.empty(0))


def engine(*known: Series) -> Engine:
    made = Engine(Detect())
    for one in known:
        made.admit(one, T0)
    return made


def seen(made: Engine, numbers: list[Slice], to_ms: int, lines: tuple[Line, ...] = ()) -> list[Seen]:
    decided = made.run(Due(numbers, [], lines, ()), T0 + to_ms)
    return [one.what for one in sorted(decided, key=lambda d: d.order()) if isinstance(one.what, Seen)]


def test_counters_rise_by_calls_and_failures() -> None:
    """Per bucket; what only repeats its value says nothing."""
    made = engine(GRAPH, FAILED)
    first = rows((GRAPH, 1_000, 100.0), (GRAPH, 5_000, 130.0), (FAILED, 1_000, 5.0), (FAILED, 5_000, 8.0))
    found = seen(made, [first], BUCKET_MS)
    assert Seen(T0 + BUCKET_MS, (Edge("cart", "store", 30, 3),), METRICS) in found
    later = seen(made, [rows((GRAPH, 12_000, 130.0))], 2 * BUCKET_MS)
    assert not [one for one in later if one.edges]


def test_a_service_is_named_when_it_is_first_seen_and_once_an_hour() -> None:
    """By numbers and by log lines; our own numbers are no service."""
    gauge, own = series("queue.size", {}, Kind.GAUGE), series("tocsin.rows", {}, Kind.GAUGE, "tocsin")
    made = engine(gauge, own)
    line = Line(T0 + 500, "mailer", "", "sent", 9, "", "", ())
    found = seen(made, [rows((gauge, 1_000, 1.0), (own, 1_000, 1.0))], BUCKET_MS, (line,))
    assert found == [Seen(T0 + BUCKET_MS, services=("mailer", "shop"))]
    assert seen(made, [rows((gauge, 11_000, 1.0))], 2 * BUCKET_MS) == []
    again = seen(made, [rows((gauge, 3_600_000 + 1_000, 1.0))], 3_600_000 + BUCKET_MS)
    assert [one.services for one in again] == [("shop",)]


def test_meanings_are_bounded_and_refusals_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels from outside cannot fill the memory."""
    monkeypatch.setattr(module, "MAX_ROLES", 2)
    made = Calls()
    places = [
        made.add(series("istio_requests_total", {"source_app": "a", "destination_app": f"b{n}"}))
        for n in range(4)
    ]
    assert places == [0, 1, -1, -1]
    assert made.counters["refused_call_series"] == 2


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_cuts_and_restores_change_nothing(data: st.DataObject) -> None:
    """However the rows are cut into runs, with the state taken over in between."""
    many = [
        series("istio_requests_total", {"source_app": "a", "destination_app": f"b{n}", "response_code": code})
        for n in range(3)
        for code in ("200", "500")
    ]
    events = data.draw(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40_000), st.floats(0, 1e6)), max_size=30)
    )
    events.sort(key=lambda e: (e[1], e[0]))

    def run(cuts: list[int]) -> list[Seen]:
        calls, found, at = Calls(), [], 0
        for cut in (*cuts, 50_000):
            part = [e for e in events if at < e[1] <= cut or (at == 0 and e[1] == 0)]
            places = np.array([calls.add(many[e[0]]) for e in part], np.int64)
            amounts = np.array([e[2] for e in part], np.float64)
            calls.count(places, np.array([T0 + e[1] for e in part], np.int64), amounts)
            calls.active({(T0 + e[1] - 1) // BUCKET_MS: ("a",) for e in part})
            found += calls.close(T0 + cut)
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(calls.export()), type=CallsState)
            calls = Calls()
            calls.load(state)
            at = cut
        return sorted(found)

    cuts = sorted(data.draw(st.lists(st.integers(1, 49_999), max_size=4, unique=True)))
    assert run(cuts) == run([])


NAMES = st.sampled_from(
    ("client", "server", "source_app", "destination_app", "direction", "dst_service", "peer.service",
     "server.address", "span.kind", "http.response.status_code", "code", "error.type", "reporter")
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.dictionaries(NAMES, st.text(max_size=60)), st.sampled_from(list(Kind)))
def test_whatever_the_labels_say_two_different_sides_are_named_or_none(
    metric: str, labels: dict[str, str], kind: Kind
) -> None:
    """Hostile texts are no reason to stop."""
    for name in (metric, f"{metric}.client.duration", f"traces_service_graph_{metric}_request_total"):
        role = role_of(series(name, labels, kind))
        assert role is None or (role.caller and role.callee and role.caller != role.callee)
