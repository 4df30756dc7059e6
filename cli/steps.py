"""`tocsin mitigate`, `close`, `reopen`, `pause`, `resume`, `note`: steps that take but a word about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from cli.actions import Actor, IncidentId, Note, Wait, act
from cli.common import AsJson, ClickHouseUrl, ConfigFile, KafkaAddress, settings_from

_EXITS = "Exit code 1 when it is refused (the reason is printed), 2 when nobody answers."


def _step(verb: str, teaching: str, example: str) -> Callable[..., None]:
    """A command that takes an incident one step on."""

    def command(
        incident: IncidentId,
        note: Note = "",
        actor: Actor = "",
        timeout: Wait = 10.0,
        kafka: KafkaAddress = None,
        clickhouse: ClickHouseUrl = None,
        config: ConfigFile = None,
        as_json: AsJson = False,
    ) -> None:
        settings = settings_from(config, kafka, clickhouse)
        act(settings, verb, incident, actor, note, timeout, as_json)

    command.__name__ = verb
    command.__doc__ = f"{teaching}\n\n{_EXITS}\n\nExamples:\n\n  {example}"
    return command


mitigate = _step(
    "mitigate",
    "The damage is contained, the cause not yet removed: users are served again.",
    'tocsin mitigate 3f9a --note "traffic goes to the other zone"',
)
close = _step(
    "close",
    "Close a resolved incident now, before its verification window is over.",
    "tocsin close 3f9a",
)
reopen = _step(
    "reopen",
    "Open a resolved incident again. Its calm time does not count as active.",
    'tocsin reopen 3f9a --note "customers still see it"',
)
pause = _step(
    "pause",
    "Stop the service level clocks of an incident, e.g. while a customer is asked. Regulatory clocks run on.",
    'tocsin pause 3f9a --note "waiting for the supplier"',
)
resume = _step("resume", "Let the service level clocks run on.", "tocsin resume 3f9a")


def note(
    incident: IncidentId,
    text: Annotated[str, typer.Argument(help="What there is to note.")],
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Write a sentence into the timeline of an incident, also of one that has closed.

    Exit code 1 when it is refused (the reason is printed), 2 when nobody answers.

    Examples:

      tocsin note 3f9a "the supplier confirms a broken switch"
    """
    settings = settings_from(config, kafka, clickhouse)
    act(settings, "note", incident, actor, text, timeout, as_json)
