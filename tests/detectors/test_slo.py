"""Burn rates of error budgets: when they fire, how gravely, and what is said."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.control import BurnRate, Slo
from config.settings import Detect
from detectors import objectives as objectives_module
from detectors.alert import Alert
from detectors.numbers import Numbers
from detectors.objectives import Objectives, ObjectivesState
from detectors.release import Slice
from detectors.slo import TICK_MS, Budget, Objective, Window
from streams.records.pages import Kind, Series
from tests.detectors.pagelog import SETTINGS, T0, decided, feed, interleaved, make, records, series, shop

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = T0 // DAY * DAY
SLO = Slo(name="checkout", objective=99.9)
PAGE = Slo(name="checkout", objective=99.9, burn_rates=(BurnRate(burn=14.4, long="1h", short="5m"),))


def drive(
    spans: list[tuple[int, float]], slo: Slo = SLO, per_tick: float = 100.0, budget: Budget | None = None
) -> list[Alert]:
    """Spans of (ms, share of bad events), one after the other."""
    objective = Objective(slo)
    budget = budget or Budget.of(objective, "shop")
    end, found = START, []
    for ms, share in spans:
        for _ in range(ms // TICK_MS):
            end += TICK_MS
            found += budget.step(objective, end, per_tick, per_tick * share)
    return found


def after(alert: Alert, since: int) -> float:
    """Minutes from `since` (ms after START) until it fired."""
    return (alert.detected_at - START - since) / MINUTE


def test_within_the_budget_nothing_is_said() -> None:
    """0.05 % of errors against an objective of 99.9 %."""
    assert drive([(4 * DAY, 0.0005)]) == []


def test_a_fast_burn_fires_critically_when_both_windows_burn() -> None:
    """Five per cent of errors burn 50x: the hour reaches 14.4x after 14.4 / 50 of an hour."""
    (alert,) = drive([(2 * HOUR, 0.0), (18 * MINUTE, 0.05)], PAGE)
    assert (alert.severity, alert.kind, alert.metric) == ("critical", "metric", "slo.checkout")
    assert after(alert, 2 * HOUR) == pytest.approx(60 * 14.4 / 50, abs=1.1)
    assert alert.started_at == START + 2 * HOUR


def test_a_burn_that_is_over_does_not_fire_although_its_hour_is_bad() -> None:
    """The short window says that it no longer goes on."""
    assert drive([(2 * HOUR, 0.0), (4 * MINUTE, 0.15), (6 * MINUTE, 0.0), (3 * HOUR, 0.0)]) == []


def test_a_slow_burn_is_a_warning_after_hours() -> None:
    """1.5x opens a ticket when it has spent what three days may spend: after two."""
    (alert,) = drive([(3 * DAY, 0.0015)])
    assert (alert.severity, after(alert, 0)) == ("warning", pytest.approx(2 * 1440, abs=1))


def test_a_burn_that_gets_worse_raises_the_same_alert() -> None:
    """From a ticket to a page: one alert, its next version."""
    first, second = drive([(40 * HOUR, 0.002), (2 * HOUR, 0.05)])
    assert (first.id, first.version, first.severity) == (second.id, 1, "warning")
    assert (second.version, second.severity) == (2, "critical")


def test_it_resolves_when_the_short_window_is_below() -> None:
    """Five minutes after a full stop of errors at the latest; the hour may still be bad."""
    fired, ended = drive([(2 * HOUR, 0.0), (40 * MINUTE, 0.05), (10 * MINUTE, 0.0)], PAGE)
    assert (ended.id, ended.version, ended.state) == (fired.id, 2, "resolved")
    assert 3 <= ((ended.resolved_at or 0) - START - 160 * MINUTE) / MINUTE <= 5


def test_the_evidence_says_how_fast_over_what_and_what_is_left() -> None:
    """In words a person on call needs no table for."""
    (alert,) = drive([(2 * HOUR, 0.0), (18 * MINUTE, 0.05)], PAGE)
    assert alert.summary == (
        "shop burning the 99.9 % objective checkout 14.5x over 1 h and 50.0x over 5 min; budget left 98 %"
    )
    assert (alert.upper, alert.expected) == (14.4, 1.0)


def test_an_overspent_budget_is_said_to_be_spent() -> None:
    """Two days at 60x are four months' worth."""
    month = BurnRate(burn=30, long="1d", short="20h")
    (alert,) = drive([(2 * DAY, 0.06)], msgspec.structs.replace(SLO, burn_rates=(month,)))
    assert alert.summary.endswith("budget spent")


def test_too_few_events_say_nothing() -> None:
    """One failed request of nine is no page."""
    assert drive([(9 * TICK_MS, 1.0)], per_tick=1.0) == []
    assert drive([(10 * TICK_MS, 1.0)], per_tick=1.0) != []


def test_what_was_before_the_first_event_counts_as_good() -> None:
    """A service that starts with errors alone has burned 14.4x of an hour after 52 s, not at once."""
    alert = drive([(10 * MINUTE, 1.0)])[0]
    assert after(alert, 0) == 1


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 9), st.integers(0, 9)), max_size=60),
    st.sampled_from([5 * MINUTE, HOUR, 3 * DAY]),
)
def test_a_window_holds_the_sums_of_its_last_buckets(steps: list[tuple[int, int, int]], ms: int) -> None:
    """Whatever the gaps: exactly what lies in the buckets it spans."""
    window, width, end, seen = Window.of(ms), Window.width_of(ms), START, []
    for ticks, good, bad in steps:
        end += ticks * TICK_MS
        window.add(end, float(good + bad), float(bad))
        seen.append(((end - 1) // width, good + bad, bad))
    first = (end - 1) // width - len(window.total) + 1
    assert sum(window.total) == sum(total for at, total, _ in seen if at >= first)
    assert sum(window.bad) == sum(bad for at, _, bad in seen if at >= first)


def test_a_windows_memory_does_not_depend_on_its_length() -> None:
    """At most 60 buckets."""
    assert len(Window.of(30 * DAY).total) == len(Window.of(HOUR).total) == 60


# what counts


NOTHING = np.empty(0)


class Shop:
    """The numbers of a shard with objectives, and what its objectives decide."""

    def __init__(self, *slos: Slo) -> None:
        self.objectives = Objectives(slos)
        self.numbers = Numbers(1_000, self.objectives)
        self.alerts: list[Alert] = []

    def send(self, one: Series, at: int, value: float) -> None:
        self.numbers.describe(one, at)
        row = (np.array([one.fp], np.uint64), np.array([value]))
        self.numbers.run([Slice(np.array([at]), row, NOTHING)], [], at)

    def observe(self, one: Series, at: int, *buckets: float) -> None:
        self.numbers.describe(one, at)
        n = len(buckets)
        columns = (np.array([one.fp], np.uint64), np.array([0.0]), np.array([0]), np.array([n]))
        self.numbers.run([], [Slice(np.array([at]), columns, np.array(buckets))], at)

    def counts(self) -> tuple[float, float]:
        """Total and bad in the period, when everything is taken in."""
        self.objectives.finish(10 * START, self.numbers.common_resource)
        window = self.objectives.budgets[0].windows[-1]
        return sum(window.total), sum(window.bad)


def requests(code: str, kind: Kind = Kind.COUNTER, service: str = "shop") -> Series:
    return series(service, "requests", (("code", code),), kind)


def slo(**keys: object) -> Slo:
    return Slo(name="s", objective=99.0, **keys)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "keys",
    [
        {"total": ('metric="requests"',), "bad": ('metric="requests"', 'code=~"5.."')},
        {"total": ('metric="requests"',), "good": ('metric="requests"', 'code!~"5.."')},
    ],
)
def test_counters_of_all_and_of_bad_or_good_events_are_an_indicator(keys: dict[str, object]) -> None:
    """Cumulative counters: what they have risen by."""
    shop = Shop(slo(**keys))
    for i in range(11):
        shop.send(requests("200"), START + 1_000 * i + 1, 1_000.0 + 9 * i)
        shop.send(requests("500"), START + 1_000 * i + 2, 50.0 + i)
    assert shop.counts() == (100.0, 10.0)


def test_a_gauge_of_the_error_ratio_is_an_indicator() -> None:
    """Each sample is one event with a share that is bad."""
    shop = Shop(slo(error_ratio=('metric="error_ratio"',)))
    for i, value in enumerate((0.0, 0.5, 0.25, float("nan"))):
        shop.send(series("shop", "error_ratio"), START + 1_000 * (i + 1), value)
    assert shop.counts() == (3.0, 0.75)


HTTP = "http.server.request.duration"


@pytest.mark.parametrize("keys", [{}, {"error_ratio": ('metric="http.server.error_ratio"',)}])
def test_http_requests_are_the_indicator_of_an_objective_that_names_none(keys: dict[str, object]) -> None:
    """The counts behind `http.server.error_ratio`."""
    shop = Shop(slo(**keys))
    for code, n in (("200", 9.0), ("503", 1.0)):
        one = series("shop", HTTP, (("http.response.status_code", code),), Kind.HISTOGRAM_DELTA)
        shop.observe(one, START + 1, n, 0, 0, 0)
        shop.observe(one, START + 5_000, n, 0, 0, 0)
    assert shop.counts() == (20.0, 2.0)


@pytest.mark.parametrize("kind", [Kind.HISTOGRAM, Kind.HISTOGRAM_DELTA])
def test_observations_above_a_bound_are_bad_for_a_latency_objective(kind: Kind) -> None:
    """Bounds 0.01, 0.1, 1: everything above 0.1 is too slow; a reset counts from zero."""
    shop = Shop(slo(total=(f'metric="{HTTP}"',), slower_than=0.1))
    one = series("shop", HTTP, (), kind)
    sent = [(5, 5, 1, 1), (6, 9, 2, 1), (1, 1, 1, 1)]
    for i, buckets in enumerate(sent):
        shop.observe(one, START + 1_000 * (i + 1), *map(float, buckets))
    cumulative = (6 + 4, 1 + 2)
    deltas = (12 + 18 + 4, 2 + 3 + 2)
    assert shop.counts() == (cumulative if kind == Kind.HISTOGRAM else deltas)


def test_every_service_has_a_budget_of_its_own() -> None:
    """Unless the objective names one."""
    keys = {"total": ('metric="requests"',), "bad": ('code="500"',)}
    every, one = Shop(slo(**keys)), Shop(slo(service="cart", **keys))
    for shard in (every, one):
        for service in ("cart", "shop"):
            shard.send(requests("200", service=service), START, 1.0)
    assert [b.service for b in every.objectives.budgets] == ["cart", "shop"]
    assert [b.service for b in one.objectives.budgets] == ["cart"]


def test_budgets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with nothing left give way; while all are in use, more are refused and counted."""
    monkeypatch.setattr(objectives_module, "MOST_BUDGETS", 2)
    shop = Shop(slo(total=('metric="requests"',), bad=('code="500"',)))
    for i, service in enumerate("abc"):
        shop.send(requests("200", service=service), START + i, 1.0)
    assert ([b.service for b in shop.objectives.budgets], shop.objectives.refused) == (["a", "b"], 1)
    shop.send(requests("200", service="d"), START + 40 * DAY, 1.0)
    assert [b.service for b in shop.objectives.budgets] == ["d", "b"]


# the whole shard

FAST = BurnRate(burn=2, long="2m", short="1m")
QUICK = msgspec.structs.replace(
    SETTINGS,
    detect=msgspec.structs.replace(
        SETTINGS.detect,
        slos=(
            Slo(
                name="http",
                objective=99.0,
                period="1h",
                burn_rates=(FAST,),
            ),
            Slo(name="fast", objective=90.0, total=(f'metric="{HTTP}"',), slower_than=0.1),
        ),
    ),
)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 400), max_size=12), st.integers(0, 400))
def test_cuts_and_restores_change_nothing_of_what_is_decided(seed: int, cuts: list[int], at: int) -> None:
    """Byte for byte, like everything a shard decides."""
    log = records(interleaved(shop(seed, seconds=120), random.Random(seed)))
    at = min(at, len(log))
    whole = decided(feed(make(QUICK), log))
    assert decided(feed(make(QUICK), log, cuts)) == whole
    first = make(QUICK)
    before = decided(feed(first, log[:at], cuts))
    blob, needed = first.snapshot(), first.needed_offset(at)
    second = make(QUICK)
    assert blob is not None
    second.restore(blob)
    assert before + decided(feed(second, log[needed:])) == whole


def test_the_random_shop_burns_its_budget() -> None:
    """The property above is not about nothing; the alert has what its series have in common."""
    logs = [records(interleaved(shop(seed, seconds=120), random.Random(seed))) for seed in range(5)]
    said = [raw for log in logs for raw in decided(feed(make(QUICK), log)) if b'"slo.http"' in raw]
    assert said
    assert dict(msgspec.json.decode(said[0], type=Alert).resource)["env"] == "prod"


def test_an_alert_of_an_objective_that_is_no_longer_declared_is_resolved() -> None:
    """What was said is always resolved, also after a restart with another configuration."""
    old = Shop(SLO)
    budget = Budget.of(Objective(SLO), "shop")
    raised, *_ = drive([(2 * HOUR, 0.0), (18 * MINUTE, 0.05)], budget=budget)
    old.objectives.budgets.append(budget)
    new = Objectives(Detect().slos)
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(old.objectives.export()), type=ObjectivesState)
    new.load(state)
    ((_, ended),) = new.finish(START + 3 * HOUR, lambda place, at: ())
    assert (ended.id, ended.state) == (raised.id, "resolved")
    assert "no longer declared at 03:00:00 UTC" in ended.summary
