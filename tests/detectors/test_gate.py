"""The gate: hold, clear, minimum effect, severity, and what an alert says."""

from __future__ import annotations

import numpy as np
import pytest

from config.settings import Detect
from detectors.alert import Alert
from detectors.bank import STATES, Bank
from detectors.rules import DEADLETTER_RATIO, OWN_SERVICE
from detectors.words import compare, habits, quantity, usual
from streams.records.pages import Series
from tests.detectors.bankdata import T0, feed, firing, noise, series


def steady(n: int, level: float = 0.2, spread: float = 0.01) -> np.ndarray:
    return noise(n, seed=9, level=level, spread=spread)


def with_fault(length: int, to: float, n: int = 200, at: int = 100) -> np.ndarray:
    values = steady(n)
    values[at : at + length] = to
    return values


def latency(values: np.ndarray, every: int = 2_000, config: Detect | None = None) -> list[Alert]:
    one = series("checkout", "http.server.request.duration.p95", "s")
    return feed(Bank(config or Detect()), one, values, every=every)


def states(values: np.ndarray) -> list[str]:
    bank, one = Bank(Detect()), series("", "")
    bank.describe(one)
    n = len(values)
    _, out = bank.feed_scored(np.full(n, one.fp, np.uint64), T0 + 1_000 * np.arange(n), values)
    return [STATES[i] for i in out.state]


def test_a_run_goes_from_ok_over_pending_to_firing_and_back() -> None:
    """The states in the order of an alert's life."""
    seen = states(with_fault(10, 2.0))
    assert seen[98:103] == ["ok", "ok", "pending", "firing", "firing"]
    assert seen[112] == "ok"


def test_it_fires_at_the_sample_that_completes_the_hold() -> None:
    """`hold_samples` anomalous samples in a row."""
    (alert,) = firing(latency(with_fault(10, 2.0), config=Detect(hold_samples=5)))
    assert alert.started_at == T0 + 100 * 2_000
    assert alert.detected_at == T0 + 104 * 2_000


def test_a_run_shorter_than_the_hold_raises_nothing() -> None:
    """Four samples do not fill a hold of five."""
    assert latency(with_fault(4, 2.0), config=Detect(hold_samples=5)) == []


def test_it_resolves_after_the_clear_samples() -> None:
    """The second version comes `clear_samples` after the last anomalous one; it was over with the first."""
    values = with_fault(10, 2.0)
    values[110:] = 0.2
    alerts = latency(values, config=Detect(clear_samples=7))
    assert alerts[-1].state == "resolved"
    assert alerts[-1].last_seen_at == T0 + (109 + 7) * 2_000
    assert alerts[-1].resolved_at == T0 + 110 * 2_000


def test_versions_of_an_alert_share_id_start_and_detection() -> None:
    """Only what has changed changes."""
    first, *_, last = latency(with_fault(10, 2.0))
    assert (last.id, last.started_at, last.detected_at) == (first.id, first.started_at, first.detected_at)
    assert last.version > first.version


def test_ids_are_the_same_in_every_run() -> None:
    """The same anomaly of the same series always has the same id."""
    assert latency(with_fault(10, 2.0))[0].id == latency(with_fault(15, 3.0))[0].id


def test_the_resolved_version_tells_the_worst() -> None:
    """Value and strength at the worst sample of the run."""
    values = with_fault(10, 2.0)
    values[105] = 9.0
    alerts = latency(values)
    assert alerts[0].value == 2.0
    assert alerts[-1].value == 9.0
    assert alerts[-1].strength > alerts[0].strength


def test_a_flapping_value_is_one_alert() -> None:
    """Clear for fewer than `clear_samples` does not end a run."""
    values = steady(200)
    values[100:130:2] = 2.0
    values[100:103] = 2.0
    assert len(firing(latency(values))) == 1


def test_what_fires_again_and_again_becomes_one_long_alert() -> None:
    """Bursts a little further apart than the clear time: a few alerts, then one that stays."""
    values = steady(1_200)
    for at in range(200, 1_100, 30):
        values[at : at + 4] = 2.0
    fired = firing(latency(values))
    assert 2 <= len(fired) <= 9


def test_what_is_too_small_to_matter_does_not_fire() -> None:
    """A millisecond more is an anomaly of a very steady latency, and nothing to wake anyone for."""
    values = steady(200, level=0.2, spread=1e-5)
    values[100:120] += 0.001
    assert latency(values) == []


def test_a_nameless_series_has_no_minimum_effect() -> None:
    """The same deviation of a series known by nothing but its values fires."""
    values = steady(200, level=0.2, spread=1e-5)
    values[100:120] += 0.003
    assert "firing" in states(values)


def test_a_slow_climb_fires_once_it_matters_with_its_true_onset() -> None:
    """It is pending while small; the alert starts where the climb left the band."""
    values = steady(300, level=0.2, spread=0.001)
    values[200:] += 0.002 * np.arange(100)
    (alert,) = firing(latency(values))
    assert T0 + 200 * 2_000 <= alert.started_at <= T0 + 206 * 2_000
    assert alert.detected_at > alert.started_at + 20 * 2_000


@pytest.mark.parametrize(
    ("metric", "unit", "to", "severity"),
    [
        ("http.server.request.duration.p95", "s", 0.32, "warning"),
        ("http.server.request.duration.p95", "s", 0.02, "info"),
        ("http.server.request.duration.p95", "s", 0.60, "error"),
        ("availability", "1", 0.02, "error"),
        ("some.thing", "", 0.02, "error"),
    ],
)
def test_severity_at_firing(metric: str, unit: str, to: float, severity: str) -> None:
    """By size and by whether the direction is the bad one."""
    (alert,) = firing(feed(Bank(Detect()), series("s", metric, unit), with_fault(10, to), every=2_000))
    assert alert.severity == severity


def test_a_grave_run_that_lasts_becomes_critical() -> None:
    """A version in between raises the severity."""
    alerts = latency(with_fault(60, 4.0))
    assert [a.severity for a in alerts] == ["error", "critical", "critical"]
    assert [a.version for a in alerts] == [1, 2, 3]
    assert [a.state for a in alerts] == ["firing", "firing", "resolved"]


def test_a_warning_that_lasts_ten_minutes_becomes_an_error() -> None:
    """Duration counts as well as size."""
    alerts = latency(with_fault(60, 0.32), every=15_000)
    assert [a.severity for a in alerts] == ["warning", "error", "error"]


def test_the_summary_says_it_in_words_with_units() -> None:
    """Who, how much, against what, since when."""
    alerts = latency(with_fault(10, 1.84))
    assert alerts[0].summary.startswith("checkout http.server.request.duration p95 1.84 s, 9.")
    assert "x its usual 0.2" in alerts[0].summary
    assert alerts[0].summary.endswith("since 22:16:40 UTC")
    assert "band" not in alerts[0].summary
    assert alerts[-1].summary.endswith(", 22:16:40 UTC to 22:17:00 UTC")


def test_an_alert_carries_labels_instance_and_resource() -> None:
    """What the correlator joins by."""
    one = Series(5, "cart", "load", (("instance", "cart-7"),), "", 0, (), (("host.name", "n1"),))
    alert = feed(Bank(Detect()), one, with_fault(5, 2.0))[0]
    assert (alert.instance, alert.labels) == ("cart-7", one.labels)
    assert alert.resource == one.resource


def dead_letters(ratios: list[float], topic: str = "tocsin.in") -> list[Alert]:
    return feed(Bank(Detect()), series(OWN_SERVICE, DEADLETTER_RATIO, "1", topic=topic), np.array(ratios))


def test_a_dead_letter_flood_fires_at_once() -> None:
    """At the stated ratio, without warm-up or hold."""
    (alert,) = dead_letters([0.0, 0.1, 0.5])
    assert (alert.kind, alert.severity) == ("metric", "error")
    assert alert.summary.startswith("dead-letter flood on topic tocsin.in: 0.5")


def test_a_few_dead_letters_do_not_fire() -> None:
    """Below the ratio nothing is said, however unusual."""
    assert dead_letters([0.0] * 100 + [0.49] * 50) == []


def test_a_dead_letter_flood_resolves() -> None:
    """After the clear samples."""
    alerts = dead_letters([0.0, 0.9, 0.9, 0.1, 0.0, 0.0])
    assert [a.state for a in alerts] == ["firing", "resolved"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.84, "s", "1.84 s"),
        (0.0153, "s", "15.3 ms"),
        (250.0, "ms", "0.25 s"),
        (3.2e9, "By", "3.20 GB"),
        (0.031, "1", "0.031"),
        (12.5, "%", "12.5 %"),
        (45.25, "{request}", "45.2 request"),
        (120.4, "1/s", "120/s"),
        (0.0, "s", "0 s"),
    ],
)
def test_quantities_are_written_as_people_say_them(value: float, unit: str, text: str) -> None:
    """Scaled units and three significant digits."""
    assert quantity(value, unit) == text


@pytest.mark.parametrize(
    ("metric", "unit", "sense"),
    [
        ("http.server.request.duration.p99", "s", 1),
        ("http.server.request.duration.rate", "1/s", -1),
        ("PodServerLatencyP90(s)", "", 1),
        ("PodSuccessRate(%)", "", -1),
        ("http.server.error_ratio", "1", 1),
        ("process.cpu.utilization", "1", 1),
        ("MemoryUsage(Mi)", "", 1),
        ("orders.placed", "1/s", -1),
        ("temperature", "Cel", 0),
    ],
)
def test_the_bad_direction_is_read_off_the_name(metric: str, unit: str, sense: int) -> None:
    """Latency, errors and usage: up; success and throughput: down."""
    assert habits(series("s", metric, unit)).sense == sense


def test_the_band_of_a_series_that_was_never_negative_ends_at_zero() -> None:
    """A latency below zero is not "normal", it is nonsense."""
    assert all(alert.lower is not None and alert.lower >= 0 for alert in latency(with_fault(10, 30.0)))


def test_next_to_nothing_is_said_to_be_zero() -> None:
    """No "usually -7.55e-09"."""
    assert (compare(0.35, -7.55e-9), usual(0.35, -7.55e-9, "1")) == ("usually", "0")
