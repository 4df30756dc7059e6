"""Random page logs of a small shop, and ways to feed them to a shard's core."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from config.settings import Correlate, Detect, Ingest, Settings
from detectors.alert import Alert
from detectors.shard import ShardCore, shard_factory
from streams.records.digest import fingerprint
from streams.records.messages import Edges, ShardWatermark
from streams.records.pages import (
    Histograms,
    Kind,
    Logs,
    Origin,
    Page,
    Series,
    SourceState,
    Spans,
    encode_page,
)
from streams.records.stage import Output, Record

T0 = 1_700_000_000_000
BOUNDS = (0.01, 0.1, 1.0)
SERVICES = ("cart", "gateway", "payment")
SETTINGS = Settings(
    ingest=Ingest(shards=1),
    detect=Detect(
        step_ms=500,
        warmup_samples=4,
        hold_samples=1,
        clear_samples=1,
        absent_min_ms=2_000,
        absent_intervals=2.0,
        log_bucket_ms=1_000,
        log_learning_ms=5_000,
    ),
    correlate=Correlate(partitions=2, domain_label="env"),
)


def series(
    service: str,
    metric: str,
    labels: tuple[tuple[str, str], ...] = (),
    kind: int = Kind.GAUGE,
    version: str = "1",
) -> Series:
    """A described series; histograms get `BOUNDS`."""
    bounds = BOUNDS if kind >= Kind.HISTOGRAM else ()
    resource = (("env", "prod"), ("version", version))
    return Series(fingerprint(service, metric, labels), service, metric, labels, "", kind, bounds, resource)


@dataclass
class Rows:
    """Rows of one page, by kind; `page()` makes the page."""

    numbers: list[tuple[Series, int, float]] = field(default_factory=list)
    histograms: list[tuple[Series, int, float, tuple[float, ...]]] = field(default_factory=list)
    lines: list[tuple[str, int, int, str]] = field(default_factory=list)
    spans: list[tuple[str, int, bytes, bytes, bytes, bool]] = field(default_factory=list)
    described: list[Series] = field(default_factory=list)

    def page(
        self,
        watermark: int,
        source: str = "in/0",
        sources: int = 1,
        state: int = SourceState.ACTIVE,
        epoch: str = "",
    ) -> Page:
        """The rows as one page of a source."""
        return Page(
            source,
            sources,
            watermark,
            state,
            epoch,
            self.described,
            np.array([s.fp for s, _, _ in self.numbers], np.uint64).tobytes(),
            np.array([t for _, t, _ in self.numbers], np.int64).tobytes(),
            np.array([v for _, _, v in self.numbers], np.float64).tobytes(),
            self._histograms(),
            self._logs(),
            self._spans(),
        )

    def _histograms(self) -> Histograms | None:
        if not self.histograms:
            return None
        return Histograms(
            np.array([r[0].fp for r in self.histograms], np.uint64).tobytes(),
            np.array([r[1] for r in self.histograms], np.int64).tobytes(),
            np.array([r[2] for r in self.histograms], np.float64).tobytes(),
            np.array([len(r[3]) for r in self.histograms], np.int64).tobytes(),
            np.concatenate([np.array(r[3], np.float64) for r in self.histograms]).tobytes(),
        )

    def _logs(self) -> Logs | None:
        if not self.lines:
            return None
        services = sorted({line[0] for line in self.lines})
        return Logs(
            [Origin(s, f"{s}-1", (("env", "prod"),)) for s in services],
            np.array([services.index(line[0]) for line in self.lines], np.int64).tobytes(),
            np.array([line[1] for line in self.lines], np.int64).tobytes(),
            bytes(line[2] for line in self.lines),
            [line[3] for line in self.lines],
            [f"{line[1] % 7:032x}" for line in self.lines],
            ["" for _ in self.lines],
        )

    def _spans(self) -> Spans | None:
        if not self.spans:
            return None
        services = sorted({span[0] for span in self.spans})
        return Spans(
            services,
            np.array([services.index(span[0]) for span in self.spans], np.int64).tobytes(),
            np.array([span[1] for span in self.spans], np.int64).tobytes(),
            b"".join(span[2] for span in self.spans),
            b"".join(span[3] for span in self.spans),
            b"".join(span[4] for span in self.spans),
            bytes(span[5] for span in self.spans),
        )


def records(pages: Iterable[Page], first: int = 0) -> list[Record]:
    """The pages as records of the pages topic."""
    return [Record("tocsin.pages", 0, first + i, T0, None, encode_page(page)) for i, page in enumerate(pages)]


def shop(seed: int, sources: int = 2, seconds: int = 30) -> list[list[Page]]:
    """Pages by source. Every source describes what it sends and keeps its watermark's promise."""
    dice = random.Random(seed)
    return [_source(dice, f"in/{i}", sources, seconds) for i in range(sources)]


def _source(dice: random.Random, name: str, sources: int, seconds: int) -> list[Page]:
    service = dice.choice(SERVICES)
    labels = (("instance", name),)
    gauges = [series(service, "queue", labels), series(service, "heap", labels)]
    counter = series(service, "jobs", labels, dice.choice((Kind.COUNTER, Kind.DELTA)))
    hist_kind = dice.choice((Kind.HISTOGRAM, Kind.HISTOGRAM_DELTA))
    requests = [
        series(
            service, "http.server.request.duration", (("http.response.status_code", code), *labels), hist_kind
        )
        for code in ("200", "500")
    ]
    sick_from = T0 + dice.randrange(8, seconds - 3) * 1_000
    silent_from = T0 + dice.randrange(10, 2 * seconds) * 1_000
    events: list[tuple[int, object]] = []
    jobs, buckets = 0.0, [[0.0] * 4, [0.0] * 4]
    at = T0
    while at < T0 + seconds * 1_000:
        # Exactly on step boundaries now and then: that is where cutting goes wrong.
        at += dice.choice((500, 1_000, dice.randrange(1, 900)))
        sick = at >= sick_from
        if silent_from <= at < silent_from + 8_000:
            continue
        events += [(at, (gauge, at, dice.choice((10.0, 11.0, 12.0)) + 500 * sick)) for gauge in gauges]
        jobs = 0.0 if dice.random() < 0.05 else jobs + dice.randrange(20) + 900 * sick
        events.append((at, (counter, at, jobs)))
        for i, one in enumerate(requests):
            if i and not sick:
                continue
            added = [float(dice.randrange(9 if b < 2 else 2 + 20 * sick)) for b in range(4)]
            buckets[i] = [b + a for b, a in zip(buckets[i], added, strict=True)]
            counts = added if hist_kind == Kind.HISTOGRAM_DELTA else buckets[i]
            events.append((at, (one, at, float(sum(counts)), tuple(counts))))
        for _ in range(dice.randrange(3)):
            level, body = (
                (17, f"refused order {at % 10}: {dice.choice(('disk', 'net'))} down")
                if sick
                else (9, f"ok {at}")
            )
            events.append((at, (service, at, level, body)))
        trace, parent, child = (dice.randbytes(n) for n in (16, 8, 8))
        events.append((at, ("gateway", at, trace, parent, bytes(8), False)))
        events.append((at, (service, at + dice.randrange(-50, 50), trace, child, parent, sick)))
    return list(_pages(dice, name, sources, events, [*gauges, counter, *requests]))


def _pages(
    dice: random.Random, name: str, sources: int, events: list[tuple[int, object]], known: list[Series]
) -> Iterable[Page]:
    """Cut events into pages, a little out of order inside what the watermark allows."""
    by_fp = {one.fp: one for one in known}
    described: set[int] = set()
    # Disorder of up to 1.5 s, watermark that much behind.
    events.sort(key=lambda event: (event[0] + dice.randrange(1_500), event[0]))
    newest, i = T0, 0
    while i < len(events):
        rows = Rows()
        for _ in range(dice.choice((1, 3, 20, 60))):
            if i >= len(events):
                break
            at, row = events[i]
            newest = max(newest, at)
            i += 1
            assert isinstance(row, tuple)
            if isinstance(row[0], Series):
                (rows.numbers if len(row) == 3 else rows.histograms).append(row)  # type: ignore[attr-defined]
                if row[0].fp not in described or dice.random() < 0.05:
                    described.add(row[0].fp)
                    rows.described.append(by_fp[row[0].fp])
            else:
                (rows.lines if len(row) == 4 else rows.spans).append(row)  # type: ignore[attr-defined]
        yield rows.page(newest - 1_600, name, sources, SourceState.ACTIVE, "e")
    yield Rows().page(newest, name, sources, SourceState.ENDED, "e")


def interleaved(pages: Sequence[Sequence[Page]], dice: random.Random) -> list[Page]:
    """One log of all sources, each in its own order."""
    queues = [list(reversed(source)) for source in pages]
    log: list[Page] = []
    while any(queues):
        queue = dice.choice([q for q in queues if q])
        log += [queue.pop() for _ in range(min(len(queue), dice.randrange(1, 6)))]
    return log


def make(settings: Settings = SETTINGS) -> ShardCore:
    """A fresh core."""
    core = shard_factory(settings)("tocsin.pages", 0)
    assert isinstance(core, ShardCore)
    return core


def feed(core: ShardCore, log: Sequence[Record], cuts: Sequence[int] = ()) -> list[Output]:
    """All outputs, with the log cut into calls before the given positions."""
    edges = [0, *sorted({min(c, len(log)) for c in cuts}), len(log)]
    outputs: list[Output] = []
    for start, end in itertools.pairwise(edges):
        outputs += core.process(log[start:end])
    return outputs


def decided(outputs: Iterable[Output]) -> list[bytes]:
    """The decisions among outputs: everything but how far the shard is."""
    return [o.value for o in outputs if o.value and b'"type":"watermark"' not in o.value]


def alerts(outputs: Iterable[Output]) -> list[Alert]:
    return [
        msgspec.json.decode(o.value, type=Alert)
        for o in outputs
        if o.value and b'"type":"alert"' in o.value[:20]
    ]


def watermarks(outputs: Iterable[Output]) -> list[int]:
    return [
        msgspec.json.decode(o.value, type=ShardWatermark).at_ms
        for o in outputs
        if o.value and b'"type":"watermark"' in o.value
    ]


def edges(outputs: Iterable[Output]) -> list[Edges]:
    return [
        msgspec.json.decode(o.value, type=Edges)
        for o in outputs
        if o.value and b'"type":"edges"' in o.value[:20]
    ]
