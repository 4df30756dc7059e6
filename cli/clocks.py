"""`tocsin clocks`: deadlines of service levels, contracts and regulations, and what is left of them."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.common import AsJson, ClickHouseUrl, ConfigFile, console, print_json, settings_from
from cli.output import NONE, figure, plain, styled, table, wall_ms
from cli.store import full_id, reader_of
from correlator.when import utc

RUNNING = ("running", "warned", "paused")
STYLES = {"missed": "bold red", "warned": "yellow", "running": "", "paused": "cyan", "met": "green"}
SQL = """
    SELECT c.incident AS incident, i.title AS title, c.name AS name, c.kind AS kind, c.state AS state,
           c.severity AS severity, c.team AS team, c.started_at AS started_at, c.due_at AS due_at,
           c.stopped_at AS stopped_at, c.paused_ms AS paused_ms, c.basis AS basis
    FROM clock_status AS c
    LEFT JOIN incident_facts AS i FINAL ON i.id = c.incident
    WHERE ({incident:String} = '' OR c.incident = {incident:String})
      AND (empty({states:Array(String)}) OR has({states:Array(String)}, c.state))
      AND ({kind:String} = '' OR c.kind = {kind:String})
    ORDER BY c.due_at, c.incident, c.name
    LIMIT {limit:UInt32}
    """


def clocks(
    incident: Annotated[str, typer.Argument(help="Only of this incident.", show_default=False)] = "",
    at_risk: Annotated[bool, typer.Option("--at-risk", help="Only what warns, or was missed.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Also what was met, missed or cancelled.")] = False,
    kind: Annotated[str, typer.Option(help="sla, customer or regulatory.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, first due first.")] = 50,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Deadlines that run, the first due first, with what is left of each.

    Service levels (respond, resolve), notices to customers, reports to authorities: what each counts from is
    said beside it. tocsin pause stops service levels; tocsin submit records what was handed in.

    Examples:

      tocsin clocks

      tocsin clocks --at-risk --kind regulatory

      tocsin clocks 3f9a --json
    """
    states = ("warned", "missed") if at_risk else () if all_ or incident else RUNNING
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        id = full_id(reader, incident.strip().lower()) if incident else ""
        found = reader.ask(SQL, incident=id, states=list(states), kind=kind, limit=limit)
    now_ms = wall_ms()
    rows = [{**row, "left_ms": row["due_at"] - now_ms if row["state"] in RUNNING else None} for row in found]
    if as_json:
        print_json(rows)
        return
    if not rows:
        console.print("No clock runs." if not states or states == RUNNING else "Nothing is at risk.")
        return
    shown = table(
        "due (UTC)", "left", "state", "clock", "incident", "what", "team", "counts", right=("left",)
    )
    for row in rows:
        left = figure(row["left_ms"]) if row["left_ms"] is not None and row["left_ms"] > 0 else NONE
        state = styled(row["state"])
        state.stylize(STYLES.get(row["state"], ""))
        shown.add_row(
            utc(row["due_at"]), left, state, row["name"], row["incident"], plain(row["title"]),
            plain(row["team"] or NONE), plain(row["basis"]),
        )  # fmt: skip
    console.print(shown)
