"""`tocsin config check|rules`: whether a settings file is fine, and what its rules make of a series."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.catalogue import catalogue_from, check_templates
from cli.common import AsJson, ConfigFile, console, print_json, settings_from
from cli.errors import CliError
from cli.output import plain, some, table
from config.settings import Settings
from detectors.control import Controls
from detectors.controlfacts import facts_of, series_of

app = typer.Typer(
    help="Check a settings file, and see which rules apply to a series.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Examples:\n\n  tocsin config check -c tocsin.yaml\n\n"
    "  tocsin config rules -c tocsin.yaml service=checkout metric=queue.size route=/pay",
)


@app.command()
def check(config: ConfigFile = None) -> None:
    """Read the settings, say what is wrong with them, or that nothing is.

    Examples:

      tocsin config check -c tocsin.yaml
    """
    settings = settings_from(config)
    catalogue = catalogue_from(settings)
    check_templates(settings)
    detect = settings.detect
    console.print(
        f"{config or 'defaults'}: fine ({some(len(settings.topics.inputs), 'input')}, "
        f"{some(len(detect.rules), 'rule')}, {some(len(detect.slos), 'objective')}"
        f"{', ' + some(len(catalogue.services), 'service') if catalogue else ''}{_suppression(settings)})"
    )


def _suppression(settings: Settings) -> str:
    """Rules that hold alerts back, if there are any."""
    c = settings.correlate
    counts = ((c.silences, "silence"), (c.maintenance, "maintenance window"), (c.inhibit, "inhibition"),
              (c.dedup, "deduplication"))  # fmt: skip
    return "".join(f", {some(len(rules), word)}" for rules, word in counts if rules)


@app.command()
def rules(
    labels: Annotated[
        list[str],
        typer.Argument(metavar="LABEL=VALUE...", help="The series: service=, metric=, unit= and its labels."),
    ],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """What holds for a series, and which rule or default says so.

    Examples:

      tocsin config rules -c tocsin.yaml service=checkout metric=http.server.request.duration.p95 unit=s

      tocsin config rules -c tocsin.yaml service=db metric=disk.used unit=% volume=data --json
    """
    detect = settings_from(config).detect
    try:
        series = series_of(labels)
    except ValueError as error:
        raise CliError(str(error), "for example service=checkout") from None
    controls = Controls(detect)
    which = controls.matching(series)
    facts = facts_of(detect, controls, series)
    if as_json:
        print_json({"rules": list(which), "facts": [fact._asdict() for fact in facts]})
        return
    console.print(
        f"{some(len(which), 'rule')} of {len(detect.rules)} {'applies' if len(which) == 1 else 'apply'}"
    )
    for place in which:
        matchers = ", ".join(map(str, controls.matchers(place))) or "every series"
        console.print(plain(f"  rules[{place}]  {matchers}"))
    shown = table("what", "value", "because")
    for fact in facts:
        shown.add_row(fact.key, plain(fact.value), plain(fact.source))
    console.print(shown)
