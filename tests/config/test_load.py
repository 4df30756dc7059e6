"""Settings: what is accepted, and what a person is told when something is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.load import ConfigError, load
from config.settings import Settings

DEFAULTS = Path(__file__).parents[2] / "config" / "tocsin.yaml"


def write(folder: Path, text: str) -> Path:
    path = folder / "tocsin.yaml"
    path.write_text(text)
    return path


def test_the_commented_file_states_the_defaults() -> None:
    """config/tocsin.yaml must never drift from the code."""
    assert load(DEFAULTS) == Settings()


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    """Leaving everything out is a valid configuration."""
    assert load(write(tmp_path, "")) == Settings()


def test_a_section_with_all_keys_commented_out_gives_its_defaults(tmp_path: Path) -> None:
    """YAML reads such a section as null."""
    assert load(write(tmp_path, "detect:\n  # step_ms: 5\n")) == Settings()


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    """TOCSIN_KAFKA overrides kafka.bootstrap."""
    path = write(tmp_path, "kafka: {bootstrap: file:1}")
    assert load(path, {"TOCSIN_KAFKA": "env:2"}).kafka.bootstrap == "env:2"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("detect: {step_ms: soon}", ["detect.step_ms", "'soon'", "int"]),
        ("detect: {step_ms: 1}", ["detect.step_ms", "is 1", ">= 10"]),
        ("detect: {stepms: 1000}", ["stepms"]),
        ("detekt: {}", ["detekt"]),
        ("detect: {joint: {window_ms: 1500}}", ["detect.joint.window_ms", "1500", "multiple", "1000"]),
        ("detect: {joint: {min_windows: 999}}", ["detect.joint.min_windows", "999", "memory_windows"]),
        ("detect: {joint: {trees: 1}}", ["detect.joint.trees", "is 1", ">= 8"]),
        ("detect: {fire_score: 0.4}", ["detect.clear_score", "0.5", "0.4"]),
        ("topics: {pages: tocsin.alerts}", ["tocsin.alerts", "distinct"]),
        ("topics: {inputs: [{name: a, format: xml}]}", ["topics.inputs[0].format", "'xml'", "otlp-json"]),
        ("topics: {inputs: [{name: a, partitions: 0}]}", ["topics.inputs[0].partitions", "is 0"]),
        ("clickhouse: {url: localhost}", ["clickhouse.url", "'localhost'", "http://"]),
        ("- a\n- b", ["mapping", "list"]),
        ("a: [", ["YAML"]),
    ],
)
def test_a_bad_setting_is_named_with_its_value_and_what_was_expected(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    """File, key, value and expectation are all in the message."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load(path)
    for part in [str(path), *parts]:
        assert part in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No traceback for a typo in a path."""
    with pytest.raises(ConfigError, match=r"nowhere\.yaml.*No such file"):
        load(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("history: {days: 0}", ["history.days", "is 0", ">= 1"]),
        ("history: {matchers: ['env=\"']}", ["history.matchers[0]", "double quotes"]),
        ("history: {max_series: 0}", ["history.max_series", "is 0"]),
    ],
)
def test_a_history_that_cannot_be_is_refused(tmp_path: Path, text: str, parts: list[str]) -> None:
    """Naming the key."""
    with pytest.raises(ConfigError) as error:
        load(write(tmp_path, text))
    for part in parts:
        assert part in str(error.value)
