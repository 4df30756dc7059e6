"""`tocsin suppressions`: alerts that were held back, by what, and what became of them."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.common import AsJson, ClickHouseUrl, ConfigFile, console, print_json, settings_from
from cli.errors import CliError
from cli.output import parse_when, plain, styled, table, wall_ms
from cli.store import reader_of
from cli.suppressed import then
from correlator.suppression import KINDS
from correlator.when import utc
from sinks.suppressed import suppressions as ask


def suppressions(
    active: Annotated[bool, typer.Option("--active", help="Only what is held back now.")] = False,
    kind: Annotated[str, typer.Option(help=f"Only one of {', '.join(KINDS)}.", show_default=False)] = "",
    service: Annotated[str, typer.Option(help="Only this service.", show_default=False)] = "",
    since: Annotated[str, typer.Option(help="An age (24h, 7d) or a time.")] = "24h",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Alerts that did not become part of an incident, or only later: why, since when, and what then.

    Examples:
      tocsin suppressions --active
      tocsin suppressions --kind inhibition --since 7d
    """
    if kind and kind not in KINDS:
        raise CliError(f"--kind is {kind!r}: expected one of {', '.join(KINDS)}")
    settings = settings_from(config, None, clickhouse)
    since_ms = parse_when(since, wall_ms(), "--since")
    with reader_of(settings.clickhouse) as reader:
        found = ask(reader, active=active, kind=kind, service=service, since_ms=since_ms, limit=limit)
    if as_json:
        print_json(found)
        return
    if not found:
        console.print("nothing was held back")
        return
    shown = table("alert", "severity", "service", "what", "why", "since (UTC)", "then")
    for row in found:
        shown.add_row(
            row.alert,
            styled(row.severity),
            plain(row.service),
            plain(row.summary),
            plain(row.reason),
            utc(row.since),
            then(row.state, row.outcome, row.until),
        )
    console.print(shown)
