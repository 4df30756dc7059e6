"""Which series detectors may make of a raw one: how an alert's fingerprint leads back to what was sent."""

from __future__ import annotations

from detectors.histograms import FIGURES
from detectors.ratios import peer_of, ratio_series
from streams.records.digest import fingerprint
from streams.records.pages import Kind, Series

HISTOGRAMS = (Kind.HISTOGRAM, Kind.HISTOGRAM_DELTA)


def derived_from(series: Series) -> list[int]:
    """Fingerprints, without the series' own (that of a gauge, or of a counter's rate).

    A histogram gives its figures, alone and with its group; what counts HTTP requests adds to a ratio.
    """
    found: list[int] = []
    if series.kind in HISTOGRAMS:
        for labels in (series.labels, peer_of(series)):
            found += [fingerprint(series.service, f"{series.metric}.{name}", labels) for name, _ in FIGURES]
    ratio = ratio_series(series)
    if ratio is not None:
        found.append(ratio.fp)
    return sorted(set(found))
