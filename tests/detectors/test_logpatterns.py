"""Alert patterns and names of templates: thresholds, event time, cuts, snapshots, bounds."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.logs import LogRules, Pattern
from config.settings import Detect, Ingest, Settings
from detectors import logpatterns
from detectors.alert import Alert
from detectors.lines import Line
from detectors.logpatterns import Patterns, PatternsState
from detectors.logs import Logs
from tests.detectors.pagelog import SETTINGS, alerts, decided, feed, interleaved, make, records, shop

CONFIG = Detect(step_ms=1_000, log_quiet_ms=30_000, log_learning_ms=60_000)
T0 = 1_700_000_000_000


def line(ts: int, body: str, service: str = "cart", **kwargs: str) -> Line:
    return Line(ts, service, "i", body, 9, kwargs.get("trace", ""), "", (("env", kwargs.get("env", "prod")),))


def watching(*chosen: Pattern) -> Patterns:
    return Patterns(CONFIG, LogRules(patterns=chosen))


def alert(name: str = "declined", regex: str = "card declined", **kwargs: object) -> Pattern:
    return Pattern(name=name, regex=regex, do="alert", **kwargs)  # type: ignore[arg-type]


def test_a_pattern_without_a_number_fires_at_its_first_line() -> None:
    """Told at the end of the step with all lines of it, resolved when quiet."""
    lines = [line(T0 + 1, "card declined: 1"), line(T0 + 2, "fine"), line(T0 + 3, "card declined: 2")]
    (fired_at, fired), (resolved_at, resolved) = watching(alert()).run(lines, T0 + 60_000)
    assert (fired_at, fired.version, fired.state, fired.count) == (T0 + 1_000, 1, "firing", 2)
    assert (fired.kind, fired.metric, fired.severity, fired.started_at) == (
        "log",
        "declined",
        "error",
        T0 + 1,
    )
    assert fired.samples == ("card declined: 1", "card declined: 2")
    assert fired.summary == "cart logs declined, 2 so far: card declined: 1"
    assert (resolved.id, resolved.version, resolved.state) == (fired.id, 2, "resolved")
    assert (resolved.resolved_at, resolved_at) == (T0 + 30_003, T0 + 31_000)


@pytest.mark.parametrize(("gap", "fires"), [(4_999, True), (5_000, False)])
def test_a_number_counts_within_the_time_before_each_line(gap: int, fires: bool) -> None:
    """More than two within 10 s: the third must come less than 10 s after the first."""
    lines = [line(T0 + gap * i, f"card declined: {i}") for i in range(3)]
    found = watching(alert(more_than=2, within="10s")).run(lines, T0 + 20_000)
    assert bool(found) is fires
    if fires:
        assert (found[0][1].started_at, found[0][1].detected_at) == (T0, T0 + 2 * gap)
        assert found[0][1].summary.startswith(
            "cart logs declined, more than 2 in 10 s, 3 so far: card declined"
        )


def test_services_are_counted_apart_and_matchers_choose() -> None:
    """Two services with two lines each are not one with four; another environment does not count."""
    lines = [line(T0 + i, "card declined", service) for i, service in enumerate(("a", "b", "a", "b"))]
    assert watching(alert(more_than=2)).run(lines, T0 + 1_000) == []
    chosen = alert(matchers=('service="b"', 'env!="test"'), severity="critical")
    more = [line(T0 + 5, "card declined", "b", env="test")]
    [(_, found)] = watching(chosen).run(lines + more, T0 + 1_000)
    assert (found.service, found.count, found.severity) == ("b", 2, "critical")


def test_what_goes_on_stays_one_alert_and_what_comes_again_is_another() -> None:
    """A line every 20 s keeps it open; 40 s of silence end it."""
    times = [0, 20_000, 40_000, 80_000]
    lines = [line(T0 + at, "card declined") for at in times]
    found = [one for _, one in watching(alert()).run(lines, T0 + 200_000)]
    assert [(one.state, one.count) for one in found] == [
        ("firing", 1),
        ("resolved", 3),
        ("firing", 1),
        ("resolved", 1),
    ]
    assert len({one.id for one in found}) == 2


def test_lines_equal_in_everything_are_one() -> None:
    """Ingest delivers at least once."""
    lines = [line(T0 + 1, "card declined")] * 3
    assert watching(alert(more_than=1)).run(lines, T0 + 1_000) == []


def test_anchors_hold_for_single_lines() -> None:
    """Also in the middle of a page."""
    lines = [line(T0 + i, body) for i, body in enumerate(("well", "boom", "a boom", "boom b"))]
    [(_, found)] = watching(alert(regex="^boom$")).run(lines, T0 + 1_000)
    assert (found.count, found.samples) == (1, ("boom",))


BODIES = ("card declined", "boom", "fine", "boom: card declined")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 120_000), st.sampled_from(BODIES), st.sampled_from("ab")), max_size=40),
    st.lists(st.integers(0, 130), max_size=4),
)
def test_cuts_and_restores_change_nothing(said: list[tuple[int, str, str]], cuts: list[int]) -> None:
    """However the steps are cut into runs, with a snapshot at every cut."""
    chosen = (alert(), alert("boom", "^boom", more_than=2, within="20s"), alert("both", "boom.*card"))
    lines = sorted(line(T0 + ts, body, service) for ts, body, service in said)
    whole = watching(*chosen).run(lines, T0 + 300_000)
    pieces: list[tuple[int, Alert]] = []
    running, begin = watching(*chosen), T0
    for end in [*sorted({T0 + 1_000 * cut for cut in cuts}), T0 + 300_000]:
        pieces += running.run([one for one in lines if begin < one.ts <= end], end)
        saved = msgspec.msgpack.encode(running.export())
        running = watching(*chosen)
        running.load(msgspec.msgpack.decode(saved, type=PatternsState))
        begin = max(begin, end)
    key = lambda found: (found[0], found[1].id, found[1].version)  # noqa: E731
    assert sorted(pieces, key=key) == sorted(whole, key=key)


def test_a_line_delivered_twice_counts_once() -> None:
    """The second delivery stands at another place of its partition, and is the same line."""
    lines = [
        line(T0 + i, "card declined")._replace(source="in/0", order=order) for i in (1, 2) for order in (7, 9)
    ]
    assert watching(alert(more_than=2)).run(lines, T0 + 1_000) == []
    [(_, found)] = watching(alert(more_than=1)).run(lines, T0 + 1_000)
    assert found.count == 2


def test_a_pattern_taken_out_of_the_configuration_ends_its_alert() -> None:
    """When it would have ended; what was notified is resolved."""
    before = watching(alert())
    [(_, fired)] = before.run([line(T0 + 1, "card declined")], T0 + 1_000)
    after = Patterns(CONFIG, LogRules())
    after.load(before.export())
    [(_, resolved)] = after.run([line(T0 + 2_000, "card declined")], T0 + 100_000)
    assert (resolved.id, resolved.state, resolved.resolved_at) == (fired.id, "resolved", T0 + 30_001)
    assert after.export().watches == []


def test_what_is_watched_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently seen gives way and is counted; what fires stays, and others are refused."""
    monkeypatch.setattr(logpatterns, "MAX_WATCHES", 2)
    quiet = watching(alert(more_than=5))
    quiet.run([line(T0 + i, "card declined", f"s{i}") for i in range(5)], T0 + 1_000)
    assert [service for _, service, _ in quiet.export().watches] == ["s3", "s4"]
    assert quiet.counters == {"evicted_pattern_services": 3, "refused_pattern_services": 0}
    loud = watching(alert())
    found = loud.run([line(T0 + i, "card declined", f"s{i}") for i in range(5)], T0 + 1_000)
    assert [one.service for _, one in found] == ["s0", "s1"]
    assert loud.counters["refused_pattern_services"] == 3


def test_a_named_template_shows_its_name() -> None:
    """In the summary of its alert, the first pattern that fits; the template stays what it is."""
    rules = LogRules(
        patterns=(
            Pattern(name="disk-full", regex="no space left", do="name"),
            Pattern(name="any-disk", regex="disk", do="name"),
        )
    )
    logs = Logs(CONFIG, rules)
    logs.run([line(T0, "hello"), line(T0 + 60_500, "hello")], T0 + 61_000)
    lines = [line(T0 + 61_001 + i, "FATAL disk sda: no space left") for i in range(3)]
    [(_, found)] = logs.run(lines, T0 + 62_000)
    assert found.summary.endswith(": disk-full: disk sda: no space left")
    assert found.metric == "FATAL disk sda: no space left"


def test_a_shard_tells_the_same_alerts_however_its_log_is_cut() -> None:
    """Through the whole detect stage, restored in the middle."""
    import random

    rules = LogRules(patterns=(alert("down", "down$", more_than=3, within="5s"),))
    chosen = Settings(ingest=Ingest(shards=1), detect=SETTINGS.detect, logs=rules)
    log = records(interleaved(shop(5), random.Random(1)))
    whole = feed(make(chosen), log)
    assert any(one.labels[:1] == (("pattern", "down"),) for one in alerts(whole))
    first = make(chosen)
    outputs = feed(first, log[:40], range(0, 40, 3))
    blob, again = first.snapshot(), make(chosen)
    assert blob is not None
    needed = first.needed_offset(40)
    again.restore(blob)
    outputs += feed(again, log[needed:], range(0, 500, 7))
    assert set(decided(outputs)) == set(decided(whole))
