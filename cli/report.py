"""`tocsin report`: how fast incidents are detected, acknowledged and resolved, and what keeps people busy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from cli.common import AsJson, ClickHouseUrl, ConfigFile, console, print_json, settings_from
from cli.errors import CliError
from cli.output import NONE, parse_when, wall_ms
from cli.reportdata import TABLES, columns, gather, rows
from cli.reportfile import as_csv, write_parquet
from cli.reportpage import page, step_of
from cli.reporttext import show
from cli.store import reader_of
from correlator.when import utc
from sinks import analytics
from sinks.reader import GROUPINGS
from streams.records.messages import MAX_MS

Format = Literal["csv", "json", "parquet"]


def report(
    since: Annotated[str, typer.Option(help="Resolved since: 24h, 7d, or a time (UTC).")] = "",
    until: Annotated[str, typer.Option(help="Resolved before: 24h, 7d, or a time (UTC).")] = "",
    by: Annotated[str, typer.Option(help=f"A row for each {', '.join(GROUPINGS)}.")] = "",
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one page with charts.", show_default=False)
    ] = None,
    format: Annotated[
        Format | None, typer.Option("--format", help="Rows for other programs.", show_default=False)
    ] = None,
    table: Annotated[
        str, typer.Option("--table", help=f"Which rows for csv and parquet: {', '.join(TABLES)}.")
    ] = "timing",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File for --format.", show_default=False)
    ] = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """MTTD, MTTA, MTTR, acknowledge rate, service levels, noise, busy services, what comes back, hints.

    Definitions. MTTD: detected − started (first alert fired − first anomalous sample). MTTA:
    acknowledged − detected, over acknowledged incidents only; the acknowledge rate says how many were.
    MTTR: resolved − started, at the last resolve. Each with n, mean, p50, p90 and p95 (linear between
    neighbours). An incident counts in the period in which it was resolved; active ones do not count
    yet. A merged incident counts once, with the earliest start. Resolved by itself and by a person are
    shown apart. Noise reduction: 1 − incidents / alerts, both by time of detection. A dash means no
    figure; it is never a zero. By service, an incident counts under each service that takes part; the
    team is whom it was assigned to, else the owner; a week is named by its Monday (UTC).
    Service levels count when they were due in the period; busy services by detection; what comes back
    (two incidents or more of one kind) and hints (against recorded causes) by start.

    Examples:
      tocsin report --since 7d
      tocsin report --since 2026-03-01 --until 2026-04-01 --by team
      tocsin report --since 30d --html report.html
      tocsin report --by week --format csv -o weeks.csv
      tocsin report --format parquet --table sla -o sla.parquet
      tocsin report --by day --json
    """
    format = _format(format, output, as_json)
    if by and by not in GROUPINGS:
        raise CliError(f"--by is {by!r}", f"use one of {', '.join(GROUPINGS)}")
    if table not in TABLES:
        raise CliError(f"--table is {table!r}", f"use one of {', '.join(TABLES)}")
    if format == "parquet" and output is None:
        raise CliError("--format parquet needs a file", "name it with -o report.parquet")
    now_ms = wall_ms()
    since_ms = parse_when(since, now_ms, "--since") if since else 0
    until_ms = parse_when(until, now_ms, "--until") if until else MAX_MS
    if since_ms >= until_ms:
        raise CliError("--since is not before --until", "exchange them")
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        found = gather(reader, since_ms, until_ms, by)
        days = analytics.noise_days(reader, since_ms, until_ms) if html or table == "noise" else []
        course = reader.report(since_ms, until_ms, "day") if html else []
        if html and step_of(course) == "week":
            course = reader.report(since_ms, until_ms, "week")
    period = _period(since, since_ms, until, until_ms)
    try:
        if html is not None:
            html.write_text(page(found, course, days, period, now_ms), encoding="utf-8")
            if format is None:
                console.print(f"{html}: the report as a page")
        names = columns(table, by)
        if format == "parquet" and output is not None:
            write_parquet(output, names, rows(found, table, days))
        elif format == "csv":
            _put(output, as_csv(names, rows(found, table, days)))
        elif format == "json" and output is not None:
            output.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
        elif format == "json":
            print_json(found)
    except OSError as error:
        raise CliError(f"{error.filename} cannot be written: {error.strerror}", "name another file") from None
    if format is not None and output is not None:
        console.print(f"{output}: the report as {format}")
    if format is None and html is None:
        show(found, period, filtered=bool(since or until))


def _format(format: Format | None, output: Path | None, as_json: bool) -> Format | None:
    """What to write: as said, else by the file's name."""
    if as_json:
        if format not in (None, "json"):
            raise CliError(f"--json and --format {format} say different things", "leave one out")
        return "json"
    if format is not None or output is None:
        return format
    known: dict[str, Format] = {".csv": "csv", ".json": "json", ".parquet": "parquet"}
    if output.suffix not in known:
        raise CliError(
            f"-o {output}: no format has the extension {output.suffix or NONE!r}",
            "use .csv, .json or .parquet, or say --format; a page is --html FILE",
        )
    return known[output.suffix]


def _put(output: Path | None, text: str) -> None:
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def _period(since: str, since_ms: int, until: str, until_ms: int) -> str:
    start = f"from {utc(since_ms)}" if since else "from the beginning"
    end = f"until {utc(until_ms)} UTC" if until else "until now"
    return f"Incidents {start} {end}"
