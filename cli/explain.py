"""`tocsin explain`: why an incident is what it is."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from cli.common import AsJson, ClickHouseUrl, ConfigFile, console, print_json, settings_from
from cli.errors import CliError
from cli.output import NONE, figure, percent, plain, styled, table
from cli.similar import show as show_similar
from cli.store import full_id, reader_of
from correlator.headline import headline
from correlator.incident import Hint, Incident, Member
from correlator.when import utc
from sinks.past import KnowledgeRow, known_of
from sinks.reader import Timing

MOST_SERVICES = 50


def explain(
    incident: Annotated[str, typer.Argument(help="Incident id, or its first digits.")],
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Why an incident is what it is: hints with evidence, members and why each joined, timeline, times.

    Examples:
      tocsin explain 3f9a
      tocsin explain 3f9a1c0de2b47756 --json | jq '.incident.hints[0]'
    """
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        id = full_id(reader, incident.strip().lower())
        found = reader.incident(id)
        timing = reader.timing(id)
        known = known_of(reader, id)
    if found is None:
        raise CliError(f"incident {id} went away while it was read", "run the command again")
    if as_json:
        print_json({"incident": found, "timing": timing, "known": known})
        return
    _show(found, timing, known)


def _show(incident: Incident, timing: Timing | None, known: KnowledgeRow | None) -> None:
    first = Text.assemble(
        (incident.id, "bold"), "  ", styled(incident.state), "  ", styled(incident.priority)
    )
    first.append_text(Text.assemble("  ", styled(incident.severity), f"  {incident.category}"))
    first.append(f"  version {incident.version}", style="dim")
    console.print(first)
    console.print(Text(plain(incident.title).plain, style="bold"))
    console.print(plain(headline(incident)))
    if known is not None:
        cause = f"{known.cause_service}: {known.cause}".strip(": ") or "not recorded"
        fixed = f"; fixed by: {known.fix}" if known.fix else ""
        console.print(plain(f"Recorded by {known.actor}: {cause}{fixed} {known.runbook}".rstrip()))
    _hints(incident.hints)
    _services(incident)
    if incident.similar:
        _heading("Like it before")
        show_similar(incident)
    _members(incident)
    _timeline(incident)
    _times(incident, timing)
    if incident.state == "merged":
        console.print(f"\nIt goes on there: tocsin explain {incident.merged_into}")
    elif incident.acknowledged_at is None and incident.resolved_at is None:
        console.print(f"\nTake it: tocsin ack {incident.id}", style="dim")


def _heading(text: str) -> None:
    console.print()
    console.print(text, style="bold underline")


def _hints(hints: tuple[Hint, ...]) -> None:
    _heading("Likely causes")
    if not hints:
        console.print("none: no alert stands out by onset, path or strength")
    for rank, hint in enumerate(hints, 1):
        line = Text(f"{rank}. ")
        line.append(plain(hint.service).plain, style="bold")
        line.append(f"  {percent(hint.confidence)}")
        if hint.cause:
            line.append(f"  {plain(hint.cause).plain}")
        console.print(line)
        evidence = table("kind", "weight", "at", "evidence", right=("weight",))
        evidence.show_header = False
        for fact in hint.evidence:
            evidence.add_row(fact.kind, f"{fact.weight:.2f}", utc(fact.at_ms, date=False), plain(fact.text))
        console.print(Padding(evidence, (0, 0, 0, 3)))


def _services(incident: Incident) -> None:
    """What the catalogue says of them, if it says anything."""
    if not any(role.owner or role.tier or role.runbook for role in incident.services):
        return
    _heading("Services")
    shown = table("service", "role", "owner", "tier", "runbook")
    for role in incident.services[:MOST_SERVICES]:
        tier = str(role.tier) if role.tier else NONE
        shown.add_row(
            plain(role.service), role.role, plain(role.owner or NONE), tier, plain(role.runbook or NONE)
        )
    console.print(shown)
    if len(incident.services) > MOST_SERVICES:
        console.print(f"… and {len(incident.services) - MOST_SERVICES} more", style="dim")


def _members(incident: Incident) -> None:
    _heading("Alerts, and why each belongs here")
    for member in incident.members:
        console.print(_member_line(member))
        reasons = table("name", "weight", "detail", right=("weight",))
        reasons.show_header = False
        for reason in member.reasons:
            reasons.add_row(reason.name, f"{reason.weight:.2f}", plain(reason.detail))
        console.print(Padding(reasons, (0, 0, 0, 3)))
    if incident.truncated_members:
        console.print(f"and {incident.truncated_members} more, counted but not kept", style="dim")


def _member_line(member: Member) -> Text:
    line = Text(utc(member.started_at, date=False) + "  ")
    line.append(plain(member.service).plain, style="bold")
    line.append("  ")
    line.append_text(styled(member.severity))
    line.append(f"  {plain(member.summary or member.metric).plain}")
    if member.resolved_at is None:
        line.append("  still firing", style="red")
    else:
        line.append(f"  over at {utc(member.resolved_at, date=False)}", style="dim")
    line.append(f"  alert {member.alert_id}", style="dim")
    return line


def _timeline(incident: Incident) -> None:
    _heading("Timeline (UTC)")
    shown = table("at", "kind", "text")
    shown.show_header = False
    for entry in incident.timeline:
        shown.add_row(utc(entry.at_ms), entry.kind, plain(entry.text))
    console.print(shown)
    if incident.changes:
        console.print(plain(f"changes in evidence: {', '.join(incident.changes)}"), style="dim")


def _times(incident: Incident, timing: Timing | None) -> None:
    _heading("Times")
    shown = table("what", "at", "measure", "took", right=("took",))
    shown.show_header = False
    mttd = mtta = mttr = NONE
    if timing is not None:
        mttd, mtta, mttr = (figure(ms) for ms in (timing.mttd_ms, timing.mtta_ms, timing.mttr_ms))
    rows: list[tuple[str, int | None, str, str]] = [
        ("started", incident.started_at, "", ""),
        ("detected", incident.detected_at, "MTTD detected − started", mttd),
        ("opened", incident.opened_at, "", ""),
        ("acknowledged", incident.acknowledged_at, "MTTA acknowledged − detected", mtta),
        ("mitigated", incident.mitigated_at, "", ""),
        ("resolved", incident.resolved_at, "MTTR resolved − started", mttr),
        ("closed", incident.closed_at, "", ""),
    ]
    if timing is not None and incident.reopened:
        first = figure(timing.first_mttr_ms)
        rows.insert(5, ("first resolved", incident.first_resolved_at, "first resolve − started", first))
        rows.append(
            (f"reopened {incident.reopened} ×", None, "active, without the calm", figure(timing.active_ms))
        )
    for what, at, measure, took in rows:
        shown.add_row(what, utc(at) or NONE, measure, took)
    console.print(shown)
    if timing is None:
        console.print("counted with the incident it was merged into", style="dim")
