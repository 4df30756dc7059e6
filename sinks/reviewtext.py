"""The post-incident review as Markdown. Pure: from what is stored to text.

Everything that comes from outside (titles, notes, labels, log lines) is escaped, so that it can neither
break a table nor become a heading, a link or HTML.
"""

from __future__ import annotations

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from correlator.headline import headline
from correlator.incident import Figure, Hint, Incident
from correlator.when import NONE, figure, percent, utc
from sinks.afterwards import Material

MOST_ENTRIES = 200
"""of the timeline"""
MOST_ALERTS = 100
MOST_SERVICES = 30
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&])")
_STARTS = re.compile(r"^([-+=:]|(?P<number>\d+)(?P<dot>[.)]))(?=\s|$|[-=:])")
_FIGURES = {
    "customers": "customers affected",
    "customer_share": "share of the customers",
    "partners": "financial partners affected",
    "transactions": "transactions affected",
    "damage": "damage",
    "payment_delay_ms": "delay of payments",
}
TO_DO = "(to be filled in)"
PART = 16_000
"""characters of one field of the action that keeps a review"""


def markdown(m: Material) -> str:
    """The review as far as it can be worked out, with the parts for people left open."""
    i = m.incident
    text = _environment().get_template("review.md.j2").render(
        m=m, i=i,
        known=m.known,
        headline=headline(i),
        noticed=f"a person ({i.reported_by or 'somebody'})" if i.source == "reported" else "Tocsin",
        owner=_owner(i),
        services=_services(i),
        times=_time_rows(m),
        downtime=_downtime(m),
        verdict=verdict(m),
        cause_service=_cause_service(m),
        timeline=_timeline(m),
        fired=sorted(i.members, key=lambda a: (a.started_at, a.service, a.alert_id))[:MOST_ALERTS],
        not_shown=max(0, len(i.members) - MOST_ALERTS) + i.truncated_members,
        did=[(utc(e.at_ms), e.text) for e in i.timeline if e.kind == "action"],
        sent=[u for u in m.updates if u.state == "sent"],
        went_well=_well(m) or TO_DO,
        went_badly=_badly(m) or TO_DO,
    )  # fmt: skip
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def items_markdown(m: Material) -> str:
    """The action items as they stand, to go below an edited review."""
    return _environment().get_template("items.md.j2").render(m=m, i=m.incident).strip() + "\n"


def verdict(m: Material) -> str:
    """Whether the hints named what people found to be the cause."""
    cause, hints = _cause_service(m), m.incident.hints
    if not cause:
        return (
            "The cause is not recorded, so nobody can say whether the hints were right: "
            f"tocsin record {m.incident.id} --cause TEXT --cause-service S"
        )
    if not hints:
        return f"There was no hint. The recorded cause was in {cause}."
    if hints[0].service == cause:
        return f"The first hint was right: {cause}, with a confidence of {percent(hints[0].confidence)}."
    for rank, hint in enumerate(hints, 1):
        if hint.service == cause:
            return f"The first hint ({hints[0].service}) was wrong; the cause, {cause}, was hint {rank}."
    return f"No hint named the recorded cause, {cause}; the first one said {hints[0].service}."


def escaped(text: object) -> str:
    """One line of text that means nothing to Markdown and HTML."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return _STARTS.sub(_start, _SPECIAL.sub(r"\\\1", line))


def _start(found: re.Match[str]) -> str:
    """What would begin a list or underline a heading."""
    return f"{found['number']}\\{found['dot']}" if found["number"] else f"\\{found[0]}"


def _link(address: str) -> str:
    """An address that can be followed; anything else stays text."""
    if address.startswith(("https://", "http://")) and not re.search(r"[\s<>\"'`()\[\]\\|]", address):
        return f"<{address}>"
    return escaped(address)


def _code(text: str) -> str:
    return f"`{text.replace('`', '')}`"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("sinks", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown: `escaped` does it, and the page escapes HTML
    )
    made.filters |= {
        "md": escaped,
        "link": _link,
        "code": _code,
        "utc": utc,
        "percent": percent,
        "figure_name": lambda f: _FIGURES.get(f.name, escaped(f.name)),
        "figure_value": _value,
        "evidence": _evidence,
    }
    return made


def _value(f: Figure) -> str:
    if f.name == "customer_share":
        return f"{100 * f.value:.3g} %"
    if f.name == "payment_delay_ms":
        return figure(f.value)
    number = f"{f.value:,.0f}" if f.value == round(f.value) else f"{f.value:,.2f}"
    return f"{number} {f.unit}".strip()


def _evidence(hint: Hint) -> str:
    return "; ".join(e.text for e in sorted(hint.evidence, key=lambda e: -abs(e.weight))[:4])


def _owner(i: Incident) -> str:
    if i.assignee and i.assignee != i.owner:
        return f"{i.assignee} (assigned); by the catalogue: {i.owner or 'nobody'}"
    return i.assignee or i.owner or NONE


def _services(i: Incident) -> str:
    names = [
        r.service + (f" (tier {r.tier})" if r.tier else "") + (", suspected" if r.role != "affected" else "")
        for r in i.services[:MOST_SERVICES]
    ]
    more = len(i.services) - MOST_SERVICES
    return "; ".join(names) + (f"; {more} more" if more > 0 else "")


def _cause_service(m: Material) -> str:
    known = m.known.cause_service if m.known is not None else ""
    return known or m.incident.cause_service


def _time_rows(m: Material) -> list[tuple[str, str, str]]:
    i, t = m.incident, m.timing
    mttd = mtta = mttr = ""
    if t is not None:
        mttd = f"MTTD (detected − started): {figure(t.mttd_ms)}"
        mtta = f"MTTA (acknowledged − detected): {figure(t.mtta_ms)}"
        mttr = f"MTTR (resolved − started): {figure(t.mttr_ms)}"
    rows: list[tuple[str, int | None, str]] = [
        ("Started: first anomalous sample", i.started_at, ""),
        ("Detected: first alert", i.detected_at, mttd),
        ("Opened", i.opened_at, ""),
        ("Acknowledged", i.acknowledged_at, mtta),
        ("Mitigated", i.mitigated_at, ""),
        ("Resolved", i.resolved_at, mttr),
        ("Closed", i.closed_at, ""),
    ]
    if i.reopened and i.first_resolved_at is not None:
        first = figure(t.first_mttr_ms) if t is not None else NONE
        rows.insert(5, ("First resolved", i.first_resolved_at, f"first resolve − started: {first}"))
    for name, at in (("Organisation aware", i.aware_at), ("Classified as major", i.major_at)):
        if at is not None:
            rows.append((name, at, ""))
    return [(what, utc(at) or NONE, measure) for what, at, measure in rows]


def _downtime(m: Material) -> str:
    i = m.incident
    if i.state == "merged":
        return f"It is counted with the incident it was merged into, {i.merged_into}."
    active = f"Downtime (active time): {figure(i.active_ms)}"
    if i.resolved_at is None:
        return f"{active} so far; it is not resolved."
    how = {"auto": "it ended by itself", "human": "a person resolved it"}.get(i.resolved_by, "it is resolved")
    again = f"; it came back {_times(i.reopened)}, the calm between does not count" if i.reopened else ""
    return f"{active}; {how}{again}."


def _timeline(m: Material) -> list[tuple[str, str, str]]:
    i = m.incident
    rows: list[tuple[int, int, str, str]] = []
    first = min(i.members, key=lambda a: (a.started_at, a.alert_id), default=None)
    what = f"first anomalous sample: {first.service} {first.metric}".strip() if first else "it began"
    rows.append((i.started_at, 0, "start", what))
    rows += [(e.at_ms, 1, e.kind, e.text) for e in i.timeline]
    for c in m.clocks:
        if c.state in ("met", "missed"):
            at = c.due_at if c.state == "missed" else c.stopped_at
            rows.append((at if at is not None else c.at_ms, 2, "clock", f"{c.name}: {c.state}"))
    rows += [
        (u.sent_at, 3, "update", f"{u.audience} are told: {u.title}")
        for u in m.updates
        if u.state == "sent" and u.sent_at is not None
    ]
    if i.closed_at is not None and not any(e.kind == "state" and "closed" in e.text for e in i.timeline):
        rows.append((i.closed_at, 4, "state", "closed"))
    rows.sort(key=lambda row: row[:2])
    shown = [(utc(at), kind, text) for at, _, kind, text in rows]
    if len(shown) <= MOST_ENTRIES:
        return shown
    half = MOST_ENTRIES // 2
    left = len(shown) - 2 * half
    return [*shown[:half], ("", "…", f"{left} entries are left out: tocsin explain {i.id}"), *shown[-half:]]


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _well(m: Material) -> str:
    """What the figures speak of, as a start for people."""
    i = m.incident
    said = [f"{c.name} was met" for c in m.clocks if c.state == "met"]
    cause = _cause_service(m)
    if cause and i.hints and i.hints[0].service == cause:
        said.insert(0, "the first hint named the cause")
    return _sentences(said)


def _badly(m: Material) -> str:
    i = m.incident
    said = [f"{c.name} was missed" for c in m.clocks if c.state == "missed"]
    if i.acknowledged_at is None and i.state != "merged":
        said.append("nobody acknowledged it")
    if i.reopened:
        said.append(f"it came back {_times(i.reopened)} after it had been resolved")
    cause = _cause_service(m)
    if cause and i.hints and i.hints[0].service != cause:
        said.append("the first hint was wrong")
    if m.earlier:
        said.append("it had happened before")
    failed = {n.target for n in m.notifications if n.state in ("failed", "refused")}
    said += [f"{target} could not be told" for target in sorted(failed)]
    return _sentences(said)


def _sentences(said: list[str]) -> str:
    return f"By the figures: {'; '.join(said)}. {TO_DO}" if said else ""


def without_items(text: str) -> str:
    """The text without its generated section of action items, which is shown as they stand instead."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        if line.startswith(("# ", "## ")):
            inside = line.strip() == "## Action items"
        if not inside:
            kept.append(line)
    return "".join(kept)


def fields_of(text: str) -> dict[str, str]:
    """The text of a review as the fields of its action: long ones are cut where they are read."""
    parts = [text[at : at + PART] for at in range(0, len(text), PART)]
    return {f"text{number if number > 1 else ''}": part for number, part in enumerate(parts, 1)}
