"""`tocsin rules dry-run`: what the suppression rules of a settings file would have done."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.common import AsJson, ClickHouseUrl, ConfigFile, print_json, settings_from
from cli.errors import CliError
from cli.suppressed import AlertsFile, Since, as_rows, show, tried
from correlator.rehearse import only

app = typer.Typer(
    help="Try rules that hold alerts back on alerts of the past.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Examples:\n\n  tocsin rules dry-run -c tocsin.yaml\n\n"
    "  tocsin rules dry-run -c tocsin.yaml --rule node-down --since 7d",
)


@app.callback()
def root() -> None:
    """Try rules that hold alerts back on alerts of the past."""


@app.command("dry-run")
def dry_run(
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--rule", help="Only the rule of this name (may be repeated); flap is one.", show_default=False
        ),
    ] = None,
    since: Since = "",
    alerts: AlertsFile = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """What silences, maintenance, inhibit, dedup and flap would have held back in the last 24 hours.

    Changes nothing. The alerts are those of ClickHouse, or of a file.

    Examples:

      tocsin rules dry-run -c tocsin.yaml

      tocsin rules dry-run -c tocsin.yaml --rule node-down --alerts out/alerts.jsonl --json
    """
    settings = settings_from(config, None, clickhouse)
    try:
        rules = only(settings.correlate, rule or [])
    except ValueError as error:
        raise CliError(f"--rule is {error}") from None
    rehearsal = tried(rules, settings, since, alerts)
    if as_json:
        print_json(as_rows(rehearsal))
    else:
        show(rehearsal)
