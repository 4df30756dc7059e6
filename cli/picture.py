"""An incident drawn for a terminal: the calls from symptom to cause, with what each service shows.

Marks say the severity without colour: !!! critical, !! error, ! warning, · info.
"""

from __future__ import annotations

import re
from textwrap import shorten

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from cli.output import STYLES, percent, plain
from correlator.incident import Incident, Member, ServiceRole, TimelineEntry
from correlator.paths import suspected, toward, way_of
from correlator.when import utc
from detectors.alert import SEVERITIES

MARKS = {"critical": "!!!", "error": "!! ", "warning": "!  ", "info": "·  "}
LEGEND = "!!! critical  !! error  ! warning  · info  ◀ suspected cause  ↺ drawn above"
MOST_ALERTS = 3
"""of one service; the others are counted"""
MOST_SERVICES = 40
_TIMES = re.compile(r", (?:since )?\d\d:\d\d:\d\d UTC(?: to \d\d:\d\d:\d\d UTC)?(?=$|;)")
"""what a summary says of its times, which are drawn beside it"""


class Picture:
    """What is drawn of an incident."""

    def __init__(self, incident: Incident) -> None:
        self.incident = incident
        self.roles = {role.service: role for role in incident.services}
        self.cause = incident.hints[0].service if incident.hints else ""
        self._callees: dict[str, list[tuple[str, float]]] = {}
        callers: dict[str, list[str]] = {}
        for caller, callee, failed in incident.calls:
            self._callees.setdefault(caller, []).append((callee, failed))
            callers.setdefault(callee, []).append(caller)
        self._toward = toward(self.cause, (call[:2] for call in incident.calls))
        names = {*self.roles, *self._callees, *callers}
        self._roots = sorted((n for n in names if n not in callers), key=self._rank)
        reached: set[str] = set()
        for name in [*self._roots, *sorted(names, key=self._rank)]:  # in a cycle nobody is the first
            if name not in reached:
                if name in callers:
                    self._roots.append(name)
                self._reach(name, reached)
        self._alerts: dict[str, list[Member]] = {}
        for member in incident.members:
            self._alerts.setdefault(member.service, []).append(member)
        self._changes: dict[str, list[TimelineEntry]] = {}
        for entry in incident.timeline:
            service, _, what = entry.text.partition(": ")
            if entry.kind == "change" and what:
                self._changes.setdefault(service, []).append(entry)
        self._drawn: set[str] = set()
        self._width = 100

    @property
    def path(self) -> list[str]:
        """Services from the symptom that is furthest away to the suspected cause."""
        return suspected(self.roles, self._toward) or ([self.cause] if self.cause else [])

    def tree(self, width: int = 100) -> Group:
        """Callers above, what they call below; ways to the cause come first."""
        self._width = width
        self._drawn = set()
        drawn = []
        for root in self._roots:
            if len(self._drawn) >= MOST_SERVICES:
                break
            drawn.append(self._branch(root, None, 0))
        left = len({*self.roles, *self._toward} - self._drawn)
        more = [Text(f"… and {left} more services", style="dim")] if left > 0 else []
        return Group(*drawn, *more)

    def _branch(self, name: str, failed: float | None, depth: int) -> Tree:
        tree = Tree(self._lines(name, failed, self._width - 4 * depth), guide_style="dim")
        self._drawn.add(name)
        for callee, share in sorted(self._callees.get(name, ()), key=lambda pair: self._nearest(pair[0])):
            if callee in self._drawn:
                tree.add(Text(f"{plain(callee).plain}{_failing(share)} ↺", style="dim"))
            elif len(self._drawn) < MOST_SERVICES:
                tree.add(self._branch(callee, share, depth + 1))
        return tree

    def _lines(self, name: str, failed: float | None, width: int) -> Text:
        role = self.roles.get(name)
        line = Text(plain(name).plain, style="bold" if role else "dim")
        line.append(_failing(failed), style="red")
        if name == self.cause:
            line.append(
                f"  ◀ suspected cause, {percent(self.incident.hints[0].confidence)}", style="bold red"
            )
        elif role is None:
            line.append("  no alert of its own", style="dim")
        if role is not None and (facts := _facts(role)):
            line.append(f"  {plain(facts).plain}", style="dim")
        for change in self._changes.get(name, ()):
            what = change.text.partition(": ")[2]
            line.append(f"\n△   {utc(change.at_ms, date=False)} {plain(what).plain}", style="magenta")
        alerts = sorted(self._alerts.get(name, ()), key=_worst_first)
        for member in alerts[:MOST_ALERTS]:
            line.append("\n")
            line.append_text(_alert(member, width))
        if len(alerts) > MOST_ALERTS:
            line.append(f"\n    and {len(alerts) - MOST_ALERTS} more alerts", style="dim")
        return line

    def _rank(self, name: str) -> tuple[bool, int, str]:
        """What is on a way to the cause, the longest first, then by name."""
        on_way = name in self._toward
        return not on_way, -len(way_of(name, self._toward)), name

    def _nearest(self, name: str) -> tuple[bool, int, str]:
        """The same with the shortest first."""
        off_way, length, name = self._rank(name)
        return off_way, -length, name

    def _reach(self, start: str, reached: set[str]) -> None:
        front = [start]
        reached.add(start)
        while front:
            for callee, _ in self._callees.get(front.pop(), ()):
                if callee not in reached:
                    reached.add(callee)
                    front.append(callee)


def _failing(share: float | None) -> str:
    return f"  {percent(share)} of calls fail" if share is not None and share >= 0.005 else ""


def _facts(role: ServiceRole) -> str:
    return " · ".join(filter(None, (role.owner, f"tier {role.tier}" if role.tier else "", role.runbook)))


def _worst_first(member: Member) -> tuple[int, int, str]:
    return -SEVERITIES.index(member.severity), member.started_at, member.alert_id


def _alert(member: Member, width: int) -> Text:
    """One line of at most `width` characters."""
    line = Text(f"{MARKS[member.severity]} ", style=STYLES.get(member.severity, ""))
    line.append(f"{utc(member.started_at, date=False)} ", style="default")
    over = "" if member.resolved_at is None else f"  over {utc(member.resolved_at, date=False)}"
    words = _TIMES.sub("", (member.summary or member.metric).removeprefix(f"{member.service} "))
    room = max(20, width - len(line) - len(over))
    line.append(shorten(plain(words).plain, room, placeholder=" …"), style="default")
    line.append(over, style="dim")
    return line
