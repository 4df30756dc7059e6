"""How a service talks: its kinds of lines, how often each comes, and what follows what.

A *kind* is a template at one severity, one exception type and, where lines name it, one place in the code:
finer than a template, so that a miner which merges an error with a notice hides nothing.

Two questions are asked of every line, from counts alone:

- *burst*: do lines of this kind come more often than its share of the service's lines so far lets expect?
  Held against each other are the last `MEMORY_MS` or so (exponential weights) and everything before them, by
  the Poisson deviance 2 (k ln(k/E) - (k - E)) (Wilks; for log templates as in He et al., Log3C, 2018),
  where a kind never seen is expected half a time. A share, not a rate, so that load cancels out. Lines
  of a burst that was told are taken out of what is normal again. The lines of a burst are those since the sum
  of them less `LEAST_RATIO` times the usual was last zero (a CUSUM, Page, 1954). Which of them began it:
  `detectors.logonset`; a stray line some time before did not.
- *missing*: a kind B that has always come soon after kind A (its *leader*: most often the line right
  before it, of the same instance) no longer does: A has come far more often without B than ever before.
  These are the invariants of Lou et al., Mining Invariants from Console Logs, 2010, kept online and one a
  kind. Counted in lines of A: without traffic nothing is missing.

Bounded by `limit` kinds a service; the least recently seen go and are counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from detectors.logonset import gathering, onset
from streams.records.digest import digest_hex

MEMORY_MS = 30_000.0
PRIOR_LINES = 10.0
LEAST_LINES = 20
"""of a service before shares mean anything"""
LEAST_DEVIANCE = 15.0
LEAST_RATIO = 3.0
MOST_ONSETS = 48
"""lines of a burst, the newest, that it may have begun with"""
LEAST_SECONDS = 2
"""different seconds in which a burst's lines must lie: one request may log twice"""
PROBATION_MS = 900_000
"""after an alert its kind has so long to show that it is over; trouble comes back"""
HABIT = 5
"""a kind that was told so often is part of how the service talks: evidence, not an alert"""
BURST_OVER = 0.1
"""weight of recent lines below which a burst is over"""
FORGET_LINES = 200_000
"""lines of a service after which all counts are halved"""
TRIAL_LINES = 20
"""of a kind before it gets a leader"""
LAST_TRIAL = 320
"""lines after which a kind without a leader stays without"""
NO_LEADER = 1 << 62
LEAST_TRIALS = 30
"""lines of the leader before its follower can be missed"""
LEAST_RUN, RUN_FACTOR = 6, 3
LEAST_WAIT_MS, WAIT_FACTOR = 5_000, 3
FOLLOWS = 0.5
"""least share of a leader's lines that the kind follows"""
MAX_FOLLOWERS = 4
MAX_INSTANCES = 256
GIVE_UP = 3
"""a kind that was missed and came back so often does not follow its leader"""

Key = tuple[str, int, str, str]
"""template id, band, exception, site"""


class Kind(msgspec.Struct, array_like=True):
    """One kind of line."""

    id: str
    number: int
    key: Key
    level: str
    text: str
    """first line, masked"""
    seen: int = 0
    open: bool = False
    """an alert on it is open"""
    lines: int = 0
    """that count as normal"""
    recent: float = 0.0
    at: int = 0
    """time of `recent`"""
    seconds: int = 0
    """different seconds of the burst"""
    burst: int = 0
    """lines of the burst"""
    since: int = 0
    """first line of the burst"""
    excess: float = 0.0
    """lines of the burst beyond `LEAST_RATIO` times what is usual"""
    total: int = 0
    """lines of the service at its last line"""
    head: str = ""
    told: int = 0
    """how often its bursts were told"""
    clean_at: int = 0
    """its lines up to here do not count as normal, ms"""
    candidates: tuple[int, int, int, int] = (0, 0, 0, 0)
    """two leaders and their counts (Misra and Gries)"""
    leader: int = 0
    """number of its leader; 0 none"""
    choose_at: int = TRIAL_LINES
    followers: list[int] = []
    run: int = 0
    """lines of its leader since its last"""
    run_since: int = 0
    longest: int = 0
    slowest: int = 0
    """longest run so far, and ms"""
    trials: int = 0
    missed: int = 0
    missing: bool = False
    lately: list[tuple[int, int]] = []
    """time of each line of the burst, and the lines of the service before it"""

    def take_over(self, other: Kind) -> None:
        """What another kind has counted. Its leader and followers are forgotten."""
        self.lines += other.lines
        self.seen = max(self.seen, other.seen)
        if other.seconds:
            at = max(self.at, other.at)
            self.recent *= math.exp((self.at - at) / MEMORY_MS)
            self.recent += other.recent * math.exp((other.at - at) / MEMORY_MS)
            self.since = min(self.since, other.since) if self.seconds else other.since
            self.seconds, self.at = max(self.seconds, other.seconds), at
            self.burst += other.burst
        self.told = max(self.told, other.told)
        self.clean_at = max(self.clean_at, other.clean_at)


class KindsState(msgspec.Struct, array_like=True):
    """Snapshot."""

    kinds: list[Kind]
    total: int = 0
    recent: float = 0.0
    at: int = 0
    numbers: int = 0
    evicted: int = 0
    before: dict[str, int] = {}


class Burst(NamedTuple):
    """More lines of a kind than its share lets expect."""

    ratio: float
    """seen by expected"""
    deviance: float


class Kinds:
    """The kinds of one service. Lines come in order."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.evicted = 0
        self._total = 0
        self._recent = 0.0
        self._at = 0
        self._numbers = 0
        self._kinds: dict[Key, Kind] = {}
        self._by_id: dict[str, Kind] = {}
        self._by_number: dict[int, Kind] = {}
        self._before: dict[str, int] = {}
        """number of the last kind by instance"""

    def __len__(self) -> int:
        return len(self._kinds)

    @property
    def settled(self) -> bool:
        """Whether enough lines were seen for shares to mean anything."""
        return self._total - self._recent >= LEAST_LINES

    def find(self, key: Key) -> Kind | None:
        """The kind, if it is known."""
        return self._kinds.get(key)

    def closed(self, name: str) -> None:
        """The alert on the kind with this id is over."""
        kind = self._by_id.get(name)
        if kind is not None:
            kind.open = False

    def add(self, key: Key, name: str, level: str, text: str) -> Kind:
        """A kind not seen before."""
        if len(self._kinds) >= self.limit:
            self._evict()
        self._numbers += 1
        kind = Kind(name, self._numbers, key, level, text)
        self._place(kind)
        return kind

    def _place(self, kind: Kind) -> None:
        self._kinds[kind.key] = self._by_number[kind.number] = self._by_id[kind.id] = kind

    def name(self, digest: str) -> str:
        """An id for a kind to be added: the digest, unless one that has had it goes on under another key."""
        while (known := self._by_id.get(digest)) is not None:
            digest = digest_hex(known.id)
        return digest

    def follow(self, current: Callable[[str], str]) -> None:
        """Templates were merged: kinds go on under what their template is now. Of two that are one then, the
        one with an open alert stays, else the older; it takes over what the other has counted."""
        moved = [(kind, now) for kind in self._kinds.values() if (now := current(kind.key[0])) != kind.key[0]]
        for kind, template in moved:
            del self._kinds[kind.key]
            kind.key = (template, *kind.key[1:])
            other = self._kinds.get(kind.key)
            if other is not None:
                kind, gone = sorted((kind, other), key=lambda one: (not one.open, one.number))
                kind.take_over(gone)
                del self._by_number[gone.number], self._by_id[gone.id]
            self._kinds[kind.key] = kind

    def _evict(self) -> None:
        """An eighth goes at once, the least recently seen."""
        oldest = sorted(self._kinds.values(), key=lambda kind: (kind.seen, kind.number))
        for gone in oldest[: max(1, self.limit // 8)]:
            del self._kinds[gone.key], self._by_number[gone.number], self._by_id[gone.id]
            self.evicted += 1

    def heard(self, kind: Kind, ts: int, instance: str) -> Kind | None:
        """One more line of this kind. A follower of it that is found missing with this line."""
        if ts != self._at:
            self._recent *= math.exp((self._at - ts) / MEMORY_MS)
            self._at = ts
        self._recent += 1.0
        self._total += 1
        kind.seen = ts
        if kind.level == "info":
            kind.lines += 1
        else:
            self._loud(kind, ts)
        if self._total >= FORGET_LINES:
            self._halve()
        last = self._before.get(instance, 0)
        if last != kind.number:
            if len(self._before) >= MAX_INSTANCES and instance not in self._before:
                self._before.clear()
            self._before[instance] = kind.number
            if last and not kind.leader and kind.choose_at < NO_LEADER and kind.level == "info":
                self._learn_leader(kind, last)
        if kind.run:
            if not kind.missing:
                kind.longest = max(kind.longest, kind.run)
                kind.slowest = max(kind.slowest, ts - kind.run_since)
            kind.run = 0
        return self._expect(kind, ts) if kind.followers else None

    def _loud(self, kind: Kind, ts: int) -> None:
        kind.excess -= LEAST_RATIO * self._usual(kind) * max(0, self._total - kind.total)
        kind.total = self._total
        kind.lines += not kind.open and (ts > kind.clean_at or kind.told >= HABIT)
        if ts != kind.at:
            kind.recent *= math.exp((kind.at - ts) / MEMORY_MS)
            if kind.excess <= 0.0 or kind.recent < BURST_OVER:
                kind.excess, kind.since, kind.seconds, kind.burst = 0.0, ts, 0, 0
                kind.lately = []
            if ts // 1000 != kind.at // 1000 or not kind.seconds:
                kind.seconds += 1
            kind.at = ts
        kind.recent += 1.0
        kind.excess += 1.0
        kind.burst += 1
        kind.lately.append((ts, self._total - 1))
        if len(kind.lately) > MOST_ONSETS:
            del kind.lately[0]

    def onset(self, kind: Kind) -> int:
        """When its burst began."""
        began = onset(kind.lately, self._total, self._usual(kind), kind.since)
        return gathering([ts for ts, _ in kind.lately if ts >= began] or [began], LEAST_DEVIANCE)

    def _usual(self, kind: Kind) -> float:
        """Its share of the service's lines, those of its burst left out."""
        return (max(0, kind.lines - kind.burst) + 0.5) / (self._total - self._recent + PRIOR_LINES)

    def bursting(self, kind: Kind) -> Burst | None:
        """Whether its lines, the last one included, are a burst."""
        if kind.seconds < LEAST_SECONDS or not self.settled:
            return None
        past = self._total - self._recent
        seen = kind.recent
        expected = self._recent * (max(0.0, kind.lines - seen) + 0.5) / (past + PRIOR_LINES)
        if seen < LEAST_RATIO * expected:
            return None
        deviance = 2.0 * (seen * math.log(seen / expected) - (seen - expected))
        return Burst(seen / expected, deviance) if deviance >= LEAST_DEVIANCE else None

    @staticmethod
    def unlearn(kind: Kind, ts: int) -> None:
        """Its burst was told: neither it nor what follows within `PROBATION_MS` counts as normal."""
        kind.told += 1
        kind.clean_at = ts + PROBATION_MS
        kind.lines = max(0, kind.lines - kind.burst)

    def _expect(self, kind: Kind, ts: int) -> Kind | None:
        found = None
        for number in kind.followers:
            follower = self._by_number.get(number)
            if follower is None or follower.leader != kind.number:
                kind.followers = [n for n in kind.followers if n != number]
                continue
            if not follower.run:
                follower.run_since = ts
            follower.run += 1
            follower.trials += 1
            if (
                found is None
                and not follower.missing
                and follower.run >= max(LEAST_RUN, RUN_FACTOR * (follower.longest + 1))
                and follower.trials >= LEAST_TRIALS + follower.run
                and ts - follower.run_since >= LEAST_WAIT_MS + WAIT_FACTOR * follower.slowest
            ):
                found = follower
        return found

    def back(self, kind: Kind) -> None:
        """A missing kind has come again, or its leader has gone quiet."""
        kind.missing = False
        kind.run = 0
        kind.missed += 1
        if kind.missed >= GIVE_UP:
            kind.leader, kind.choose_at, kind.missed = 0, NO_LEADER, 0

    def missing_after(self, leader: Kind) -> list[Kind]:
        """Its followers that are missing."""
        found = (self._by_number.get(number) for number in leader.followers)
        return [kind for kind in found if kind is not None and kind.missing]

    def quiet(self, name: str) -> None:
        """The leader of the missing kind with this id no longer comes: nothing is due."""
        kind = self._by_id.get(name)
        if kind is not None:
            kind.missing, kind.run = False, 0

    @staticmethod
    def give_up(kind: Kind) -> None:
        """It does not follow its leader any more, and that is that."""
        kind.leader, kind.choose_at, kind.run, kind.missing = 0, NO_LEADER, 0, False

    def _learn_leader(self, kind: Kind, last: int) -> None:
        a, n, b, m = kind.candidates
        if last == a:
            n += 1
        elif last == b:
            m += 1
        elif not n:
            a, n = last, 1
        elif not m:
            b, m = last, 1
        else:
            n, m = n - 1, m - 1
        kind.candidates = (a, n, b, m)
        if kind.lines < kind.choose_at:
            return
        kind.choose_at = 2 * kind.choose_at if kind.choose_at < LAST_TRIAL else NO_LEADER
        number = a if n >= m else b
        leader = self._by_number.get(number)
        if leader is None or 2 * max(n, m) < kind.lines or len(leader.followers) >= MAX_FOLLOWERS:
            return
        if kind.lines >= FOLLOWS * leader.lines:
            kind.leader = number
            kind.run = kind.trials = kind.longest = kind.slowest = 0
            leader.followers = [*leader.followers, kind.number]

    def _halve(self) -> None:
        self._total //= 2
        for kind in self._kinds.values():
            kind.lines //= 2
            kind.told //= 2
            kind.lately = [(ts, before // 2) for ts, before in kind.lately]

    def export(self) -> KindsState:
        """State for a snapshot."""
        return KindsState(
            list(self._kinds.values()),
            self._total,
            self._recent,
            self._at,
            self._numbers,
            self.evicted,
            self._before,
        )

    def load(self, state: KindsState) -> None:
        """Take over what `export` gave, into a fresh object."""
        for kind in state.kinds:
            self._place(kind)
        self._total, self._recent, self._at = state.total, state.recent, state.at
        self._numbers, self.evicted, self._before = state.numbers, state.evicted, state.before
