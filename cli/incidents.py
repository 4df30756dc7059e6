"""`tocsin incidents`: the list."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from cli.common import AsJson, ClickHouseUrl, ConfigFile, console, print_json, settings_from
from cli.errors import CliError
from cli.output import NONE, figure, parse_when, percent, plain, some, styled, table, wall_ms
from cli.store import reader_of
from correlator.incident import STATES
from correlator.when import utc
from sinks.reader import OPEN_STATES, Summary


def incidents(
    open_only: Annotated[
        bool, typer.Option("--open", help="Only open, acknowledged, mitigated and reopened ones.")
    ] = False,
    state: Annotated[str, typer.Option(help=f"Only this state: {', '.join(STATES)}.")] = "",
    since: Annotated[str, typer.Option(help="Changed since: 30m, 24h, 7d, or a time (UTC).")] = "",
    service: Annotated[str, typer.Option(help="Only incidents this service takes part in.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")] = 20,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List incidents, newest first.

    Examples:
      tocsin incidents --open
      tocsin incidents --since 24h --service checkout
      tocsin incidents --state resolved --json | jq -r '.[].id'
    """
    if state and state not in STATES:
        raise CliError(f"--state is {state!r}", f"use one of {', '.join(STATES)}")
    if state and open_only:
        raise CliError("--open and --state exclude each other", "leave one out")
    now_ms = wall_ms()
    since_ms = parse_when(since, now_ms, "--since") if since else None
    states = OPEN_STATES if open_only else (state,) if state else ()
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        found = reader.incidents(states=states, service=service, since_ms=since_ms, limit=limit)
    if as_json:
        print_json(found)
        return
    if not found:
        console.print(_nothing(filtered=bool(states or service or since)))
        return
    _show(found, now_ms)
    if len(found) == limit:
        console.print(f"\nthe newest {limit}; --limit shows more", style="dim")


def _nothing(filtered: bool) -> str:
    if filtered:
        return "No incident matches. Without filters, tocsin incidents lists all of them."
    return (
        "No incidents yet. Is a worker running (tocsin worker), and do records come in?"
        "\nTo see some: tocsin demo, or tocsin replay DIR."
    )


def _lasted(one: Summary, now_ms: int) -> str:
    if one.state == "merged":
        return NONE  # it lasts as long as the one it was merged into
    if one.resolved_at is not None:
        return figure(one.resolved_at - one.started_at)
    # A clock that runs behind the data must not show a negative age.
    return f"{figure(max(0, now_ms - one.started_at))} …"


def _show(found: list[Summary], now_ms: int) -> None:
    shown = table(
        "id", "state", "prio", "started (UTC)", "lasted", "incident", "likely cause", right=("lasted",)
    )
    for one in found:
        cause = plain(one.cause)
        if one.cause:
            cause.append(f" {percent(one.confidence)}", style="dim")
        title = plain(one.title)
        owner = f", owner {plain(one.owner).plain}" if one.owner else ""
        size = f"{some(one.alerts, 'alert')} in {some(len(one.services), 'service')}{owner}"
        title.append(f"\n{size}", style="dim")
        if one.suggestion:
            title.append(f"\n{plain(one.suggestion).plain}", style="italic")
        shown.add_row(
            Text(one.id, style="bold"),
            styled(one.state),
            styled(one.priority),
            utc(one.started_at),
            _lasted(one, now_ms),
            title,
            cause,
        )
    console.print(shown)
    console.print(
        "\nAt a glance: tocsin incident show ID (the first digits will do); why: tocsin explain ID",
        style="dim",
    )
