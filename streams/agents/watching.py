"""What `tocsin top` and the console know of workers: two scrapes of each, and the rates between them."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from streams.agents import metric_names as names
from streams.agents.stages import STAGES

TIMEOUT_S = 3.0
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Scrape:
    """One answer of `/metrics`."""

    at: float
    """monotonic, s"""
    values: Mapping[str, Mapping[Labels, float]]
    """sample name -> labels -> value"""

    def of(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Samples that have these labels."""
        wanted = set(labels.items())
        return [(dict(key), value) for key, value in self.values.get(name, {}).items() if wanted <= set(key)]

    def total(self, name: str, **labels: str) -> float:
        return sum(value for _, value in self.of(name, **labels))

    def worst(self, name: str, **labels: str) -> float | None:
        """The largest, None if there is none."""
        return max((value for _, value in self.of(name, **labels)), default=None)


@dataclass(frozen=True)
class Worker:
    """One address and its last two answers."""

    url: str
    now: Scrape | None = None
    before: Scrape | None = None
    error: str = ""
    reasons: tuple[str, ...] = ()
    """why it is not ready"""

    def rates(self, name: str, **labels_wanted: str) -> list[tuple[dict[str, str], float]]:
        """Increase a second of each counter; empty before the second answer."""
        if self.now is None or self.before is None or self.now.at <= self.before.at:
            return []
        seconds = self.now.at - self.before.at
        old = self.before.values.get(name, {})
        found = []
        for labels, value in self.now.of(name, **labels_wanted):
            was = old.get(tuple(sorted(labels.items())), 0.0)
            # A counter below its last value belongs to a worker that was started anew.
            found.append((labels, (value - was if value >= was else value) / seconds))
        return found

    def buckets(self, name: str, **labels: str) -> dict[float, float]:
        """Upper bound -> observations between the two answers, or all when there were none between."""
        if self.now is None:
            return {}
        upto = {float(f["le"]): v for f, v in self.now.of(f"{name}_bucket", **labels)}
        if self.before is None:
            return upto
        old = {float(f["le"]): v for f, v in self.before.of(f"{name}_bucket", **labels)}
        recent = {bound: value - old.get(bound, 0.0) for bound, value in upto.items()}
        return recent if recent.get(float("inf"), 0.0) > 0 else upto


@dataclass(frozen=True)
class StageRow:
    """One stage over all workers. None: not known, or not of this stage."""

    name: str
    partitions: int
    records: float | None
    rows: float | None
    lag: int
    delay_s: float | None
    p50_s: float | None
    p99_s: float | None
    checkpoint_s: float | None
    queued: int
    in_flight: int


@dataclass(frozen=True)
class PartitionLag:
    """Lag of one partition, records."""

    stage: str
    topic: str
    partition: int
    lag: int


@dataclass(frozen=True)
class Frame:
    """Everything one picture shows."""

    workers: Sequence[Worker]
    stages: Sequence[StageRow] = ()
    lags: Sequence[PartitionLag] = ()
    """largest first"""
    trouble: Sequence[tuple[str, str, str, float | None, float]] = field(default=())
    """what (dead letters, late rows, dropped rows, evictions), stage, which, rate a second, total"""


def metrics_url(url: str) -> str:
    """`HOST:PORT`, `http://HOST:PORT` or any path of it -> the address of `/metrics`."""
    url = url if "://" in url else f"http://{url}"
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.split('/', 1)[0]}/metrics"


def scrape(url: str, at: float) -> Scrape | str:
    """An answer, or why there is none."""
    request = urllib.request.Request(url, headers={"Accept": "text/plain"})  # noqa: S310 - http(s) only
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            text = answer.read().decode("utf-8", "replace")
        return Scrape(at, parse(text))
    except urllib.error.HTTPError as error:
        return f"answers {error.code}"
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        return getattr(reason, "strerror", None) or str(reason) or type(error).__name__
    except ValueError as error:
        return f"answers, but not as a worker does ({error})"


def unready_reasons(url: str) -> tuple[str, ...]:
    """What `/readyz` of the worker with this metrics address names; empty when it does not answer."""
    try:
        with urllib.request.urlopen(url.removesuffix("/metrics") + "/readyz", timeout=TIMEOUT_S):  # noqa: S310
            return ()
    except urllib.error.HTTPError as error:
        try:
            return tuple(msgspec.json.decode(error.read(), type=_Readiness).reasons)
        except msgspec.MsgspecError:
            return ()
    except (OSError, HTTPException):
        return ()


class _Readiness(msgspec.Struct):
    reasons: list[str] = []


def parse(text: str) -> dict[str, dict[Labels, float]]:
    """Samples by name. Raises ValueError for what is no exposition."""
    values: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            values.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    if names.BUILD_INFO.name not in values:
        raise ValueError(f"{names.BUILD_INFO.name} is missing")
    return values


def quantile(buckets: Mapping[float, float], q: float) -> float | None:
    """Estimate from cumulative buckets, linear within one; the last finite bound beyond it."""
    bounds = sorted(buckets)
    count = buckets[bounds[-1]] if bounds else 0.0
    if count <= 0:
        return None
    wanted, below, lower = q * count, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            if bound == float("inf"):
                return lower
            share = (wanted - below) / max(buckets[bound] - below, 1e-9)
            return lower + (bound - lower) * share
        below, lower = buckets[bound], bound
    return lower


def frame(workers: Sequence[Worker]) -> Frame:
    """The picture of these workers."""
    alive = [worker for worker in workers if worker.now is not None]
    present = {found["stage"] for w in alive if w.now for found, _ in w.now.of(names.ASSIGNED.name)}
    stages = [_stage(name, alive) for name in (*STAGES, *sorted(present - set(STAGES))) if name in present]
    lags = [
        PartitionLag(found["stage"], found["topic"], int(found["partition"]), int(value))
        for w in alive
        if w.now
        for found, value in w.now.of(names.LAG.name)
    ]
    lags.sort(key=lambda p: (-p.lag, p.stage, p.topic, p.partition))
    return Frame(workers, stages, lags, _trouble(alive))


def _stage(name: str, workers: Sequence[Worker]) -> StageRow:
    nows = [w.now for w in workers if w.now]
    buckets: dict[float, float] = {}
    for worker in workers:
        for bound, count in worker.buckets(names.EFFECT_SECONDS.name, stage=name).items():
            buckets[bound] = buckets.get(bound, 0.0) + count
    return StageRow(
        name,
        int(sum(s.total(names.ASSIGNED.name, stage=name) for s in nows)),
        _rate(workers, names.RECORDS.name, name),
        _rate(workers, names.ROWS.name, name),
        int(sum(s.total(names.LAG.name, stage=name) for s in nows)),
        _worst(s.worst(names.WATERMARK_DELAY.name, stage=name) for s in nows),
        quantile(buckets, 0.5),
        quantile(buckets, 0.99),
        _worst(s.worst(names.CHECKPOINT_AGE.name, stage=name) for s in nows),
        int(sum(s.total(names.QUEUE.name, stage=name) for s in nows)),
        int(sum(s.total(names.INFLIGHT_CHUNKS.name, stage=name) for s in nows)),
    )


def _rate(workers: Sequence[Worker], metric: str, stage: str) -> float | None:
    rates = [rate for w in workers for _, rate in w.rates(metric, stage=stage)]
    return sum(rates) if rates else None


def _worst(found: Iterable[float | None]) -> float | None:
    return max((value for value in found if value is not None), default=None)


def _trouble(workers: Sequence[Worker]) -> list[tuple[str, str, str, float | None, float]]:
    found = []
    for what, metric, label in (
        ("dead letters", names.DEAD, "reason"),
        ("late rows", names.LATE, ""),
        ("dropped rows", names.DROPPED, "reason"),
        ("evictions", names.EVICTIONS, "kind"),
        ("sink retries", names.RETRIES, ""),
    ):
        totals: dict[tuple[str, str], float] = {}
        rates: dict[tuple[str, str], float] = {}
        for worker in workers:
            for labels, value in worker.now.of(metric.name) if worker.now else ():
                key = (labels["stage"], labels.get(label, ""))
                totals[key] = totals.get(key, 0.0) + value
            for labels, rate in worker.rates(metric.name):
                key = (labels["stage"], labels.get(label, ""))
                rates[key] = rates.get(key, 0.0) + rate
        found += [
            (what, stage, which, rates.get((stage, which)), total)
            for (stage, which), total in totals.items()
            if total
        ]
    return found
