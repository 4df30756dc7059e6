"""`tocsin score`: a table of samples in, the same rows with what the detectors thought of them out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.common import AsJson, ConfigFile, console, print_json, settings_from, stderr
from cli.errors import CliError
from cli.output import some
from cli.samples import open_input
from cli.scored import STDOUT, open_output
from cli.scorer import Scored, Scorer

ODD = (
    "repeated_or_backward_rows",
    "nonfinite_rows",
    "rows_without_time",
    "rows_of_evicted_series",
    "rows_of_excluded_series",
)
"""counts worth a line when they are not zero"""


def score(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT", help="CSV or Parquet with columns series, ts, value; - is CSV from stdin."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="CSV or Parquet, by its extension; - is CSV to stdout.")
    ],
    config: ConfigFile = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Folder for a picture per series, or one .png, .svg or .pdf.", show_default=False),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Labelled stretches for the pictures: JSON, by series a list of pairs start, end.",
            show_default=False,
        ),
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Pictures on dark paper.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score a table of metrics.

    Writes the same rows in the same order with score [0, 1], expected, lower, upper, state (warming, ok,
    pending, firing) and reason, in words, by the code and the configuration that run live. Columns are found
    by name: ts (or timestamp, time, datetime), value, and, if there is more than one, series (or file,
    name); service, metric and unit are used where they are. ts may be seconds, milliseconds or ISO 8601, UTC
    unless it says otherwise.

    Examples:

      tocsin score metrics.csv -o scored.csv

      tocsin score metrics.parquet -o scored.parquet --plot pictures

      tocsin score cpu.csv -o scored.csv --plot cpu.png --labels incidents.json

      zcat old.csv.gz | tocsin score - -o - -c tocsin.yaml > scored.csv
    """
    if output != STDOUT and source.resolve() == output.resolve():
        raise CliError("input and output are the same file", "name another output")
    windows = _pictures_wanted(plot, labels, output)
    began = time.monotonic()
    scorer = Scorer(settings_from(config).detect)
    reader = open_input(source)
    with (
        open_output(output, reader) as writer,
        Progress(
            TextColumn("scoring"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(reader.unit),
            TimeElapsedColumn(),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal,
        ) as progress,
    ):
        task = progress.add_task("", total=reader.total)
        for chunk in reader.chunks():
            writer.write(chunk, scorer.score(chunk))
            progress.update(task, completed=reader.done)
    summary = scorer.summary() | {"seconds": round(time.monotonic() - began, 3), "output": str(output)}
    if plot is not None:
        title = source.stem if source.name != "-" else "standard input"
        summary["pictures"] = _draw(scorer.series, plot, output, title, windows, dark)
    _say(summary, as_json, output)


def _pictures_wanted(plot: Path | None, labels: Path | None, output: Path) -> Any:
    """The labels for the pictures; what is wrong with them is said before the work begins."""
    if plot is None:
        if labels is not None:
            raise CliError("--labels is for pictures", "add --plot DIR")
        return None
    if output == STDOUT:
        raise CliError(
            "--plot reads the output file, and that is standard output", "name a file: -o scored.csv"
        )
    from cli.plot import check_target
    from cli.plotdata import windows_from

    check_target(plot)
    return windows_from(labels) if labels is not None else None


def _draw(
    series: list[Scored], plot: Path, output: Path, title: str, windows: Any, dark: bool
) -> dict[str, Any]:
    """The series with most alerts first, then those with the highest scores."""
    from cli.plot import draw, targets
    from cli.plotdata import curves

    order = sorted(series, key=lambda one: (-one.alerts, -one.highest, one.name))
    drawn = [one for one in order if one.rows and one.first_ms <= one.last_ms][: targets(plot)]
    files = draw(curves(output, drawn, windows), plot, title, dark)
    unknown = sorted(set(windows.of) - {one.name for one in series}) if windows else []
    if windows and len(unknown) == len(windows.of):
        stderr.print(
            f"tocsin: no label is for a series of this table ({unknown[0]!r} is not there)", markup=False
        )
    return {
        "files": [str(file) for file in files],
        "series": len(drawn),
        "left_out": len(series) - len(drawn),
    }


def _say(summary: dict[str, Any], as_json: bool, output: Path) -> None:
    if as_json and output != STDOUT:
        print_json(summary)
        return
    to = stderr if output == STDOUT else console
    to.print(
        f"{summary['rows']:,} rows of {summary['series']:,} series scored in {summary['seconds']:.1f} s, "
        f"{some(summary['alerts'], 'alert')} fired → {'standard output' if output == STDOUT else output}",
        soft_wrap=True,
    )
    for name in ODD:
        if summary[name]:
            to.print(f"  {summary[name]:,} {name.replace('_', ' ')}: kept, not scored")
    pictures = summary.get("pictures")
    if pictures:
        files = pictures["files"]
        where = ", ".join(files[:2]) + (" …" if len(files) > 2 else "")
        to.print(f"{pictures['series']:,} series drawn → {where or 'nothing'}", soft_wrap=True)
        if pictures["left_out"]:
            to.print(f"  {pictures['left_out']:,} series with fewer alerts and lower scores not drawn")
