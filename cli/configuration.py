"""`tocsin config check|rules`: whether a settings file is fine, and what its rules make of a series."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import typer

from cli.catalogue import catalogue_from, check_templates
from cli.common import AsJson, ConfigFile, console, print_json, settings_from
from cli.errors import CliError
from cli.output import plain, some, table
from config.durations import in_words
from config.settings import Detect, Settings
from detectors.alert import SEVERITIES
from detectors.control import Control, Controls, has_thresholds
from detectors.words import habits, quantity, unit_of
from streams.records.digest import fingerprint
from streams.records.pages import Series

app = typer.Typer(
    help="Check a settings file, and see which rules apply to a series.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Examples:\n\n  tocsin config check -c tocsin.yaml\n\n"
    "  tocsin config rules -c tocsin.yaml service=checkout metric=queue.size route=/pay",
)


class Fact(NamedTuple):
    """One thing that holds for a series, and who says so."""

    key: str
    value: str
    source: str


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
    series = series_of(labels)
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


def series_of(pairs: list[str]) -> Series:
    """Raises `CliError` for what is not LABEL=VALUE."""
    labels: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise CliError(f"{pair!r} is not LABEL=VALUE", "for example service=checkout")
        labels[name] = value.strip('"')
    service, metric, unit = (labels.pop(name, "") for name in ("service", "metric", "unit"))
    rest = tuple(sorted(labels.items()))
    return Series(fingerprint(service, metric, rest), service, metric, rest, unit)


def facts_of(detect: Detect, controls: Controls, series: Series) -> list[Fact]:
    """What holds, in the order of the configuration's keys."""
    control, which = controls.of(series), controls.matching(series)
    shown = control.shown(series)
    habit, unit = habits(shown), unit_of(shown)

    def fact(key: str, value: str, *keys: str, otherwise: str) -> Fact:
        places = {controls.deciding(which, name) for name in keys} - {None}
        source = ", ".join(f"rules[{place}]" for place in sorted(p for p in places if p is not None))
        return Fact(key, value, source or otherwise)

    if not control.watch:
        return [fact("watch", "no: excluded", "watch", otherwise="")]
    least = habit.min_abs if control.min_abs is None else control.min_abs
    share = habit.min_rel if control.min_rel is None else control.min_rel
    found = [fact("watch", "yes", "watch", otherwise="default")]
    if has_thresholds(control):
        own = "a rule of the pipeline itself" if control.words else ""
        found.append(fact("judged by", "its thresholds alone", *THRESHOLDS, otherwise=own))
        found += [
            fact(name, quantity(value, unit), name, otherwise=own)
            for name, value in zip(THRESHOLDS, control.thresholds, strict=True)
            if value == value
        ]
    else:
        fires = f"at a score of {control.fire:g}"
        found += [
            fact("fires", fires, "sensitivity", otherwise=f"detect.fire_score {detect.fire_score:g}"),
            fact("direction", _direction(control, habit.sense), "direction", otherwise="its name"),
            fact("min_effect", quantity(least, unit), "min_effect", otherwise="its name and unit"),
            fact("min_effect_ratio", f"{share:g}", "min_effect_ratio", otherwise="its name and unit"),
        ]
    hold, clear = _wait(control.hold_samples, control.hold_ms), _wait(control.clear_samples, control.clear_ms)
    return [
        *found,
        fact("unit", unit or "none", "unit", otherwise="its description"),
        fact("fires after", hold, "hold_samples", "hold_for", otherwise="detect.hold_samples"),
        fact("resolves after", clear, "clear_samples", "keep_firing_for", otherwise="detect.clear_samples"),
        fact("max_severity", SEVERITIES[control.cap], "max_severity", otherwise="default"),
        fact("absent", "said" if control.absent else "not said", "absent", otherwise="default"),
    ]


THRESHOLDS = ("warning_above", "critical_above", "warning_below", "critical_below")


def _direction(control: Control, habit: int) -> str:
    sense: Any = habit if control.sense is None else control.sense
    judged = {1: "up only", 2: "down only", 3: "both"}[control.ways]
    bad = {1: "up is bad", -1: "down is bad", 0: "neither is known to be better"}[sense]
    return judged if control.ways != 3 else f"{judged}, {bad}"


def _wait(samples: int, ms: int) -> str:
    return some(samples, "sample") + (f" and {in_words(ms)}" if ms else "")
