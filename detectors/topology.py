"""Who calls whom, from spans: a span whose parent belongs to another service is one call.

Both sides meet in one shard because spans are sharded by trace id. A side that comes first waits
for the other for `MEMORY_MS` of event time; at most `MAX_SPANS` wait or are remembered, the oldest
are evicted and counted. Calls are stated per bucket of `BUCKET_MS`, by the later side's start.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from streams.records.messages import Edge

BUCKET_MS = 10_000
MEMORY_MS = 60_000
MAX_SPANS = 100_000
MAX_EDGES = 10_000
"""distinct edges in one bucket"""
ROOT = bytes(8)


class Span(NamedTuple):
    """One span, in the order in which spans are sorted."""

    ts: int
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    service: str
    failed: bool


class TopologyState(msgspec.Struct, array_like=True):
    """Snapshot."""

    spans: list[tuple[bytes, int, str]]
    waiting: list[tuple[bytes, int, list[tuple[str, bool]]]]
    bucket: int
    calls: list[tuple[str, str, int, int]]


class Topology:
    """Spans of one shard, in order of time."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {"evicted_spans": 0, "unmatched_spans": 0, "refused_edges": 0}
        self._spans: OrderedDict[bytes, tuple[int, str]] = OrderedDict()
        """trace and span id to start and service, oldest first"""
        self._waiting: OrderedDict[bytes, tuple[int, list[tuple[str, bool]]]] = OrderedDict()
        """trace and parent id to the children that came before it"""
        self._bucket = 0
        self._calls: dict[tuple[str, str], list[int]] = {}

    def run(self, spans: Iterable[Span], to_ms: int) -> list[tuple[int, tuple[Edge, ...]]]:
        """Take sorted spans up to `to_ms`; edges of each bucket closed, with the bucket's end."""
        out: list[tuple[int, tuple[Edge, ...]]] = []
        for span in spans:
            bucket = (span.ts - 1) // BUCKET_MS
            if bucket != self._bucket:
                self._close(out)
                self._bucket = bucket
            self._forget(span.ts - MEMORY_MS)
            self._span(span)
        if (self._bucket + 1) * BUCKET_MS <= to_ms:
            self._close(out)
        return out

    def _span(self, span: Span) -> None:
        key = span.trace_id + span.span_id
        if key in self._spans:
            return  # delivered twice
        self._spans[key] = (span.ts, span.service)
        for callee, failed in self._waiting.pop(key, (0, []))[1]:
            self._call(span.service, callee, failed)
        if span.parent_id != ROOT:
            parent_key = span.trace_id + span.parent_id
            parent = self._spans.get(parent_key)
            if parent is not None:
                self._call(parent[1], span.service, span.failed)
            else:
                self._waiting.setdefault(parent_key, (span.ts, []))[1].append((span.service, span.failed))
        while len(self._spans) > MAX_SPANS:
            self._spans.popitem(last=False)
            self.counters["evicted_spans"] += 1
        while len(self._waiting) > MAX_SPANS:
            self._waiting.popitem(last=False)
            self.counters["evicted_spans"] += 1

    def _call(self, caller: str, callee: str, failed: bool) -> None:
        if caller == callee:
            return
        calls = self._calls.get((caller, callee))
        if calls is None:
            if len(self._calls) >= MAX_EDGES:
                self.counters["refused_edges"] += 1
                return
            calls = self._calls[caller, callee] = [0, 0]
        calls[0] += 1
        calls[1] += failed

    def _forget(self, before_ms: int) -> None:
        while self._spans and next(iter(self._spans.values()))[0] < before_ms:
            self._spans.popitem(last=False)
        while self._waiting and next(iter(self._waiting.values()))[0] < before_ms:
            self._waiting.popitem(last=False)
            self.counters["unmatched_spans"] += 1

    def _close(self, out: list[tuple[int, tuple[Edge, ...]]]) -> None:
        if self._calls:
            edges = tuple(Edge(a, b, n, bad) for (a, b), (n, bad) in sorted(self._calls.items()))
            out.append(((self._bucket + 1) * BUCKET_MS, edges))
            self._calls = {}

    def export(self) -> TopologyState:
        """State for a snapshot."""
        return TopologyState(
            [(key, ts, service) for key, (ts, service) in self._spans.items()],
            [(key, ts, children) for key, (ts, children) in self._waiting.items()],
            self._bucket,
            [(a, b, n, bad) for (a, b), (n, bad) in self._calls.items()],
        )

    def load(self, state: TopologyState) -> None:
        """Take over what `export` gave, into a fresh object."""
        self._spans.update((key, (ts, service)) for key, ts, service in state.spans)
        self._waiting.update((key, (ts, children)) for key, ts, children in state.waiting)
        self._bucket = state.bucket
        self._calls = {(a, b): [n, bad] for a, b, n, bad in state.calls}
