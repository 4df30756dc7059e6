"""Error ratios: the share of failed requests a service answers, or gets from a peer.

Requests are counted from histograms or counters of HTTP requests whose labels tell the outcome:
a status code of 500 or more has failed; without a status code, `error.type` says so.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.derive import njit
from detectors.quantiles import CARRY_WINDOWS, WINDOW_MS
from streams.records.digest import fingerprint
from streams.records.pages import F64, I64, Kind, Series

SERVER = ("http.server.request.duration", "http.server.duration", "http.server.requests")
CLIENT = ("http.client.request.duration", "http.client.duration", "http.client.requests")
STATUS = ("http.response.status_code", "http.status_code")
PEER = ("server.address", "net.peer.name", "peer.service")
PORT = ("server.port", "net.peer.port")
MIN_REQUESTS = 5
"""a ratio of fewer requests is not stated; they are added to the next window, for up to 30 s"""


def peer_of(series: Series) -> tuple[tuple[str, str], ...]:
    """Labels that say whom a client metric is about; empty for other metrics."""
    if ".client." not in series.metric:
        return ()
    labels = dict(series.labels)
    peer = next((labels[name] for name in PEER if labels.get(name)), "")
    port = next((labels[name] for name in PORT if labels.get(name)), "")
    return (("peer", f"{peer}:{port}" if port else peer),) if peer else ()


def failed(series: Series) -> bool:
    """Whether the requests this series counts have failed."""
    labels = dict(series.labels)
    status = next((labels[name] for name in STATUS if labels.get(name)), "")
    if status:
        return status.isdigit() and int(status) >= 500
    return bool(labels.get("error.type"))


def ratio_series(series: Series) -> Series | None:
    """The error ratio this series contributes to, or None."""
    if series.metric in SERVER:
        metric = "http.server.error_ratio"
    elif series.metric in CLIENT:
        metric = "http.client.error_ratio"
    else:
        return None
    labels = peer_of(series)
    if series.kind in (Kind.COUNTER, Kind.DELTA):
        # A service that counts its requests twice over has two ratios rather than one wrong one.
        labels = (*labels, ("source", series.metric))
    elif series.kind not in (Kind.HISTOGRAM, Kind.HISTOGRAM_DELTA):
        return None
    fp = fingerprint(series.service, metric, labels)
    return Series(fp, series.service, metric, labels, "1", Kind.GAUGE, (), series.resource)


class Sums(NamedTuple):
    """One entry a ratio."""

    window: I64
    carry: I64
    total: F64
    bad: F64


@njit
def _end_window(g: int, sums: Sums, out_g: I64, out_end: I64, out_ratio: F64, k: int) -> int:
    if sums.total[g] >= MIN_REQUESTS:
        out_g[k] = g
        out_end[k] = (sums.window[g] + 1) * WINDOW_MS
        out_ratio[k] = sums.bad[g] / sums.total[g]
        k += 1
    if sums.total[g] >= MIN_REQUESTS or sums.window[g] - sums.carry[g] >= CARRY_WINDOWS:
        sums.total[g] = 0.0
        sums.bad[g] = 0.0
        sums.carry[g] = -1
    sums.window[g] = -1
    return k


@njit
def _count(
    groups: I64,
    bad: npt.NDArray[np.bool_],
    ts: I64,
    added: F64,
    to_ms: int,
    sums: Sums,
    out_g: I64,
    out_end: I64,
    out_ratio: F64,
) -> int:
    k = 0
    for i in range(len(groups)):
        g = groups[i]
        if g < 0 or not added[i] >= 0:
            continue
        window = (ts[i] - 1) // WINDOW_MS
        if sums.window[g] >= 0 and sums.window[g] != window:
            k = _end_window(g, sums, out_g, out_end, out_ratio, k)
        sums.window[g] = window
        if sums.carry[g] < 0 or window - sums.carry[g] > CARRY_WINDOWS:
            sums.carry[g] = window
            sums.total[g] = 0.0
            sums.bad[g] = 0.0
        sums.total[g] += added[i]
        if bad[i]:
            sums.bad[g] += added[i]
    for g in range(len(sums.window)):
        if sums.window[g] >= 0 and (sums.window[g] + 1) * WINDOW_MS <= to_ms:
            k = _end_window(g, sums, out_g, out_end, out_ratio, k)
    return k


class Ratios:
    """Open windows of all error ratios of a shard. At most one ratio a series."""

    def __init__(self) -> None:
        self.index: dict[int, int] = {}
        """fingerprint of the ratio to its place"""
        self.fps: list[int] = []
        self.sums = _sums(0)

    def add(self, ratio: Series) -> int:
        """Place of a ratio; new ones begin with nothing counted."""
        place = self.index.get(ratio.fp)
        if place is None:
            place = self.index[ratio.fp] = len(self.fps)
            self.fps.append(ratio.fp)
            if place >= len(self.sums.window):
                bigger = _sums(2 * place + 8)
                for new, old in zip(bigger, self.sums, strict=True):
                    new[:place] = old
                self.sums = bigger
        return place

    def count(
        self, places: I64, bad: npt.NDArray[np.bool_], ts: I64, added: F64, to_ms: int
    ) -> tuple[npt.NDArray[np.uint64], I64, F64]:
        """Requests in time order (NaN: none known) into (fps, window end, ratio) of closed windows."""
        room = len(places) + len(self.sums.window)
        group, end, ratio = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
        k = _count(places, bad, ts, added, to_ms, self.sums, group, end, ratio)
        fps = np.array(self.fps, np.uint64)
        return fps[group[:k]], end[:k], ratio[:k]

    def export(self) -> dict[int, tuple[int, int, float, float]]:
        """State by fingerprint of the ratio."""
        rows = zip(*(column[: len(self.fps)].tolist() for column in self.sums), strict=True)
        return dict(zip(self.fps, rows, strict=True))

    def load(self, state: dict[int, tuple[int, int, float, float]]) -> None:
        """Take over what `export` gave, for the ratios that have been added."""
        for fp, row in state.items():
            place = self.index.get(fp)
            if place is not None:
                for column, value in zip(self.sums, row, strict=True):
                    column[place] = value


def _sums(n: int) -> Sums:
    return Sums(np.full(n, -1, np.int64), np.full(n, -1, np.int64), np.zeros(n), np.zeros(n))
