"""`tocsin logs`: what a log file says, as templates with how often, since when and how severe."""

from __future__ import annotations

import sys
import time
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from cli.common import AsJson, ConfigFile, console, print_json, settings_from, stderr
from cli.errors import CliError
from cli.logfile import STDIN, Events, Source
from cli.logminer import Miner
from cli.logstats import LEVELS, Figures, Row
from cli.logview import Summary, as_csv, as_object, show
from cli.output import some, wall_ms
from config.logs import Secrets
from config.matchers import compiled
from streams.decode.logs.masking import Masker


class Sort(Enum):
    COUNT = "count"
    NEW = "new"
    RATE = "rate"
    SEVERITY = "severity"


class Form(Enum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Level(Enum):
    """Names of `LEVELS`."""

    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    FATAL = "fatal"


def logs(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="Log file, also compressed; - is standard input.")
    ],
    sort: Annotated[
        Sort, typer.Option(help="count: most lines first; new: first seen last; rate: most a minute.")
    ] = Sort.COUNT,
    top: Annotated[int, typer.Option(min=0, help="Templates shown; 0: all.")] = 30,
    grep: Annotated[
        str | None,
        typer.Option(help="Only templates that match, or whose example does (RE2).", show_default=False),
    ] = None,
    severity: Annotated[
        Level | None, typer.Option(help="Only templates of at least this severity.", show_default=False)
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Only templates that are new.")] = False,
    learn: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Share of the file's time after which a template is new."),
    ] = 0.5,
    form: Annotated[Form, typer.Option("--format", "-f", help="How the templates are printed.")] = Form.TABLE,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Parquet with the template of each line.", show_default=False),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Templates in full, however long.")] = False,
    no_mask: Annotated[
        bool, typer.Option("--no-mask", help="Show secrets as they stand in the file.")
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Say what a log file says: its templates.

    Lines that differ only in numbers, ids and the like are one template. Reads text and JSON lines, plain or
    compressed (gzip, bzip2, xz, zstd, lz4); finds the times of the common layouts; keeps stack traces with
    the line they belong to. Secrets (passwords, tokens, mail addresses, card numbers, ...) are masked.

    Examples:

      tocsin logs /var/log/syslog

      tocsin logs app.log.gz --sort new --severity warn

      kubectl logs deploy/cart | tocsin logs - --grep timeout

      tocsin logs app.log --format json | jq '.templates[] | select(.new)'

      tocsin logs app.log -o lines.parquet
    """
    chosen = _filter(grep)
    _check_output(output, source)
    secrets = Secrets(mask=False) if no_mask else settings_from(config).logs.secrets
    rows, summary = read(source, secrets, learn, output)
    least = _least(severity)
    wanted = [row for row in rows if chosen(row) and row.severity >= least and (row.new or not new)]
    wanted.sort(key=_KEYS[sort])
    _print(wanted, top, summary, Form.JSON if as_json else form, full)
    if summary.damage:
        _note(f"{summary.source}: {summary.damage}; the lines before that are shown")
    if output is not None:
        _note(f"{some(summary.events, 'log record')} with their templates → {output}")


def read(source: Path, secrets: Secrets, learn: float, output: Path | None) -> tuple[list[Row], Summary]:
    """All templates of a file by count, and what is said of it as a whole."""
    began = time.monotonic()
    opened = Source(source)
    near_ms = int(source.stat().st_mtime * 1000) if source != STDIN else wall_ms()
    events, figures, miner = Events(opened, near_ms), Figures(), Miner()
    masked = _read(opened, events, figures, miner, Masker(secrets), output)
    rows = figures.rows(learn, miner.became(figures.ids()))
    return rows, Summary(
        opened.name,
        events.lines,
        figures.events,
        len(rows),
        sum(row.new for row in rows),
        figures.first_ts if figures.has_times else None,
        figures.last_ts if figures.has_times else None,
        events.layout,
        dict(sorted(masked.items())),
        figures.left_out,
        miner.evicted,
        opened.damage,
        round(time.monotonic() - began, 3),
    )


_KEYS = {
    Sort.COUNT: lambda row: (-row.lines, row.first_line),
    Sort.NEW: lambda row: (-row.first_line, -row.lines),
    Sort.RATE: lambda row: (-(row.per_minute or 0.0), -row.lines, row.first_line),
    Sort.SEVERITY: lambda row: (-row.severity, -row.lines, row.first_line),
}


def _read(
    source: Source, events: Events, figures: Figures, miner: Miner, masker: Masker, output: Path | None
) -> Counter[str]:
    """All of the source; returns how many secrets of which kind were masked."""
    masked: Counter[str] = Counter()
    writer = None
    if output is not None:
        from cli.loglines import LineWriter

        writer = LineWriter(output)
    with (
        writer or _Nothing(),
        Progress(
            TextColumn("reading"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[lines]:,} lines, {task.fields[templates]:,} templates"),
            TimeElapsedColumn(),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal,
        ) as progress,
    ):
        task = progress.add_task("", total=source.total, lines=0, templates=0)
        for batch in events.batches():
            changed = masker.mask_all([event.text for event in batch], masked)
            for place, text in changed.items():
                batch[place] = batch[place]._replace(text=text)
            templates = miner.learn([event.text for event in batch])
            figures.add(batch, templates)
            if writer is not None:
                writer.add(batch, templates)
            progress.update(task, completed=source.done, lines=events.lines, templates=len(figures.ids()))
        if writer is not None:
            writer.end(figures.texts(), miner.became(figures.ids()))
    return masked


class _Nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *args: object) -> None:
        return None


def _filter(grep: str | None):  # type: ignore[no-untyped-def]
    if grep is None:
        return lambda row: True
    try:
        search = compiled(grep).search
    except ValueError as error:
        raise CliError(
            f"--grep is {grep!r}: expected {error}", "correct it, or escape what is meant literally"
        ) from None
    return lambda row: search(row.template) is not None or search(row.example) is not None


def _least(severity: Level | None) -> int:
    return next(least for least, name in LEVELS if name == severity.value) if severity is not None else 0


def _check_output(output: Path | None, source: Path) -> None:
    if output is None:
        return
    if output.suffix.lower() not in (".parquet", ".pq"):
        raise CliError(f"{output}: unknown extension {output.suffix!r}", "name a .parquet output")
    if not output.parent.is_dir():
        raise CliError(f"folder {output.parent} does not exist", "create it first")
    if output.resolve() == source.resolve():
        raise CliError("input and output are the same file", "name another output")


def _print(rows: list[Row], top: int, summary: Summary, form: Form, full: bool) -> None:
    shown = rows[:top] if top else rows
    if form is Form.JSON:
        print_json({"summary": summary._asdict(), "templates": [as_object(row) for row in shown]})
    elif form is Form.CSV:
        sys.stdout.write(as_csv(shown))
    elif not summary.events:
        console.print(f"{summary.source} is empty: no log lines", soft_wrap=True, highlight=False)
    elif not rows:
        console.print(
            f"{summary.source}: none of its {some(summary.templates, 'template')} is meant",
            soft_wrap=True,
            highlight=False,
        )
    else:
        show(shown, summary, rows[len(shown) :], console, full)


def _note(text: str) -> None:
    stderr.print(f"tocsin: {text}", markup=False, soft_wrap=True, highlight=False)
