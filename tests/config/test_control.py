"""Matchers, durations, rules and objectives: what is accepted, and what is said of the rest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.control import BURN_RATES
from config.durations import in_words, millis, rounded
from config.load import ConfigError, load
from config.matchers import REMEMBERED, parse


@pytest.mark.parametrize(
    ("text", "name", "op", "value"),
    [
        ('service="checkout"', "service", "=", "checkout"),
        (' http.route != "/a b" ', "http.route", "!=", "/a b"),
        ('path=~"/api/.*"', "path", "=~", "/api/.*"),
        (r'path!~"\\d+|\."', "path", "!~", r"\d+|\."),
        ('"a label"="x"', "a label", "=", "x"),
        ("service=checkout", "service", "=", "checkout"),
        (r'note="say \"a\", \n"', "note", "=", 'say "a", \n'),
        ('env=""', "env", "=", ""),
    ],
)
def test_matchers_are_read_as_in_alertmanager(text: str, name: str, op: str, value: str) -> None:
    """Also with dots in names, quoted names and bare values."""
    assert parse(text)[:3] == (name, op, value)


def test_a_matcher_prints_as_it_is_read() -> None:
    """Round trip, with what has to be escaped."""
    one = parse(r'note=~"say \"a\" \\d"')
    assert parse(str(one))[:3] == one[:3]


def test_what_a_pattern_remembers_is_bounded_and_changes_nothing() -> None:
    """More texts than it remembers, twice."""
    matches = parse('a=~"x1.*"').matches
    texts = [f"x{i}" for i in range(REMEMBERED + 500)]
    assert [matches(t) for t in texts] == [t.startswith("x1") for t in texts] == [matches(t) for t in texts]


@pytest.mark.parametrize(
    ("text", "ms"),
    [("30s", 30_000), ("5m", 300_000), ("1h30m", 5_400_000), ("3d", 259_200_000), ("500ms", 500)],
)
def test_durations_are_read_as_in_prometheus(text: str, ms: int) -> None:
    """Largest unit first."""
    assert millis(text) == ms


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "30m1h", "-5m", "1.5h", "9999d"])
def test_other_durations_are_refused(text: str) -> None:
    """With examples."""
    with pytest.raises(ValueError, match="30s, 5m, 1h30m"):
        millis(text)


def test_durations_are_said_in_the_largest_unit() -> None:
    """Exactly, or rounded."""
    assert [in_words(ms) for ms in (300_000, 90_000, 259_200_000)] == ["5 min", "90 s", "3 d"]
    assert [rounded(ms) for ms in (360_000, 5_400_000, 999)] == ["6 min", "1.5 h", "999 ms"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [{matchers: ['a']}]", "detect.rules[0].matchers[0] is 'a': expected a matcher such as"),
        ("rules: [{}, {matchers: ['a=~\"(\"']}]", "detect.rules[1].matchers[0]"),
        ("rules: [{matchers: ['a=~\"(?=b)\"']}]", "RE2 can read"),
        ("rules: [{sensitivity: much}]", "detect.rules[0].sensitivity is 'much': expected low, normal, high"),
        ("rules: [{sensitivity: 20}]", "a number from 0.1 to 10"),
        ("rules: [{sensitivity: 8}]", "not above detect.clear_score (0.5)"),
        ("rules: [{direction: left}]", "'left': expected one of up, down, both"),
        ("rules: [{max_severity: bad}]", "expected one of info, warning, error, critical"),
        ("rules: [{for: soon}]", "detect.rules[0].for is 'soon': expected a duration"),
        (
            "rules: [{warning_above: 3, critical_above: 2}]",
            "critical_above is 2.0: expected at least warning_above",
        ),
        (
            "rules: [{warning_above: 3, warning_below: 4}]",
            "warning_above is 3.0: expected at least warning_below",
        ),
        ("rules: [{critical_above: .nan}]", "expected a finite number"),
        ("rules: [{hold_samples: 0}]", "detect.rules[0].hold_samples is 0"),
        ("rules: [{colour: red}]", "colour"),
        ("slos: [{name: a, objective: 100}]", "detect.slos[0].objective is 100"),
        ("slos: [{name: a, objective: 99}, {name: a, objective: 99}]", "expected distinct names"),
        ("slos: [{name: '', objective: 99}]", "expected a name"),
        ("slos: [{name: a, objective: 99, total: ['x=y']}]", "one of bad, good and slower_than"),
        ("slos: [{name: a, objective: 99, bad: ['x=y']}]", "with it total"),
        ("slos: [{name: a, objective: 99, period: month}]", "detect.slos[0].period is 'month'"),
        (
            "slos: [{name: a, objective: 99, burn_rates: [{burn: 2, long: 5m, short: 1h}]}]",
            "detect.slos[0].burn_rates[0].short is '1h': expected at least 1m, and at most the long window",
        ),
        (
            "slos: [{name: a, objective: 99, error_ratio: ['x=y'], total: ['x=y'], bad: ['z=y']}]",
            "either error_ratio",
        ),
    ],
)
def test_a_bad_rule_or_objective_is_named_with_what_was_expected(
    tmp_path: Path, text: str, says: str
) -> None:
    """It stops the start."""
    path = tmp_path / "tocsin.yaml"
    path.write_text(f"detect: {{{text}}}")
    with pytest.raises(ConfigError) as error:
        load(path)
    assert says in str(error.value)
    assert str(path) in str(error.value)


ROOT = Path(__file__).parents[2]


def test_the_commented_example_is_a_valid_configuration(tmp_path: Path) -> None:
    """Every key of a rule and of an objective, and a rule of each kind that suppresses, as config/tocsin.yaml
    shows it."""
    text = (ROOT / "config" / "tocsin.yaml").read_text()
    kinds = "rules|slos|patterns|silences|maintenance|inhibit|dedup"
    kinds += "|customer_notices|routes|schedules|policies|targets|views"
    text = re.sub(rf"^  ({kinds}): \[\]", r"  \1:", text, flags=re.MULTILINE)
    path = tmp_path / "tocsin.yaml"
    path.write_text(re.sub(r"^  #(  .*)$", r"  \1", text, flags=re.MULTILINE))
    (rule,), (slo,) = load(path).detect.rules, load(path).detect.slos
    assert None not in [getattr(rule, key) for key in rule.__struct_fields__]
    assert slo.burn_rates == BURN_RATES
    assert [pattern.do for pattern in load(path).logs.patterns] == ["drop", "alert"]
    correlate = load(path).correlate
    held = (correlate.silences, correlate.maintenance, correlate.inhibit, correlate.dedup)
    assert [len(rules) for rules in held] == [1, 1, 1, 1]


@pytest.mark.parametrize("which", [0, 1])
def test_the_examples_of_the_documentation_are_valid(tmp_path: Path, which: int) -> None:
    """docs/control.md shows what loads."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "control.md").read_text(), re.DOTALL)
    path = tmp_path / "tocsin.yaml"
    path.write_text(blocks[which])
    detect = load(path).detect
    assert len(detect.rules) + len(detect.slos) >= 3


def test_the_example_of_suppression_is_valid(tmp_path: Path) -> None:
    """docs/suppression.md shows what loads."""
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "suppression.md").read_text(), re.DOTALL)
    path = tmp_path / "tocsin.yaml"
    path.write_text(block)
    correlate = load(path).correlate
    assert [len(correlate.silences), len(correlate.maintenance), len(correlate.inhibit)] == [2, 2, 1]
    assert correlate.dedup[0].window == "5m"
