"""Absence: what stops is said once, for what stopped, and taken back when it returns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from config.settings import Detect
from detectors.alert import Alert
from detectors.bank import Bank
from streams.records.pages import Series
from tests.detectors.bankdata import T0, series

STEP = 1_000
Speaks = Callable[[int], bool]
"""whether a series sends at a time, in ms after T0"""


class World:
    """Series with a cadence each; runs step by step as the shard does."""

    def __init__(self, config: Detect | None = None, sparse: bool = False) -> None:
        self.config = config or Detect()
        self.bank = Bank(self.config)
        self.sparse = sparse
        self.parts: list[tuple[Series, int, Speaks]] = []

    def add(self, one: Series, every: int = 2_000, speaks: Speaks = lambda _: True) -> None:
        self.parts.append((one, every, speaks))

    def run(self, until: int, start: int = 0, jitter: int = 0, skip: bool = True) -> list[Alert]:
        """All alerts up to `until` ms after T0; steps without rows or due times are skipped if `skip`."""
        rng = np.random.default_rng(1)
        rows = sorted(
            (T0 + at + int(rng.integers(0, jitter + 1)), one.fp, one)
            for one, every, speaks in self.parts
            for at in range(start, until, every)
            if speaks(at)
        )
        alerts, i = [], 0
        for end in range(T0 + start, T0 + until + STEP, STEP):
            due = self.bank.next_due()
            first = i
            while i < len(rows) and rows[i][0] <= end:
                i += 1
            if first == i and skip and (due is None or due > end):
                continue
            for _, fp, one in rows[first:i]:
                if not self.bank.known(np.array([fp], np.uint64))[0]:
                    self.bank.describe(one, self.sparse)
            fps = np.array([row[1] for row in rows[first:i]], np.uint64)
            ts = np.array([row[0] for row in rows[first:i]], np.int64)
            alerts += self.bank.feed(fps, ts, np.ones(len(fps)))
            alerts += self.bank.advance(end)
        return alerts


def until(ms: int) -> Speaks:
    return lambda at: at < ms


def since(ms: int) -> Speaks:
    return lambda at: at >= ms


def test_a_dead_service_is_one_alert() -> None:
    """All series of a service stop: one alert for the service, none for its series."""
    world = World()
    for i in range(8):
        world.add(series("cart", f"m{i}"), speaks=until(100_000))
    world.add(series("other", "m"))
    (alert,) = world.run(200_000)
    assert (alert.kind, alert.service, alert.metric, alert.state) == ("absent", "cart", "telemetry", "firing")
    assert alert.count == 8


def test_the_times_of_an_absence() -> None:
    """It starts with the first missing sample and is detected after the stated silence."""
    world = World()
    world.add(series("cart"), speaks=until(100_000))
    (alert,) = world.run(200_000)
    assert alert.started_at == T0 + 100_000
    assert alert.detected_at == T0 + 98_000 + 10_000
    assert "no telemetry since" in alert.summary


def test_a_dead_target_is_noticed_within_the_stated_intervals() -> None:
    """A slow series is absent after `absent_intervals` cadences, three."""
    world = World()
    world.add(series("batch"), every=60_000, speaks=until(30 * 60_000))
    world.add(series("other"))
    (alert,) = world.run(60 * 60_000)
    assert alert.detected_at - (T0 + 29 * 60_000) == 3 * 60_000


def test_a_missing_scrape_is_no_absence() -> None:
    """One or two samples left out raise nothing."""
    world = World()
    world.add(series("cart"), every=15_000, speaks=lambda at: at not in (600_000, 900_000, 915_000))
    assert world.run(1_200_000) == []


def test_jitter_is_no_absence() -> None:
    """Samples that come up to half a cadence late raise nothing."""
    world = World()
    world.add(series("cart"), every=10_000)
    assert world.run(1_200_000, jitter=5_000) == []


def test_a_young_series_is_never_absent() -> None:
    """Before warm-up nobody knows whether it is regular."""
    world = World()
    world.add(series("cart"), speaks=until(30_000))
    assert world.run(300_000) == []


def test_an_irregular_series_is_never_absent() -> None:
    """A series sent on change only has no cadence."""
    rng = np.random.default_rng(2)
    times = set((np.cumsum(rng.exponential(10, 60)) // 1).astype(int) * 1_000)
    world = World()
    world.add(series("cart"), every=1_000, speaks=lambda at: at in times)
    assert world.run(4_000_000) == []


def test_a_sparse_series_is_never_absent() -> None:
    """Derived rows that come only when there is something to derive them from are not missed."""
    world = World(sparse=True)
    world.add(series("cart"), speaks=until(100_000))
    assert world.run(300_000) == []


def test_an_absence_resolves_when_samples_return() -> None:
    """The same id, version 2, at the step the first sample came back."""
    world = World()
    world.add(series("cart"), speaks=lambda at: at < 100_000 or at >= 160_000)
    fired, resolved = world.run(200_000)
    assert resolved.id == fired.id
    assert (resolved.version, resolved.state, resolved.resolved_at) == (2, "resolved", T0 + 160_000)


def test_a_service_back_under_another_instance_resolves() -> None:
    """A service that was silent and comes back as a new instance is not absent any more."""
    world = World()
    world.add(series("cart", instance="a"), speaks=until(100_000))
    world.add(series("cart", instance="b"), speaks=since(160_000))
    fired, resolved = world.run(300_000)
    assert fired.metric == "telemetry"
    assert (resolved.id, resolved.state) == (fired.id, "resolved")


def test_a_dead_instance_is_one_alert_of_its_own() -> None:
    """One of two instances stops while the other goes on."""
    world = World()
    for i in range(5):
        world.add(series("cart", f"m{i}", instance="a"))
        world.add(series("cart", f"m{i}", instance="b"), speaks=until(700_000))
    (alert,) = world.run(800_000)
    assert (alert.service, alert.instance, alert.metric) == ("cart", "b", "telemetry")


def test_a_rolling_deployment_raises_nothing() -> None:
    """The old instance stops shortly after the new one has taken over its metrics."""
    world = World()
    for i in range(5):
        world.add(series("cart", f"m{i}", instance="a"), speaks=until(700_000))
        world.add(series("cart", f"m{i}", instance="b"), speaks=since(640_000))
        world.add(series("cart", f"m{i}", instance="c"))
    assert world.run(1_000_000) == []


def test_a_replacement_after_the_alert_resolves_it() -> None:
    """A crashed instance whose replacement starts later is resolved then."""
    world = World()
    world.add(series("cart", instance="a"))
    world.add(series("cart", instance="b"), speaks=until(700_000))
    world.add(series("cart", instance="c"), speaks=since(760_000))
    fired, resolved = world.run(1_000_000)
    assert (fired.instance, resolved.state) == ("b", "resolved")
    assert "replaced" in resolved.summary


def test_one_series_that_stops_alone_is_said_by_name() -> None:
    """A strictly regular series stops while the rest of its service goes on."""
    world = World()
    for i in range(5):
        world.add(series("cart", f"m{i}"))
    world.add(series("cart", "cache.hits"), speaks=until(100_000))
    (alert,) = world.run(300_000)
    assert (alert.metric, alert.severity) == ("cache.hits", "warning")


def test_many_series_that_stop_together_are_one_alert() -> None:
    """Half of a service's series stop at once: one alert that counts them."""
    world = World()
    for i in range(12):
        world.add(series("cart", f"m{i}"), speaks=until(100_000) if i < 5 else (lambda _: True))
    (alert,) = world.run(300_000)
    assert (alert.metric, alert.count) == ("telemetry", 5)


def test_a_slow_series_does_not_delay_the_service() -> None:
    """A series that is not expected yet says nothing about whether its service lives."""
    world = World()
    world.add(series("cart", "slow"), every=60_000, speaks=until(1_800_000))
    for i in range(5):
        world.add(series("cart", f"m{i}"), speaks=until(1_750_000))
    alerts = world.run(1_775_000)
    assert [a.metric for a in alerts] == ["telemetry"]


def test_a_job_that_comes_and_goes_is_learned() -> None:
    """After three pauses of the same kind the next one is no absence."""
    world = World()
    world.add(series("job"), speaks=lambda at: at % 600_000 < 120_000)
    world.add(series("other"))
    fired = [alert for alert in world.run(6_000_000) if alert.state == "firing"]
    assert len(fired) == 3


def test_absences_do_not_depend_on_skipped_steps() -> None:
    """Advancing at every step or only where something is due gives equal alerts."""

    def alerts(skip: bool) -> list[Alert]:
        world = World()
        for i in range(3):
            world.add(series("cart", f"m{i}"), speaks=lambda at: at < 100_000 or at >= 160_000)
            world.add(series("shop", f"m{i}"), every=30_000, speaks=until(900_000))
        world.add(series("rest"), every=45_000)
        return world.run(1_500_000, skip=skip)

    assert alerts(True) == alerts(False)
    assert len(alerts(True)) == 3


@pytest.mark.parametrize("at", [90_000, 109_000, 150_000, 170_000])
def test_a_restored_bank_decides_the_same(at: int) -> None:
    """A snapshot in the middle of an absence changes nothing that follows."""

    def world() -> World:
        made = World()
        made.add(series("cart"), speaks=lambda ms: ms < 100_000 or ms >= 160_000)
        return made

    whole = world().run(200_000)
    first = world()
    alerts = first.run(at)
    second = world()
    second.bank.restore(first.bank.snapshot())
    alerts += second.run(200_000, start=at + 1_000 if at % 2_000 else at)
    assert alerts == whole


def test_an_endless_absence_expires() -> None:
    """When the series are forgotten the alert is closed and says so."""
    world = World(Detect(series_idle_ms=1_600_000))
    world.add(series("cart"), speaks=until(100_000))
    world.add(series("other"))
    fired, closed = world.run(4_000_000)
    assert (closed.id, closed.state) == (fired.id, "resolved")
    assert "forgotten" in closed.summary
    assert len(world.bank) == 1


def test_next_due_is_none_without_regular_series() -> None:
    """Nothing to wait for."""
    assert Bank(Detect()).next_due() is None
