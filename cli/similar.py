"""`tocsin similar` and `tocsin knowledge`: what the past says of an incident, and all that is known."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.common import AsJson, ClickHouseUrl, ConfigFile, console, print_json, settings_from
from cli.errors import CliError
from cli.output import NONE, percent, plain, table
from cli.store import full_id, reader_of
from correlator.incident import Incident, Similar
from correlator.when import utc
from sinks import past


def similar(
    incident: Annotated[str, typer.Argument(help="Incident id, or its first digits.")],
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Past incidents that look like this one, in what, and what was found out about them.

    Examples:
      tocsin similar 3f9a
      tocsin similar 3f9a --json | jq '.similar[] | select(.cause != "")'
    """
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        found = reader.incident(full_id(reader, incident.strip().lower()))
    if found is None:
        raise CliError(f"incident {incident} went away while it was read", "run the command again")
    if as_json:
        print_json({name: getattr(found, name) for name in ("id", "suggestion", "similar", "problem")})
        return
    if not found.similar:
        console.print("Nothing like it had closed before it opened.")
    else:
        show(found)


def show(incident: Incident) -> None:
    """The suggestion, and what it comes from."""
    if incident.suggestion:
        console.print(plain(incident.suggestion), style="bold")
    shown = table("incident", "alike", "closed (UTC)", "both", "cause and fix", right=("alike",))
    for one in incident.similar:
        same = plain(one.why)
        if one.same:
            same.append("\nthe same signature", style="dim")
        shown.add_row(one.id, percent(one.similarity), utc(one.closed_at), same, plain(_known(one)))
    console.print(shown)
    if incident.problem:
        console.print(f"It keeps coming back: tocsin problems show {incident.problem}", style="dim")


def knowledge(
    words: Annotated[
        list[str] | None, typer.Argument(help="Only where all of these occur.", metavar="[WORD]...")
    ] = None,
    service: Annotated[str, typer.Option(help="Only of this service.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")] = 50,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Causes and fixes that people have recorded (tocsin record), newest first.

    Words are looked for in titles, causes, fixes, runbooks and names of services.

    Examples:
      tocsin knowledge pool
      tocsin knowledge --service payment --json
    """
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        found = past.knowledge(reader, words or (), service, limit=limit)
    if as_json:
        print_json(found)
        return
    if not found:
        nothing = "Nothing recorded has these words." if words or service else "Nothing is recorded yet."
        console.print(f"{nothing} To record something: tocsin record INCIDENT")
        return
    shown = table("incident", "started (UTC)", "what", "cause", "fix", "by")
    for one in found:
        fix = plain(one.fix or NONE)
        if one.runbook:
            fix.append(f"\n{plain(one.runbook).plain}", style="dim")
        cause = f"{one.cause_service}: {one.cause}".strip(": ")
        shown.add_row(
            one.incident, utc(one.started_at), plain(one.title), plain(cause), fix, plain(one.actor)
        )
    console.print(shown)


def _known(one: Similar) -> str:
    cause = f"{one.cause_service}: {one.cause}".strip(": ")
    fix = f"fixed by: {one.fix}" if one.fix else ""
    return "\n".join(filter(None, (cause, fix, one.runbook))) or NONE
