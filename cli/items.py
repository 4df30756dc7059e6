"""`tocsin items`: what is to be done so that it does not come back, kept until it is done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.actions import Actor, IncidentId, Wait, act, answered, login
from cli.common import AsJson, ClickHouseUrl, ConfigFile, KafkaAddress, console, print_json, settings_from
from cli.defaultgroup import ListGroup
from cli.errors import CliError
from cli.output import NONE, plain, some, styled, table, wall_ms
from cli.store import full_id, reader_of
from correlator.afterwards import ActionItem
from sinks import afterwards
from sinks.reader import Reader

ItemId = Annotated[str, typer.Argument(help="Id of the action item, or its first digits.")]
Note = Annotated[str, typer.Option(help="A sentence that goes along.")]
Owner = Annotated[str, typer.Option(help="Who is to do it.", show_default=False)]
Due = Annotated[str, typer.Option(help="Date, YYYY-MM-DD.", show_default=False)]

app = typer.Typer(
    rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False, cls=ListGroup
)


@app.callback()
def items() -> None:
    """Action items of incidents: list, add, start, done, drop, reopen, edit.

    `tocsin items --overdue` is short for `tocsin items list --overdue`.

    Examples:
      tocsin items --open
      tocsin items --overdue --owner ann
      tocsin items add 3f9a "alert on the pool's queue" --owner ann --due 2026-12-01
      tocsin items done 7c1e --note "live since Tuesday"
    """


@app.command("list")
def list_(
    open: Annotated[bool, typer.Option("--open", help="Only what is not done or dropped.")] = False,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only what should have been done by now.")
    ] = False,
    owner: Annotated[str, typer.Option(help="Only those of this owner.", show_default=False)] = "",
    incident: Annotated[str, typer.Option(help="Only those of this incident.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 200,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Action items, by the date they are due.

    Examples:
      tocsin items --open
      tocsin items --overdue --owner ann
    """
    today = datetime.fromtimestamp(wall_ms() / 1000, UTC).date().isoformat()
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        found = afterwards.items(
            reader,
            incident=full_id(reader, incident.strip().lower()) if incident else "",
            states=afterwards.LIVE_ITEMS if open or overdue else (),
            owner=owner,
            due_before=today if overdue else "",
            limit=limit,
        )
    if as_json:
        print_json(found)
    elif not found:
        filtered = open or overdue or owner or incident
        console.print(
            "No such action item."
            if filtered
            else "No action items: tocsin items add INCIDENT TEXT --owner O"
        )
    else:
        _list(found, today)


@app.command()
def add(
    incident: IncidentId,
    text: Annotated[str, typer.Argument(help="What is to be done.")],
    owner: Owner = "",
    due: Due = "",
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """A new action item of an incident, also of one that has closed.

    Exit code 1 when it is refused (the reason is printed), 2 when nobody answers.

    Examples:
      tocsin items add 3f9a "alert on the pool's queue" --owner ann --due 2026-12-01
    """
    if not owner.strip():
        raise CliError("an action item needs somebody who does it", "say who: --owner")
    fields = {"op": "add", "text": text, "owner": owner, "due": due}
    settings = settings_from(config, kafka, clickhouse)
    act(settings, "item", incident, actor, note, timeout, as_json, fields=fields)


def _step(op: str, teaching: str) -> None:
    """A command that takes an item one step on."""

    def command(
        item: ItemId,
        note: Note = "",
        actor: Actor = "",
        timeout: Wait = 10.0,
        kafka: KafkaAddress = None,
        clickhouse: ClickHouseUrl = None,
        config: ConfigFile = None,
        as_json: AsJson = False,
    ) -> None:
        settings = settings_from(config, kafka, clickhouse)
        with reader_of(settings.clickhouse) as reader:
            found = _one(reader, item)
        fields = {"op": op, "id": found.id}
        answered(settings, "item", found.incident, actor or login(), note, timeout, as_json, fields=fields)

    app.command(op, help=f"{teaching}\n\nExamples:\n\n  tocsin items {op} 7c1e")(command)


_step("start", "Somebody works on it.")
_step("done", "It is done.")
_step("drop", "It will not be done. Say why with --note.")
_step("reopen", "It is to be done after all.")


@app.command()
def edit(
    item: ItemId,
    text: Annotated[str | None, typer.Option(help="What is to be done.", show_default=False)] = None,
    owner: Annotated[str | None, typer.Option(help="Who is to do it.", show_default=False)] = None,
    due: Annotated[
        str | None, typer.Option(help='Date, YYYY-MM-DD; "" takes it away.', show_default=False)
    ] = None,
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Change what is to be done, by whom, or until when.

    Examples:
      tocsin items edit 7c1e --due 2026-12-15 --note "waits for the supplier"
      tocsin items edit 7c1e --owner bob
    """
    said = {"text": text, "owner": owner, "due": due}
    new = {name: value for name, value in said.items() if value is not None}
    if not new:
        raise CliError("nothing is to change", "give --text, --owner or --due")
    settings = settings_from(config, kafka, clickhouse)
    with reader_of(settings.clickhouse) as reader:
        found = _one(reader, item)
    fields = {"op": "edit", "id": found.id, **new}
    answered(settings, "item", found.incident, actor or login(), note, timeout, as_json, fields=fields)


def _one(reader: Reader, prefix: str) -> ActionItem:
    prefix = prefix.strip()
    found = afterwards.items_like(reader, prefix) if prefix else []
    whole = [one for one in found if one.id == prefix] or found
    if not whole:
        raise CliError(f"no action item {prefix!r}", "tocsin items lists them")
    if len(whole) > 1:
        ids = ", ".join(one.id for one in whole)
        raise CliError(f"{prefix!r} begins several ids of action items: {ids}", "give more digits")
    return whole[0]


def _list(found: list[ActionItem], today: str) -> None:
    shown = table("id", "state", "due", "owner", "what", "incident")
    late = 0
    for one in found:
        overdue = bool(one.due) and one.due < today and one.state in afterwards.LIVE_ITEMS
        late += overdue
        due = plain(f"{one.due} overdue" if overdue else one.due or NONE)
        if overdue:
            due.stylize("bold red")
        what = plain(one.text)
        if one.note:
            what.append(f"\n{plain(one.note).plain}", style="dim")
        shown.add_row(plain(one.id), styled(one.state), due, plain(one.owner), what, plain(one.incident))
    console.print(shown)
    live = sum(one.state in afterwards.LIVE_ITEMS for one in found)
    console.print(f"\n{some(len(found), 'action item')}, {live} not done, {late} overdue", style="dim")
