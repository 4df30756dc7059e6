"""`tocsin merge`, `tocsin split`, `tocsin undo`: people correct which alerts belong together."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.actions import Actor, IncidentId, Note, Wait, act, whole_ids
from cli.common import AsJson, ClickHouseUrl, ConfigFile, KafkaAddress, settings_from


def merge(
    incident: IncidentId,
    others: Annotated[list[str], typer.Argument(help="Incidents that go into it.", metavar="OTHER...")],
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make several incidents one: the others go into the first, all or none. `tocsin undo` takes it back.

    The correlator remembers: what people put together is looked for together next time.
    Exit code 1 when it is refused (the reason is printed), 2 when nobody answers.

    Examples:
      tocsin merge 3f9a 77b0 c1d2 --note "one switch"
    """
    settings = settings_from(config, kafka, clickhouse)
    targets = tuple(whole_ids(settings, others))
    act(settings, "merge", incident, actor, note, timeout, as_json, targets)


def split(
    incident: IncidentId,
    what: Annotated[
        list[str], typer.Argument(help="Alert ids, or services with all their alerts.", metavar="WHAT...")
    ],
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Take alerts out of an incident into one of their own. `tocsin merge` puts them back.

    No alert merges the two again by itself. Exit code 1 when it is refused (the reason is printed), 2
    when nobody answers.

    Examples:
      tocsin split 3f9a payment
      tocsin split 3f9a 0c4be1f2a9d87756 1b22c0d4e5f60718
    """
    settings = settings_from(config, kafka, clickhouse)
    act(settings, "split", incident, actor, note, timeout, as_json, tuple(w.strip() for w in what))


def undo(
    incident: IncidentId,
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Undo a merge: of the incident that was merged, or the newest one into an incident that lives.

    Members that have come since, and what people have done since, stay. Exit code 1 when it is refused
    (the reason is printed), 2 when nobody answers.

    Examples:
      tocsin undo 77b0
    """
    settings = settings_from(config, kafka, clickhouse)
    act(settings, "undo", incident, actor, note, timeout, as_json)
