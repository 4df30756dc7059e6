"""A group: alerts that belong together, on their way to being an incident or already one.

Mutable state of the engine, carried in its snapshot. A group is *opened* once its evidence is
enough to bother people; before that it only waits and may vanish without a word.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from correlator.incident import (
    Edit,
    Figure,
    Filing,
    Hint,
    Member,
    Pause,
    Reason,
    Similar,
    TimelineEntry,
)
from detectors.alert import SEVERITIES, Alert

LIVE = frozenset(("open", "acknowledged", "mitigated", "reopened"))

Call = tuple[str, str, float]
"""caller, callee, share of recent calls that failed"""


class Held(msgspec.Struct, gc=False):
    """An alert in a group and why it is there."""

    alert: Alert
    joined_at: int
    reasons: tuple[Reason, ...]

    def member(self) -> Member:
        """The membership as an incident shows it."""
        a = self.alert
        return Member(
            a.id,
            a.service,
            a.kind,
            a.metric,
            a.severity,
            a.started_at,
            a.detected_at,
            a.resolved_at,
            a.strength,
            a.summary,
            self.joined_at,
            self.reasons,
        )


class Span(msgspec.Struct, gc=False):
    """Onsets of one service's alerts in a group."""

    first: int
    last: int
    coarse: int
    """longest detection delay of its alerts, ms: how exactly its onsets are known"""


class Standing(NamedTuple):
    """How far people had got with an incident."""

    state: str
    acknowledged_at: int | None
    acknowledged_by: str
    mitigated_at: int | None


class Finding(msgspec.Struct, frozen=True, gc=False):
    """What people found out about an incident: its cause, and what helped."""

    cause: str
    cause_service: str
    fix: str
    runbook: str
    by: str
    at_ms: int
    version: int
    """counts how often it was written down"""


class Told(msgspec.Struct):
    """What people said of an incident, beside its steps. Empty means that the rules decide."""

    kind: str = "incident"
    source: str = "detected"
    reported_by: str = ""
    title: str = ""
    assignee: str = ""
    category: str = ""
    severity: str = ""
    impact_level: str = ""
    urgency: str = ""
    priority: str = ""
    figures: dict[str, Figure] = {}
    """confirmed or estimated by a person, by name"""
    reputation: tuple[str, ...] = ()
    aware_at: int | None = None
    major_at: int | None = None
    started_at: int | None = None
    """in place of what the alerts say"""
    detected_at: int | None = None
    pauses: list[Pause] = []
    filings: list[Filing] = []
    edits: list[Edit] = []


class Merge(msgspec.Struct):
    """What it takes to undo a merge."""

    other: Group
    """as it was before, without its members; its facts count the merge"""
    members: dict[str, int]
    """ids of its alerts, in order of joining"""
    before: Standing
    """of the survivor"""
    after: Standing
    """undoing leaves alone what people did since"""
    actor: str = ""
    """empty: Tocsin itself"""


class Group(msgspec.Struct):
    """All times are event times in ms UTC."""

    id: str
    domain: str
    started_at: int
    detected_at: int
    updated_at: int
    state: str = "open"
    opened_at: int | None = None
    acknowledged_at: int | None = None
    mitigated_at: int | None = None
    resolved_at: int | None = None
    closed_at: int | None = None
    first_resolved_at: int | None = None
    resolved_by: str = ""
    acknowledged_by: str = ""
    reopened: int = 0
    calm_ms: int = 0
    """time between a resolve and the reopening that followed"""
    facts: int = 0
    """what changed it so far, changes not counted; the version is this plus the number of changes"""
    held: list[Held] = []
    series: dict[str, int] = {}
    """fingerprints of its alerts -> index in `held` of the newest"""
    active: dict[str, int] = {}
    """ids of alerts still firing -> index in `held`"""
    spans: dict[str, Span] = {}
    """by service"""
    labels: dict[str, int] = {}
    """failure-domain label `key=value` -> members that carry it"""
    signals: dict[str, int] = {}
    """`service NUL metric` without the statistic taken of it -> members"""
    words: dict[int, int] = {}
    """hashed words of its texts -> members; see `correlator.text`"""
    worst: int = 0
    """index of the highest severity of its alerts"""
    grave: int = 0
    """members of severity warning or worse"""
    enough: str = ""
    """why one of its alerts is enough to open it, if one is"""
    last_onset: int = 0
    coarse: int = 0
    """longest detection delay of its alerts, ms"""
    born_at: int = 0
    last_joined_at: int = 0
    last_resolved: int = 0
    felt: int = 0
    """members that somebody feels (`correlator.opening`) and that joined since `episode_at`"""
    hurting: int = 0
    """of these, those that still fire"""
    ended: list[int] = []
    """when the others were over, sorted"""
    paused: list[int] = []
    """likewise of what is over at once: lines of a log and events of other systems, which may go on"""
    eased_at: int = 0
    """newest resolve of those"""
    episode_at: int = 0
    """when it was reopened last"""
    calm_since: int | None = None
    """newest resolve once no alert is firing, or none that anybody feels"""
    reach: dict[str, int] = {}
    """services whose changes matter to it: members and what they call, ever"""
    calls: tuple[Call, ...] = ()
    """the dependency graph around it at the last alert"""
    drawn_calls: tuple[Call, ...] = ()
    """of these, what an incident shows"""
    changes: list[str] = []
    hints: tuple[Hint, ...] = ()
    timeline: list[TimelineEntry] = []
    sealed: bool = False
    """idle for too long: only its own series still join"""
    merged_into: str = ""
    merged_from: list[str] = []
    merges: list[Merge] = []
    """those that can be undone, in order"""
    apart: dict[str, int] = {}
    """ids of groups that people keep apart from it: no alert merges them"""
    recurrence_of: str = ""
    truncated: int = 0
    stale: bool = False
    """it has changed since its hints were drawn"""
    drawn: int = 0
    """members when its hints were drawn last"""
    title: str = ""
    traits: int = 0
    """of its alerts, see `correlator.titles`"""
    told_at: int = 0
    """time of the newest published version"""
    seen: int = 0
    """number of the past incident that was the next to close when it opened; see `correlator.pastbook`"""
    symptoms: tuple[str, ...] = ()
    similar: tuple[Similar, ...] = ()
    suggestion: str = ""
    signature: str = ""
    kind_words: str = ""
    """the signature in words"""
    problem: str = ""
    finding: Finding | None = None
    told: Told = msgspec.field(default_factory=Told)
    unstable: bool = False
    """resolved, but what still fires keeps it from closing; the timeline says so"""

    @property
    def began_at(self) -> int:
        """When it started: as a person corrected it, else by its alerts."""
        return self.started_at if self.told.started_at is None else self.told.started_at

    @property
    def noticed_at(self) -> int:
        """When it was detected, likewise."""
        return self.detected_at if self.told.detected_at is None else self.told.detected_at

    @property
    def version(self) -> int:
        return self.facts + len(self.changes)

    @property
    def live(self) -> bool:
        """Takes new members."""
        return self.state in LIVE

    @property
    def standing(self) -> Standing:
        """How far people have got with it."""
        return Standing(self.state, self.acknowledged_at, self.acknowledged_by, self.mitigated_at)

    @property
    def severity(self) -> str:
        """The highest of its alerts."""
        return SEVERITIES[self.worst]

    @property
    def anchor(self) -> int:
        """Right end of the change window: fixed at opening, so that it never takes a change away."""
        return self.opened_at if self.opened_at is not None else self.detected_at
