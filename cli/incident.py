"""`tocsin incident show`: one incident at a glance, from symptom to cause."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.padding import Padding
from rich.text import Text

from cli.common import AsJson, ClickHouseUrl, ConfigFile, console, print_json, settings_from
from cli.errors import CliError
from cli.output import figure, percent, plain, styled, table
from cli.picture import LEGEND, Picture
from cli.store import full_id, reader_of
from correlator.headline import headline
from correlator.incident import Incident
from correlator.when import utc

app = typer.Typer(
    help="One incident.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog="Examples:\n\n  tocsin incident show 3f9a\n\n  tocsin incident show 3f9a --from out",
)


@app.callback()
def incident() -> None:
    """Has commands of its own."""


@app.command()
def show(
    incident: Annotated[str, typer.Argument(help="Incident id, or its first digits.")],
    files: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="DIR", help="What a back-test wrote, not ClickHouse.", show_default=False
        ),
    ] = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """An incident's picture: where it stands, the calls from symptom to cause with what each shows, evidence.

    Why each alert belongs to it, and the whole timeline: tocsin explain.

    Examples:

      tocsin incident show 3f9a

      tocsin backtest data/shop -o out && tocsin incident show 3f9a --from out
    """
    found = _in_files(files, incident) if files else _stored(incident, clickhouse, config)
    picture = Picture(found)
    if as_json:
        print_json({"incident": found, "path": picture.path})
        return
    draw(found, picture)


def draw(incident: Incident, picture: Picture) -> None:
    """Print it."""
    first = Text.assemble(
        (incident.id, "bold"), "  ", styled(incident.state), "  ", styled(incident.priority)
    )
    first.append_text(Text.assemble("  ", styled(incident.severity), f"  {incident.category}"))
    if incident.owner:
        first.append(f"  owner {plain(incident.owner).plain}")
    console.print(first)
    console.print(Text(plain(incident.title).plain, style="bold"))
    console.print(plain(headline(incident)))
    console.print(_times(incident))
    if len(picture.path) > 1:
        console.print(Text(f"\n{' → '.join(map(_clean, picture.path))}", style="bold"))
    console.print()
    console.print(picture.tree(console.width))
    console.print(f"\n{LEGEND}  △ change", style="dim")
    if incident.truncated_members:
        console.print(f"{incident.truncated_members} more alerts, counted but not kept", style="dim")
    _evidence(incident)
    _cause(incident)
    console.print(f"\nEverything: tocsin explain {incident.id}", style="dim")


def _times(incident: Incident) -> Text:
    line = Text(f"started {utc(incident.started_at)} UTC")
    for word, at in (
        ("detected", incident.detected_at),
        ("opened", incident.opened_at),
        ("acknowledged", incident.acknowledged_at),
        ("mitigated", incident.mitigated_at),
        ("resolved", incident.resolved_at),
        ("closed", incident.closed_at),
    ):
        if at is not None:
            line.append(f" ─ {word} +{figure(max(0, at - incident.started_at))}")
    return line


def _evidence(incident: Incident) -> None:
    if not incident.hints:
        return
    best, *others = incident.hints
    console.print(f"\nWhy {_clean(best.service)}", style="bold underline")
    evidence = table("kind", "at", "evidence")
    evidence.show_header = False
    for fact in best.evidence:
        evidence.add_row(fact.kind, utc(fact.at_ms, date=False), plain(fact.text))
    console.print(Padding(evidence, (0, 0, 0, 2)))
    if others:
        rest = ", ".join(f"{_clean(hint.service)} {percent(hint.confidence)}" for hint in others)
        console.print(f"  or else {rest}", style="dim")


def _cause(incident: Incident) -> None:
    """Where to go on with the suspected cause."""
    role = next((one for one in incident.services if one.role == "suspected cause"), None)
    if role is None or not (role.runbook or role.links):
        return
    console.print("\nGo on with", style="bold underline")
    for title, address in (("runbook", role.runbook), *role.links):
        if address:
            console.print(plain(f"  {title}: {address}"), soft_wrap=True)


def _clean(text: str) -> str:
    return plain(text).plain


def _stored(id: str, clickhouse: str | None, config: Path | None) -> Incident:
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        whole = full_id(reader, id.strip().lower())
        found = reader.incident(whole)
    if found is None:
        raise CliError(f"incident {whole} went away while it was read", "run the command again")
    return found


def _in_files(folder: Path, id: str) -> Incident:
    """The incident of a back-test. Raises `CliError`."""
    path = folder / "incidents.jsonl" if folder.is_dir() else folder
    wanted = id.strip().lower()
    try:
        rows: list[dict[str, Any]] = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
        found = [row for row in rows if wanted and row["id"].startswith(wanted)]
        if not found:
            known = ", ".join(row["id"] for row in rows[:5])
            raise CliError(f"no incident {id!r} in {path}", f"it has {known}" if known else "it has none")
        if len(found) > 1 and found[0]["id"] != wanted:
            raise CliError(
                f"{id!r} begins several incident ids: {', '.join(row['id'] for row in found[:6])}",
                "give more digits",
            )
        return msgspec.convert({**found[0], "services": found[0]["service_roles"]}, Incident)
    except OSError as error:
        raise CliError(
            f"{path} cannot be read: {error.strerror}", "tocsin backtest DIR -o OUT writes it"
        ) from None
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise CliError(f"{path} is not what tocsin backtest writes: {error}") from None
