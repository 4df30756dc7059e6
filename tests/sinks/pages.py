"""Pages of numbers for tests of the history."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streams.records.digest import fingerprint
from streams.records.pages import Histograms, Kind, Page, Series, encode_page
from streams.records.stage import Record


def series(
    metric: str = "queue.length",
    kind: Kind = Kind.GAUGE,
    service: str = "shop",
    resource: tuple[tuple[str, str], ...] = (("env", "prod"),),
    labels: tuple[tuple[str, str], ...] = (("instance", "a"),),
    bounds: tuple[float, ...] = (),
    unit: str = "",
) -> Series:
    fp = fingerprint(service, metric, labels)
    return Series(fp, service, metric, labels, unit, int(kind), bounds, resource)


def page(described: Sequence[Series], rows: Sequence[tuple[Series, int, float]]) -> Page:
    """Rows of gauges and counters: series, ts in ms, value."""
    return Page(
        "in/0",
        1,
        0,
        series=list(described),
        fps=np.array([one.fp for one, _, _ in rows], "<u8").tobytes(),
        ts=np.array([ts for _, ts, _ in rows], "<i8").tobytes(),
        values=np.array([value for _, _, value in rows], "<f8").tobytes(),
    )


def buckets(described: Series, rows: Sequence[tuple[int, float, Sequence[float]]]) -> Page:
    """Rows of one histogram: ts in ms, sum, bucket counts."""
    part = Histograms(
        np.full(len(rows), described.fp, "<u8").tobytes(),
        np.array([ts for ts, _, _ in rows], "<i8").tobytes(),
        np.array([total for _, total, _ in rows], "<f8").tobytes(),
        np.array([len(counts) for _, _, counts in rows], "<i8").tobytes(),
        np.array([n for _, _, counts in rows for n in counts], "<f8").tobytes(),
    )
    return Page("in/0", 1, 0, series=[described], histograms=part)


def records(*pages: Page) -> list[Record]:
    return [Record("tocsin.pages", 0, i, 1_000, b"", encode_page(one)) for i, one in enumerate(pages)]
