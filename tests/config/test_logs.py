"""Secrets and patterns of log lines in the configuration: what is accepted, what is said of the rest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.load import ConfigError, load
from config.logs import ACTIONS, Pattern, Secrets


def loaded(folder: Path, text: str) -> object:
    path = folder / "tocsin.yaml"
    path.write_text(text)
    return load(path).logs


def test_masking_is_on_by_default(tmp_path: Path) -> None:
    """Every kind of it."""
    assert loaded(tmp_path, "logs:") == load().logs
    assert load().logs.secrets == Secrets(mask=True, keep=())


def test_patterns_are_read(tmp_path: Path) -> None:
    """All keys."""
    found = loaded(
        tmp_path,
        """
logs:
  secrets: {keep: [mail]}
  patterns:
    - {name: health, regex: 'GET /healthz?', do: drop, matchers: ['service=~"edge.*"']}
    - {name: declined, regex: 'card declined', do: alert, severity: warning, more_than: 5, within: 2m}
""",
    )
    assert found.secrets.keep == ("mail",)  # type: ignore[attr-defined]
    assert found.patterns[1] == Pattern(  # type: ignore[attr-defined]
        name="declined", regex="card declined", do="alert", severity="warning", more_than=5, within="2m"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("secrets: {keep: [email]}", r"logs.secrets.keep\[0\] is 'email': expected one of private-key, jwt"),
        ("patterns: [{name: a, regex: x}]", "missing required field `do`"),
        (
            "patterns: [{name: a, regex: x, do: mute}]",
            r"\[0\].do is 'mute': expected one of name, drop, mask",
        ),
        ("patterns: [{name: 'a b', regex: x, do: drop}]", r"\[0\].name is 'a b': expected up to 60 letters"),
        (
            "patterns: [{name: a, regex: 'x(', do: drop}]",
            r"\[0\].regex is 'x\(': expected a regular expr.*RE2",
        ),
        ("patterns: [{name: a, regex: '(?=x)', do: drop}]", r"regex is .*: expected a regular expr.*RE2"),
        (
            "patterns: [{name: a, regex: 'x*', do: mask}]",
            "expected a regular expression that does not match an",
        ),
        (
            "patterns: [{name: a, regex: x, do: drop, matchers: [y]}]",
            r"matchers\[0\] is 'y': expected a matcher",
        ),
        (
            "patterns: [{name: a, regex: x, do: drop, severity: info}]",
            "expected this key only with do: alert",
        ),
        ("patterns: [{name: a, regex: x, do: alert, severity: bad}]", "expected one of info, warning, error"),
        (
            "patterns: [{name: a, regex: x, do: alert, more_than: -1}]",
            r"more_than.* is -1: Expected `int` >= 0",
        ),
        (
            "patterns: [{name: a, regex: x, do: alert, more_than: 1, within: soon}]",
            "expected a duration such as",
        ),
        (
            "patterns: [{name: a, regex: x, do: alert, more_than: 1, within: 0s}]",
            "expected a duration above zero",
        ),
        ("patterns: [{name: a, regex: x, do: alert, within: 5m}]", "expected with it more_than"),
        (
            "patterns: [{name: a, regex: x, do: drop}, {name: a, regex: y, do: drop}]",
            r"logs.patterns\[1\].name is 'a': expected distinct names",
        ),
    ],
)
def test_bad_patterns_stop_the_start(tmp_path: Path, text: str, said: str) -> None:
    """With key, value and what was expected."""
    with pytest.raises(ConfigError, match=said):
        loaded(tmp_path, f"logs:\n  {text}\n")


def test_the_example_of_the_documentation_is_valid(tmp_path: Path) -> None:
    """docs/logs.md shows what loads, each action once."""
    text = (Path(__file__).parents[2] / "docs" / "logs.md").read_text()
    [block] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    found = loaded(tmp_path, block)
    assert {pattern.do for pattern in found.patterns} == set(ACTIONS)  # type: ignore[attr-defined]
