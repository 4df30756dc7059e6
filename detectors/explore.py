"""The detector explorer: one series of the history, judged once more by the code that runs live.

Raw rows are turned into what detectors judge (rates, means, quantiles, ratios) by `detectors.numbers`, then
scored by `detectors.scorer`, as `tocsin score` does. What was learned before the first row is not known
here, so the beginning is a warm-up, marked as such, and scores differ from those of the time until as
much has been learned again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from config.settings import Detect
from detectors.alert import Alert
from detectors.bank import REASONS, STATES
from detectors.gate import WARMING
from detectors.held import Part
from detectors.histograms import FIGURES
from detectors.numbers import Numbers, Rows
from detectors.origins import HISTOGRAMS, derived_from
from detectors.quantiles import CARRY_WINDOWS, WINDOW_MS
from detectors.release import Slice
from detectors.scorer import Scorer
from streams.records.pages import F64, I64, U64, Kind, Series

WORST = 10
"""samples that are told in a sentence"""
COMPONENTS = (
    "value", "recent mean", "time of day", "swing", "shape", "slow shape", "distance for the time of day",
    "course", "course of the last hours", "jump",
)  # fmt: skip
"""the statistics of `detectors.evidence`, in their order"""


class Raw(NamedTuple):
    """Rows of the history: gauges and counters as sent, and histograms."""

    series: tuple[Series, ...]
    fps: U64
    ts_ms: I64
    values: F64
    histograms: Part | None = None

    @classmethod
    def of(cls, series: Sequence[Series]) -> Raw:
        """No rows."""
        return cls(tuple(series), np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0))


class Span(msgspec.Struct, frozen=True):
    """An alert."""

    started_at: int
    """ms UTC of its first anomalous sample"""
    fired_at: int
    ended_at: int | None
    """None: it was still firing at the end"""
    severity: str
    summary: str


class Sentence(msgspec.Struct, frozen=True):
    """What there is to say of a sample."""

    ts_ms: int
    score: float
    text: str


class Explored(msgspec.Struct, frozen=True):
    """One series, judged. Arrays are parallel, in order of time."""

    fingerprint: str
    series: Series
    """as detectors and rules know it"""
    service: str
    metric: str
    labels: tuple[tuple[str, str], ...]
    unit: str
    ts_ms: I64
    value: F64
    expected: F64
    lower: F64
    upper: F64
    """NaN where nothing was thought, infinite where there is no limit"""
    score: F64
    """[0, 1]; 0 in warm-up"""
    state: npt.NDArray[np.uint8]
    """index into `STATES`"""
    warming: npt.NDArray[np.bool_]
    """it was being learned and nothing was said"""
    reason: list[str]
    """in words for samples that are not ordinary, else empty"""
    components: tuple[str, ...]
    """names"""
    words: tuple[str, ...]
    """what each component says when it speaks"""
    says: F64
    """samples x components: bits of surprise; 8 bits: one sample in 256 is as odd"""
    spans: tuple[Span, ...]
    worst: tuple[Sentence, ...]
    """highest score first"""


def explore(raw: Raw, fingerprint: str, config: Detect) -> Explored | None:
    """Judge the series with this fingerprint (16 hex digits), raw or derived; None if `raw` has no row of it.

    The fingerprint of a raw histogram stands for its 95th percentile, else whatever of it has rows.
    """
    derived = _derive(raw)
    found = _wanted(raw, derived.rows, int(fingerprint, 16))
    if found is None:
        return None
    series, sparse = derived.described(found)
    at = derived.rows.fps == np.uint64(found)
    ts, values = derived.rows.ts[at], derived.rows.values[at]
    scorer = Scorer(config)
    scorer.place_of(series, series.metric, sparse)
    everything = np.ones(len(ts), np.bool_)
    figures, alerts, bits = scorer.judge(np.zeros(len(ts), np.int64), ts, values, everything, True)
    told = [i for i, text in enumerate(figures.reason) if text]
    told = sorted(told, key=lambda i: (-float(figures.score[i]), i))[:WORST]
    shown = scorer.series[0].shown
    return Explored(
        fingerprint=f"{found:016x}",
        series=series,
        service=series.service,
        metric=series.metric,
        labels=series.labels,
        unit=shown.unit,
        ts_ms=ts,
        value=values,
        expected=figures.expected,
        lower=figures.lower,
        upper=figures.upper,
        score=figures.score,
        state=figures.state,
        warming=figures.state == WARMING,
        reason=figures.reason,
        components=COMPONENTS,
        words=tuple(REASONS),
        says=bits,
        spans=_spans(alerts),
        worst=tuple(Sentence(int(ts[i]), float(figures.score[i]), figures.reason[i]) for i in told),
    )


def choices(series: Series) -> list[tuple[str, str]]:
    """(fingerprint, metric name) of what can be explored of a raw series, best first: of a histogram the
    figures of all its label sets together, then its own."""
    if series.kind not in HISTOGRAMS:
        return [(f"{series.fp:016x}", series.metric)]
    table = Numbers(1)
    table.describe(series, 0)
    named = []
    for fp in derived_from(series):
        described = table.gauge(fp, 0)
        if described is not None:
            named.append(described[0])
    order = {f"{series.metric}.{figure}": i for i, figure in enumerate(("p95", "mean", "rate", "p50", "p99"))}
    named.sort(key=lambda one: (len(one.labels), order.get(one.metric, len(FIGURES)), one.metric))
    return [(f"{one.fp:016x}", one.metric) for one in named]


def figures(raw: Raw, fps: Iterable[int]) -> dict[int, tuple[I64, F64]]:
    """Times and values of each of these series, raw or derived, as the detectors see them; those without
    a row are left out."""
    rows = _derive(raw).rows
    found = {}
    order = np.argsort(rows.fps, kind="stable")
    sorted_fps = rows.fps[order]
    for fp in fps:
        begin = int(np.searchsorted(sorted_fps, np.uint64(fp), "left"))
        end = int(np.searchsorted(sorted_fps, np.uint64(fp), "right"))
        if end > begin:
            found[fp] = (rows.ts[order[begin:end]], rows.values[order[begin:end]])
    return found


class _Derived(NamedTuple):
    rows: Rows
    numbers: Numbers
    last_ms: int

    def described(self, fp: int) -> tuple[Series, bool]:
        """Description of a series that has rows, and whether they may honestly be missing."""
        described = self.numbers.gauge(fp, self.last_ms)
        if described is None:
            raise LookupError(f"{fp:016x} has rows but no description")
        return described


def _derive(raw: Raw) -> _Derived:
    """Gauge rows of everything, sorted by (time, fingerprint)."""
    numbers = Numbers(len(raw.series) + 1)
    parts = [part.ts for part in (raw.histograms,) if part is not None] + [raw.ts_ms]
    times = np.concatenate(parts)
    if not len(times):
        return _Derived(Rows(raw.fps, raw.ts_ms, raw.values), numbers, 0)
    first, last = int(times.min()), int(times.max())
    for series in raw.series:
        numbers.describe(series, first)
    plain = Slice(raw.ts_ms, (raw.fps, raw.values), None)
    wide = [] if raw.histograms is None else [Slice(*raw.histograms[:3])]
    # As if time had gone on: what is open is closed.
    rows, _, _ = numbers.run([plain], wide, last + (CARRY_WINDOWS + 1) * WINDOW_MS)
    return _Derived(rows, numbers, last)


def _wanted(raw: Raw, rows: Rows, asked: int) -> int | None:
    """The fingerprint that has rows."""
    series = next((one for one in raw.series if one.fp == asked), None)
    names = [asked] if series is None else [asked, *(int(fp, 16) for fp, _ in choices(series))]
    present = set(np.unique(rows.fps).tolist())
    return next((fp for fp in names if fp in present), None)


def _spans(alerts: Sequence[Alert]) -> tuple[Span, ...]:
    """One an alert, of its newest version."""
    newest = {alert.id: alert for alert in alerts}
    return tuple(
        Span(one.started_at, one.detected_at, one.resolved_at, one.severity, one.summary)
        for one in sorted(newest.values(), key=lambda one: (one.started_at, one.id))
    )


__all__ = ["COMPONENTS", "STATES", "Explored", "Raw", "Sentence", "Span", "choices", "explore", "figures"]


def warm() -> None:
    """Compile what `explore` runs, or load it from the cache: best before anybody waits for a chart."""
    n = 60
    ts = 60_000 * np.arange(n)
    ones = np.ones(n, np.uint64)
    counts = np.cumsum(np.tile([90.0, 10.0], (n, 1)), axis=0).ravel()
    columns = (ones, 10.0 * np.arange(n), 2 * np.arange(n), np.full(n, 2))
    requests = Series(1, "", "http.server.request.duration", (), "", int(Kind.HISTOGRAM), (1.0,))
    for raw in (
        Raw((Series(1, "", "", (), "", int(Kind.GAUGE)),), ones, ts, np.ones(n)),
        Raw((Series(1, "", "", (), "", int(Kind.COUNTER)),), ones, ts, np.arange(n, dtype=np.float64)),
        Raw.of((requests,))._replace(histograms=Part(ts, columns, counts, 0)),
    ):
        explore(raw, f"{1:016x}", Detect())
