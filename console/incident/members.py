"""The alerts of an incident as its table shows them: searched, sorted, a page at a time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec

from correlator.incident import Incident, Member
from detectors.alert import SEVERITIES

EACH = 200
"""lines of one page"""
Sort = Literal["active", "onset", "service", "severity"]
SORTS: Mapping[Sort, Callable[[Member], Any]] = {
    "active": lambda m: (m.resolved_at is not None, m.started_at, m.alert_id),
    "onset": lambda m: (m.started_at, m.alert_id),
    "service": lambda m: (m.service, m.started_at, m.alert_id),
    "severity": lambda m: (-SEVERITIES.index(m.severity), m.started_at, m.alert_id),
}


class Asked(msgspec.Struct, frozen=True):
    """Which of them, in which order."""

    words: str = ""
    sort: Sort = "active"
    page: int = 1

    def query(self, **changes: Any) -> str:
        """As an address has it; what goes without saying is left out."""
        one = msgspec.structs.replace(self, **changes)
        pairs = {"alerts": one.words, "by": one.sort if one.sort != "active" else "",
                 "page": one.page if one.page > 1 else ""}  # fmt: skip
        return urlencode({name: value for name, value in pairs.items() if value})


class Members(msgspec.Struct, frozen=True):
    shown: tuple[Member, ...]
    fitting: int
    """with all the words, on all pages"""
    first: int
    """number of the first that is shown, from 1"""
    pages: int
    asked: Asked
    """its page is one there is"""
    counted: int
    """beyond the most that are carried: they have no line"""


def members(incident: Incident, asked: Asked, each: int = EACH) -> Members:
    """A page of them. Words are looked for in service, metric, severity, summary and reasons."""
    words = asked.words.lower().split()
    found = [one for one in incident.members if all(word in _text(one) for word in words)] if words else [
        *incident.members
    ]  # fmt: skip
    found.sort(key=SORTS[asked.sort])
    pages = max(1, -(-len(found) // each))
    page = min(asked.page, pages)
    first = (page - 1) * each
    return Members(
        shown=tuple(found[first : first + each]),
        fitting=len(found),
        first=first + 1 if found else 0,
        pages=pages,
        asked=msgspec.structs.replace(asked, page=page),
        counted=incident.truncated_members,
    )


def _text(one: Member) -> str:
    reasons = " ".join(reason.name for reason in one.reasons)
    return f"{one.service} {one.metric} {one.severity} {one.summary} {reasons}".lower()
