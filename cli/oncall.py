"""`tocsin oncall`: who is on call, now or at another time, and who is next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from cli.common import AsJson, ConfigFile, console, print_json, settings_from
from cli.errors import CliError
from cli.output import NONE, parse_when, plain, table, wall_ms
from correlator.oncall import CalendarError, calendar_of, duty


def oncall(
    schedule: Annotated[str, typer.Argument(help="Only this schedule.", show_default=False)] = "",
    at: Annotated[str, typer.Option("--at", help="Another time, e.g. 2026-03-01T14:00 (UTC).")] = "",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Who is on call by the schedules of the settings (respond.schedules), and who takes over when.

    Times are in each schedule's own zone. A hand-over keeps its time of day when clocks change.

    Examples:

      tocsin oncall -c tocsin.yaml

      tocsin oncall payments --at 2026-12-24T20:00 --json
    """
    settings = settings_from(config)
    known = {one.name: one for one in settings.respond.schedules}
    if not known:
        raise CliError("no schedule is configured", "add one under respond.schedules (docs/routing.md)")
    if schedule and schedule not in known:
        raise CliError(f"no schedule {schedule!r}", f"there are: {', '.join(known)}")
    at_ms = parse_when(at, wall_ms(), "--at") if at else wall_ms()
    rows: list[dict[str, Any]] = []
    for name, one in known.items():
        if schedule and name != schedule:
            continue
        try:
            found = duty(one, at_ms, calendar_of(one))
        except CalendarError as error:
            raise CliError(str(error), "correct respond.schedules") from None
        rows.append(
            {
                "schedule": name,
                "zone": one.zone,
                "on_call": found.people,
                "until_ms": found.until_ms,
                "next": [shift.person for shift in found.then],
            }
        )
    if as_json:
        print_json({"at_ms": at_ms, "schedules": rows})
        return
    shown = table("schedule", "on call", "until", "then")
    for row in rows:
        shown.add_row(
            plain(row["schedule"]),
            plain(", ".join(row["on_call"]) or "nobody"),
            _local(row["until_ms"], row["zone"]),
            plain(", ".join(row["next"]) or NONE),
        )
    console.print(shown)


def _local(at_ms: int | None, zone: str) -> str:
    if at_ms is None:
        return NONE
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    return f"{local:%a %Y-%m-%d %H:%M} {zone}"
