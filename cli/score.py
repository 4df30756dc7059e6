"""`tocsin score`: a file of samples in, the same rows with what the detectors thought of them out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.common import AsJson, ConfigFile, console, print_json, settings_from, stderr
from cli.errors import CliError
from cli.samples import NO_TIME, Chunk, open_input, open_output
from config.settings import Detect
from detectors.bank import STATES, Bank, Scores
from streams.records.digest import fingerprint
from streams.records.pages import Series


class Scorer:
    """The live bank over series that are known by a name alone, so without a minimum effect."""

    def __init__(self, config: Detect) -> None:
        self.bank = Bank(config)
        self.fps: dict[str, int] = {}
        self.alerts = 0
        self.rows = 0
        self.untimed = 0

    def score(self, chunk: Chunk) -> Scores:
        """Scores of a chunk's rows, in its order. Rows without a readable time are left out, counted."""
        fps = np.array([self._fp(name) for name in chunk.series], np.uint64)
        timed = chunk.ts != NO_TIME
        alerts, scores = self.bank.feed_scored(fps[timed], chunk.ts[timed], chunk.values[timed])
        self.rows += len(fps)
        self.untimed += int(len(fps) - timed.sum())
        self.alerts += sum(alert.state == "firing" and alert.version == 1 for alert in alerts)
        if timed.all():
            return scores
        nan = np.full((4, len(fps)), np.nan)
        nan[:, timed] = scores[:4]
        codes = np.zeros((2, len(fps)), np.uint8)
        codes[:, timed] = scores[4:]
        return Scores(nan[0], nan[1], nan[2], nan[3], codes[0], codes[1])

    def _fp(self, name: str) -> int:
        known = self.fps.get(name)
        if known is None:
            labels = (("series", name),)
            known = self.fps[name] = fingerprint("", "", labels)
            self.bank.describe(Series(known, "", "", labels))
        return known

    def summary(self) -> dict[str, Any]:
        """Counts, by what they say."""
        counters = self.bank.counters
        return {
            "rows": self.rows,
            "series": len(self.fps),
            "alerts": self.alerts,
            "repeated_or_backward_rows": counters["repeated_rows"],
            "nonfinite_rows": counters["nonfinite_rows"],
            "rows_without_time": self.untimed,
            "rows_of_evicted_series": counters["unknown_rows"],
        }


def score(
    source: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="CSV or Parquet with columns series (or file), ts, value."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV or Parquet, by its extension.")],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Score a file of metrics.

    Writes the same rows in the same order with score, expected, lower, upper and state (warming, ok,
    pending, firing). ts may be milliseconds, seconds or ISO 8601 (UTC unless it says otherwise). Each
    series is scored strictly in the order of its rows, by the code that runs live.

    Examples:

      tocsin score metrics.csv -o scored.csv

      tocsin score metrics.parquet -o scored.parquet --json
    """
    if source.resolve() == output.resolve():
        raise CliError("input and output are the same file", "name another output")
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
            TimeRemainingColumn(),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal,
        ) as progress,
    ):
        task = progress.add_task("", total=reader.total)
        for chunk in reader.chunks():
            writer.write(chunk, scorer.score(chunk), STATES)
            progress.update(task, completed=reader.done)
    summary = scorer.summary() | {"seconds": round(time.monotonic() - began, 3), "output": str(output)}
    if as_json:
        print_json(summary)
        return
    console.print(
        f"{summary['rows']:,} rows of {summary['series']:,} series scored in {summary['seconds']:.1f} s, "
        f"{summary['alerts']:,} alerts fired -> {output}"
    )
    for name in (
        "repeated_or_backward_rows",
        "nonfinite_rows",
        "rows_without_time",
        "rows_of_evicted_series",
    ):
        if summary[name]:
            console.print(f"  {summary[name]:,} {name.replace('_', ' ')}: kept, not scored")
