"""`tocsin targets`: what targets were told, a trial of one, and what it would be sent."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import aiohttp
import msgspec
import typer

from cli.common import AsJson, ClickHouseUrl, ConfigFile, console, print_json, settings_from
from cli.errors import CliError
from cli.output import NONE, plain, styled, table
from cli.store import full_id, reader_of
from config.settings import Settings
from correlator.incident import Hint, Incident, ServiceRole
from correlator.when import utc
from sinks.notification import Notification
from sinks.protocol import SinkMisconfigured
from sinks.targets import secrets
from sinks.targets.build import named, secrets_of, target_of
from sinks.targets.protocol import Answer, Request, Unavailable
from streams.records.digest import digest_hex

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

Name = Annotated[str, typer.Argument(help="Of a target in the settings.")]


@app.command("list")
def list_(
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Configured targets, and what became of telling them.

    Examples:

      tocsin targets list -c tocsin.yaml
    """
    settings = settings_from(config, clickhouse=clickhouse)
    with reader_of(settings.clickhouse) as reader:
        found = reader.ask(
            """
            SELECT target, countIf(state = 'sent') AS sent, countIf(open) AS open,
                   countIf(state = 'retrying') AS retrying, countIf(state = 'refused') AS refused,
                   max(at) AS last_at, argMax(error, (error != '', at)) AS error
            FROM notifications GROUP BY target
            """
        )
    told = {row["target"]: row for row in found}
    rows: list[dict[str, Any]] = [
        {"name": target.name, "kind": target.__struct_config__.tag, **told.get(target.name, {})}
        for target in settings.notify.targets
    ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        console.print("No target is configured. Add one under notify.targets (docs/targets.md).")
        return
    numbers = ("sent", "open", "retrying", "refused")
    shown = table("target", "kind", *numbers, "last (UTC)", "last error", right=numbers)
    for row in rows:
        cells = [str(row.get(name, 0)) for name in numbers]
        last = utc(row["last_at"]) if "last_at" in row else NONE
        shown.add_row(plain(row["name"]), str(row["kind"]), *cells, last, plain(row.get("error") or NONE))
    console.print(shown)


@app.command()
def preview(
    name: Name,
    incident: Annotated[str, typer.Argument(help="Its id; without one, of a made-up incident.")] = "",
    clickhouse: ClickHouseUrl = None,
    config: ConfigFile = None,
) -> None:
    """Show what a target would be sent first about an incident. Nothing is sent; secrets are not shown.

    Examples:

      tocsin targets preview pager

      tocsin targets preview tickets 3f9a
    """
    settings = settings_from(config, clickhouse=clickhouse)
    item = example()
    if incident:
        with reader_of(settings.clickhouse) as reader:
            found = reader.incident(full_id(reader, incident.strip().lower()))
        if found is None:
            raise CliError(f"incident {incident} went away while it was read", "run the command again")
        item = found
    try:
        configured = named(settings, name)
        target = target_of(configured)
        request = target.plan(item, None)
        if request is not None and request.about == "looked up":
            request = target.plan(item, _not_there(target.dedup_key(item), configured.name, target.kind))
        hidden = secrets_of(configured)
    except SinkMisconfigured as error:
        raise CliError(str(error)) from None
    if request is None:
        console.print(f"{name} is told nothing of it.")
        return
    for line in _lines(request):
        console.print(plain(secrets.without(line, hidden)))


@app.command("test")
def try_(
    name: Name,
    config: ConfigFile = None,
) -> None:
    """Tell a target of a made-up incident, and that it is over; shows each request and answer.

    Exit code 1 when the target does not take it.

    Examples:

      tocsin targets test pager -c tocsin.yaml
    """
    settings = settings_from(config)
    try:
        asyncio.run(_try(settings, name))
    except SinkMisconfigured as error:
        raise CliError(str(error)) from None


async def _try(settings: Settings, name: str) -> None:
    from sinks.targets.engine import Engine
    from sinks.targets.ledger import MemoryLedger

    configured = named(settings, name)
    hidden = secrets_of(configured)
    target = target_of(configured)
    engine = Engine(target, configured, settings.topics, MemoryLedger(name), lambda: hidden)
    heard: list[str] = []
    engine.listen = lambda request, answer: heard.append(_told(request, answer))
    opened = example()
    over = msgspec.structs.replace(opened, version=2, state="resolved", resolved_at=opened.updated_at)
    try:
        for item in (opened, over):
            later = await engine.tell(target.dedup_key(item), item)
            for line in heard:
                console.print(plain(secrets.without(line, hidden)))
            heard.clear()
            if later is not None:
                reason = secrets.without(later.reason, hidden)
                raise CliError(
                    f"{name} did not take it: {reason}", "correct the target and try again", code=1
                )
    except (aiohttp.ClientError, Unavailable) as error:
        raise CliError(f"{name}: {error}", code=1) from None
    finally:
        await engine.stop()
    if engine.counts["refused"]:
        raise CliError(f"{name} refused it: see above", "docs/targets.md says what it asks for", code=1)
    console.print(name, "has taken it and knows that it is", styled("resolved"))


def _told(request: Request, answer: Answer) -> str:
    body = answer.body[:300].decode("utf-8", "replace")
    return f"{request.about}: {request.method} {request.url}\n  {answer.status} {body}"


def _lines(request: Request) -> list[str]:
    told = {name: "***" if name == "authorization" else value for name, value in request.headers.items()}
    head = [f"{request.method} {request.url}", *(f"{k}: {v}" for k, v in told.items()), ""]
    try:
        pretty = msgspec.json.format(request.body, indent=2).decode() if request.body else ""
    except msgspec.DecodeError:
        pretty = request.body.decode("utf-8", "replace")
    return head + pretty.splitlines()


def _not_there(key: str, name: str, kind: str) -> Notification:
    """It was looked for and is not there yet."""
    return Notification(
        target=name, kind=kind, dedup_key=key, incident=key, about="looked up", version=1, incident_version=0,
        state="retrying", attempts=1, queued_at=0, at_ms=0, external_id="-", step=1,
    )  # fmt: skip


def example() -> Incident:
    """A made-up incident that began a minute ago; another one at each call."""
    now = round(time.time() * 1000)
    return Incident(
        id=digest_hex("trial", str(now)), version=1, domain="default", state="open",
        title="Trial: checkout is slow (this is a test of Tocsin)", category="performance degradation",
        severity="critical", priority="P1", started_at=now - 60_000, detected_at=now - 30_000,
        opened_at=now - 30_000, updated_at=now, acknowledged_at=None, mitigated_at=None, resolved_at=None,
        closed_at=None, first_resolved_at=None, active_ms=60_000, resolved_by="", acknowledged_by="",
        reopened=0, services=(ServiceRole("payment", "suspected cause"), ServiceRole("checkout", "affected")),
        alerts=(), members=(), hints=(Hint("payment", 0.7, (), "connection pool exhausted"),), timeline=(),
    )  # fmt: skip
