"""`tocsin catalogue check`: whether the service catalogue is fine, and what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.common import AsJson, ConfigFile, console, print_json, settings_from, stderr
from cli.errors import CliError
from cli.output import plain, some, table
from config.catalogue import Catalogue
from config.catalogue_files import Reading, read
from config.load import ConfigError
from config.settings import Settings

app = typer.Typer(
    help="Check the service catalogue: who owns what, how much it matters, what it needs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Examples:\n\n  tocsin catalogue check services.yaml\n\n"
    "  tocsin catalogue check -c tocsin.yaml --strict",
)


@app.callback()
def catalogue() -> None:
    """Has commands of its own."""


@app.command()
def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH...]", help="Files or folders; left out: those of the settings."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors, too.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with the catalogue, file and line, or what is in it. For a CI job.

    Exit code: 0 fine, 1 there are errors (with --strict also for warnings).

    Examples:

      tocsin catalogue check services.yaml teams/

      tocsin catalogue check -c tocsin.yaml --json
    """
    named = paths or settings_from(config).catalogue_files
    if not named:
        raise CliError(
            "no catalogue is named", "name a file, or set topology.catalogue; see docs/catalogue.md"
        )
    reading = read(named)
    failed = bool(reading.errors or (strict and reading.warnings))
    if as_json:
        counts = {"services": len(reading.catalogue.services), "calls": len(reading.catalogue.calls)}
        said = {"files": reading.files, "errors": reading.errors, "warnings": reading.warnings}
        print_json({**said, **counts})
    else:
        for line in reading.errors:
            stderr.print(plain(f"error: {line}"), style="red", soft_wrap=True)
        for line in reading.warnings:
            stderr.print(plain(f"warning: {line}"), style="yellow", soft_wrap=True)
        _summary(reading, ", ".join(map(str, named)))
    if failed:
        raise typer.Exit(1)


def _summary(reading: Reading, named: str) -> None:
    entries = reading.catalogue.services.values()
    said = [some(len(entries), "service"), some(len(reading.catalogue.calls), "dependency", "dependencies")]
    said += [some(len(reading.errors), "error")] if reading.errors else []
    said += [some(len(reading.warnings), "warning")] if reading.warnings else []
    console.print(plain(f"{named}: {'not ' if reading.errors else ''}fine ({', '.join(said)})"))
    if reading.errors or not entries:
        return
    tiers = Counter(one.tier or 0 for one in entries)
    without = {
        "owner": sum(not one.owner for one in entries),
        "tier": tiers[0],
        "runbook": sum(not one.runbook for one in entries),
    }
    shown = table("", "services", right=("services",))
    for tier in range(1, 5):
        shown.add_row(f"tier {tier}", str(tiers[tier]))
    for rule in ("gdpr", "nis2", "dora"):
        shown.add_row(rule.upper(), str(sum(rule in one.business.regulated for one in entries)))
    for key, count in without.items():
        shown.add_row(f"without {key}", str(count))
    console.print(shown)


def catalogue_from(settings: Settings, named: Sequence[Path] | None = None) -> Catalogue:
    """The catalogue of the settings, or of the files named. Raises `CliError`."""
    return checked(settings, named).catalogue


def checked(settings: Settings, named: Sequence[Path] | None = None) -> Reading:
    """The same with its warnings. Raises `CliError` with the first thing wrong."""
    reading = read(named or settings.catalogue_files)
    if reading.errors:
        more = len(reading.errors) - 1
        rest = f" ({more} more)" if more else ""
        raise CliError(f"bad catalogue: {reading.errors[0]}{rest}", "tocsin catalogue check says all of it")
    return reading


def check_templates(settings: Settings) -> None:
    """Texts of status updates are tried as the correlate stage does it. Raises `CliError`."""
    from correlator.drafts import Templates

    try:
        Templates(settings.updates)
    except ConfigError as error:
        raise CliError(f"bad configuration: {error}", "correct the template") from None


def in_a_line(reading: Reading) -> str:
    """What is in it."""
    catalogue = reading.catalogue
    said = [
        some(len(catalogue.services), "service"),
        some(len(catalogue.calls), "dependency", "dependencies"),
    ]
    if reading.warnings:
        said.append(some(len(reading.warnings), "warning") + " (tocsin catalogue check)")
    return ", ".join(said)
