"""Whether an alert goes on into correlation, and when one that is held back does.

Stands between the inbox and the engine. Of an alert that fires is asked, in this order: does a silence hold,
a maintenance window, does a firing alert inhibit it, is it a duplicate of one, does its series flap? The
first yes holds it back, which is recorded, and all is asked again when that ends: then it goes on as of then,
unless another rule holds it. What has resolved by then never goes on. What went on is never taken back, and
its resolve goes on as well.

Everything is decided at event times given from outside; the state is a function of what was said, in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Protocol

import msgspec

from config.durations import rounded
from config.settings import Correlate
from correlator.flapping import Flapping, Series, series_of
from correlator.holding import Held, Holding, Verdict
from correlator.incident import Reason
from correlator.memory import Recent
from correlator.onward import Way
from correlator.relations import Relations
from correlator.selectors import domain_of, labels_of
from correlator.silences import Silences
from detectors.alert import Alert
from streams.records.messages import ActionResult, SilenceAction
from streams.records.pages import NO_WATERMARK

MOST_ANSWERS = 10_000


class _Timed(Protocol):
    def next_due(self) -> int | None: ...


class Suppressor:
    """What holds alerts of one domain partition back. Mutable; part of the snapshot."""

    def __init__(self, settings: Correlate, way: Way) -> None:
        self.way = way
        self.silences = Silences(settings.silences, settings.maintenance)
        self.relations = Relations(settings.inhibit, settings.dedup)
        self.flapping = Flapping(settings.flap)
        self.holding = Holding(way.record)
        self._timed: tuple[tuple[Sized, _Timed], ...] = (
            (self.silences.running, self.silences),
            (self.relations.sources, self.relations),
            (self.flapping.series, self.flapping),
            (self.holding.alerts, self.holding),
        )
        """in the order in which what ends at the same time ends; where nothing is held nothing does"""
        self.answers: Recent[ActionResult] = Recent(MOST_ANSWERS)
        self.at_ms = NO_WATERMARK
        """event time reached"""
        self.repeated = 0
        self._label = settings.domain_label
        self._related = bool(settings.inhibit or settings.dedup)

    @property
    def idle(self) -> bool:
        """Whether no rule asks about any alert and nothing is left of one that did: all alerts go on."""
        asks = self._related or self.flapping.enabled or len(self.silences)
        return not (asks or self.holding.alerts or self.flapping.series or self.relations.sources)

    # -- alerts -------------------------------------------------------------------------------

    def observe(self, alert: Alert, now_ms: int) -> None:
        """A version of an alert, at its place in event time."""
        if alert.version > 1 or alert.resolved_at is not None:
            self.renewed(alert, now_ms)
        else:
            self.firing(alert, now_ms)

    def firing(self, alert: Alert, now_ms: int) -> None:
        """A new alert."""
        self.at_ms = max(self.at_ms, now_ms)
        if alert.id in self.holding.alerts:
            self.repeated += 1
            return
        if self.way.knows(alert.id):
            self.way.firing(alert, now_ms, None)  # where it is counted as a repetition
            return
        labels = self._labels(alert)
        if labels:
            self._source(alert.id, labels, now_ms)
        series = self._changed(alert, now_ms)
        if series is not None:
            series.standing = alert.id
        else:  # one of a time when flapping counted
            series = self.flapping.get(series_of(alert))
        verdict = self._verdict(alert, labels, series, now_ms)
        if verdict is None:
            self._pass(alert, series, now_ms, None)
            return
        self.holding.take(alert, domain_of(alert, self._label), verdict, now_ms)
        beyond = self.holding.oldest_beyond()
        if beyond is not None:
            self.holding.evicted += 1
            self._release(beyond, now_ms, "too many alerts are held back")

    def renewed(self, alert: Alert, now_ms: int) -> None:
        """A later version of an alert: resolved, or more severe."""
        self.at_ms = max(self.at_ms, now_ms)
        held = self.holding.alerts.get(alert.id)
        if held is None and not self.way.knows(alert.id):
            self.way.renewed(alert, now_ms)  # where it is counted as unknown
        elif held is not None and held.alert.version >= alert.version:
            self.repeated += 1
        elif alert.resolved_at is not None:
            self._resolved(alert, held, now_ms)
        else:
            self._source(alert.id, self._labels(alert), now_ms)
            if held is None:
                self.way.renewed(alert, now_ms)
            else:
                held.alert = alert
                self._again(held, now_ms)

    def _resolved(self, alert: Alert, held: Held | None, now_ms: int) -> None:
        if self.relations.sources:
            self.relations.end(alert.id, now_ms, shown=held is None)
        series = self._changed(alert, now_ms)
        if series is not None and series.standing == alert.id:
            series.standing = ""
        if held is not None:
            held.alert = alert
            self.holding.end(held, "resolved", now_ms)
            if held.kind == "flap" and series is not None and series.parked is not None:
                self._park(series, alert)
                self._unpark(series, now_ms)
        # Before its own resolve: what it spoke for joins its incident while that has not faded.
        if self.holding.alerts:
            for other in self.holding.by_alert(alert.id):
                self._again(other, now_ms)
        if held is not None:
            return
        if series is not None and self._speaks(series, alert.id):
            series.parked = alert
        else:
            self.way.renewed(alert, now_ms)

    def holds(self, held: Held) -> bool:
        """Whether what holds it back is still what it was: the configuration may have changed."""
        if held.kind in ("silence", "maintenance"):
            return self.silences.current(held.kind, held.rule) == held.rule_version
        if held.kind == "flap":
            return self.flapping.enabled
        ours = self.relations.current(held.kind, held.rule) == held.rule_version
        return ours and held.by in self.relations.sources

    # -- people -------------------------------------------------------------------------------

    def action(self, action: SilenceAction, now_ms: int) -> ActionResult:
        """A silence is made or ended. The same id is answered the same way, and applied once."""
        known = self.answers.get(action.id)
        if known is not None:
            return known
        now_ms = max(self.at_ms, now_ms)
        if now_ms == NO_WATERMARK:
            now_ms = action.ts
        name = action.silence.name
        record, reason = self.silences.apply(action, now_ms)
        state, alerts = "", 0
        if record is not None:
            self.way.record(record)
            state = record.state
            before = len(self.holding.alerts)
            for held in self.holding.by_rule("silence", name):
                self._again(held, now_ms)
            alerts = before - len(self.holding.alerts)
        result = ActionResult(
            action.id, "", record is not None, reason, state=state, silence=name, alerts=alerts
        )
        self.answers.put(action.id, result)
        return result

    # -- time ---------------------------------------------------------------------------------

    def next_due(self) -> int | None:
        """Event time at which the next thing ends."""
        soonest = None
        for held, books in self._timed:
            if held:
                at_ms = books.next_due()
                if at_ms is not None and (soonest is None or at_ms < soonest):
                    soonest = at_ms
        return soonest

    def fire(self) -> None:
        """Let what is due next end; call `next_due` first."""
        at_ms, rank = min(self._dues())
        self.at_ms = max(self.at_ms, at_ms)
        if rank == 0:
            record = self.silences.expire()
            self.way.record(record)
            for held in self.holding.by_rule("silence", record.name):
                self._again(held, at_ms)
        elif rank == 1:
            _, source = self.relations.expire()
            for held in self.holding.by_alert(source):
                self._again(held, at_ms)
        elif rank == 2:
            _, series = self.flapping.settle()
            if series.told:
                self.way.remark(series.speaker, at_ms, "no longer flapping")
            series.told = False
            self._unpark(series, at_ms)
        else:
            _, held = self.holding.pop_due()
            self._again(held, at_ms)

    def _dues(self) -> list[tuple[int, int]]:
        dues = (books.next_due() for _, books in self._timed)
        return [(at, rank) for rank, at in enumerate(dues) if at is not None]

    # -- deciding -----------------------------------------------------------------------------

    def _verdict(
        self, alert: Alert, labels: Mapping[str, str], series: Series | None, now_ms: int
    ) -> Verdict | None:
        """The first that holds it back."""
        if labels:
            match = self.silences.find(labels, now_ms)
            if match is not None:
                reason = f"{match.kind} {match.name}" + (f": {match.comment}" if match.comment else "")
                return Verdict(match.kind, match.name, match.version, reason, "", match.until)
            found = self.relations.find(alert.id, labels, self._spoken_for) if self._related else None
            if found is not None:
                said = "inhibited by" if found.kind == "inhibition" else "says the same as"
                reason = f"{said} {found.speaker} (alert {found.by}), by rule {found.name}"
                return Verdict(found.kind, found.name, found.version, reason, found.by)
        if series is None or series.speaker == alert.id:
            return None
        if (series.since is not None or series.parked is not None) and self.way.shows(series.speaker):
            reason = f"its series flaps, alert {series.speaker} stands for it"
            return Verdict("flap", "flap", "", reason, series.speaker)
        return None

    def _again(self, held: Held, now_ms: int) -> None:
        """What held it back may have ended."""
        if self.holding.alerts.get(held.alert.id) is not held:
            return
        series = self.flapping.get(series_of(held.alert))
        verdict = self._verdict(held.alert, self._labels(held.alert), series, now_ms)
        if verdict is None:
            self._release(held, now_ms, f"{held.kind} {held.rule} has ended")
        else:
            self.holding.change(held, verdict, now_ms)

    def _release(self, held: Held, now_ms: int, why: str) -> None:
        said = f"held back for {rounded(max(now_ms - held.from_ms, 0))}, until {why}"
        self.holding.end(held, "correlated", now_ms)
        series = self.flapping.get(series_of(held.alert))
        self._pass(held.alert, series, now_ms, Reason("released", 0.0, said))

    def _pass(self, alert: Alert, series: Series | None, now_ms: int, why: Reason | None) -> None:
        if series is not None:
            if series.parked is not None:
                self.way.renewed(series.parked, now_ms)
                series.parked = None
            series.speaker = alert.id
        self.way.firing(alert, now_ms, why)
        if series is not None and series.since is not None:
            self._tell(series, now_ms)

    def _spoken_for(self, id: str) -> str | None:
        held = self.holding.alerts.get(id)
        return None if held is None else held.by

    def _labels(self, alert: Alert) -> dict[str, str]:
        """Empty when nobody asks for them."""
        asked = self._related or len(self.silences)
        return labels_of(alert, domain_of(alert, self._label)) if asked else {}

    def _source(self, id: str, labels: Mapping[str, str], now_ms: int) -> None:
        for gone in self.relations.begin(id, labels) if self._related else ():
            for other in self.holding.by_alert(gone):
                self._again(other, now_ms)

    # -- flapping -----------------------------------------------------------------------------

    def _changed(self, alert: Alert, now_ms: int) -> Series | None:
        if not self.flapping.enabled:
            return None
        series, gone = self.flapping.change(series_of(alert), now_ms)
        if gone:
            self._give_up(gone, now_ms)
        if series.since is not None:
            self._tell(series, now_ms)
        return series

    def _tell(self, series: Series, now_ms: int) -> None:
        """Where its alert is shown it is also said, once, that the series flaps."""
        if series.since is not None and not series.told and self.way.shows(series.speaker):
            series.told = True
            said = f"flapping: {len(series.changes)} changes within {rounded(self.flapping.window_ms)}"
            self.way.remark(series.speaker, now_ms, said)

    def _speaks(self, series: Series, id: str) -> bool:
        return series.since is not None and series.speaker == id and self.way.shows(id)

    def _park(self, series: Series, ended: Alert) -> None:
        """The speaker is over when the last of those it speaks for is."""
        if series.parked is not None and series.parked.resolved_at is not None:
            series.parked = msgspec.structs.replace(
                series.parked,
                resolved_at=max(series.parked.resolved_at, ended.resolved_at or 0),
                last_seen_at=max(series.parked.last_seen_at, ended.last_seen_at),
            )

    def _unpark(self, series: Series, now_ms: int) -> None:
        """Tell of the speaker's end once its series neither flaps nor fires."""
        standing = self.holding.alerts.get(series.standing)
        if series.since is None and series.parked is not None and (not standing or standing.kind != "flap"):
            parked, series.parked = series.parked, None
            self.way.renewed(parked, now_ms)

    def _give_up(self, gone: Sequence[Series], now_ms: int) -> None:
        """There was no room for these series any more."""
        for series in gone:
            if series.parked is not None:
                self.way.renewed(series.parked, now_ms)
            standing = self.holding.alerts.get(series.standing)
            if standing is not None and standing.kind == "flap":
                self._again(standing, now_ms)
