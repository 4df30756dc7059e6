"""`tocsin review`: what happened in an incident, for those who want to learn from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.actions import Actor, IncidentId, Wait, act
from cli.common import AsJson, ClickHouseUrl, ConfigFile, KafkaAddress, console, print_json, settings_from
from cli.defaultgroup import DefaultGroup
from cli.errors import CliError
from cli.reviewpage import page
from cli.store import full_id, reader_of
from correlator.writing import MOST_REVIEW
from sinks import afterwards
from sinks.reviewtext import fields_of, items_markdown, markdown, without_items

"""characters of one field of an action; longer ones would be cut"""

app = typer.Typer(
    rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False, cls=DefaultGroup
)


@app.callback()
def review() -> None:
    """The post-incident review: made from what is stored, then yours to edit.

    `tocsin review INCIDENT` is short for `tocsin review show INCIDENT`.

    Examples:
      tocsin review 3f9a
      tocsin review 3f9a -o review.html
      tocsin review 3f9a -o review.md
      tocsin review edit 3f9a -f review.md
    """


@app.command()
def show(
    incident: IncidentId,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; .html makes a page.", show_default=False),
    ] = None,
    format: Annotated[
        Literal["md", "html"] | None, typer.Option("--format", help="By default by the file's name, else md.")
    ] = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Made anew, also where people have edited it.")
    ] = False,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """The review as people edited it last, with the action items as they stand; before that the draft.

    The draft holds what is stored: timeline from the first anomalous sample to the close, downtime, MTTD,
    MTTA, MTTR, impact, hints against the recorded cause, what fired and what was held back, clocks, who did
    what, who was told, similar incidents, action items. Lessons are left for people.

    Examples:
      tocsin review 3f9a
      tocsin review 3f9a -o review.html
      tocsin review 3f9a --draft -o review.md
    """
    with reader_of(settings_from(config, clickhouse=clickhouse).clickhouse) as reader:
        id = full_id(reader, incident.strip().lower())
        found = afterwards.material(reader, id)
        edited = None if draft else afterwards.review(reader, id)
    if found is None:
        raise CliError(f"incident {id} went away while it was read", "run the command again")
    if as_json:
        print_json({"material": found, "edited": edited})
        return
    text = f"{edited.text.rstrip()}\n\n{items_markdown(found)}" if edited is not None else markdown(found)
    format = format or ("html" if output is not None and output.suffix in (".html", ".htm") else "md")
    if format == "html":
        text = page(found.incident, text, edited)
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"{output} cannot be written: {error.strerror}", "name another file with -o") from None
    what = f"as edited by {edited.actor}" if edited is not None else "a draft"
    console.print(f"{output}: the review of {id}, {what}")


@app.command()
def edit(
    incident: IncidentId,
    file: Annotated[Path, typer.Option("-f", "--file", help="The edited review (Markdown).")],
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep a review as you edited it: from now on it is what `tocsin review` shows.

    Leave the section of action items out: it is added as the items stand. HTML in the text is shown, not run.
    Exit code 1 when it is refused (the reason is printed), 2 when nobody answers.

    Examples:
      tocsin review 3f9a -o review.md
      tocsin review edit 3f9a -f review.md --actor ann
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise CliError(f"{file} cannot be read: {why}", "name the file with -f") from None
    text = without_items(text)
    if not text.strip() or len(text) > MOST_REVIEW:
        raise CliError(
            f"{file} has {len(text)} characters: expected 1 to {MOST_REVIEW}", "shorten it, or link to more"
        )
    fields = fields_of(text)
    settings = settings_from(config, kafka, clickhouse)
    act(settings, "review", incident, actor, "", timeout, as_json, fields=fields)
