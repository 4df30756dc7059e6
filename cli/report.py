"""`tocsin report`: how fast incidents are detected, acknowledged and resolved."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.common import AsJson, ClickHouseUrl, ConfigFile, console, print_json, settings_from
from cli.errors import CliError
from cli.output import NONE, figure, parse_when, percent, plain, some, table, wall_ms
from cli.store import reader_of
from cli.when import utc
from sinks.reader import GROUPINGS, Group, Noise
from streams.records.messages import MAX_MS

QUANTITIES = (
    ("mttd", "MTTD", "detected − started"),
    ("mtta", "MTTA", "acknowledged − detected"),
    ("mttr", "MTTR", "resolved − started"),
    ("mttr_auto", "MTTR auto", "… resolved by itself"),
    ("mttr_human", "MTTR human", "… resolved by a person"),
)


def report(
    since: Annotated[str, typer.Option(help="Resolved since: 24h, 7d, or a time (UTC).")] = "",
    until: Annotated[str, typer.Option(help="Resolved before: 24h, 7d, or a time (UTC).")] = "",
    by: Annotated[str, typer.Option(help=f"A row for each {', '.join(GROUPINGS)}.")] = "",
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """MTTD, MTTA, MTTR, acknowledge rate and noise reduction.

    Definitions. MTTD: detected − started (first alert fired − first anomalous sample). MTTA:
    acknowledged − detected, over acknowledged incidents only; the acknowledge rate says how many were.
    MTTR: resolved − started, at the last resolve. Each with n, mean, p50, p90 and p95 (linear between
    neighbours). An incident counts in the period in which it was resolved; active ones do not count
    yet. A merged incident counts once, with the earliest start. Resolved by itself and by a person are
    shown apart. Noise reduction: 1 − incidents / alerts, both by time of detection. A dash means no
    figure; it is never a zero. By service, an incident counts under each service that takes part.

    Examples:
      tocsin report --since 7d
      tocsin report --since 2026-03-01 --until 2026-04-01 --by service
      tocsin report --by day --json
    """
    if by and by not in GROUPINGS:
        raise CliError(f"--by is {by!r}", f"use one of {', '.join(GROUPINGS)}")
    now_ms = wall_ms()
    since_ms = parse_when(since, now_ms, "--since") if since else 0
    until_ms = parse_when(until, now_ms, "--until") if until else MAX_MS
    if since_ms >= until_ms:
        raise CliError("--since is not before --until", "exchange them")
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        total = reader.report(since_ms, until_ms)
        groups = reader.report(since_ms, until_ms, by) if by else []
        noise = reader.noise(since_ms, until_ms)
    if as_json:
        print_json({"total": total[0] if total else None, "by": by, "groups": groups, "noise": noise})
        return
    console.print(_period(since, since_ms, until, until_ms), style="bold")
    _noise(noise)
    if not total:
        console.print(_nothing(noise, filtered=bool(since or until)))
        return
    _total(total[0])
    if by:
        _groups(by, groups)


def _period(since: str, since_ms: int, until: str, until_ms: int) -> str:
    start = f"from {utc(since_ms)}" if since else "from the beginning"
    end = f"until {utc(until_ms)} UTC" if until else "until now"
    return f"Incidents {start} {end}"


def _noise(noise: Noise) -> None:
    line = f"{some(noise.alerts, 'alert')} → {some(noise.incidents, 'incident')}"
    if noise.reduction is not None:
        line += f": {percent(noise.reduction)} less to look at"
    if noise.active:
        line += f"; {noise.active} still active"
    console.print(line)


def _nothing(noise: Noise, filtered: bool) -> str:
    if noise.active:
        return "None of them is resolved yet, so there are no times. tocsin incidents --open lists them."
    if filtered:
        return "No incident was resolved in this period. Without --since and --until all count."
    return "No incidents yet. To see some: tocsin demo, or tocsin replay DIR with a worker running."


def _total(group: Group) -> None:
    console.print(
        f"{group.resolved} resolved: {group.auto} by themselves, {group.human} by a person; "
        f"{group.acknowledged} acknowledged ({percent(group.ack_rate)})"
    )
    console.print()
    shown = table("", "", "n", "mean", "p50", "p90", "p95", right=("n", "mean", "p50", "p90", "p95"))
    for name, title, meaning in QUANTITIES:
        stat = getattr(group, name)
        shown.add_row(
            title, f"[dim]{meaning}[/dim]", str(stat.n),
            *(figure(value) for value in (stat.mean, stat.p50, stat.p90, stat.p95)),
        )  # fmt: skip
    console.print(shown)


def _groups(by: str, groups: list[Group]) -> None:
    console.print()
    names = ("n", "MTTD p50", "p90", "MTTA p50", "p90 ", "MTTR p50", "p90  ", "ack", "auto")
    shown = table(by, *names, right=names)
    for group in groups:
        cells = [str(group.resolved)]
        for stat in (group.mttd, group.mtta, group.mttr):
            cells += [figure(stat.p50), figure(stat.p90)]
        share = group.auto / group.resolved if group.resolved else None
        shown.add_row(plain(group.key or NONE), *cells, percent(group.ack_rate), percent(share))
    console.print(shown)
    console.print("\n--json has mean and p95 of each row too", style="dim")
