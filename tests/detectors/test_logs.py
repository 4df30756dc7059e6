"""Log signals: new templates, their severity, flood limits, resolution, rates."""

from __future__ import annotations

import msgspec
import pytest

from config.settings import Detect
from detectors.alert import Alert
from detectors.lines import Line, severity_of
from detectors.logalerts import QUIET_MIN_MS
from detectors.logs import MAX_NEW_LOUD, MAX_NEW_QUIET, Logs, LogsState
from detectors.stack import exception_of
from detectors.words import clock

CONFIG = Detect(step_ms=1_000, log_learning_ms=60_000, log_bucket_ms=10_000)
T0 = 1_700_000_000_000
LEARNED = T0 + 61_000


def line(
    ts: int, body: str, severity: int = 9, service: str = "cart", trace: str = "", exception: str = ""
) -> Line:
    return Line(ts, service, f"{service}-1", body, severity, trace, exception, (("host", "h1"),))


def learned() -> Logs:
    """A shard whose service has logged `hello` for longer than the learning period."""
    logs = Logs(CONFIG)
    logs.run([line(T0, "hello"), line(T0 + 60_500, "hello")], T0 + 61_000)
    return logs


def say(logs: Logs, lines: list[Line], to_ms: int) -> list[Alert]:
    return [alert for _, alert in logs.run(lines, to_ms)]


def test_a_new_error_template_after_learning_is_an_alert_at_its_step() -> None:
    """Fired by the first line, told at the end of its step with all lines of it."""
    lines = [line(LEARNED + i, f"disk {i} on fire", 17, trace=f"{i:032x}") for i in range(1, 6)]
    [(step_end, alert)] = learned().run(lines, LEARNED + 1_000)
    assert step_end == LEARNED + 1_000
    assert (alert.kind, alert.severity, alert.state, alert.count) == ("log", "error", "firing", 5)
    assert alert.started_at == alert.detected_at == LEARNED + 1
    assert alert.samples == tuple(f"disk {i} on fire" for i in range(1, 4))
    assert len(alert.trace_ids) == 3
    assert alert.resource == (("host", "h1"),)


def test_templates_of_the_learning_period_are_never_alerts() -> None:
    """What a service says in its first minute is how it talks."""
    logs = Logs(CONFIG)
    assert say(logs, [line(T0, "hello"), line(T0 + 60_000, "disk on fire", 17)], T0 + 60_000) == []
    assert say(logs, [line(LEARNED, "disk on fire", 17)], LEARNED) == []


@pytest.mark.parametrize(
    ("severity", "body", "once", "often"),
    [
        (21, "giving up now", "critical", "critical"),
        (17, "refused", "info", "error"),
        (13, "slow answer", "info", "warning"),
        (9, "new feature on", "info", "info"),
        (0, "2024-01-01 ERROR broken pipe", "info", "error"),
        (0, "plain words", "info", "info"),
    ],
)
def test_alert_severity_follows_the_line(severity: int, body: str, once: str, often: str) -> None:
    """From severity number or level word; what is not fatal counts once it repeats."""
    [alert] = say(learned(), [line(LEARNED + 1, body, severity)], LEARNED + 1_000)
    assert alert.severity == once
    [alert] = say(learned(), [line(LEARNED + 1 + i, body, severity) for i in range(3)], LEARNED + 1_000)
    assert alert.severity == often


def test_an_exception_makes_a_quiet_line_an_error_when_it_comes_twice() -> None:
    """An exception told by the producer counts whatever the level."""
    lines = [line(LEARNED + 1 + i, "odd", 9, exception="KeyError") for i in range(2)]
    [alert] = say(learned(), lines, LEARNED + 1_000)
    assert alert.severity == "error"
    assert ("exception", "KeyError") in alert.labels
    [alert] = say(learned(), lines[:1], LEARNED + 1_000)
    assert alert.severity == "info"


def test_an_error_that_repeats_later_is_a_new_version_of_its_alert() -> None:
    """The third line within a bucket's length raises the severity, at the end of its step."""
    logs = learned()
    lines = [line(LEARNED + 1 + 4_000 * i, "disk on fire", 17) for i in range(3)]
    first, second, resolved = logs.run(lines, LEARNED + 100_000)
    assert (first[1].version, first[1].severity) == (1, "info")
    assert (second[1].version, second[1].severity, second[0]) == (2, "error", LEARNED + 9_000)
    assert (resolved[1].version, resolved[1].state, resolved[1].severity) == (3, "resolved", "error")
    assert first[1].id == second[1].id == resolved[1].id


def test_an_error_now_and_then_stays_mere_evidence() -> None:
    """Three lines, but not within a bucket."""
    lines = [line(LEARNED + 1 + 6_000 * i, "disk on fire", 17) for i in range(3)]
    assert {alert.severity for alert in say(learned(), lines, LEARNED + 100_000)} == {"info"}


def test_the_alert_resolves_after_the_quiet_time() -> None:
    """Not seen for `log_quiet_ms`: resolved, at exactly that time, counting every line in between."""
    logs = learned()
    quiet = CONFIG.log_quiet_ms
    say(logs, [line(LEARNED + 1, "disk on fire", 17)], LEARNED + 1_000)
    assert say(logs, [line(LEARNED + 20_001, "disk on fire", 17)], LEARNED + 40_000) == []
    [alert] = say(logs, [], LEARNED + 20_001 + quiet + 999)
    assert (alert.state, alert.count, alert.last_seen_at) == ("resolved", 2, LEARNED + 20_001)
    assert alert.resolved_at == LEARNED + 20_001 + quiet
    assert f"last {clock(LEARNED + 20_001)}" in alert.summary


@pytest.mark.parametrize(
    ("every", "quiet"), [(100, QUIET_MIN_MS), (1_000, 10_000), (10_000, CONFIG.log_quiet_ms)]
)
def test_a_busy_template_is_over_after_ten_of_its_intervals(every: int, quiet: int) -> None:
    """Its own pace shortens the quiet time, between a floor and the setting."""
    logs = learned()
    lines = [line(LEARNED + 1 + every * i, "disk on fire", 17, trace=f"{i:032x}") for i in range(8)]
    resolved = say(logs, lines, LEARNED + 200_000)[-1]
    assert (resolved.state, resolved.count) == ("resolved", 8)
    assert resolved.resolved_at == lines[-1].ts + quiet


def test_a_known_template_does_not_fire_again() -> None:
    """Recurrence is what the error rate is for."""
    logs = learned()
    say(logs, [line(LEARNED + 1, "disk on fire", 17)], LEARNED + 200_000)
    assert say(logs, [line(LEARNED + 200_001, "disk on fire", 17)], LEARNED + 201_000) == []


def test_new_info_templates_are_few_evidence_not_a_flood() -> None:
    """A service that says new things all the time raises hardly anything, and never above info."""
    words = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen"]
    lines = [
        line(LEARNED + 1_000 * i + j, f"{a} {b}{a} {a}{a}{b} {b}", 9)
        for i, a in enumerate(words)
        for j, b in enumerate(words)
    ]
    logs = learned()
    found = say(logs, lines, LEARNED + 10_000)
    assert {alert.severity for alert in found} == {"info"}
    assert len(found) <= 2 * MAX_NEW_QUIET
    assert logs.counters["suppressed_new_templates"] >= 50


def test_new_error_templates_are_limited_per_service_and_bucket() -> None:
    """The rest is counted; the error rate tells the size of it."""
    words = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen"]
    lines = [line(LEARNED + 1 + i, f"{w} {w}{w} {w}x {w}y", 17) for i, w in enumerate(words)]
    logs = learned()
    assert len(say(logs, lines, LEARNED + 1_000)) == MAX_NEW_LOUD
    assert logs.counters["suppressed_new_templates"] == len(words) - MAX_NEW_LOUD


def test_a_line_delivered_twice_counts_once() -> None:
    """Ingest is at least once; equal in everything is the same line."""
    logs = learned()
    twice = [line(LEARNED + 1, "disk on fire", 17)] * 2
    [alert] = say(logs, twice, LEARNED + 1_000)
    assert alert.count == 1
    assert logs.counters["repeated_lines"] == 1


def test_rates_are_stated_per_bucket_with_zeros_while_the_service_is_alive() -> None:
    """Three rates a bucket, per second; the empty bucket in between is zero."""
    logs = Logs(CONFIG)
    logs.run(
        [line(T0 + 1, "a", 17), line(T0 + 2, "b", 13), line(T0 + 3, "c"), line(T0 + 20_001, "c")], T0 + 30_000
    )
    rows, described = logs.buckets.finish(T0 + 30_000)
    names = {series.fp: series.metric for _, series in described}
    stated = {(names[fp], ts - T0): rate for fp, ts, rate in rows}
    assert stated["log.errors", 10_000] == stated["log.warnings", 10_000] == 0.1
    assert stated["log.lines", 10_000] == pytest.approx(0.3)
    assert stated["log.lines", 20_000] == 0.0
    assert stated["log.lines", 30_000] == 0.1


def test_silence_of_the_whole_collection_is_not_zero() -> None:
    """When no service logs any more, nothing is stated after a while, though numbers still come."""
    logs = Logs(CONFIG)
    logs.run([line(T0 + 1, "a")], T0 + 10_000)
    logs.buckets.finish(T0 + 10_000)
    first = T0 // CONFIG.log_bucket_ms
    logs.buckets.begin({first + i: {"cart"} for i in range(1, 30)})
    logs.run([], T0 + 300_000)
    rows, _ = logs.buckets.finish(T0 + 300_000)
    assert max(ts for _, ts, _ in rows) <= T0 + 70_000


def test_a_service_known_by_its_numbers_has_zero_error_rate_before_its_first_line() -> None:
    """So that its first error is a step up from zero, not the start of a series."""
    logs = Logs(CONFIG)
    first = T0 // CONFIG.log_bucket_ms
    logs.buckets.begin({first: {"payment"}, first + 1: {"payment"}})
    logs.run([line(T0 + 1, "a"), line(T0 + 10_001, "a")], T0 + 20_000)
    rows, described = logs.buckets.finish(T0 + 20_000)
    payment = {series.fp for _, series in described if series.service == "payment"}
    assert [rate for fp, _, rate in rows if fp in payment] == [0.0] * 6


def test_logs_state_round_trips_through_msgpack() -> None:
    """Open alerts, budgets and templates come back as they were."""
    logs = learned()
    say(logs, [line(LEARNED + 1, "disk on fire", 17)], LEARNED + 1_000)
    blob = msgspec.msgpack.encode(logs.export())
    again = Logs(CONFIG)
    again.load(msgspec.msgpack.decode(blob, type=LogsState))
    assert msgspec.msgpack.encode(again.export()) == blob
    assert say(again, [], LEARNED + 100_000) == say(logs, [], LEARNED + 100_000)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("java.net.SocketTimeoutException: read timed out", "java.net.SocketTimeoutException"),
        ("caught ValueError in handler", "ValueError"),
        ("Error: it failed", ""),
        ("no Exception here", ""),
        ("an errorless day", ""),
        ("...com.acme.OrderError", "com.acme.OrderError"),
        ("x" * 5_000 + "Exception", ""),
    ],
)
def test_exception_types_are_found_in_text(body: str, found: str) -> None:
    """A named type, not the bare words."""
    assert exception_of(body) == found


def test_a_severity_that_was_sent_wins_over_words() -> None:
    """INFO lines may talk about errors."""
    assert severity_of(9, "ERROR rate is zero") == 9
