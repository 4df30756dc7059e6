"""One service's recent vectors and how they were judged: learn, score, and the gate.

A vector holds one number per series and window of event time: the mean of its values, the last known
one where it said nothing for up to `CARRY` vectors, else NaN. Vectors of anomalous windows are kept
but not learned from, until what they show has lasted so long that it is the new normal (`ACCEPT_MS`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np

from config.settings import Joint
from detectors.fits import Basis, Fit
from detectors.forest import F32, F64, paths
from detectors.gate import FIRE, NOTHING, RAISE, RESOLVE
from detectors.level import ACCEPT_MS, ACCEPT_SAMPLES
from detectors.relations import Model, Scale, describe
from detectors.tail import CLUSTER, learn_tail, limit, surprise
from streams.records import interned
from streams.records.pages import Series

CARRY = 10
"""vectors for which a value holds on"""
ACCEPT = 4
"""beside the gate's outcomes: it has lasted, it is the new normal"""
WARNING = 1
"""place in `detectors.alert.SEVERITIES`"""
UNSEEN = -1
LEFT = 2**62
"""`since` of a seat whose series takes part no longer"""


class Seat(msgspec.Struct, array_like=True):
    """A series that takes part."""

    series: Series
    since: int
    """it had no vector up to this time, ms"""
    fresh: int
    """number of the vector it last spoke in; -1: none"""
    last: float


class Run(msgspec.Struct, array_like=True):
    """Anomalous windows in a row, from pending to resolved."""

    start: int
    n: int = 0
    hold: int = 0
    clear: int = 0
    version: int = 0
    fired_at: int = 0
    severity: int = WARNING
    last: int = 0
    distance: float = 0.0
    """the worst, with what was seen then"""
    usual: float = 0.0
    upper: float = 0.0
    """the distance from which on it is anomalous, as it was at the onset"""
    clear_below: float = 0.0
    score: float = 0.0
    strength: float = 0.0
    series: list[Series] = []
    summary: str = ""
    told: list[str] = []
    """the series it shows in, and what to say of each"""


class GroupState(msgspec.Struct, array_like=True):
    """Snapshot."""

    service: str
    seats: list[Seat]
    count: int
    clean: int
    vectors: bytes
    odd: bytes
    fits: list[Basis]
    learned_at: int
    again: bool
    quiet: bool
    tail: bytes
    scored: int
    begun: int
    run: Run | None
    closed: int


class Seen(NamedTuple):
    """A vector, as a model sees it."""

    scale: Scale
    vector: F64
    residuals: F32


Matters = Callable[[Seen], bool]
"""whether what is odd is large enough, and said by no single series"""


class Judged(msgspec.Struct):
    """What became of a window."""

    outcome: int = NOTHING
    score: float = 0.0
    """[0, 1]; 0 before there is a model"""
    worst: Seen | None = None
    """where it is the worst of its run"""


class Group:
    """Mutable state of one service."""

    def __init__(self, service: str, config: Joint) -> None:
        self.service = service
        self.config = config
        self.seats: list[Seat] = []
        self.count = 0
        """vectors so far"""
        self.clean = 0
        """of these, learned from or to be"""
        self.vectors: F32 = np.full((config.memory_windows, config.max_series), np.nan, np.float32)
        self.odd = np.zeros(config.memory_windows, np.uint8)
        self.fits: list[Fit] = []
        """the one that holds, if any, and the one to come"""
        self.learned_at = 0
        """`clean` when last learned from"""
        self.again = False
        """learn anew as soon as there is enough"""
        self.quiet = False
        """what was learned is known to be out of date"""
        self.tail: F64 = np.zeros(3)
        self.scored = 0
        self.begun = UNSEEN
        """`seen_to` of the model the tail belongs to"""
        self.run: Run | None = None
        self.closed = UNSEEN
        """end of the newest window with a vector, ms"""

    # vectors

    def vector(self, sums: F64, counts: F64) -> F64:
        """The numbers of a window that ends, by seat; the accumulators are f64[seats]."""
        row = np.full(len(self.seats), np.nan)
        for i, seat in enumerate(self.seats):
            if counts[i] > 0.0:
                seat.last = float(sums[i] / counts[i])
                seat.fresh = self.count
            if seat.fresh >= 0 and self.count - seat.fresh <= CARRY:
                row[i] = seat.last
        return row

    def enough(self, counts: F64) -> bool:
        """Whether at least half of those that have been speaking spoke."""
        live = sum(1 for seat in self.seats if seat.fresh >= 0 and self.count - seat.fresh <= CARRY)
        return 2 * int(np.count_nonzero(counts[: len(self.seats)])) >= max(1, live)

    # one window

    def step(self, end: int, row: F64, matters: Matters) -> Judged:
        """Take the vector of the window that ends at `end`: score, decide, then learn."""
        model = self._model(end)
        judged = Judged()
        hot = False
        if model is not None and not self.quiet:
            hot = self._judge(model, end, row, judged, matters)
        slot = self.count % len(self.odd)
        self.vectors[slot] = np.nan
        self.vectors[slot, : len(row)] = row
        self.odd[slot] = hot or self.run is not None
        self.clean += not self.odd[slot]
        self.count += 1
        self.closed = end
        if judged.outcome == ACCEPT:
            # What it has been in for so long is normal from now on.
            self.odd[:] = 0
            self.clean = self.count
            self.again = self.quiet = True
        self._learn(end)
        return judged

    def _model(self, end: int) -> Model | None:
        """The one that holds for the window that ends at `end`."""
        if len(self.fits) > 1 and self.fits[1].basis.holds_from <= end:
            del self.fits[0]
        if not self.fits or self.fits[0].basis.holds_from > end:
            return None
        model = self.fits[0].model()
        if self.begun != self.fits[0].basis.seen_to:
            self.begun = self.fits[0].basis.seen_to
            self.quiet = False
            if model is not None:
                self.tail, self.scored = model.tail.copy(), model.learned
        return model

    def _judge(self, model: Model, end: int, row: F64, judged: Judged, matters: Matters) -> bool:
        scale = self._scale(model, len(row))
        known = row[: len(scale.median)]
        features, distances = describe(scale, known[None])
        distance = float(distances[0])
        tail = self.tail
        fires = float(limit(self.config.fire_score, tail[0], tail[1]))
        upper = self.run.upper if self.run else fires
        lower = self.run.clear_below if self.run else float(tail[0])
        hot = distance >= upper and float(paths(model.forest, features)[0]) <= model.agreed
        judged.score = float(surprise(distance, tail[0], tail[1]))
        calm = self.run is None
        if calm and hot:
            self.run = Run(end, upper=upper, clear_below=lower)
        run = self.run
        if run is not None:
            seen = Seen(scale, known, features[0, : len(known)])
            if run.n == 0 or distance > run.distance:
                run.distance, run.usual = distance, model.median
                run.score = max(run.score, judged.score)
                run.strength = float(np.abs(seen.residuals).max())
                judged.worst = seen
            run.last = end
            judged.outcome = self._gate(run, end, hot, distance < lower, hot and matters(seen))
        if calm:  # an anomaly teaches once that such things happen
            learn_tail(tail, distance, float(self.scored), 1e-6, 1e-6, CLUSTER)
            self.scored += 1
        return hot

    def _gate(self, run: Run, end: int, hot: bool, clear: bool, matters: bool) -> int:
        run.n += 1
        if run.version == 0:
            if not hot:
                self.run = None
                return NOTHING
            run.hold += 1
            if run.hold >= self.config.hold_windows and matters:
                run.version, run.fired_at = 1, end
                return FIRE
        else:
            run.clear = run.clear + 1 if clear else 0
            if run.clear >= self.config.clear_windows:
                run.version += 1
                return RESOLVE
        if run.n >= ACCEPT_SAMPLES and end - run.start >= ACCEPT_MS:
            run.version += run.version > 0
            return ACCEPT
        return NOTHING

    def escalate(self, severity: int) -> int:
        """While it fires: single series say as much."""
        run = self.run
        if run is None or run.version == 0 or severity <= run.severity:
            return NOTHING
        run.severity, run.version = severity, run.version + 1
        return RAISE

    def _scale(self, model: Model, columns: int) -> Scale:
        """The model's, without seats that were given to another series since."""
        known = len(model.scale.median)
        seen_to = self.fits[0].basis.seen_to
        gone = [i for i, seat in enumerate(self.seats[:known]) if seat.since > seen_to]
        if not gone:
            return model.scale
        narrow = model.scale.narrow.copy()
        narrow[gone] = 0.0
        return model.scale._replace(narrow=narrow)

    # learning

    def _learn(self, end: int) -> None:
        """Start to learn anew where it is due."""
        config = self.config
        if self.fits and self.fits[-1].basis.holds_from > end:
            return
        rows = self.history()[self.history_odd() == 0]
        if len(rows) < config.min_windows:
            return
        before = len(self.fits[-1].basis) if self.fits else 0
        due = self.learned_at + min(config.refit_windows, max(before, 1))
        if before and self.clean < due and not self.again:
            return
        self.again = False
        self.learned_at = self.clean
        columns = len(self.seats)
        holds_from = end + config.apply_windows * config.window_ms
        basis = Basis(end, holds_from, columns, rows[:, :columns].tobytes())
        self.fits = [*self.fits[-1:], Fit(self.service, basis, config.trees)]

    def history(self) -> F32:
        """Vectors remembered, oldest first."""
        return np.roll(self.vectors, -self._turn(), axis=0)[: min(self.count, len(self.odd))]

    def history_odd(self) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        return np.roll(self.odd, -self._turn())[: min(self.count, len(self.odd))]

    def _turn(self) -> int:
        return self.count % len(self.odd) if self.count > len(self.odd) else 0

    # seats

    def seat(self, series: Series, at_ms: int) -> tuple[int, int | None]:
        """Give a series a place among the numbers: place, and the fingerprint that had it before.

        The place is -1 when all are taken by series that speak.
        """
        seat = Seat(series, at_ms, UNSEEN, 0.0)
        if len(self.seats) < self.config.max_series:
            self.seats.append(seat)
            return len(self.seats) - 1, None
        spoke = [one.fresh if one.since != LEFT else UNSEEN - 1 for one in self.seats]
        place = spoke.index(min(spoke))
        gone = self.seats[place]
        if gone.since != LEFT and self.count - max(gone.fresh, 0) <= len(self.odd) // 2:
            return -1, None
        self.vacate(place)
        self.seats[place] = seat
        return place, gone.series.fp

    def vacate(self, place: int) -> None:
        """Its series takes part no longer."""
        self.seats[place] = Seat(self.seats[place].series, LEFT, UNSEEN, 0.0)
        self.vectors[:, place] = np.nan

    # state

    def export(self) -> GroupState:
        return GroupState(
            self.service,
            self.seats,
            self.count,
            self.clean,
            self.history()[:, : len(self.seats)].tobytes(),
            self.history_odd().tobytes(),
            [fit.basis for fit in self.fits],
            self.learned_at,
            self.again,
            self.quiet,
            self.tail.tobytes(),
            self.scored,
            self.begun,
            self.run,
            self.closed,
        )

    @classmethod
    def restored(cls, state: GroupState, config: Joint) -> Group:
        """What `export` gave; what the models were is learned again, in the background."""
        group = cls(state.service, config)
        group.seats = [
            msgspec.structs.replace(seat, series=interned.series(seat.series)) for seat in state.seats
        ]
        odd = np.frombuffer(state.odd, np.uint8)
        vectors = np.frombuffer(state.vectors, np.float32).reshape(len(odd), -1)
        slots = (state.count - len(odd) + np.arange(len(odd))) % len(group.odd)
        group.vectors[slots, : len(group.seats)] = vectors
        group.odd[slots] = odd
        for basis in state.fits:
            group.fits.append(Fit(state.service, basis, config.trees))
        group.tail = np.frombuffer(state.tail).copy()
        group.count, group.clean, group.learned_at = state.count, state.clean, state.learned_at
        group.again, group.quiet, group.scored = state.again, state.quiet, state.scored
        group.begun, group.run, group.closed = state.begun, state.run, state.closed
        return group
