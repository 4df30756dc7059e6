"""The report in a terminal."""

from __future__ import annotations

from cli.common import console
from cli.output import NONE, figure, percent, plain, some, table
from cli.reportdata import Report
from correlator.when import utc
from sinks.analytics import Busy, Hints, Recurring, Sla
from sinks.reader import Group, Noise

QUANTITIES = (
    ("mttd", "MTTD", "detected − started"),
    ("mtta", "MTTA", "acknowledged − detected"),
    ("mttr", "MTTR", "resolved − started"),
    ("mttr_auto", "MTTR auto", "… resolved by itself"),
    ("mttr_human", "MTTR human", "… resolved by a person"),
)
MOST = 5
"""rows of the short tables; the page and the files have more"""


def show(found: Report, period: str, filtered: bool) -> None:
    """`filtered`: the period was named."""
    console.print(period, style="bold")
    _noise(found.noise)
    if found.total is None:
        console.print(_nothing(found.noise, filtered))
    else:
        _total(found.total)
        if found.by:
            _groups(found.by, found.groups)
    _slas(found.sla)
    _services(found.services[:MOST])
    _recurring(found.recurrence[:MOST])
    _hints(found.hints)


def _noise(noise: Noise) -> None:
    held = f" ({noise.suppressed} suppressed)" if noise.suppressed else ""
    line = f"{some(noise.alerts, 'alert')}{held} → {some(noise.incidents, 'incident')}"
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


def _slas(slas: list[Sla]) -> None:
    if not slas:
        return
    console.print()
    names = ("due", "met", "missed", "open", "kept")
    shown = table("Service levels", "severity", *names, right=names)
    for sla in slas:
        counts = (str(n) for n in (sla.n, sla.met, sla.missed, sla.open))
        shown.add_row(plain(sla.name), plain(sla.severity or NONE), *counts, percent(sla.compliance))
    console.print(shown)


def _services(services: list[Busy]) -> None:
    if not services:
        return
    console.print()
    names = ("incidents", "suspected", "P1, P2", "unresolved")
    shown = table("Busiest services", *names, right=names)
    for busy in services:
        counts = (busy.incidents, busy.suspected, busy.urgent, busy.unresolved)
        shown.add_row(plain(busy.service), *(str(n) for n in counts))
    console.print(shown)


def _recurring(kinds: list[Recurring]) -> None:
    if not kinds:
        return
    console.print()
    names = ("n", "every", "together")
    shown = table("What comes back", "newest (UTC)", "problem", *names, right=names)
    for kind in kinds:
        shown.add_row(
            plain(kind.title), utc(kind.last_at), plain(kind.problem or NONE),
            str(kind.n), figure(kind.interval_ms), figure(kind.active_ms),
        )  # fmt: skip
    console.print(shown)


def _hints(hints: Hints) -> None:
    if not hints.n:
        return
    console.print(
        f"\n[bold]Hints[/bold]  of {some(hints.n, 'recorded cause')}: the first hint named "
        f"{hints.top1} ({percent(hints.top1_share)}), one of the first three {hints.top3} "
        f"({percent(hints.top3_share)}); {some(hints.unknown, 'incident')} had no hint"
    )
