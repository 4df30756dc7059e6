"""`tocsin deadletters`: what could not be used, why, and the way back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import aiokafka
import typer
from rich.text import Text

from cli.bus import explained, partitions_of, reader
from cli.common import AsJson, ConfigFile, KafkaAddress, console, print_json, settings_from
from cli.errors import CliError
from cli.output import parse_when, plain, table, wall_ms
from config.settings import Settings
from correlator.when import utc
from streams.agents.reinject import (
    Found,
    Return,
    Wanted,
    place,
    put_back,
    read_letters,
    returns,
    view,
)
from streams.decode.errors import REASONS
from streams.records.messages import DeadLetter


def deadletters(
    reason: Annotated[str, typer.Option(help=f"Only this reason: {', '.join(REASONS)}.")] = "",
    topic: Annotated[str, typer.Option(help="Only records of this topic.")] = "",
    offset: Annotated[
        str, typer.Option(metavar="TOPIC/PARTITION/OFFSET", help="Only this record, as the list shows it.")
    ] = "",
    since: Annotated[str, typer.Option(help="Refused since: 30m, 24h, 7d, or a time (UTC).")] = "",
    limit: Annotated[int, typer.Option(min=1, help="List at most so many, newest last.")] = 50,
    reinject: Annotated[
        bool,
        typer.Option("--reinject", help="Put every record selected back on its topic (--limit has no say)."),
    ] = False,
    kafka: KafkaAddress = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List records that could not be used, with the reason; or put them back once the cause is mended.

    A record is put back whole, with its key and headers and one more, tocsin-reinjected. Where only some
    of its rows had been refused, the others come a second time, and change nothing: rows that old are late.

    Examples:

      tocsin deadletters --since 1h

      tocsin deadletters --reason undecodable --topic otlp_metrics --json

      tocsin deadletters --topic otlp_metrics --since 2h --reinject
    """
    if reason and reason not in REASONS:
        raise CliError(f"--reason is {reason!r}", f"use one of {', '.join(REASONS)}")
    since_ms = parse_when(since, wall_ms(), "--since") if since else None
    settings = settings_from(config, kafka)
    wanted = Wanted(reason, topic, offset)
    keep = None if reinject else limit
    found = asyncio.run(_read(settings, wanted, since_ms, keep))
    if reinject:
        _reinject(settings, found.letters, as_json)
    elif as_json:
        print_json([view(dead) for dead in found.letters])
    else:
        _show(found)


async def _read(settings: Settings, wanted: Wanted, since_ms: int | None, keep: int | None) -> Found:
    topic = settings.topics.deadletters
    async with explained(settings.kafka), reader(settings.kafka) as consumer:
        homes = [aiokafka.TopicPartition(topic, n) for n in await partitions_of(settings.kafka, topic)]
        return await read_letters(consumer, homes, wanted, since_ms, keep)


async def _put_back(settings: Settings, records: Sequence[Return]) -> int:
    async with explained(settings.kafka):
        return await put_back(settings.kafka, records)


def _reinject(settings: Settings, letters: Sequence[DeadLetter], as_json: bool) -> None:
    back, left = returns(letters)
    done = asyncio.run(_put_back(settings, back)) if back else 0
    if as_json:
        print_json({"reinjected": done, "left": left})
        return
    console.print(f"{done} record(s) put back" if done else "nothing to put back")
    for line in left:
        console.print(plain(f"left out: {line}"))


def _show(found: Found) -> None:
    if not found.letters:
        console.print("No dead letters.")
        return
    shown = table("time (UTC)", "record", "reason", "rows", "why", "begins with")
    for dead in found.letters:
        seen = view(dead)
        shown.add_row(
            utc(dead.timestamp_ms if dead.timestamp_ms > 0 else None),
            plain(place(dead)),
            Text(dead.reason, style="yellow"),
            str(dead.rows) if dead.rows else "all",
            plain(dead.detail),
            plain(seen["preview"]),
        )
    console.print(shown)
    if found.matching > len(found.letters):
        console.print(
            f"\nthe newest {len(found.letters)} of {found.matching}; --limit shows more", style="dim"
        )
    if found.skipped:
        console.print(f"{found.skipped} older or unreadable ones were left out", style="dim")
