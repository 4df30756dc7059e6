"""`tocsin rules dry-run`: what the suppression rules of a settings file would have done."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from cli.common import AsJson, ClickHouseUrl, ConfigFile, print_json, settings_from
from cli.errors import CliError
from cli.suppressed import AlertsFile, Since, as_rows, show, tried
from config.settings import Correlate

app = typer.Typer(
    help="Try rules that hold alerts back on alerts of the past.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Examples:\n\n  tocsin rules dry-run -c tocsin.yaml\n\n"
    "  tocsin rules dry-run -c tocsin.yaml --rule node-down --since 7d",
)
KINDS = ("silences", "maintenance", "inhibit", "dedup")


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
    rehearsal = tried(only(settings.correlate, rule or []), settings, since, alerts)
    if as_json:
        print_json(as_rows(rehearsal))
    else:
        show(rehearsal)


def only(correlate: Correlate, names: list[str]) -> Correlate:
    """The settings with no other rules than these; all of them when none is named. Raises `CliError`."""
    if not names:
        return correlate
    known = {one.name for kind in KINDS for one in getattr(correlate, kind)} | {"flap"}
    for name in names:
        if name not in known:
            raise CliError(
                f"--rule is {name!r}: expected a rule of the configuration",
                f"it has: {', '.join(sorted(known))}",
            )
    left = {kind: tuple(one for one in getattr(correlate, kind) if one.name in names) for kind in KINDS}
    flap = msgspec.structs.replace(correlate.flap, enabled=correlate.flap.enabled and "flap" in names)
    return msgspec.structs.replace(correlate, **left, flap=flap)
