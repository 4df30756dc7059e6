"""`tocsin config`: whether settings are fine, and which rules apply to a series."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main

RULES = """
detect:
  rules:
    - matchers: ['service="db"']
      hold_samples: 4
    - matchers: ['metric="disk.used"', 'volume!="tmp"']
      critical_above: 95
      for: 5m
    - matchers: ['service="dev"']
      watch: false
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tocsin.yaml"
    path.write_text(RULES)
    return path


def run(*args: object) -> int:
    try:
        main(["config", *map(str, args)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def facts(capsys: pytest.CaptureFixture[str], config: Path, *labels: str) -> dict[str, tuple[str, str]]:
    """What is printed of a series: key to (value, because)."""
    assert run("rules", "-c", config, "--json", *labels) == 0
    printed = json.loads(capsys.readouterr().out)
    return {fact["key"]: (fact["value"], fact["source"]) for fact in printed["facts"]}


def test_fine_settings_are_said_to_be_fine(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With how much there is in them."""
    assert run("check", "-c", config) == 0
    assert "3 rules, 0 objectives" in capsys.readouterr().out


def test_bad_settings_end_with_two_and_name_the_key(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the worker would at its start."""
    config.write_text(RULES.replace("5m", "soon"))
    assert run("check", "-c", config) == 2
    assert "detect.rules[1].for is 'soon'" in capsys.readouterr().err


def test_each_fact_names_the_rule_that_says_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rules that apply, or the default."""
    found = facts(capsys, config, "service=db", "metric=disk.used", "unit=%", "volume=data")
    assert found["critical_above"] == ("95.0 %", "rules[1]")
    assert found["fires after"] == ("4 samples and 5 min", "rules[0], rules[1]")
    assert found["max_severity"] == ("critical", "default")


def test_an_excluded_series_says_by_which_rule(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else."""
    assert facts(capsys, config, "service=dev", "metric=x") == {"watch": ("no: excluded", "rules[2]")}


def test_rules_are_printed_for_people(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How many apply, and which."""
    run("rules", "-c", config, "service=db", "metric=x")
    printed = capsys.readouterr().out
    assert "1 rule of 3 applies" in printed
    assert 'rules[0]  service="db"' in printed


def test_what_is_no_label_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With an example."""
    assert run("rules", "-c", config, "db") == 2
    assert "'db' is not LABEL=VALUE" in capsys.readouterr().err


def test_templates_of_status_updates_are_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the settings file's folder; what is wrong with one is said, with its file."""
    path = tmp_path / "tocsin.yaml"
    path.write_text("updates: {templates: texts}\n")
    file = tmp_path / "texts" / "customers" / "open.j2"
    file.parent.mkdir(parents=True)
    file.write_text("Trouble\n{{ what }} {{ condition }}.\n")
    assert run("check", "-c", path) == 0
    file.write_text("Trouble\n{{ suspect }} did it.\n")
    assert run("check", "-c", path) == 2
    assert f"{file}: 'suspect' is undefined" in capsys.readouterr().err
