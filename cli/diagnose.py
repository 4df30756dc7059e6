"""`tocsin diagnose`: rank the likely root cause of faults whose time is known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import track
from rich.table import Table

from cli.cases import CaseFile, Cutter, read_cases
from cli.common import AsJson, console, print_json, stderr
from cli.dataset import DataSet, load
from cli.errors import CliError
from correlator.diagnose import diagnose as rank
from correlator.incident import Hint
from correlator.when import utc


def _moment(text: str, option: str) -> int:
    """ms UTC from ISO 8601 (no zone means UTC) or from a number of ms."""
    if text.isdigit():
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(f"{option} {text!r} is no time", "use 2026-03-01T14:02:10Z or ms since 1970") from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _run_of(data: DataSet, run: str | None, start_ms: int) -> str:
    """The run named, the only one, or the one with samples on both sides of the start."""
    if run is not None or len(data.runs) == 1:
        return run if run is not None else data.runs[0]
    for name in data.runs:
        ts = data.metrics(name).ts
        if len(ts) and ts[0] < start_ms <= ts[-1]:
            return name
    raise CliError("no run holds that window", f"name one with --run: {', '.join(data.runs[:10])}")


def _show(case: CaseFile, hints: list[Hint], most: int = 5, facts: int = 3) -> None:
    table = Table(
        "", "service", "confidence", "evidence", title=f"{case.id}: likely causes", title_justify="left"
    )
    for place, hint in enumerate(hints[:most], 1):
        evidence = "\n".join(f"{e.kind}: {e.text}" for e in hint.evidence[:facts]) or "nothing unusual"
        table.add_row(str(place), hint.service, f"{hint.confidence:.2f}", evidence)
    unknown = max(0.0, 1.0 - sum(h.confidence for h in hints))
    table.add_row("", "unknown", f"{unknown:.2f}", "something not seen in this data")
    console.print(table)


def diagnose(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with metrics.parquet and/or logs.parquet.")
    ],
    since: Annotated[
        str | None,
        typer.Option("--from", help="Start of the fault: ISO 8601 (UTC) or ms.", show_default=False),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--to", help="End of the fault; default ten minutes later.", show_default=False),
    ] = None,
    symptom: Annotated[str, typer.Option(help="Service where it was noticed.", show_default=False)] = "",
    run: Annotated[str | None, typer.Option(help="Run the fault is in.", show_default=False)] = None,
    baseline_run: Annotated[
        str, typer.Option(help="Another run that holds the quiet period.", show_default=False)
    ] = "",
    cases: Annotated[
        Path | None,
        typer.Option(
            help="JSON list of {id, run, start_ms, end_ms?, baseline_run?, symptom?}.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write {id: [services, best first]} here.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rank the services by how likely each caused a fault, with evidence to check.

    What came before the start (or the baseline run) is normal. Nothing but metrics, logs, topology
    and changes is read.

    Examples:

      tocsin diagnose data/shop --from 2026-03-01T14:02:00Z --to 2026-03-01T14:12:00Z --symptom gateway

      tocsin diagnose data/shop --cases cases.json -o ranked.json
    """
    data = load(folder)
    if (cases is None) == (since is None):
        raise CliError("say either --from or --cases", "see tocsin diagnose --help for an example of each")
    if cases is not None:
        wanted = read_cases(cases)
    else:
        start = _moment(since or "", "--from")
        end = _moment(until, "--to") if until else None
        if end is not None and end <= start:
            raise CliError("--to is not after --from", "give the later time to --to")
        name = _run_of(data, run, start)
        wanted = [CaseFile(f"{name} {utc(start)}".strip(), name, start, end, baseline_run, symptom)]
    cutter = Cutter(data)
    ranked: dict[str, list[Hint]] = {}
    for case in track(wanted, "cases", console=stderr, transient=True, disable=len(wanted) < 2):
        ranked[case.id] = rank(cutter.cut(case))
    services = {case: [hint.service for hint in hints] for case, hints in ranked.items()}
    if out is not None:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(services), indent=1) + b"\n")
    if as_json:
        answer: dict[str, Any] = {case: msgspec.to_builtins(hints[:10]) for case, hints in ranked.items()}
        print_json(answer)
        return
    for case in wanted if out is None else wanted[:0]:
        _show(case, ranked[case.id])
    if out is not None:
        console.print(f"{len(ranked)} case(s) ranked → {out}")
