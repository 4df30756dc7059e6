"""Everything that happened, in one order: alerts, logs, changes, actions, notifications, deadlines. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from correlator.incident import Incident, Member, TimelineEntry
from sinks.afterwards import Material

BURST_MS = 20_000
LEAST_BURST = 4
"""so many alerts of one service close together are one line that opens"""
GAP_MS = 300_000
"""silences longer than this are said"""
KINDS = ("alert", "log", "change", "action", "state", "notification", "deadline", "audit")
_OF = {"resolved": "alert", "merge": "state", "flap": "alert"}


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
    ref: str = ""
    """id of the alert or change; of a burst: of its first alert"""
    over: bool = False
    """an alert that ended"""


def course(material: Material) -> list[Entry]:
    """From the first sample to now, bursts of alerts folded, gaps marked."""
    entries = sorted(_entries(material), key=_place)
    # Stable: what began it comes first of all that has its time.
    return _gaps(_folded(sorted([_start(material.incident), *entries], key=lambda entry: entry.at_ms)))


def _place(entry: Entry) -> tuple[int, int, str]:
    return entry.at_ms, KINDS.index(entry.kind), entry.text


def _entries(m: Material) -> Iterator[Entry]:
    members = {member.alert_id: member for member in m.incident.members}
    anchored: set[str] = set()
    for one in m.incident.timeline:
        entry = _told(one, members)
        if entry.kind == "change" and one.ref and one.ref not in anchored:
            anchored.add(one.ref)
            entry = msgspec.structs.replace(entry, anchor=f"change-{one.ref}")
        yield entry
    for edit in m.incident.edits:
        before, after = edit.before or "nothing", edit.after or "nothing"
        why = f" ({edit.reason})" if edit.reason else ""
        yield Entry(edit.at_ms, "audit", f"{edit.by} set {edit.field}: {before} → {after}{why}")
    for pause in m.incident.pauses:
        why = f": {pause.reason}" if pause.reason else ""
        yield Entry(pause.from_ms, "deadline", f"clocks paused by {pause.by}{why}")
        if pause.until_ms is not None:
            yield Entry(pause.until_ms, "deadline", "clocks run again")
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


def _start(incident: Incident) -> Entry:
    """What the first sample out of the usual was of."""
    first = min(incident.members, key=lambda one: (one.started_at, one.alert_id), default=None)
    if first is None:
        return Entry(incident.started_at, "state", "it began")
    what = "first line" if first.kind == "log" else "first sample out of the usual"
    text = f"{what}: {first.service} {first.metric}".rstrip()
    return Entry(first.started_at, "state", text, "", f"#alert-{first.alert_id}", first.service)


def _told(one: TimelineEntry, members: dict[str, Member]) -> Entry:
    kind = _OF.get(one.kind, one.kind if one.kind in KINDS else "state")
    member = members.get(one.ref)
    if member is None:
        return Entry(one.at_ms, kind, one.text, ref=one.ref)
    if kind == "alert" and member.kind == "log":
        kind = "log"
    href, over = f"#alert-{one.ref}", one.kind == "resolved"
    # A summary that begins with its service is told with the service before it: once will do.
    twice = one.text.startswith(f"{member.service}: {member.service} ")
    text = one.text.removeprefix(f"{member.service}: ") if twice else one.text
    return Entry(one.at_ms, kind, text, "", href, member.service, ref=one.ref, over=over)


def _folded(entries: Sequence[Entry]) -> list[Entry]:
    """Alerts of one service that come, or end, within a short time become one entry, at the first's place.

    What others do between does not part them: in a cascade the alerts of many services come mixed.
    """
    open_: dict[tuple[str, str, bool], list[Entry]] = {}
    runs: list[list[Entry]] = []
    for entry in entries:
        key = (entry.service, entry.kind, entry.over)
        folds = entry.kind in ("alert", "log") and bool(entry.service)
        run = open_.get(key)
        if folds and run is not None and entry.at_ms - run[0].at_ms <= BURST_MS:
            run.append(entry)
            continue
        runs.append([entry])
        if folds:
            open_[key] = runs[-1]
    found: list[Entry] = []
    for run in runs:
        if len(run) >= LEAST_BURST:
            found.append(_burst(run))
        else:
            found += run
    return sorted(
        found, key=lambda entry: entry.at_ms
    )  # stable: those of a short run go back to their places


def _burst(run: Sequence[Entry]) -> Entry:
    first = run[0]
    what = "alerts" if first.kind == "alert" else "kinds of log lines"
    took = -(-(run[-1].at_ms - first.at_ms) // 1000)
    within = f" within {took} s" if took else " at once"
    text = f"{len(run)} {what} of {first.service}{' over' if first.over else ''}{within}"
    anchor = f"burst-{'over-' if first.over else ''}{first.ref}"
    return Entry(
        first.at_ms, first.kind, text, anchor, "", first.service, tuple(run), ref=first.ref, over=first.over
    )


def _gaps(entries: Sequence[Entry]) -> list[Entry]:
    marked: list[Entry] = []
    end = entries[0].at_ms if entries else 0
    for entry in entries:
        quiet = entry.at_ms - end
        marked.append(msgspec.structs.replace(entry, quiet_ms=quiet) if quiet > GAP_MS else entry)
        end = max(end, entry.inner[-1].at_ms if entry.inner else entry.at_ms)
    return marked


def counts(entries: Iterable[Entry]) -> dict[str, int]:
    """Entries of each kind, those in bursts included; kinds without any are left out."""
    found: dict[str, int] = defaultdict(int)
    for entry in entries:
        found[entry.kind] += len(entry.inner) or 1
    return {kind: found[kind] for kind in KINDS if kind in found}
