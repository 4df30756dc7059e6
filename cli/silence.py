"""`tocsin silence add|list|expire|test`: keep alerts one knows about from becoming incidents."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from cli.actions import Actor, Wait, answer_to, login
from cli.common import AsJson, ClickHouseUrl, ConfigFile, KafkaAddress, console, print_json, settings_from
from cli.errors import CliError
from cli.output import plain, some, table, wall_ms
from cli.store import reader_of
from cli.suppressed import AlertsFile, Since, as_rows, show, tried
from config.schedules import Window
from config.settings import Settings
from config.suppression import Silence, silence_problems
from correlator.silencing import action_of, name_for, only_silence, spoken, standing, until_after
from sinks.suppressed import silences

app = typer.Typer(
    help="Keep alerts one knows about from becoming incidents.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Examples:\n\n  tocsin silence add service=db 'metric=~\"disk.*\"' --for 2h\n\n"
    "  tocsin silence list\n\n  tocsin silence expire 3f9a",
)

Matchers = Annotated[
    list[str], typer.Argument(metavar="MATCHER...", help='service=db, severity!=critical, path=~"/api/.*" …')
]
Name = Annotated[str, typer.Option(help="What to call it; by default a few digits.", show_default=False)]
From = Annotated[
    str, typer.Option("--from", help="Begin, or first occurrence: 2026-03-29T22:00.", show_default=False)
]
Until = Annotated[str, typer.Option(help="End.", show_default=False)]
Rrule = Annotated[str, typer.Option(help="RFC 5545, e.g. FREQ=WEEKLY;BYDAY=SA.", show_default=False)]
Length = Annotated[str, typer.Option(help="Of each occurrence.", show_default=False)]
To = Annotated[str, typer.Option(help="HH:MM at which each occurrence ends.", show_default=False)]
Zone = Annotated[str, typer.Option(help="IANA time zone of all these times.")]


@app.command()
def add(
    matchers: Matchers,
    name: Name = "",
    lasting: Annotated[
        str, typer.Option("--for", help="From now on for so long: 30m, 2h, 3d.", show_default=False)
    ] = "",
    from_: From = "",
    until: Until = "",
    rrule: Rrule = "",
    duration: Length = "",
    to: To = "",
    zone: Zone = "UTC",
    comment: Annotated[str, typer.Option(help="Why.", show_default=False)] = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Hold back alerts that all matchers match. One of the same name is replaced.

    Alerts that already belong to an incident stay there. Exit code 1: refused, 2: nobody answers.

    Examples:

      tocsin silence add service=db --for 2h --comment "moving data"

      tocsin silence add service=db --from 2026-03-28T22:00 --rrule "FREQ=WEEKLY;BYDAY=SA" --to 06:00
      --zone Europe/Berlin --name weekend
    """
    settings = settings_from(config, kafka)
    now_ms = wall_ms()
    if lasting:
        if until or rrule:
            raise CliError(
                "--for goes with neither --until nor --rrule", "with --rrule use --duration or --to"
            )
        until = _after(now_ms, lasting)
    name = name or name_for(matchers, now_ms)
    window = Window(from_=from_, until=until, rrule=rrule, duration=duration, to=to, zone=zone)
    silence = Silence(name=name, matchers=tuple(matchers), comment=comment, **msgspec.structs.asdict(window))
    _check(silence)
    _send(settings, "add", silence, actor or login(), now_ms, timeout, as_json)


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Silences in force, and what they hold back: those of the configuration (with -c), and of run time.

    Examples:

      tocsin silence list

      tocsin silence list --all --json
    """
    settings = settings_from(config, None, clickhouse)
    with reader_of(settings.clickhouse) as reader:
        found = silences(reader, every=every)
    declared = settings.correlate.silences
    if as_json:
        print_json({"declared": declared, "silences": found})
        return
    now_ms = wall_ms()
    made = table("name", "state", "matchers", "when", "alerts", "held now", "by", "comment",
                 right=("alerts", "held now"))  # fmt: skip
    for row in found:
        window = row.window
        state = standing(row.state, window, now_ms)
        made.add_row(plain(row.name), state, plain("\n".join(row.matchers)),
                     plain(spoken(window)), str(row.alerts), str(row.held), plain(row.actor),
                     plain(row.comment))  # fmt: skip
    for silence in declared:
        state = standing("active", silence, now_ms)
        made.add_row(plain(silence.name), state, plain("\n".join(silence.matchers)), plain(spoken(silence)),
                     "", "", "configuration", plain(silence.comment))  # fmt: skip
    console.print(made if found or declared else "no silence is in force")


@app.command()
def expire(
    name: Annotated[str, typer.Argument(help="Of the silence.")],
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """End a silence now. What it holds back and still fires goes on into correlation.

    Examples:

      tocsin silence expire weekend
    """
    settings = settings_from(config, kafka)
    _send(settings, "expire", Silence(name=name), actor or login(), wall_ms(), timeout, as_json)


@app.command("test")
def try_(
    matchers: Annotated[
        list[str] | None, typer.Argument(metavar="[MATCHER]...", help="As with add.", show_default=False)
    ] = None,
    name: Annotated[
        str, typer.Option(help="A silence of the configuration instead.", show_default=False)
    ] = "",
    from_: From = "",
    until: Until = "",
    rrule: Rrule = "",
    duration: Length = "",
    to: To = "",
    zone: Zone = "UTC",
    since: Since = "",
    alerts: AlertsFile = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """What a silence would have held back in the last 24 hours. Changes nothing.

    Without a time it is tried as if it had been in force all along.

    Examples:

      tocsin silence test service=db 'metric=~"disk.*"'

      tocsin silence test service=db --alerts out/alerts.jsonl
    """
    settings = settings_from(config, None, clickhouse)
    if name:
        chosen = [one for one in settings.correlate.silences if one.name == name]
        if not chosen or matchers:
            known = ", ".join(one.name for one in settings.correlate.silences) or "none"
            raise CliError(f"--name is {name!r}: expected a silence of the configuration", f"it has: {known}")
        silence = chosen[0]
    else:
        window = Window(from_=from_, until=until, rrule=rrule, duration=duration, to=to, zone=zone)
        silence = Silence(name="tried", matchers=tuple(matchers or ()), **msgspec.structs.asdict(window))
        _check(silence)
    rehearsal = tried(only_silence(silence, settings.correlate), settings, since, alerts)
    if as_json:
        print_json(as_rows(rehearsal))
    else:
        show(rehearsal)


def _check(silence: Silence) -> None:
    for key, value, expected in silence_problems("silence", silence):
        raise CliError(f"{key} is {value!r}: expected {expected}", "tocsin silence add --help has examples")


def _after(now_ms: int, lasting: str) -> str:
    try:
        return until_after(now_ms, lasting)
    except ValueError as error:
        raise CliError(f"--for is {lasting!r}: expected {error}") from None


def _send(
    settings: Settings, verb: str, silence: Silence, actor: str, now_ms: int, timeout_s: float, as_json: bool
) -> None:
    action = action_of(verb, silence, actor, now_ms)
    result = answer_to(settings, action.id, f"silence/{silence.name}", action, timeout_s)
    if as_json:
        print_json(result)
    if not result.applied:
        raise CliError(f"refused: {result.reason}", "tocsin silence list shows what is in force", code=1)
    if not as_json:
        gone = f"; {some(result.alerts, 'alert')} still firing, now correlated" if result.alerts else ""
        console.print(plain(f"silence {silence.name} is {result.state}{gone}"))
