"""Which share of requests is slow, by the lines a service writes of them.

Lines that carry the id of their trace, and of their span where they have one, say when a service first and
last wrote of a request. A request of which nothing was written for `QUIET_MS` is over. Slow is one that took
longer than nine in ten of the service's requests do, and `SLOW` times as long as every other; what is usual
is learned in a histogram of logarithms that forgets, and ten times as reluctantly while most are slow. Each
end of a bucket in which some were over states the share of slow ones among the last `LAST`; from `MANY_SLOW`
on it fires (`detectors.rules`): of requests as usual so many are slow once in 40,000 times. What a slow
callee, a slow network or a busy processor does to a service shows here, where nobody measures how long its
requests take; durations themselves spread over decades, and a mean of few of them says little.

Of requests with a single line nothing is said. Bounded: `MOST_OPEN` requests of a service at a time, the
one begun first goes and is counted.
"""

from __future__ import annotations

import math
import re

import msgspec

from detectors.lines import HEAD, Line, trace_of
from detectors.logrates import Stated
from detectors.rules import MANY_SLOW, SLOW_REQUESTS
from streams.records.digest import fingerprint
from streams.records.pages import Kind, Series

QUIET_MS = 10_000
MOST_OPEN = 500
SLOW = 2.0
LAST = 8
FORGOTTEN_MS = 120_000
"""after so long without any, earlier requests say nothing of now"""
LEAST_MS = 50.0
"""what takes less is not slow"""
RELUCTANT = 0.1
LEAST = 20
"""requests before anything is said"""
MEMORY = 1_000.0
"""requests after which a duration counts half"""
BINS, BINS_A_DOUBLING = 96, 4
"""of the histogram: durations up to 16 million ms"""

_SPAN = re.compile(r"(?i)span[ _.-]?id[\"']?\s{0,2}[:=]\s{0,2}[\"']?([0-9a-f]{8,16})\b")


def request_of(line: Line) -> str:
    """What the request a line belongs to is known by; empty: it does not say."""
    head = line.body[: 2 * HEAD]
    if not line.trace_id and "race" not in head and "RACE" not in head:
        return ""
    trace = trace_of(line)
    if not trace:
        return ""
    found = _SPAN.search(head)
    return f"{trace} {found.group(1).lower()}" if found else trace


class Requests(msgspec.Struct, array_like=True):
    """Those of one service."""

    fp: int
    begun: dict[str, tuple[int, int]] = {}
    """request -> its first and last line, ms"""
    seen: list[float] = msgspec.field(default_factory=lambda: [0.0] * BINS)
    """how many took how long; the newest counts most"""
    weight: float = 1.0
    """of the newest"""
    over: int = 0
    """requests so far"""
    last: list[bool] = []
    """of the last ones, whether they were slow"""
    heard: int = 0
    """bucket end at which some were over last"""
    stated: tuple[tuple[str, str], ...] | None = None
    """the resource it was last described with"""
    evicted: int = 0

    def see(self, request: str, ts: int) -> None:
        """One line."""
        known = self.begun.get(request)
        if known is None and len(self.begun) >= MOST_OPEN:
            del self.begun[next(iter(self.begun))]
            self.evicted += 1
        self.begun[request] = (ts if known is None else known[0], ts)

    def state(self, service: str, resource: tuple[tuple[str, str], ...], end: int, out: Stated) -> None:
        """A bucket is over."""
        over = [r for r, (_, last) in self.begun.items() if last <= end - QUIET_MS]
        took = [last - first for first, last in map(self.begun.pop, over) if last > first]
        if not took:
            return
        if end - self.heard > FORGOTTEN_MS:
            self.last = []
        self.heard = end
        if self.over >= LEAST:
            limit = max(SLOW * self._usually(0.5), self._usually(0.9), LEAST_MS)
            self.last = (self.last + [ms > limit for ms in took])[-LAST:]
        share = sum(self.last) / LAST
        for ms in took:
            self._learn(ms, RELUCTANT if share >= MANY_SLOW else 1.0)
        if len(self.last) < LAST:
            return
        if self.stated != resource:
            self.stated = resource
            out.described.append((end, self.series(service)))
        out.rows.append((self.fp, end, share))

    def _usually(self, share: float) -> float:
        """What this share of the requests took at most, ms."""
        enough, sofar = share * sum(self.seen), 0.0
        for place, n in enumerate(self.seen):
            sofar += n
            if sofar >= enough:
                return float(2.0 ** ((place + 1) / BINS_A_DOUBLING))
        return math.inf

    def _learn(self, ms: int, share: float) -> None:
        self.over += 1
        self.seen[min(BINS - 1, int(BINS_A_DOUBLING * math.log2(ms)))] += share * self.weight
        self.weight *= 2.0 ** (1.0 / MEMORY)
        if self.weight > 1e6:
            self.seen = [n / self.weight for n in self.seen]
            self.weight = 1.0

    def series(self, service: str) -> Series:
        return Series(self.fp, service, SLOW_REQUESTS, (), "1", Kind.GAUGE, (), self.stated or ())


def requests_of(service: str) -> Requests:
    """Of a service none of whose requests are known yet."""
    return Requests(fingerprint(service, SLOW_REQUESTS, ()))
