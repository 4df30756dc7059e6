"""Everything that happened, in one order: alerts, logs, changes, actions, notifications, deadlines. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from sinks.afterwards import Material

BURST_MS = 20_000
LEAST_BURST = 4
"""so many alerts of one service close together are one line that opens"""
GAP_MS = 300_000
"""silences longer than this are said"""
KINDS = ("alert", "log", "change", "action", "state", "notification", "deadline")
_OF = {"resolved": "alert", "merge": "state", "flap": "alert"}
_SERVICE = re.compile(r"^([^\s:]+)")


class Entry(msgspec.Struct, frozen=True):
    at_ms: int
    kind: str
    """one of `KINDS`"""
    text: str
    anchor: str = ""
    """name of its place on the page"""
    href: str = ""
    service: str = ""
    inner: tuple[Entry, ...] = ()
    """of a burst: the alerts in it"""
    quiet_ms: int = 0
    """how long nothing happened before, when that was long"""


def course(material: Material) -> list[Entry]:
    """From the first sample to now, bursts of alerts folded, gaps marked."""
    entries = sorted(_entries(material), key=lambda entry: (entry.at_ms, KINDS.index(entry.kind), entry.text))
    return _gaps(_folded(entries))


def _entries(m: Material) -> Iterator[Entry]:
    members = {member.alert_id: member for member in m.incident.members}
    anchored: set[str] = set()
    for one in m.incident.timeline:
        kind = _OF.get(one.kind, one.kind if one.kind in KINDS else "state")
        member = members.get(one.ref)
        if kind == "alert" and member is not None and member.kind == "log":
            kind = "log"
        anchor = href = ""
        if one.kind == "change" and one.ref and one.ref not in anchored:
            anchor = f"change-{one.ref}"
            anchored.add(one.ref)
        elif member is not None:
            href = f"#alert-{one.ref}"
        service = member.service if member else ""
        yield Entry(one.at_ms, kind, one.text, anchor, href, service)
    for told in m.notifications:
        what = f"{told.target}: {told.about}" + ("" if told.state == "sent" else f", {told.state}")
        yield Entry(told.at_ms, "notification", what)
    for update in m.updates:
        if update.sent_at is not None:
            yield Entry(update.sent_at, "notification", f"{update.audience} told: {update.title}")
    for clock in m.clocks:
        if clock.state == "missed":
            yield Entry(clock.due_at, "deadline", f"{clock.name} missed")
        elif clock.state == "met" and clock.stopped_at is not None:
            yield Entry(clock.stopped_at, "deadline", f"{clock.name} met")
        elif clock.state == "warned":
            yield Entry(clock.warn_at, "deadline", f"{clock.name} at risk")


def _folded(entries: Sequence[Entry]) -> list[Entry]:
    """Runs of alerts of one service within a short time become one entry."""
    found: list[Entry] = []
    run: list[Entry] = []
    for entry in [*entries, None]:
        joins = (
            entry is not None
            and entry.kind == "alert"
            and bool(entry.service)
            and (not run or (entry.service == run[0].service and entry.at_ms - run[-1].at_ms <= BURST_MS))
        )
        if joins and entry is not None:
            run.append(entry)
            continue
        if len(run) >= LEAST_BURST:
            text = f"{len(run)} alerts of {run[0].service}"
            found.append(Entry(run[0].at_ms, "alert", text, service=run[0].service, inner=tuple(run)))
        else:
            found += run
        run = []
        if entry is not None:
            if entry.kind == "alert" and entry.service:
                run = [entry]
            else:
                found.append(entry)
    return found


def _gaps(entries: Sequence[Entry]) -> list[Entry]:
    marked: list[Entry] = []
    for at, entry in enumerate(entries):
        last = entries[at - 1] if at else None
        end = (last.inner[-1].at_ms if last.inner else last.at_ms) if last else entry.at_ms
        quiet = entry.at_ms - end
        marked.append(msgspec.structs.replace(entry, quiet_ms=quiet) if quiet > GAP_MS else entry)
    return marked
