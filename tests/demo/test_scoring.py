"""The rule of docs/demo.md, one fact a test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from demo.findings import Finding
from demo.schedule import choose, plan
from demo.scoring import Injected, Row, score
from demo.screen import Picture, Screen

FAULT = Injected("slow-inventory", "inventory", inject_ms=100_000, heal_ms=132_000)
FOUND = Finding(
    id="inc-1",
    version=3,
    state="open",
    title="inventory is slow",
    severity="critical",
    started_ms=102_000,
    detected_ms=106_000,
    resolved_ms=None,
    services=(("inventory", "suspected cause"), ("gateway", "affected")),
    hints=(("inventory", 0.8, "latency", "since 102"), ("gateway", 0.1, "", "")),
    seen_ms=107_500,
)


def row(*findings: Finding) -> Row:
    return score([FAULT], findings).rows[0]


def test_one_incident_with_the_right_hint_passes() -> None:
    """Times are counted from the injection."""
    assert row(FOUND).passed
    assert (row(FOUND).detect_ms, row(FOUND).seen_ms) == (6_000, 7_500)


def test_nothing_found_without_incidents() -> None:
    """No incident: not found, no times."""
    assert not row().found
    assert row().detect_ms is None


def test_incident_from_before_the_window_does_not_find_the_fault() -> None:
    """Five seconds early is the most, since samples are two seconds apart."""
    assert row(replace(FOUND, started_ms=95_000)).found
    assert not row(replace(FOUND, started_ms=94_999)).found


def test_incident_after_the_window_does_not_find_the_fault() -> None:
    """Ten seconds after healing is the last moment."""
    assert row(replace(FOUND, started_ms=142_000)).found
    assert not row(replace(FOUND, started_ms=142_001)).found


def test_incident_that_does_not_name_the_root_does_not_find_it() -> None:
    """The root must be among the services or the hints."""
    assert not row(replace(FOUND, services=(("gateway", ""),), hints=(("gateway", 1.0, "", ""),))).found
    assert row(replace(FOUND, services=(("gateway", ""),))).found


def test_wrong_first_hint_is_found_but_not_right() -> None:
    """Only the first hint counts."""
    wrong = row(replace(FOUND, hints=tuple(reversed(FOUND.hints))))
    assert (wrong.found, wrong.hint_right, wrong.passed) == (True, False, False)


def test_two_incidents_for_one_fault_do_not_pass() -> None:
    """One fault, one incident."""
    second = replace(FOUND, id="inc-2", started_ms=110_000)
    assert row(FOUND, second).incidents == 2
    assert not row(FOUND, second).passed


def test_older_incident_counts_if_it_took_in_an_alert_of_the_fault() -> None:
    """A fault that is split between an old incident and a new one is not one incident."""
    older = replace(FOUND, id="inc-0", started_ms=10_000, alerts_ms=(10_000, 110_000))
    assert (row(FOUND, older).incidents, row(FOUND, older).new_incidents) == (2, 1)
    assert not row(FOUND, older).passed


def test_older_incident_that_is_merely_still_open_does_not_count() -> None:
    """Slow to resolve is not the same as wrongly grouped."""
    older = replace(FOUND, id="inc-0", started_ms=10_000, alerts_ms=(10_000, 20_000))
    assert row(FOUND, older).incidents == 1


def test_merged_incidents_do_not_count() -> None:
    """They live on in the one they were merged into."""
    assert row(FOUND, replace(FOUND, id="inc-2", state="merged")).incidents == 1


def test_incident_away_from_every_fault_is_unrelated() -> None:
    """False alarms are told, not hidden."""
    early = replace(FOUND, id="inc-0", started_ms=10_000, resolved_ms=20_000)
    assert score([FAULT], [FOUND, early]).unrelated == ("inc-0",)


def test_json_says_what_passed() -> None:
    """The file for `--json` is plain data."""
    data = score([FAULT], [FOUND]).as_json()
    assert data["passed"] == 1
    assert data["faults"][0]["incident"] == "inc-1"


def test_saved_picture_asks_no_host_for_anything(tmp_path: Path) -> None:
    """The SVG stands in the README: it holds what was shown and fetches nothing."""
    timing = plan(choose([], None), None, warm_up_s=1, fault_s=1, recovery_s=1)
    target = tmp_path / "demo.svg"
    Screen(Picture(timing, findings=(FOUND,))).save(target, score([FAULT], [FOUND]))
    text = target.read_text()
    assert "slow-inventory" in text
    assert "url(http" not in text
    assert "@font-face" not in text
