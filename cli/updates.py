"""`tocsin updates`: what employees and customers are told of incidents, before it is sent and after."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.actions import Actor, Wait, answered, login
from cli.common import AsJson, ClickHouseUrl, ConfigFile, KafkaAddress, console, print_json, settings_from
from cli.defaultgroup import ListGroup
from cli.errors import CliError
from cli.output import plain, styled
from cli.store import full_id, reader_of
from config.settings import Settings
from correlator.afterwards import StatusUpdate
from correlator.updating import WAITING
from correlator.when import utc
from sinks import afterwards
from sinks.reader import Reader

UpdateId = Annotated[str, typer.Argument(help="Id of the update, or its first digits.")]
Note = Annotated[str, typer.Option(help="A sentence that goes along.")]

app = typer.Typer(
    rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False, cls=ListGroup
)


@app.callback()
def updates() -> None:
    """Status updates: drafts for employees and customers, sent by a person or once it is stable.

    `tocsin updates 3f9a` is short for `tocsin updates list 3f9a`.

    Examples:
      tocsin updates
      tocsin updates 3f9a
      tocsin updates edit 52aa --text "Card payments work again since 14:05 UTC."
      tocsin updates release 52aa
    """


@app.command("list")
def list_(
    incident: Annotated[str, typer.Argument(help="Only those of this incident.", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help="Withdrawn ones, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Status updates, newest last: what waits (draft, held) and what was sent.

    draft: waits for a person. held: says that it is over, and waits for the verification window; where
    `updates.AUDIENCE.auto` is set it is sent then, else it becomes a draft.

    Examples:
      tocsin updates
      tocsin updates 3f9a --all
    """
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        id = full_id(reader, incident.strip().lower()) if incident else ""
        states = () if every else (*WAITING, "sent")
        found = afterwards.updates(reader, incident=id, states=states, limit=limit)
    if as_json:
        print_json(found)
    elif not found:
        more = "" if every else "; --all shows withdrawn ones"
        console.print(f"No status updates: drafts are made for incidents as updates.priority says{more}.")
    else:
        for one in found:
            _show(one)
        if any(one.state in WAITING for one in found):
            console.print("Send one: tocsin updates release ID (the first digits will do)", style="dim")


@app.command()
def release(
    update: UpdateId,
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Send an update now, also one that waits for the verification window. It cannot be taken back.

    Exit code 1 when it is refused (the reason is printed), 2 when nobody answers.

    Examples:
      tocsin updates release 52aa
    """
    settings = settings_from(config, kafka, clickhouse)
    _act({"op": "release"}, update, note, actor, timeout, as_json, settings)


@app.command()
def withdraw(
    update: UpdateId,
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Do not send an update. One that was sent cannot be withdrawn.

    Examples:
      tocsin updates withdraw 52aa
    """
    settings = settings_from(config, kafka, clickhouse)
    _act({"op": "withdraw"}, update, note, actor, timeout, as_json, settings)


@app.command()
def edit(
    update: UpdateId,
    text: Annotated[str, typer.Option(help="What it is to say.", show_default=False)] = "",
    title: Annotated[str, typer.Option(help="Its title.", show_default=False)] = "",
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Change what an update says before it is sent.

    Examples:
      tocsin updates edit 52aa --text "Card payments work again since 14:05 UTC."
    """
    new = {name: value for name, value in (("title", title), ("text", text)) if value.strip()}
    if not new:
        raise CliError("nothing is to change", "give --text or --title")
    settings = settings_from(config, kafka, clickhouse)
    _act({"op": "edit", **new}, update, note, actor, timeout, as_json, settings)


def _act(
    fields: dict[str, str],
    prefix: str,
    note: str,
    actor: str,
    timeout_s: float,
    as_json: bool,
    settings: Settings,
) -> None:
    with reader_of(settings.clickhouse) as reader:
        found = _one(reader, prefix)
    fields = {**fields, "id": found.id}
    answered(settings, "update", found.incident, actor or login(), note, timeout_s, as_json, fields=fields)


def _one(reader: Reader, prefix: str) -> StatusUpdate:
    prefix = prefix.strip().lower()
    found = afterwards.updates_like(reader, prefix) if prefix else []
    whole = [one for one in found if one.id == prefix] or found
    if not whole:
        raise CliError(f"no status update {prefix!r}", "tocsin updates lists them")
    if len(whole) > 1:
        ids = ", ".join(one.id for one in whole)
        raise CliError(f"{prefix!r} begins several ids of updates: {ids}", "give more digits")
    return whole[0]


def _show(one: StatusUpdate) -> None:
    by = f" by {one.actor}" if one.actor else ""
    when = f"sent {utc(one.sent_at)} UTC" if one.sent_at is not None else f"since {utc(one.at_ms)} UTC"
    console.print(
        plain(one.id),
        styled(one.state),
        f"to {one.audience}, of {one.about}, {when}",
        plain(by),
        style="bold",
    )
    console.print(plain(one.title), style="underline")
    console.print(plain(one.text))
    console.print(plain(f"incident {one.incident}"), style="dim")
    console.print()
