"""Feeds an ingest core and reads back what comes out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from config.settings import Correlate, Ingest, InputTopic, Settings, Topics
from streams.decode import deadletter
from streams.decode.ingest import IngestCore, ingest_factory
from streams.records.messages import DeadLetter
from streams.records.pages import Origin, Page, Series, decode_page, f64, i64, u8, u64
from streams.records.stage import Output, Record

T0 = 1_700_000_000_000
TOPIC = "in"


def settings(
    wire_format: str = "auto", shards: int = 4, correlate: Correlate | None = None, **ingest: int
) -> Settings:
    """One input topic of two partitions, and small limits where a test names them."""
    inputs = (
        InputTopic(name=TOPIC, format=wire_format, partitions=2),
        InputTopic(name="changes", format="changes", partitions=1),
    )
    return Settings(
        topics=Topics(inputs=inputs),
        ingest=Ingest(shards=shards, **ingest),
        correlate=correlate or Correlate(),
    )


def core(of: Settings | None = None, topic: str = TOPIC, partition: int = 0) -> IngestCore:
    """A fresh core of one partition."""
    made = ingest_factory(of or settings(), [f"{TOPIC}/0", f"{TOPIC}/1", "changes/0"])(topic, partition)
    assert isinstance(made, IngestCore)
    return made


def record(
    value: bytes | str | dict[str, Any] | None, offset: int = 0, ts: int = T0, **kwargs: Any
) -> Record:
    """A record of the input topic; dictionaries become JSON."""
    if isinstance(value, dict):
        value = json.dumps(value)
    if isinstance(value, str):
        value = value.encode()
    return Record(kwargs.pop("topic", TOPIC), 0, offset, ts, None, value, **kwargs)


def numbered(values: Iterable[bytes | str | dict[str, Any]], ts: int = T0) -> list[Record]:
    """Records with rising offsets."""
    return [record(value, offset, ts) for offset, value in enumerate(values)]


def control(what: str, epoch: str, begin_ms: int = T0, offset: int = 0) -> Record:
    """A record that begins or ends a bounded replay."""
    headers = (
        ("tocsin-control", what.encode()),
        ("tocsin-epoch", epoch.encode()),
        ("tocsin-begin", str(begin_ms).encode()),
    )
    return Record(TOPIC, 0, offset, T0, None, None, headers)


@dataclass
class Read:
    """Everything a core put out, row by row."""

    pages: list[tuple[int, Page]] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    messages: list[tuple[int | None, dict[str, Any]]] = field(default_factory=list)
    series: dict[int, Series] = field(default_factory=dict)
    samples: list[tuple[int, int, int, float]] = field(default_factory=list)
    """shard, fp, ts, value in order of arrival"""
    histograms: list[tuple[int, int, float, tuple[float, ...]]] = field(default_factory=list)
    """fp, ts, sum, counts"""
    logs: list[tuple[Origin, int, int, str, str, str]] = field(default_factory=list)
    """origin, ts, severity, body, trace id, exception"""
    spans: list[tuple[str, int, bytes, bytes, bytes, int]] = field(default_factory=list)
    watermarks: dict[int, tuple[int, int, str]] = field(default_factory=dict)
    """shard -> last watermark, state and epoch"""
    undescribed: set[int] = field(default_factory=set)
    """fingerprints that had a row before their description"""

    def by_name(self) -> dict[str, list[tuple[int, float]]]:
        """metric -> (ts, value), over all its series."""
        found: dict[str, list[tuple[int, float]]] = {}
        for _, fp, ts, value in self.samples:
            found.setdefault(self.series[fp].metric, []).append((ts, value))
        return found

    def named(self, metric: str) -> list[Series]:
        """Series of this metric, by fingerprint."""
        return sorted((s for s in self.series.values() if s.metric == metric), key=lambda s: s.fp)

    def rows(self) -> Counter[tuple[Any, ...]]:
        """All rows as a multiset."""
        return Counter([*self.samples, *map(repr, self.histograms), *self.logs, *self.spans])


def read(outputs: Sequence[Output], into: Read | None = None, of: Settings | None = None) -> Read:
    """Unpack outputs."""
    found = into or Read()
    topics = (of or settings()).topics
    for output in outputs:
        assert output.value is not None
        if output.topic == topics.deadletters:
            found.letters.append(deadletter.read(output.value))
        elif output.topic == topics.alerts:
            found.messages.append((output.partition, json.loads(output.value)))
        else:
            assert output.topic == topics.pages
            assert output.partition is not None
            _page(found, output.partition, decode_page(output.value))
    return found


def _page(found: Read, shard: int, page: Page) -> None:
    found.pages.append((shard, page))
    found.watermarks[shard] = (page.watermark, page.state, page.epoch)
    found.series.update({series.fp: series for series in page.series})
    for fp, ts, value in zip(
        u64(page.fps).tolist(), i64(page.ts).tolist(), f64(page.values).tolist(), strict=True
    ):
        found.samples.append((shard, fp, ts, value))
        if fp not in found.series:
            found.undescribed.add(fp)
    if page.histograms is not None:
        packed = page.histograms
        counts = f64(packed.counts).tolist()
        at = 0
        rows = zip(
            u64(packed.fps).tolist(),
            i64(packed.ts).tolist(),
            f64(packed.sums).tolist(),
            i64(packed.widths).tolist(),
            strict=True,
        )
        for fp, ts, total, width in rows:
            found.histograms.append((fp, ts, total, tuple(counts[at : at + width])))
            at += width
            if fp not in found.series:
                found.undescribed.add(fp)
    if page.logs is not None:
        logs = page.logs
        for row in zip(
            (logs.origins[i] for i in i64(logs.origin).tolist()),
            i64(logs.ts).tolist(),
            u8(logs.severity).tolist(),
            logs.bodies,
            logs.trace_ids,
            logs.exceptions,
            strict=True,
        ):
            found.logs.append(row)
    if page.spans is not None:
        spans = page.spans
        for i, (service, ts) in enumerate(
            zip(i64(spans.service).tolist(), i64(spans.ts).tolist(), strict=True)
        ):
            found.spans.append(
                (
                    spans.services[service],
                    ts,
                    spans.trace_ids[16 * i : 16 * i + 16],
                    spans.span_ids[8 * i : 8 * i + 8],
                    spans.parent_ids[8 * i : 8 * i + 8],
                    spans.failed[i],
                )
            )


def decode(
    value: bytes | str | dict[str, Any], wire_format: str = "auto", ts: int = T0, **ingest: int
) -> Read:
    """What one record becomes."""
    of = settings(wire_format, **ingest)
    return read(core(of).process([record(value, ts=ts)]), of=of)
