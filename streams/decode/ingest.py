"""The ingest stage: records of any format in, pages, dead letters and messages out.

One core per input partition. What it remembers is small (`Progress`): event time, the format it
found, the open window of its own telemetry. The catalog of series is a cache and changes no result.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import numpy as np

from config.settings import InputTopic, Settings
from streams.decode import control as headers
from streams.decode import deadletter, envelope, formats, onward, rules, windows
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns, Decoder, Refusal
from streams.decode.errors import UNKNOWN_FORMAT, BadRecord
from streams.decode.judge import Verdict, judge
from streams.decode.logs.policy import Policy
from streams.decode.pager import Pager
from streams.decode.progress import ABANDONED_MS, REPEAT_MS, STEP_MS, Progress
from streams.decode.resource import series
from streams.decode.schemas.known import Schemas
from streams.records.batch import Records
from streams.records.pages import I64, NO_WATERMARK, Kind, Origin, Page, SourceState, encode_page
from streams.records.stage import Output, PartitionCore, Record
from streams.records.telemetry import DEAD, EVICTED, LATE, ROWS, CoreTelemetry, Tally

log = logging.getLogger(__name__)

OwnSample = tuple[int, int, float]
"""slot, ts in ms, value of telemetry about ourselves"""


def ingest_factory(
    settings: Settings, sources: Sequence[str], schemas: Schemas | None = None
) -> Callable[[str, int], PartitionCore]:
    """Cores for input partitions. `sources`: \"topic/partition\" of all input partitions there are.

    `schemas`: what values name by id; whoever feeds the cores puts them there before.
    """
    inputs = {topic.name: topic for topic in settings.inputs}
    telemetry = tuple(source for source in sources if _format(inputs, source) not in formats.FOR_CORRELATOR)
    label = settings.correlate.domain_label
    limits = settings.ingest
    catalogs: dict[rules.Rules, Catalog] = {}
    policy = Policy(settings.logs, limits.max_record_bytes)

    def make(topic: str, partition: int) -> PartitionCore:
        said = rules.of(inputs.get(topic), (label,) if label else ())
        catalog = catalogs.get(said)
        if catalog is None:
            catalog = Catalog(limits.shards, limits.max_series, limits.max_sample_labels, said, schemas)
            catalogs[said] = catalog
        wire_format = _format(inputs, f"{topic}/{partition}")
        return IngestCore(settings, topic, partition, wire_format, telemetry, catalog, policy)

    return make


def _format(inputs: Mapping[str, InputTopic], source: str) -> str:
    topic = inputs.get(source.rpartition("/")[0])
    return topic.format if topic is not None else formats.AUTO


class IngestCore:
    """One input partition. See `PartitionCore`."""

    def __init__(
        self,
        settings: Settings,
        topic: str,
        partition: int,
        wire_format: str,
        telemetry: Sequence[str],
        catalog: Catalog,
        policy: Policy,
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._limits = settings.ingest
        self._topic = topic
        self._partition = partition
        self._source = f"{topic}/{partition}"
        self._configured = wire_format
        self._sources = len(telemetry)
        self._peers = [source for source in telemetry if source.rpartition("/")[0] == topic]
        self._catalog = catalog
        self._pager = Pager(catalog, settings.ingest.describe_every_ms)
        self._paged = wire_format not in formats.FOR_CORRELATOR
        """changes and actions go to the correlator, and no shard waits for them"""
        self._aside = settings.aside(topic)
        """what it says of the pipeline itself; no other source is kept waiting or made late by it"""
        self._tally = Tally()
        self._progress = Progress()
        self._said: tuple[int, int, str] | None = None
        """watermark, state and epoch of the last page to every shard"""
        self._said_at = 0
        self._marked_at = 0
        """wall clock of the last time mark, for external alerts"""

    @property
    def format(self) -> str:
        """The format in use; \"auto\" until one was found."""
        return self._progress.format or self._configured

    # -- the contract ------------------------------------------------------------------------

    def process(self, records: Sequence[Record]) -> list[Output]:
        found = Records.of(records)
        if all(found.values):
            return list(self._chunk(found))
        outputs: list[Output] = []
        start = 0
        for i, value in enumerate(found.values):
            said = headers.control(found[i]) if not value else None
            if said is None:
                continue
            outputs.extend(self._chunk(found[start:i]))
            outputs.extend(self._begin(said) if said.what == headers.BEGIN else self._end(said))
            start = i + 1
        outputs.extend(self._chunk(found[start:]))
        return outputs

    def tick(self, now_ms: int, at_end: bool) -> list[Output]:
        progress = self._progress
        progress.seen_wall(now_ms)
        if not at_end:
            progress.unsure(now_ms)
        outside: list[Output] = []
        if at_end and self.format in formats.EXTERNAL and now_ms - self._marked_at >= onward.MARK_EVERY_MS:
            self._marked_at = now_ms
            outside = onward.time_marks(self._settings, progress.virtual_reference(now_ms))
        return [*outside, *(self._quiet(now_ms) if self._paged and at_end else ())]

    def _quiet(self, now_ms: int) -> list[Output]:
        """What a partition says that has been read to its end."""
        progress = self._progress
        if progress.ended:
            return []
        if progress.epoch:
            if now_ms - progress.still_since < ABANDONED_MS:
                return []
            log.warning("%s: replay %s stopped without an end", self._source, progress.epoch)
            return list(self._end(headers.Control(headers.END, progress.epoch, -1)))
        own = self._reports(progress.window.advance(progress.virtual_reference(now_ms)))
        quiet = progress.clock == -1 or now_ms - progress.quiet_since >= self._limits.allowed_lateness_ms
        if quiet:
            reached = progress.idle_watermark(now_ms, self._limits.allowed_lateness_ms)
            first = progress.state != SourceState.IDLE or progress.idle_at == -1
            if first or reached >= progress.idle_at + STEP_MS:
                progress.state, progress.idle_at = SourceState.IDLE, max(reached, progress.idle_at)
            if now_ms - self._said_at >= REPEAT_MS:
                self._said, self._said_at = None, now_ms
        elif not own:
            return []
        columns = Columns(self._catalog)
        verdict = judge(
            columns, np.empty(0, dtype=np.int64), progress.clock, progress.newest, -1, self._limits
        )
        return list(self._pages(columns, verdict, own, self._page()))

    def needed_offset(self, next_offset: int) -> int:
        return next_offset

    def snapshot(self) -> bytes | None:
        return msgspec.msgpack.encode(self._progress)

    def restore(self, blob: bytes) -> None:
        self._progress = msgspec.msgpack.decode(blob, type=Progress)
        self._said = None

    def telemetry(self) -> CoreTelemetry:
        """See `streams.records.telemetry`."""
        reached = self._progress.watermark(self._limits.allowed_lateness_ms)
        told = self._paged and not self._aside and reached != NO_WATERMARK
        return CoreTelemetry(
            self._tally, {}, {"catalog": float(len(self._catalog))}, reached if told else None
        )

    # -- replays -----------------------------------------------------------------------------

    def _begin(self, said: headers.Control) -> Iterator[Output]:
        if not self._paged:
            yield from self._mark(said)
            return
        if said.epoch != self._progress.epoch:
            self._progress.begin(said.epoch, said.begin_ms)
        page = Page(
            self._source,
            self._sources,
            self._progress.floor,
            SourceState.BEGIN,
            said.epoch,
            peers=self._peers,
        )
        yield from self._everywhere(page)

    def _end(self, said: headers.Control) -> Iterator[Output]:
        if not self._paged:
            yield from self._mark(said)
            return
        final = self._progress.end()
        yield from self._everywhere(Page(self._source, self._sources, final, SourceState.ENDED, said.epoch))

    def _mark(self, said: headers.Control) -> list[Output]:
        external = self.format in formats.EXTERNAL
        return onward.time_marks(self._settings, said.begin_ms) if external else []

    def _everywhere(self, page: Page) -> Iterator[Output]:
        self._said = None
        raw = encode_page(page)
        for shard in range(self._catalog.shards):
            yield self._output(shard, raw)

    # -- one chunk without control records ---------------------------------------------------

    def _chunk(self, records: Records) -> Iterator[Output]:
        if not records:
            return
        self._tally.count(EVICTED, "catalog", self._catalog.trim())
        progress, before = self._progress, self._page()
        columns = Columns(self._catalog)
        references = headers.references(records)
        refused: dict[int, Refusal] = {}

        def one(i: int) -> None:
            columns.reference_ms = int(references[i])
            mark = columns.mark()
            try:
                self._decode(records[i], columns)
            except BadRecord as bad:
                columns.undo(mark)
                refused[i] = Refusal(bad.reason, bad.detail, 0)
            columns.finish()

        self._rows(records, columns, one)
        verdict = judge(columns, references, progress.clock, progress.newest, progress.floor, self._limits)
        logs = self._policy.apply(columns, verdict.logs, self._tally)
        verdict = dataclasses.replace(verdict, logs=logs)
        self._tell(verdict)
        own = self._count(references, refused, verdict)
        progress.absorb(verdict.clock, verdict.newest, int(references.max()), bool(verdict.accepted.any()))
        yield from self._letters(records, refused, verdict)
        yield from onward.outputs(
            self._settings, records, columns.messages, references.tolist(), self._tally, self._policy
        )
        if self._paged:
            yield from self._pages(columns, verdict, own, before)

    def _tell(self, verdict: Verdict) -> None:
        for kind in ("samples", "histograms", "logs", "spans"):
            self._tally.count(ROWS, kind, int(np.count_nonzero(getattr(verdict, kind))))
        self._tally.count(LATE, "", int(verdict.late.sum()))

    def _rows(self, records: Records, columns: Columns, one: Callable[[int], None]) -> None:
        """The rows of all records: many at once if the format can and nothing speaks against it."""
        n, at = len(records), 0
        while self.format == formats.AUTO and at < n:
            one(at)
            at += 1
        batch = formats.BATCHES.get(self.format)
        if batch is None or self._catalog.by_source:
            for i in range(at, n):
                one(i)
            return
        values = [value or b"" for value in records.values]
        sizes = np.fromiter(map(len, values), dtype=np.int64, count=n)
        odd = np.flatnonzero((sizes == 0) | (sizes > self._limits.max_record_bytes)).tolist()
        known, most = formats.ITEMS[self.format], self._limits.max_record_items
        long = np.flatnonzero(sizes > known.least * most).tolist()
        odd = sorted({*odd, *(i for i in long if known.beyond(most, values[i]))})
        if records.headers is not None:
            # What is wrapped by its bytes alone is unreadable to the batch, and so comes to `one` anyway.
            said = (i for i, found in enumerate(records.headers) if found and envelope.wraps(found))
            odd = sorted({*odd, *said})
        for end in (*odd, n):
            if end > at:
                batch(values[at:end], columns, functools.partial(_shifted, one, at))
            if at <= end < n:
                one(end)
            at = max(at, end + 1)

    def _decode(self, record: Record, columns: Columns) -> None:
        opened = envelope.open(record, self._limits.max_record_bytes)
        self._check_items(opened.value, *(part.value for part in opened.more))
        if not opened.more:
            self._read(opened, columns)
            return
        faults: list[BadRecord] = []
        for part in (opened, *opened.more):
            mark = columns.mark()
            try:
                self._read(part, columns)
            except BadRecord as bad:
                columns.undo(mark)
                faults.append(bad)
        if len(faults) == 1 + len(opened.more):
            raise faults[0]
        for fault in faults:
            columns.refuse(fault.reason, fault.detail)

    def _read(self, opened: envelope.Opened, columns: Columns) -> None:
        """Append the rows of one value."""
        if opened.reference_ms >= 0:
            columns.reference_ms = opened.reference_ms
        self._catalog.sent_by(opened.source)
        undecided = self.format == formats.AUTO
        decode = self._decoder(opened.value)
        if undecided:
            self._check_items(opened.value)
        decode(opened.value, columns)

    def _check_items(self, *values: bytes) -> None:
        formats.ITEMS[self.format].check(self._limits.max_record_items, *values)

    def _decoder(self, value: bytes) -> Decoder:
        name = self._configured
        if name == formats.AUTO:
            name = self._progress.format
            if not name:
                found = formats.sniff(value)
                if found is None:
                    raise BadRecord(
                        UNKNOWN_FORMAT, f"no format fits beyond doubt; it begins with {bytes(value[:24])!r}"
                    )
                name = self._progress.format = found
                log.info("%s: found format %s", self._source, name)
        return formats.DECODERS[name]

    def _count(self, references: I64, refused: dict[int, Refusal], verdict: Verdict) -> list[OwnSample]:
        """Count the records in their windows; a window is closed by the first record behind it."""
        window, own = self._progress.window, []
        windows_of = np.where(references >= 0, references // windows.WINDOW_MS, -1)
        reached = np.maximum.accumulate(np.concatenate([[window.index], windows_of]))
        opening = np.flatnonzero(np.diff(reached)).tolist()
        troubled = sorted({*refused, *verdict.refusals})
        for start, end in itertools.pairwise([0, *opening, len(references)]):
            if reached[start + 1] > window.index:
                own += self._reports(window.advance(int(references[start])))
            window.count(0.0, int(verdict.late[start:end].sum()), end - start)
            for i in troubled[bisect_left(troubled, start) : bisect_left(troubled, end)]:
                window.count(self._share(i, refused, verdict), 0, 0)
        return own

    @staticmethod
    def _share(i: int, refused: dict[int, Refusal], verdict: Verdict) -> float:
        if i in refused:
            return 1.0
        bad = sum(refusal.rows for refusal in verdict.refusals[i])
        return bad / (bad + int(verdict.accepted[i]) + int(verdict.late[i]))

    def _reports(self, reports: Sequence[windows.Report]) -> list[OwnSample]:
        own: list[OwnSample] = []
        for report in reports:
            own.append((self._own_slot(windows.DEADLETTER_RATIO), report.end_ms, report.ratio))
            own.append((self._own_slot(windows.LATE_ROWS), report.end_ms, float(report.late)))
            self._progress.own = max(self._progress.own, report.end_ms)
        return own

    def _own_slot(self, metric: str) -> int:
        group = self._catalog.group((windows.SERVICE, self._source))
        slot = group.get(metric)
        if slot is None:
            labels = (("topic", self._topic), ("partition", str(self._partition)))
            described = series(Origin(windows.SERVICE), metric, labels, "", Kind.GAUGE, 2)
            slot = self._catalog.add_series(group, metric, described)
        return slot

    # -- outputs -----------------------------------------------------------------------------

    def _letters(self, records: Records, refused: dict[int, Refusal], verdict: Verdict) -> Iterator[Output]:
        for i in sorted({*refused, *verdict.refusals}):
            for refusal in [refused[i]] if i in refused else verdict.refusals[i]:
                self._tally.count(DEAD, refusal.reason, max(1, refusal.rows))
                letter = deadletter.letter(*self._policy.letter(records[i], refusal))
                yield deadletter.output(self._settings.topics.deadletters, letter)

    def _page(self) -> Page:
        """A page of this source as it stands, without rows."""
        progress = self._progress
        if self._aside:
            return Page(self._source, self._sources, NO_WATERMARK, SourceState.IDLE)
        return Page(
            self._source,
            self._sources,
            progress.watermark(self._limits.allowed_lateness_ms),
            SourceState.ACTIVE if progress.epoch else progress.state,
            progress.epoch,
        )

    def _pages(
        self, columns: Columns, verdict: Verdict, own: Sequence[OwnSample], before: Page
    ) -> Iterator[Output]:
        after = self._page()
        says = (after.watermark, after.state, after.epoch)
        for shard, page in self._pager.pages(columns, verdict, own, before, after):
            if page is not after or says != self._said:
                yield self._output(shard, encode_page(page))
        self._said = says

    def _output(self, shard: int, raw: bytes) -> Output:
        return Output(self._settings.topics.pages, raw, key=self._source.encode(), partition=shard)


def _shifted(one: Callable[[int], None], by: int, i: int) -> None:
    one(by + i)
