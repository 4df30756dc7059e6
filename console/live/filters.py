"""What somebody wants to see of the list: filters as they stand in an address. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from console.live.row import ACTIVE, Due, Row
from correlator.incident import CATEGORIES, STATES
from detectors.alert import SEVERITIES
from sinks.search import Wanted

PRIORITIES = ("P1", "P2", "P3", "P4")
SORTS = ("urgency", "newest", "oldest", "due", "updated")
CHOICES: Mapping[str, tuple[str, ...]] = {
    "state": STATES,
    "severity": SEVERITIES,
    "priority": PRIORITIES,
    "category": CATEGORIES,
}
_FREE = ("service", "team", "domain")
MOST = 50
"""values of one key"""
MOST_CHARS = 200


class BadFilter(ValueError):
    """A key or value no filter has; the message says what was expected."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """All parts must hold; within one part, any value. Empty: everything that is active."""

    state: tuple[str, ...] = ()
    severity: tuple[str, ...] = ()
    priority: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    team: tuple[str, ...] = ()
    """`-`: those without one"""
    domain: tuple[str, ...] = ()
    at_risk: bool = False
    """a clock has warned or was missed"""
    unacknowledged: bool = False
    q: str = ""
    """words, all of which must occur"""
    sort: str = "urgency"

    @property
    def past(self) -> bool:
        """Whether incidents are asked for that may be over for long: ClickHouse has them."""
        return bool(set(self.state) - {*ACTIVE, "resolved"})

    @property
    def applied(self) -> Filter:
        """What of it holds: those that are over have no clock at risk and are sorted by their start."""
        if not self.past:
            return self
        return msgspec.structs.replace(
            self, at_risk=False, sort="oldest" if self.sort == "oldest" else "newest"
        )

    @property
    def passed_over(self) -> list[str]:
        """Keys that were set and do not hold."""
        odd = {"at_risk": self.at_risk, "sort": self.sort in ("due", "updated")}
        return [key for key, given in odd.items() if self.past and given]

    def toggled(self, key: str, value: str) -> Filter:
        """The same with one value of a part taken in, or left out if it is there."""
        values: tuple[str, ...] = getattr(self, key)
        changed = tuple(one for one in values if one != value) if value in values else (*values, value)
        return msgspec.structs.replace(self, **{key: changed})

    def wanted(self) -> Wanted:
        """What to look for in ClickHouse."""
        return Wanted(
            states=self.state,
            severities=self.severity,
            priorities=self.priority,
            categories=self.category,
            services=self.service,
            teams=self.team,
            domains=self.domain,
            words=tuple(self.q.split()),
            acknowledged=False if self.unacknowledged else None,
        )

    def pairs(self) -> list[tuple[str, str]]:
        """As keys and values of an address, defaults left out."""
        found = [(key, value) for key in (*CHOICES, *_FREE) for value in getattr(self, key)]
        found += [(key, "1") for key in ("at_risk", "unacknowledged") if getattr(self, key)]
        if self.q:
            found.append(("q", self.q))
        if self.sort != "urgency":
            found.append(("sort", self.sort))
        return found

    def query(self) -> str:
        """The part of an address behind the question mark; the same for the same filter."""
        return urlencode(self.pairs())


def filter_of(pairs: Iterable[tuple[str, str]]) -> Filter:
    """From keys and values of an address; unknown keys are passed over. Raises `BadFilter`."""
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        value = value.strip()
        if value:
            found.setdefault(key, []).append(value)
    for key, values in found.items():
        if len(values) > MOST or any(len(value) > MOST_CHARS for value in values):
            raise BadFilter(f"{key}: at most {MOST} values of {MOST_CHARS} characters")
        for value in values if key in CHOICES else ():
            if value not in CHOICES[key]:
                raise BadFilter(f"{key} is {value!r}: expected one of {', '.join(CHOICES[key])}")
    sort = found.get("sort", ["urgency"])[-1]
    if sort not in SORTS:
        raise BadFilter(f"sort is {sort!r}: expected one of {', '.join(SORTS)}")
    several: dict[str, Any] = {
        key: tuple(dict.fromkeys(found[key])) for key in (*CHOICES, *_FREE) if key in found
    }
    flags: dict[str, Any] = {
        key: found[key][-1] not in ("0", "false") for key in ("at_risk", "unacknowledged") if key in found
    }
    return Filter(**several, **flags, q=" ".join(found.get("q", [])), sort=sort)


def holds(wanted: Filter, row: Row, due: Due | None, words: Sequence[str]) -> bool:
    """Whether the filter lets a row through. `words`: of `wanted.q`, in lower case."""
    if wanted.state:
        if row.state not in wanted.state:
            return False
    elif not row.active:
        return False
    return (
        (not wanted.severity or row.severity in wanted.severity)
        and (not wanted.priority or row.priority in wanted.priority)
        and (not wanted.category or row.category in wanted.category)
        and (not wanted.domain or row.domain in wanted.domain)
        and (not wanted.team or (row.owner or "-") in wanted.team)
        and (not wanted.service or any(service in wanted.service for service in row.services))
        and (not wanted.at_risk or (due is not None and due.state in ("warned", "missed")))
        and (not wanted.unacknowledged or row.acknowledged_at is None)
        and all(word in row.text for word in words)
    )


_STATE_ORDER = {"open": 0, "reopened": 0, "acknowledged": 1, "mitigated": 2, "resolved": 3}


def order(sort: str, row: Row, due: Due | None) -> tuple[object, ...]:
    """Key to sort by; ties by start and id, so that equal lists look equal."""
    tail = (-row.started_at, row.id)
    if sort == "newest":
        return tail
    if sort == "oldest":
        return (row.started_at, row.id)
    if sort == "updated":
        return (-row.updated_at, row.id)
    if sort == "due":
        return (due.due_at if due else float("inf"), *tail)
    return (_STATE_ORDER.get(row.state, 4), row.priority, *tail)
