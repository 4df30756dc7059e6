"""Rules of the configuration: which series they are about, and what they change."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from config.control import Rule
from config.settings import Detect
from detectors.alert import Alert
from detectors.bank import Bank
from detectors.control import FIELDS, Controls
from streams.records.pages import Series
from tests.detectors.bankdata import T0, feed, firing, noise, series
from tests.detectors.test_bank import MANY, rows

LATENCY = series(metric="latency", unit="s", route="/pay")


def bank(*rules: Rule, **config: float) -> Bank:
    return Bank(Detect(rules=rules, **config))  # type: ignore[arg-type]


def spike(size: float, length: int = 10) -> np.ndarray:
    """Noise of 100 +- 5 that is off by `size` for a while."""
    values = noise(300)
    values[200 : 200 + length] += size
    return values


def alerts(values: np.ndarray, *rules: Rule, one: Series | None = None) -> list[Alert]:
    return feed(bank(*rules), one or series(), values)


def minutes(alert: Alert) -> float:
    """From the onset until it fired."""
    return (alert.detected_at - alert.started_at) / 60_000


# which series


@pytest.mark.parametrize(
    ("matchers", "applies"),
    [
        ((), True),
        (('service="checkout"',), True),
        (('service="check"',), False),
        (('metric=~"lat.*"',), True),
        (('metric=~"lat"',), False),
        (('metric!~"lat.*"',), False),
        (('route="/pay"', 'metric="latency"'), True),
        (('route="/pay"', 'metric="errors"'), False),
        (('env=""',), True),
        (('env!="prod"',), True),
        (('env="prod"',), False),
        (('zone="a"',), True),
        (('unit="s"',), True),
        (('"route"="/pay"',), True),
        (("route=/pay",), True),
        (('instance="i-1"',), True),
        (('version="2"',), True),
    ],
)
def test_a_rule_applies_when_all_its_matchers_hold(matchers: tuple[str, ...], applies: bool) -> None:
    """Anchored expressions; absent labels are empty; resource and instance can be matched, too."""
    one = msgspec.structs.replace(
        LATENCY,
        resource=(("version", "2"), ("zone", "a"), ("service", "other"), ("service.instance.id", "i-1")),
    )
    one = msgspec.structs.replace(one, labels=(*one.labels, ("service.instance.id", "i-1")))
    found = Controls(Detect(rules=(Rule(matchers=matchers),))).matching(one)
    assert found == ((0,) if applies else ())


def test_later_rules_override_earlier_ones_key_by_key() -> None:
    """What the later rule leaves out stays as the earlier one said it."""
    rules = (
        Rule(direction="up", hold_samples=5),
        Rule(matchers=('service="checkout"',), hold_samples=9),
        Rule(matchers=('service="cart"',), direction="down"),
    )
    control = Controls(Detect(rules=rules)).of(LATENCY)
    assert (control.sense, control.hold_samples) == (1, 9)


def test_an_expression_that_would_stall_a_backtracking_engine_is_linear() -> None:
    """A label value from outside must not stall a worker."""
    rules = (Rule(matchers=('route=~"(a+)+b"',)),)
    assert Controls(Detect(rules=rules)).matching(series(route="a" * 50_000)) == ()


# what they change


def test_without_a_rule_that_applies_nothing_changes() -> None:
    """Equal state, byte for byte, with rules for others."""
    one, other = series(), Rule(matchers=('service="cart"',), sensitivity="high", direction="down")
    plain, ruled = bank(), bank(other)
    assert feed(plain, one, spike(80)) == feed(ruled, one, spike(80))
    assert plain.snapshot() == ruled.snapshot()


def test_an_excluded_series_is_not_watched_but_counted() -> None:
    """It takes no place, raises nothing, and is not unknown."""
    one = bank(Rule(matchers=('metric="queue.size"',), watch=False))
    assert feed(one, series(), spike(80)) == []
    assert (len(one), len(one.excluded)) == (0, 1)
    assert (one.counters["excluded_rows"], one.counters["unknown_rows"]) == (300, 0)


def test_a_later_rule_takes_back_in_what_an_earlier_one_excluded() -> None:
    """Everything but the checkout is left out."""
    rules = (Rule(watch=False), Rule(matchers=('service="checkout"',), watch=True))
    assert firing(alerts(spike(80), *rules))
    assert not firing(alerts(spike(80), *rules, one=series("cart")))


def test_what_is_kept_in_mind_as_excluded_is_bounded() -> None:
    """Its rows are then described again by whoever sends them."""
    one = bank(Rule(watch=False), max_series_per_shard=8)
    for i in range(100):
        one.describe(series(i=str(i)))
    assert len(one.excluded) <= 8


def test_sensitivity_decides_which_deviations_fire() -> None:
    """The same bump: only a sensitive series fires."""
    bump = next(size for size in range(10, 60) if firing(alerts(spike(size), Rule(sensitivity="high"))))
    assert not firing(alerts(spike(bump)))
    assert not firing(alerts(spike(bump), Rule(sensitivity="low")))


def test_sensitivity_moves_the_band() -> None:
    """What is said to be the band is where it would fire."""
    one = series()
    widths = []
    for sensitivity in ("high", "normal", "low"):
        made = bank(Rule(sensitivity=sensitivity))
        made.describe(one)
        ts = T0 + 60_000 * np.arange(300)
        out = made.feed_scored(np.full(300, one.fp, np.uint64), ts, noise(300))[1]
        widths.append(out.upper[-1] - out.lower[-1])
    assert widths[0] < widths[1] < widths[2]


@pytest.mark.parametrize(
    ("direction", "up", "down"), [("up", True, False), ("down", False, True), ("both", True, True)]
)
def test_only_the_judged_direction_fires(direction: str, up: bool, down: bool) -> None:
    """The other one scores 0 and has no limit."""
    rule = Rule(direction=direction)
    assert bool(firing(alerts(spike(80), rule))) == up
    assert bool(firing(alerts(spike(-80), rule))) == down


def test_a_direction_said_to_be_bad_is_not_mere_information() -> None:
    """Fewer errors are good news by name; with `both` they are what was asked for."""
    errors = series(metric="errors")
    assert {a.severity for a in alerts(spike(-80, 5), one=errors)} == {"info"}
    assert "info" not in {a.severity for a in alerts(spike(-80, 5), Rule(direction="both"), one=errors)}


def test_the_direction_not_judged_has_no_limit_in_an_alert() -> None:
    """JSON has no infinity."""
    (alert, *_) = firing(alerts(spike(80), Rule(direction="up")))
    assert alert.lower is None
    assert alert.upper is not None


def test_a_unit_is_what_summaries_and_least_effects_go_by() -> None:
    """A latency without a unit is known to be in seconds once it is said."""
    one = series(metric="latency")
    (alert, *_) = firing(alerts(spike(80), Rule(unit="ms"), one=one))
    assert alert.unit == "ms"
    assert " s, " in alert.summary
    made = bank(Rule(unit="ms"))
    made.describe(one)
    assert made.slots["min_abs"][0] == 2.0


def test_a_deviation_below_the_least_effect_does_not_fire() -> None:
    """Absolute, and as a share of what was expected."""
    assert firing(alerts(spike(80), Rule(min_effect=40.0, min_effect_ratio=0.4)))
    assert not firing(alerts(spike(80), Rule(min_effect=140.0)))
    assert not firing(alerts(spike(80), Rule(min_effect_ratio=1.4)))


def test_hold_samples_and_durations_both_have_to_pass() -> None:
    """An alert fires with its true onset, when the later of the two is reached."""
    assert minutes(firing(alerts(spike(80, 30), Rule(hold_samples=5)))[0]) == 4
    assert minutes(firing(alerts(spike(80, 30), Rule(hold_for="10m")))[0]) == 10
    assert not firing(alerts(spike(80, 10), Rule(hold_for="10m")))


def test_an_alert_keeps_firing_for_as_long_as_it_is_told() -> None:
    """Clear samples count from the first clear one."""
    plain, kept = alerts(spike(80)), alerts(spike(80), Rule(keep_firing_for="20m"))
    ends = [a.last_seen_at for a in (*plain, *kept) if a.resolved_at]
    assert ends[1] - ends[0] == 18 * 60_000
    assert len({a.resolved_at for a in (*plain, *kept) if a.resolved_at}) == 1


def test_severity_is_capped() -> None:
    """Also when it would rise later."""
    values = spike(5_000, 60)
    assert "error" in {a.severity for a in alerts(values)}
    assert {a.severity for a in alerts(values, Rule(max_severity="warning"))} <= {"info", "warning"}


def test_a_series_that_may_stop_is_never_absent() -> None:
    """The same silence, said and not said."""
    one = series()
    for rules, count in (((), 1), ((Rule(absent=False),), 0)):
        made = bank(*rules)
        feed(made, one, noise(100), every=1_000)
        said = [a for at in range(100, 400, 10) for a in made.advance(T0 + at * 1_000)]
        assert len(said) == count
        assert (made.next_due() is None) or count


# thresholds


DISK = series("db", "disk.used", "%", volume="data")
FULL = Rule(warning_above=80.0, critical_above=95.0)


def test_a_threshold_fires_without_learning() -> None:
    """The first sample can fire; the severity is that of the threshold crossed."""
    (alert,) = alerts(np.array([50.0, 79.9, 80.0]), FULL, one=DISK)
    assert (alert.severity, alert.value) == ("warning", 80.0)
    assert alert.summary.startswith("db disk.used data 80.0 %, at its warning threshold of 80.0 %")


def test_crossing_the_critical_threshold_raises_the_alert() -> None:
    """One alert, its versions, the worst value, then resolved."""
    found = alerts(np.array([50.0, 85.0, 97.0, 96.0, 60.0, 60.0, 60.0]), FULL, one=DISK)
    assert [(a.version, a.state, a.severity) for a in found] == [
        (1, "firing", "warning"), (2, "firing", "critical"), (3, "resolved", "critical"),
    ]  # fmt: skip
    assert len({a.id for a in found}) == 1
    assert found[1].summary.startswith("db disk.used data 97.0 %, above its critical threshold of 95.0 %")


def test_a_threshold_with_a_duration_waits_for_it_at_each_level() -> None:
    """Critical is said when the critical threshold has been crossed for that long."""
    values = np.array([50.0, *[85.0] * 4, *[96.0] * 4])
    found = alerts(values, Rule(warning_above=80.0, critical_above=95.0, hold_for="3m"), one=DISK)
    assert [(a.severity, (a.last_seen_at - T0) // 60_000) for a in found] == [("warning", 4), ("critical", 8)]


def test_thresholds_below_fire_downwards() -> None:
    """With the sign that says so."""
    (alert,) = alerts(np.array([50.0, 4.0]), Rule(critical_below=5.0), one=DISK)
    assert (alert.severity, np.sign(alert.strength)) == ("critical", -1)


def test_a_series_with_thresholds_is_judged_by_them_alone() -> None:
    """However unusual, what is inside is fine; the band is the thresholds."""
    values = spike(80) / 10
    made = bank(FULL)
    made.describe(DISK)
    ts = T0 + 60_000 * np.arange(300)
    found, out = made.feed_scored(np.full(300, DISK.fp, np.uint64), ts, values)
    assert (found, out.score.max()) == ([], 0.0)
    assert (out.lower[-1], out.upper[-1]) == (-np.inf, 80.0)


# cuts and restarts

EVERY_KIND = (
    Rule(hold_for="6s", keep_firing_for="10s", sensitivity="high"),
    Rule(matchers=('i=~"[12]"',), direction="up", max_severity="warning"),
    Rule(matchers=('i="3"',), warning_above=12.0, critical_above=25.0),
    Rule(matchers=('i="4"',), watch=False),
)


def run_cut(cuts: list[int]) -> list[Alert]:
    """Rows cut into calls, restored from a snapshot before each."""
    fps, ts, values = rows()
    one, found = bank(*EVERY_KIND), []
    for each in MANY:
        one.describe(each)
    for a, b in pairwise([0, *sorted(cuts), len(fps)]):
        one = restarted(one, *EVERY_KIND)
        found += one.feed(fps[a:b], ts[a:b], values[a:b])
    return found


def test_cuts_and_restores_change_nothing_with_rules() -> None:
    """Every version of every alert."""
    whole = run_cut([])
    assert {alert.severity for alert in whole} > {"warning"}
    assert run_cut([5, 300, 301, 900]) == whole


def test_plain_python_gives_the_same_alerts_with_rules() -> None:
    """Without numba the same functions say the same."""
    script = (
        "import sys; sys.modules['numba'] = None\n"
        "from tests.detectors.test_control import run_cut\n"
        "sys.stdout.write(repr(run_cut([100])))\n"
    )
    plain = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert plain.stdout == repr(run_cut([100]))


def restarted(old: Bank, *rules: Rule) -> Bank:
    new = bank(*rules)
    new.restore(old.snapshot())
    return new


def test_after_a_restart_the_new_configuration_holds() -> None:
    """Parameters are no state: restored and begun with the new rules are the same."""
    rule = Rule(
        direction="up", sensitivity="high", hold_for="5m", unit="ms", absent=False, max_severity="error"
    )
    old, new = bank(), bank(rule)
    feed(old, LATENCY, noise(100))
    feed(new, LATENCY, noise(100))
    parameters = [name for name, *_ in FIELDS if not name.endswith("_since")]
    parameters += ["sense", "min_abs", "min_rel", "sparse"]
    for before, after, rules in ((old, new, (rule,)), (new, old, ())):
        found = restarted(before, *rules)
        assert str(found.slots[0][parameters]) == str(after.slots[0][parameters])
        assert found.next_due() == after.next_due() or not rules


def test_a_threshold_that_is_gone_after_a_restart_no_longer_fires() -> None:
    """And what it had raised is resolved."""
    old = bank(Rule(warning_above=90.0))
    assert firing(feed(old, series(), noise(100)))
    new = restarted(old)
    assert [a.state for a in feed(new, series(), noise(50), start=T0 + 100 * 60_000)] == ["resolved"]


def test_the_alert_of_a_series_excluded_by_a_restart_is_resolved() -> None:
    """What was said is always resolved; the series is then forgotten."""
    old = bank()
    values = spike(80, 30)[:230]
    raised = firing(feed(old, series(), values))
    assert len(raised) == 1
    new = restarted(old, Rule(watch=False))
    at = new.next_due()
    assert at is not None
    (ended,) = new.advance(at)
    assert (ended.id, ended.state, ended.version > raised[0].version) == (raised[0].id, "resolved", True)
    assert (len(new), new.next_due()) == (0, None)
    assert restarted(old, Rule(watch=False)).advance(at) == [ended]
