"""`tocsin ack`, `resolve` and `record`: what a person does to an incident, through the actions topic."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
import typer

from cli.bus import ask, topic_of
from cli.common import AsJson, ClickHouseUrl, ConfigFile, KafkaAddress, console, print_json, settings_from
from cli.errors import CliError
from cli.output import plain, styled, wall_ms
from cli.store import full_id, reader_of
from config.settings import Settings
from correlator import writing
from streams.records.digest import digest_hex
from streams.records.messages import Action, ActionResult

IncidentId = Annotated[str, typer.Argument(help="Incident id, or its first digits.")]
Note = Annotated[str, typer.Option(help="A sentence for the timeline.")]
Actor = Annotated[
    str,
    typer.Option(envvar="TOCSIN_ACTOR", help="Who does it; by default the login name.", show_default=False),
]
Cause = Annotated[str, typer.Option(help="What the cause was, in a sentence.", show_default=False)]
CauseService = Annotated[str, typer.Option(help="The service it was in.", show_default=False)]
Fix = Annotated[str, typer.Option(help="What helped.", show_default=False)]
Runbook = Annotated[
    str, typer.Option(help="Address of what to do the next time.", metavar="URL", show_default=False)
]
Wait = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait for the answer.")]

_FULL_ID = re.compile(r"^[0-9a-f]{16}$")
_results = msgspec.json.Decoder(ActionResult)


def ack(
    incident: IncidentId,
    note: Note = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Acknowledge an incident: somebody is on it. The first acknowledge is what MTTA counts.

    Exit code 1 when it is refused (the reason is printed), 2 when nobody answers.

    Examples:
      tocsin ack 3f9a
      tocsin ack 3f9a --note "looking at the payment pods" --actor ann
    """
    settings = settings_from(config, kafka, clickhouse)
    act(settings, "acknowledge", incident, actor, note, timeout, as_json)


def resolve(
    incident: IncidentId,
    note: Note = "",
    cause: Cause = "",
    cause_service: CauseService = "",
    fix: Fix = "",
    runbook: Runbook = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Resolve an incident by hand. It is counted apart from those that end by themselves.

    Cause and fix are shown with the next incident that looks like this one, once this one has closed.
    Exit code 1 when it is refused (the reason is printed), 2 when nobody answers.

    Examples:
      tocsin resolve 3f9a --note "rolled back payment v42"
      tocsin resolve 3f9a --cause "pool too small after v42" --cause-service payment --fix "rolled back"
    """
    settings = settings_from(config, kafka, clickhouse)
    found = {"cause": cause, "cause_service": cause_service, "fix": fix, "runbook": runbook}
    act(settings, "resolve", incident, actor, note, timeout, as_json, found=found)


def record(
    incident: IncidentId,
    cause: Cause = "",
    cause_service: CauseService = "",
    fix: Fix = "",
    runbook: Runbook = "",
    actor: Actor = "",
    timeout: Wait = 10.0,
    kafka: KafkaAddress = None,
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Record the cause of an incident and what helped, also after it has closed.

    The next incident that looks like it shows both, and the service counts as a suspect there. Said again, it
    corrects what was said before; what is left out stays. An incident is remembered until 5,000 later ones
    have closed. Exit code 1 when it is refused (the reason is printed), 2 when nobody answers.

    Examples:
      tocsin record 3f9a --cause "pool too small after v42" --cause-service payment --fix "rolled back"
      tocsin record 3f9a --runbook https://wiki.example/pool
    """
    settings = settings_from(config, kafka, clickhouse)
    found = {"cause": cause, "cause_service": cause_service, "fix": fix, "runbook": runbook}
    act(settings, "record", incident, actor, "", timeout, as_json, found=found)


def action_of(
    verb: str,
    incident: str,
    actor: str,
    note: str,
    ts_ms: int,
    targets: tuple[str, ...] = (),
    found: Mapping[str, str] = {},
    fields: Mapping[str, str] = {},
) -> Action:
    """The action, with an id that is a digest of what it says and when: sent twice, it counts once.

    `found`: cause, cause_service, fix and runbook, as far as they are said; `fields`: what else it takes.
    """
    said = [text for pair in sorted(fields.items()) for text in pair]
    id = digest_hex(
        "action", incident, verb, actor, note, str(ts_ms), *targets, *filter(None, found.values()), *said
    )
    action = Action(
        id=id, ts=ts_ms, incident=incident, action=verb, actor=actor, note=note, targets=targets,
        fields=dict(fields),
    )  # fmt: skip
    return msgspec.structs.replace(action, **found)


def whole_ids(settings: Settings, ids: Sequence[str]) -> list[str]:
    """Full incident ids of what was typed; full ones need no ClickHouse."""
    typed = [id.strip().lower() for id in ids]
    if all(_FULL_ID.match(id) for id in typed):
        return typed
    with reader_of(settings.clickhouse) as reader:
        return [id if _FULL_ID.match(id) else full_id(reader, id) for id in typed]


def act(
    settings: Settings,
    verb: str,
    incident: str,
    actor: str,
    note: str,
    timeout_s: float,
    as_json: bool,
    targets: tuple[str, ...] = (),
    found: Mapping[str, str] = {},
    fields: Mapping[str, str] = {},
) -> ActionResult:
    """Send an action on an incident by (the first digits of) its id and wait for its answer.

    Raises `CliError` when it is refused or nobody answers.
    """
    (id,) = whole_ids(settings, [incident])
    return answered(settings, verb, id, actor or login(), note, timeout_s, as_json, targets, found, fields)


def answered(
    settings: Settings,
    verb: str,
    id: str,
    actor: str,
    note: str,
    timeout_s: float,
    as_json: bool,
    targets: tuple[str, ...] = (),
    found: Mapping[str, str] = {},
    fields: Mapping[str, str] = {},
) -> ActionResult:
    """The same for a whole id."""
    action = action_of(verb, id, actor, note, wall_ms(), targets, found, fields)
    result = answer_to(settings, action.id, id, action, timeout_s)
    if as_json:
        print_json(result)
    if not result.applied:
        # Without a state the correlator does not know the incident at all.
        step = f"tocsin explain {id} shows where it stands" if result.state else "tocsin incidents lists them"
        raise CliError(f"refused: {result.reason}", step, code=1)
    if not as_json and verb in writing.VERBS:
        console.print(plain(result.reason))
    elif not as_json:
        console.print("incident", id, "is", styled(result.state or "updated"), plain(f"by {action.actor}"))
        if result.reason != "applied":
            console.print(plain(result.reason))
    return result


def answer_to(
    settings: Settings, id: str, key: str, action: msgspec.Struct, timeout_s: float
) -> ActionResult:
    """Send an action and wait for its answer. Raises `CliError` when nobody answers."""
    result = asyncio.run(
        ask(
            settings.kafka,
            topic_of(settings, "actions"),
            key.encode(),
            msgspec.json.encode(action),
            settings.topics.action_results,
            lambda value: _answer_to(id, value),
            timeout_s,
        )
    )
    if result is None:
        raise CliError(
            f"sent action {id}, no answer within {timeout_s:g} s",
            "is a worker running that correlates (tocsin worker)? The action waits in the topic",
        )
    return result


def _answer_to(id: str, value: bytes) -> ActionResult | None:
    try:
        result = _results.decode(value)
    except msgspec.DecodeError:
        return None  # not ours to judge: we only wait for our own answer
    return result if result.id == id else None


def login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a passwd entry
        return os.environ.get("HOSTNAME", "unknown")
