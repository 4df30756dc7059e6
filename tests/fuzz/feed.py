"""Feeds records through the whole ingest core and balances the books.

Every record is decoded twice: alone, by its format's plain decoder, and in a chunk by `IngestCore.process`,
with whatever batch forms and caches it uses. Both must say the same of every row, and each record must have
become rows in pages, a message, or a dead letter; nothing may vanish and nothing may appear.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from config.settings import Ingest, Settings
from streams.decode import deadletter, judge, windows
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns, Refusal
from streams.decode.errors import REASONS, BadRecord
from streams.decode.ingest import ingest_factory
from streams.decode.logs.policy import Policy
from streams.records.messages import MAX_MS, DeadLetter
from streams.records.pages import Page, decode_page, f64, i64, u64
from streams.records.stage import Output, Record
from tests.fuzz.families import schemas, settings_for
from tests.fuzz.times import when

TOPIC = "fuzz"
SHARDS = 2
MAX_SERIES = 20_000
EXAMPLES = 5
MOST_BYTES = 1_048_576 - 500
"""of a message, by default, with room for its batch"""

Case = tuple[bytes, int]
"""a record's value and reference time in ms UTC"""


class Unbalanced(AssertionError):
    """Something of the input is not where it must be. The text says what."""


@dataclass
class Tally:
    """What became of many records of one format."""

    records: int = 0
    decoded: int = 0
    """all rows used"""
    partly: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """reason -> records refused whole"""
    rows: int = 0
    silent: int = 0
    """neither rows nor a refusal: what the format defines as no value"""
    silent_examples: list[bytes] = field(default_factory=list)
    most_entries: int = 0
    evicted: int = 0

    def add(self, other: Tally) -> None:
        for name in ("records", "decoded", "partly", "rows", "silent", "evicted"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.refused += other.refused
        self.silent_examples = (self.silent_examples + other.silent_examples)[:EXAMPLES]
        self.most_entries = max(self.most_entries, other.most_entries)


@dataclass
class _Books:
    """One side: order does not matter, since pages are cut by shard."""

    samples: int = 0
    histograms: int = 0
    logs: int = 0
    spans: int = 0
    messages: int = 0
    digest: int = 0
    """sum over all rows of a mixture of what they say, modulo 2^64"""

    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("samples", "histograms", "logs", "spans", "messages")}


_M1, _M2, _M3 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))


def _mixed(fps: Any, ts: Any, values: Any) -> int:
    with np.errstate(over="ignore"):
        bits = np.where(values == 0, 0.0, values).astype(np.float64).view(np.uint64)
        rows = (fps * _M1 ^ ts.astype(np.uint64) * _M2 ^ bits * _M3) * _M1
        return int(rows.sum(dtype=np.uint64)) if len(rows) else 0


def settings_of(wire_format: str, lateness_ms: int, max_record_bytes: int) -> Settings:
    limits = Ingest(
        shards=SHARDS,
        allowed_lateness_ms=lateness_ms,
        max_series=MAX_SERIES,
        max_record_bytes=max_record_bytes,
    )
    return settings_for(wire_format, TOPIC, Settings(ingest=limits))


class Feeder:
    """A core of one format and the books about it. The catalog lives on between chunks, as in a worker."""

    def __init__(self, wire_format: str, *, max_record_bytes: int = 16_000_000) -> None:
        self.format = wire_format
        # Nothing is late here, so that every row must be accounted for.
        self.settings = settings_of(wire_format, 2 * MAX_MS, max_record_bytes)
        self._make = ingest_factory(self.settings, [f"{TOPIC}/0"], schemas())
        # Its way for a single record and its catalog, for the books.
        self._single: Any = ingest_factory(self.settings, [f"{TOPIC}/0"], schemas())(TOPIC, 0)
        self._plain: Catalog = self._single._catalog
        self._policy = Policy(self.settings.logs, max_record_bytes)
        self.tally = Tally()

    def chunk(self, cases: Sequence[Case]) -> None:
        """Raises `Unbalanced`, or whatever a decoder lets out."""
        records = [Record(TOPIC, 0, at, ts, None, value) for at, (value, ts) in enumerate(cases)]
        columns, refused = self._alone(records)
        limits = self.settings.ingest
        references = np.array([ts for _, ts in cases], dtype=np.int64)
        verdict = judge.judge(columns, references, judge.NEVER, judge.NEVER, judge.NEVER, limits)
        core = self._make(TOPIC, 0)
        outputs = core.process(records)
        self._compare(records, columns, verdict, refused, outputs)
        self._count(cases, columns, verdict, refused)
        catalog = getattr(core, "_catalog", None)
        if catalog is not None:
            self.tally.evicted = catalog.evicted
            size = len(catalog.series.entries) + len(catalog.origins.entries) + len(catalog.groups)
            self.tally.most_entries = max(self.tally.most_entries, size)

    def _alone(self, records: Sequence[Record]) -> tuple[Columns, dict[int, BadRecord]]:
        """Each record by the plain decoder, as the contract of `Decoder` says."""
        self._plain.trim()
        columns = Columns(self._plain)
        refused: dict[int, BadRecord] = {}
        for at, record in enumerate(records):
            columns.reference_ms = record.timestamp_ms
            mark = columns.mark()
            try:
                self._single._decode(record, columns)
            except BadRecord as bad:
                columns.undo(mark)
                refused[at] = bad
            columns.finish()
        _whole(columns)
        return columns, refused

    def _compare(
        self,
        records: Sequence[Record],
        columns: Columns,
        verdict: judge.Verdict,
        refused: dict[int, BadRecord],
        outputs: Sequence[Output],
    ) -> None:
        letters, pages, messages = check_outputs(outputs, self.settings)
        wanted: dict[int, list[Refusal]] = {
            at: [Refusal(bad.reason, bad.detail, 0)] for at, bad in refused.items()
        }
        for at, refusals in verdict.refusals.items():
            if at not in refused:
                wanted[at] = list(refusals)
        too_late = [
            at
            for at, message in columns.messages
            if when(message) > records[at].timestamp_ms + self.settings.ingest.max_future_ms
        ]
        for at in too_late:
            wanted.setdefault(at, []).append(Refusal("future", "", 0))
        found: dict[int, list[DeadLetter]] = {}
        for letter in letters:
            found.setdefault(letter.offset, []).append(letter)
        for at in wanted.keys() | found.keys():
            said = sorted((letter.reason, letter.rows) for letter in found.get(at, ()))
            meant = sorted((refusal.reason, refusal.rows) for refusal in wanted.get(at, ()))
            if said != meant:
                raise Unbalanced(f"record {at}: dead letters {said}, alone it is refused as {meant}")
            for letter in found.get(at, ()):
                if letter.reason not in REASONS:
                    raise Unbalanced(f"record {at}: unknown reason {letter.reason!r}")
                kept, _ = self._policy.letter(records[at], Refusal(letter.reason, "", 0))
                if not letter.cut and deadletter.original(letter) != kept.value:
                    raise Unbalanced(f"record {at}: its dead letter holds other bytes")
        self._rows(columns, verdict, pages, len(messages), len(too_late))

    def _rows(
        self, columns: Columns, verdict: judge.Verdict, pages: list[Page], messages: int, too_late: int
    ) -> None:
        expected = _Books(
            int(verdict.samples.sum()),
            int(verdict.histograms.sum()),
            int(verdict.logs.sum()),
            int(verdict.spans.sum()),
            (len(columns.messages) - too_late) * self.settings.correlate.partitions,
        )
        fps = self._plain.fps
        slot = judge.ints(columns.slot)[verdict.samples] if expected.samples else np.empty(0, np.int64)
        if expected.samples:
            kept = verdict.samples
            expected.digest = _mixed(
                fps[slot], judge.ints(columns.ts)[kept], judge.floats(columns.value)[kept]
            )
        got = _Books(messages=messages)
        own: set[int] = set()
        for page in pages:
            own.update(
                s.fp
                for s in page.series
                if s.service == windows.SERVICE and s.metric in (windows.DEADLETTER_RATIO, windows.LATE_ROWS)
            )
            found, ts, values = u64(page.fps), i64(page.ts), f64(page.values)
            if own and len(found):
                ours = np.isin(found, np.array(sorted(own), dtype=np.uint64))
                found, ts, values = found[~ours], ts[~ours], values[~ours]
            got.samples += len(found)
            got.digest += _mixed(found, ts, values)
            got.histograms += len(u64(page.histograms.fps)) if page.histograms else 0
            got.logs += len(page.logs.bodies) if page.logs else 0
            got.spans += len(page.spans.failed) if page.spans else 0
        if expected.counts() != got.counts():
            raise Unbalanced(f"pages hold {got.counts()}, decoded alone there are {expected.counts()}")
        if (expected.digest - got.digest) % 2**64:
            raise Unbalanced("the samples in pages say something else than decoded alone")

    def _count(
        self,
        cases: Sequence[Case],
        columns: Columns,
        verdict: judge.Verdict,
        refused: dict[int, BadRecord],
    ) -> None:
        tally, accepted = self.tally, verdict.accepted.tolist()
        said = Counter(at for at, _ in columns.messages)
        for at, (value, _) in enumerate(cases):
            tally.records += 1
            rows = accepted[at] + said[at]
            tally.rows += rows
            if at in refused:
                tally.refused[refused[at].reason] += 1
            elif at in verdict.refusals:
                if rows:
                    tally.partly += 1
                else:
                    tally.refused[verdict.refusals[at][0].reason] += 1
            elif rows:
                tally.decoded += 1
            else:
                tally.silent += 1
                if len(tally.silent_examples) < EXAMPLES:
                    tally.silent_examples.append(value[:400])


def check_outputs(
    outputs: Sequence[Output], settings: Settings
) -> tuple[list[DeadLetter], list[Page], list[Output]]:
    """Dead letters, pages and messages, each readable and small enough for a broker. Raises `Unbalanced`."""
    letters, pages, messages = [], [], []
    for output in outputs:
        assert output.value is not None
        if len(output.value) + len(output.key or b"") > MOST_BYTES:
            raise Unbalanced(f"{len(output.value)} bytes for {output.topic}, more than a broker takes")
        if output.topic == settings.topics.deadletters:
            letters.append(deadletter.read(output.value))
        elif output.topic == settings.topics.pages:
            page = decode_page(output.value)
            for series in page.series:
                if len(series.labels) > settings.ingest.max_sample_labels:
                    raise Unbalanced(f"{len(series.labels)} labels of one series")
            pages.append(page)
        elif output.key != b"outside":  # how far time has come says nothing of a record
            messages.append(output)
    return letters, pages, messages


def _whole(columns: Columns) -> None:
    """No column is longer than the others of its kind."""
    if not len(columns.slot) == len(columns.ts) == len(columns.value):
        raise Unbalanced("half a sample")
    if not len(columns.h_slot) == len(columns.h_ts) == len(columns.h_sum) == len(columns.h_width):
        raise Unbalanced("half a histogram")
    if 8 * sum(columns.h_width) != len(columns.h_count):
        raise Unbalanced("buckets of no histogram")
    logs = {
        len(column)
        for column in (
            columns.l_origin,
            columns.l_ts,
            columns.l_severity,
            columns.bodies,
            columns.trace_ids,
            columns.exceptions,
        )
    }
    if len(logs) != 1:
        raise Unbalanced("half a log line")
    if (
        not 16 * len(columns.s_origin)
        == len(columns.s_trace)
        == 2 * len(columns.s_span)
        == 2 * len(columns.s_parent)
    ):
        raise Unbalanced("half a span")
