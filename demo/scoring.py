"""Truth against findings. The rule is in docs/demo.md; it is applied here and nowhere else. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from demo.findings import Finding

EARLY_MS = 5_000
LATE_MS = 10_000


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault as it happened: ms UTC of injection and of healing."""

    name: str
    service: str
    inject_ms: int
    heal_ms: int


@dataclass(frozen=True, slots=True)
class Row:
    """One fault and what became of it."""

    fault: str
    service: str
    inject_ms: int
    heal_ms: int
    incident: str
    """id of the incident that found it, or empty"""
    found: bool
    first_hint: str
    hint_right: bool
    incidents: int
    """incidents that took in an alert which started with the fault; one is right"""
    new_incidents: int
    """those of them that started with the fault; the others began before and grew"""
    detect_ms: int | None
    """injection to first firing alert, event time"""
    seen_ms: int | None
    """injection to the incident being readable on the topic, wall clock"""

    @property
    def passed(self) -> bool:
        """Found, as exactly one incident, with the right first hint."""
        return self.found and self.hint_right and self.incidents == 1


@dataclass(frozen=True, slots=True)
class Score:
    """All rows, and the incidents that belong to no fault."""

    rows: tuple[Row, ...]
    unrelated: tuple[str, ...]

    @property
    def passed(self) -> int:
        """Faults found as one incident each with the right first hint."""
        return sum(row.passed for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        rows = [asdict(row) | {"passed": row.passed} for row in self.rows]
        return {"faults": rows, "unrelated_incidents": list(self.unrelated), "passed": self.passed}


def score(truth: Sequence[Injected], findings: Sequence[Finding]) -> Score:
    """Hold `findings` (newest versions) against `truth`."""
    alive = [finding for finding in findings if finding.state != "merged"]
    rows = tuple(_row(fault, alive) for fault in truth)
    related = {f.id for f in alive for fault in truth if _took_in(fault, f) or _starts_with(fault, f)}
    return Score(rows, tuple(finding.id for finding in alive if finding.id not in related))


def _row(fault: Injected, findings: Sequence[Finding]) -> Row:
    involved = [finding for finding in findings if _took_in(fault, finding)]
    found = next(
        (
            finding
            for finding in sorted(findings, key=lambda f: (f.started_ms, f.id))
            if _starts_with(fault, finding) and finding.names(fault.service)
        ),
        None,
    )
    return Row(
        fault=fault.name,
        service=fault.service,
        inject_ms=fault.inject_ms,
        heal_ms=fault.heal_ms,
        incident=found.id if found else "",
        found=found is not None,
        first_hint=found.first_hint if found else "",
        hint_right=found is not None and found.first_hint == fault.service,
        incidents=len(involved),
        new_incidents=sum(_starts_with(fault, finding) for finding in involved),
        detect_ms=found.detected_ms - fault.inject_ms if found else None,
        seen_ms=found.seen_ms - fault.inject_ms if found else None,
    )


def _starts_with(fault: Injected, finding: Finding) -> bool:
    return _with(fault, finding.started_ms)


def _took_in(fault: Injected, finding: Finding) -> bool:
    return any(_with(fault, at_ms) for at_ms in (finding.started_ms, *finding.alerts_ms))


def _with(fault: Injected, at_ms: int) -> bool:
    return fault.inject_ms - EARLY_MS <= at_ms <= fault.heal_ms + LATE_MS
