"""What Tocsin says: incidents as they appear on the incident topic.

Parsed leniently on purpose: the demo shows what a consumer outside Tocsin would see, and such a
consumer must live with fields it does not know.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One version of an incident. Times are ms UTC; `seen_ms` is when we first read of this incident."""

    id: str
    version: int
    state: str
    title: str
    severity: str
    started_ms: int
    detected_ms: int
    resolved_ms: int | None
    services: tuple[tuple[str, str], ...]
    """service and role"""
    hints: tuple[tuple[str, float, str, str], ...]
    """service, confidence, cause in words, first evidence in words; best first"""
    seen_ms: int
    alerts_ms: tuple[int, ...] = ()
    """start of each alert in it"""

    @property
    def first_hint(self) -> str:
        """The service the best hint points at, or an empty string."""
        return self.hints[0][0] if self.hints else ""

    def names(self, service: str) -> bool:
        """Whether the incident speaks of `service`, as a member or as a hint."""
        return any(name == service for name, _ in self.services) or any(
            hint[0] == service for hint in self.hints
        )


def parse(value: bytes, seen_ms: int) -> Finding | None:
    """Read one CloudEvents record (structured mode, or the bare incident); None when it is no incident."""
    try:
        body = json.loads(value)
        data: dict[str, Any] = body.get("data", body)
        return Finding(
            id=str(data["id"]),
            version=int(data.get("version", 0)),
            state=str(data.get("state", "open")),
            title=str(data.get("title", "")),
            severity=str(data.get("severity", "")),
            started_ms=int(data["started_at"]),
            detected_ms=int(data.get("detected_at") or data["started_at"]),
            resolved_ms=_maybe_int(data.get("resolved_at")),
            services=tuple((str(s["service"]), str(s.get("role", ""))) for s in data.get("services", ())),
            hints=tuple(_hint(hint) for hint in data.get("hints", ())),
            seen_ms=seen_ms,
            alerts_ms=tuple(int(member["started_at"]) for member in data.get("members", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class Findings:
    """The newest version of every incident, at most `limit` of them, oldest forgotten first."""

    def __init__(self, limit: int = 1_000) -> None:
        self._limit = limit
        self._by_id: dict[str, Finding] = {}
        self.forgotten = 0

    def add(self, finding: Finding) -> Finding | None:
        """Take a version in; returns it as kept (with the first `seen_ms`), or None when it is not news."""
        known = self._by_id.get(finding.id)
        if known is not None and known.version >= finding.version:
            return None
        if known is not None:
            finding = replace(finding, seen_ms=known.seen_ms)
        elif len(self._by_id) >= self._limit:
            del self._by_id[next(iter(self._by_id))]
            self.forgotten += 1
        self._by_id[finding.id] = finding
        return finding

    def all(self) -> tuple[Finding, ...]:
        """Newest versions, by start."""
        return tuple(sorted(self._by_id.values(), key=lambda finding: (finding.started_ms, finding.id)))


def _hint(hint: dict[str, Any]) -> tuple[str, float, str, str]:
    evidence = hint.get("evidence") or [{}]
    text = str(evidence[0].get("text", ""))
    return str(hint["service"]), float(hint.get("confidence", 0.0)), str(hint.get("cause", "")), text


def _maybe_int(value: Any) -> int | None:
    return None if value is None else int(value)
