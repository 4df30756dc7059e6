"""`tocsin deadletters`: what could not be used, why, and the way back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import aiokafka
import typer
from rich.text import Text

from cli.bus import explained, partitions_of, reader
from cli.common import AsJson, ConfigFile, KafkaAddress, console, print_json, settings_from
from cli.errors import CliError
from cli.output import parse_when, plain, table, wall_ms
from config.connect import Broker, kafka_options
from config.settings import Settings
from correlator.when import utc
from streams.decode import deadletter
from streams.decode.control import REINJECTED
from streams.decode.errors import REASONS
from streams.records.messages import DeadLetter

PREVIEW = 60
"""bytes of a record shown"""
MOST_READ = 1_000_000
"""dead letters looked at, newest first in each partition; more are left out and the command says so"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters; an empty field means any."""

    reason: str = ""
    topic: str = ""
    offset: str = ""
    """topic/partition/offset of one record"""

    def takes(self, dead: DeadLetter) -> bool:
        """Whether this one is meant."""
        return (
            self.reason in ("", dead.reason)
            and self.topic in ("", dead.topic)
            and self.offset in ("", place(dead))
        )


def place(dead: DeadLetter) -> str:
    """Where the record was: topic/partition/offset."""
    return f"{dead.topic}/{dead.partition}/{dead.offset}"


def view(dead: DeadLetter) -> dict[str, Any]:
    """A dead letter as `--json` prints it; `value` only if it is text."""
    try:
        value = deadletter.original(dead)
    except deadletter.Unreadable:
        value = dead.value
    text = _text(value)
    return {
        "topic": dead.topic,
        "partition": dead.partition,
        "offset": dead.offset,
        "timestamp_ms": dead.timestamp_ms,
        "reason": dead.reason,
        "detail": dead.detail,
        "rows": dead.rows,
        "bytes": len(value or b"") + dead.cut,
        "whole": dead.cut == 0,
        "preview": preview(value),
        "value": text,
        "reinjected": any(name == REINJECTED for name, _ in dead.headers),
    }


def _text(value: bytes | None) -> str | None:
    try:
        return value.decode() if value is not None else None
    except UnicodeDecodeError:
        return None


def preview(value: bytes | None) -> str:
    """The first bytes as one line of text, unprintable ones as dots."""
    if value is None:
        return "(no value)"
    shown = value[:PREVIEW].decode("latin-1")
    line = "".join(c if " " <= c <= "~" else "." for c in shown)
    return line + ("…" if len(value) > PREVIEW else "")


@dataclass(frozen=True, slots=True)
class Return:
    """A record to be put back as it was, with one header more."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def returns(letters: Iterable[DeadLetter]) -> tuple[list[Return], list[str]]:
    """Records to put back, each once however many of its rows were refused; and why others cannot be."""
    back: dict[str, Return] = {}
    left: list[str] = []
    for dead in letters:
        where = place(dead)
        if where in back:
            continue
        try:
            value = deadletter.original(dead)
        except deadletter.Unreadable as error:
            left.append(f"{where}: {error}")
            continue
        kept = tuple((name, raw) for name, raw in dead.headers if name != REINJECTED)
        headers = (*kept, (REINJECTED, where.encode()))
        back[where] = Return(dead.topic, dead.partition, dead.key, value, headers)
    return list(back.values()), left


# -- Kafka ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """Dead letters read, oldest first."""

    letters: list[DeadLetter]
    matching: int
    """how many there are in all, of which `letters` are the newest"""
    skipped: int
    """records not looked at because there are too many, or not dead letters at all"""


async def read_letters(
    broker: Broker, topic: str, wanted: Wanted, since_ms: int | None = None, keep: int | None = None
) -> Found:
    """The newest `keep` wanted dead letters (None: all of them).

    Raises `CliError` when the broker or the topic is not there.
    """
    async with explained(broker), reader(broker) as consumer:
        homes = [aiokafka.TopicPartition(topic, n) for n in await partitions_of(broker, topic)]
        consumer.assign(homes)
        begins, ends = await consumer.beginning_offsets(homes), await consumer.end_offsets(homes)
        found = {home: deque[tuple[int, DeadLetter]](maxlen=keep) for home in homes}
        matching = skipped = 0
        if since_ms is not None:
            at = await consumer.offsets_for_times(dict.fromkeys(homes, since_ms))
            begins = {home: at[home].offset if at.get(home) else ends[home] for home in homes}
        for home in homes:
            start = max(begins[home], ends[home] - MOST_READ)
            skipped += start - begins[home]
            consumer.seek(home, start)
        left = {home for home in homes if ends[home] > max(begins[home], ends[home] - MOST_READ)}
        while left:
            for home, records in (await consumer.getmany(*left, timeout_ms=500)).items():
                for record in records:
                    # No check against the end: the embedded broker names the last batch's first offset.
                    if record.value is None:
                        continue
                    try:
                        dead = deadletter.read(record.value)
                    except deadletter.Unreadable:
                        skipped += 1
                        continue
                    if wanted.takes(dead):
                        matching += 1
                        found[home].append((record.timestamp, dead))
            # Not by counting records: compaction and transactions leave gaps.
            left = {home for home in left if await consumer.position(home) < ends[home]}
    newest = sorted(
        (each for kept in found.values() for each in kept),
        key=lambda each: (each[0], place(each[1]), each[1].reason),
    )
    return Found([dead for _, dead in newest][-(keep or 0) :], matching, skipped)


async def put_back(broker: Broker, records: Sequence[Return]) -> int:
    """Produce them and wait for the broker; returns how many. Raises `CliError`."""
    async with explained(broker):
        producer = aiokafka.AIOKafkaProducer(
            **kafka_options(broker), acks="all", max_request_size=16_000_000, linger_ms=5
        )
        await producer.start()
        try:
            pending = []
            for record in records:
                partitions = await producer.partitions_for(record.topic)
                # Its own partition if it still exists, so that order and state there make sense of it.
                home = record.partition if record.partition in partitions else None
                pending.append(
                    await producer.send(
                        record.topic, record.value, record.key, partition=home, headers=list(record.headers)
                    )
                )
            await asyncio.gather(*pending)
        finally:
            await producer.stop()
    return len(records)


# -- the command ---------------------------------------------------------------------------------


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
    found = asyncio.run(read_letters(settings.kafka, settings.topics.deadletters, wanted, since_ms, keep))
    if reinject:
        _reinject(settings, found.letters, as_json)
    elif as_json:
        print_json([view(dead) for dead in found.letters])
    else:
        _show(found)


def _reinject(settings: Settings, letters: Sequence[DeadLetter], as_json: bool) -> None:
    back, left = returns(letters)
    done = asyncio.run(put_back(settings.kafka, back)) if back else 0
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
