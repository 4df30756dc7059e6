"""Does a series name both sides of a call? Looked at once per series, by the conventions of the field.

Service graphs (`traces_service_graph_request_total{client, server}`), meshes (Istio, Linkerd, Cilium), and
client-side metrics of OpenTelemetry and of span metrics, whose service calls the peer they name.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from streams.records.messages import ADDRESSES, METRICS
from streams.records.pages import Kind, Series
from streams.records.peers import host_names

PAIRS = (
    ("source_canonical_service", "destination_canonical_service"),
    ("source_app", "destination_app"),
    ("source_workload", "destination_workload"),
    ("source_service", "destination_service"),
    ("client_service", "server_service"),
    ("caller", "callee"),
)
"""labels of caller and callee, best first"""
OUTBOUND = ("dst_deployment", "dst_statefulset", "dst_daemonset", "dst_service")
"""Linkerd's names of a callee"""
WORKLOADS = ("deployment", "statefulset", "daemonset")
ADDRESS = ("server_address", "net_peer_name")
NOBODY = frozenset(("", "unknown", "user", "none", "null", "-"))
"""stand-ins for a side that is not known; `user` is a service graph's word for what is outside"""
_STATUS = ("http_response_status_code", "http_status_code", "response_code", "status_code", "code")
_GRPC = ("rpc_grpc_status_code", "grpc_response_status", "grpc_status_code", "grpc_code")
_COUNTERS = re.compile(r"(?:requests?|calls)(?:_total)?$|(?:duration|latency)\w*_count$")
_TIMED = re.compile(r"duration|latency")
_CLIENT = re.compile(r"(?:^|_)client(?:_|$)")
_SIDES = frozenset(
    ("client", "peer_service", *(a for a, _ in PAIRS), *OUTBOUND, *ADDRESS, "peer.service", "net.peer.name")
) | {"server.address"}
"""without one of these labels there is nothing to look at"""


class Role(NamedTuple):
    """What a series' rows say of calls."""

    caller: str
    callee: str
    source: str
    """`METRICS`, or `ADDRESSES`: the callee is what a client calls it, or the address it was called at"""
    counts: bool = False
    """its amounts are calls; else they only show that there are some"""
    fails: bool = False
    """its amounts are failed calls"""


def role_of(series: Series) -> Role | None:
    """None for a series that does not name two sides."""
    if _SIDES.isdisjoint([name for name, _ in series.labels]):
        return None
    labels = {name.replace(".", "_"): value for name, value in series.labels}
    metric = series.metric.replace(".", "_")
    found = _graph(metric, labels) or _mesh(metric, series, labels) or _client(metric, series, labels)
    if found is None or found.caller == found.callee:
        return None
    if found.caller.lower() in NOBODY or found.callee.lower() in NOBODY:
        return None
    if series.kind == Kind.GAUGE:
        return found._replace(counts=False, fails=False)
    return found


def _graph(metric: str, labels: dict[str, str]) -> Role | None:
    if "service_graph" not in metric or not ("client" in labels and "server" in labels):
        return None
    failed = "failed" in metric
    total = "request_total" in metric
    # These have no spans of their own: the name is one of an address, or of a kind of database.
    guessed = labels.get("connection_type") in ("database", "virtual_node")
    source = ADDRESSES if guessed else METRICS
    return Role(labels["client"], labels["server"], source, total and not failed, failed)


def _mesh(metric: str, series: Series, labels: dict[str, str]) -> Role | None:
    for caller, callee in PAIRS:
        if labels.get(caller, "").lower() not in NOBODY and labels.get(callee, "").lower() not in NOBODY:
            # Both ends report the same requests: the caller's word counts.
            counts = _counted(metric, series.kind) and labels.get("reporter") != "destination"
            return Role(labels[caller], labels[callee], METRICS, counts, counts and _failed(labels))
    if labels.get("direction") != "outbound":
        return None
    name = next((labels[key] for key in OUTBOUND if labels.get(key)), "")
    own = next((labels[key] for key in WORKLOADS if labels.get(key)), series.service)
    fails = metric == "response_total" and labels.get("classification") == "failure"
    return Role(own, name, METRICS, metric == "request_total", fails) if name else None


def _client(metric: str, series: Series, labels: dict[str, str]) -> Role | None:
    side = labels.get("span_kind", "").lower()
    if not _CLIENT.search(metric) and not side.endswith(("client", "producer")):
        return None
    caller = labels.get("service_name") or series.service
    counts = _counted(metric, series.kind)
    fails = counts and _failed(labels)
    # Everybody's own `redis` has one name: what a client calls its peer is no better than an address.
    peer = next((labels[key] for key in ("peer_service", *ADDRESS) if labels.get(key)), "")
    return Role(caller, peer, ADDRESSES, counts, fails) if host_names(peer) else None


def _counted(metric: str, kind: int) -> bool:
    """Whether the amounts are numbers of calls, and not bytes or the like."""
    if kind in (Kind.HISTOGRAM, Kind.HISTOGRAM_DELTA):
        return _TIMED.search(metric) is not None
    return _COUNTERS.search(metric) is not None


def _failed(labels: dict[str, str]) -> bool:
    for key in _STATUS:
        code = labels.get(key, "")
        if len(code) == 3 and code.isdigit():
            return code >= "500"
        if code:
            return code.upper() in ("ERROR", "STATUS_CODE_ERROR")
    code = next((labels[key] for key in _GRPC if labels.get(key)), "")
    if code:
        return code.upper() not in ("0", "OK")
    return bool(labels.get("error_type"))
