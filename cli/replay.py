"""`tocsin replay`: files into Kafka, at N times their own speed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from aiokafka import AIOKafkaProducer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.backtest import inputs_of
from cli.bus import explained, partitions_of
from cli.common import AsJson, ConfigFile, KafkaAddress, console, print_json, settings_from, stderr
from cli.dataset import DataSet, load
from cli.errors import CliError
from cli.messages import ends, marks, said
from cli.timeline import Timeline, control
from config.connect import kafka_options
from config.settings import Settings
from streams.records.digest import digest_hex
from streams.records.messages import MAX_MS

SLICE_S = 0.2
"""a paced replay sends what is due this often, in wall seconds"""
LATE_S = 1.0
"""a replay held up for longer keeps its pace from there on, and does not make up for it"""


async def publish(
    data: DataSet, run: str, settings: Settings, speed: float, page: int, progress: Progress | None = None
) -> dict[str, int | str]:
    """Publish one run: changes first, then a begin on every partition, the rows, an end on every partition.

    What other systems and people said goes out between the rows, when all before it has arrived.

    `speed` 0 sends as fast as the broker takes it. Returns counts. Raises `CliError` when the
    broker cannot be reached or the topics do not exist.
    """
    lines, changes = inputs_of(settings)
    async with explained(settings.kafka):
        partitions = await partitions_of(settings.kafka, lines)
        await partitions_of(settings.kafka, changes)
        producer = AIOKafkaProducer(
            **kafka_options(settings.kafka), linger_ms=5, max_request_size=16_000_000, acks="all"
        )
        await producer.start()
    try:
        for change in data.changes(run):
            await producer.send_and_wait(changes, msgspec.json.encode(change))
        timeline = Timeline(data, run)
        begin = timeline.span.begin_ms
        # A second replay of the same run is another replay: the wall clock tells them apart.
        epoch = digest_hex(str(data.folder), run, str(time.time_ns()))
        messages = deque(said(data, run, settings))
        topics = {message.topic for message in messages}
        if timeline.span.rows:
            for partition in partitions:
                await producer.send_and_wait(
                    lines, b"", partition=partition, headers=list(control("begin", epoch, begin))
                )
        elif messages:
            for topic, at_ms in marks(settings, topics, messages[0].ts):
                await producer.send_and_wait(topic, b"", headers=list(control("begin", epoch, at_ms)))
        task = progress.add_task(run or "rows", total=timeline.span.rows) if progress else None
        started = time.monotonic()
        slice_ms = int(speed * SLICE_S * 1000) if speed else 0
        sent = 0
        pending: list[asyncio.Future[Any]] = []

        async def due(before_ms: int) -> None:
            while messages and messages[0].ts < before_ms:
                await asyncio.gather(*pending)
                pending.clear()
                message = messages.popleft()
                await producer.send_and_wait(message.topic, message.value, headers=list(message.headers))

        cuts = [message.ts for message in messages]
        for record in timeline.records(len(partitions), page, slice_ms, cuts):
            if speed:
                early = started + (record.ts_ms - begin) / 1000 / speed - time.monotonic()
                if early < -LATE_S:
                    started -= early
                await asyncio.sleep(max(0.0, early))
            await due(record.ts_ms)
            pending.append(
                await producer.send(
                    lines, record.value, partition=partitions[record.partition], headers=list(record.headers)
                )
            )
            sent += record.rows
            if progress and task is not None:
                progress.advance(task, record.rows)
            if len(pending) >= 1_000:
                await asyncio.gather(*pending)
                pending.clear()
        await due(MAX_MS)
        await asyncio.gather(*pending)
        for partition in partitions if timeline.span.rows else ():
            await producer.send_and_wait(
                lines, b"", partition=partition, headers=list(control("end", epoch, begin))
            )
        last_ms = max((timeline.span.end_ms, *cuts[-1:]))
        for topic, at_ms in ends(settings, topics, last_ms):
            await producer.send_and_wait(topic, b"", headers=list(control("end", epoch, at_ms)))
    finally:
        await producer.stop()
    return {"run": run, "rows": sent, "begin_ms": begin, "end_ms": timeline.span.end_ms, "topic": lines}


def replay(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with tables and messages; see docs/files.md.")
    ],
    speed: Annotated[
        float, typer.Option(min=0, help="Times as fast as it happened; 0: as fast as possible.")
    ] = 1.0,
    run: Annotated[
        str | None, typer.Option(help="The run to replay, where the folder holds several.")
    ] = None,
    page: Annotated[int, typer.Option(min=1, help="At most this many rows a record.")] = 1_000,
    config: ConfigFile = None,
    kafka: KafkaAddress = None,
    as_json: AsJson = False,
) -> None:
    """Publish a data set into Kafka, as its producers would have, N times as fast.

    A running worker turns it into incidents; they equal those of tocsin backtest. Dependencies
    come from the worker's own topology (topology.catalogue), not from the files replayed.

    Examples:

      tocsin replay data/shop --speed 60

      tocsin replay data/shop --run monday --speed 0 --kafka 127.0.0.1:9092
    """
    settings = settings_from(config, kafka)
    data = load(folder)
    if run is None:
        if len(data.runs) != 1:
            raise CliError(
                f"{folder} holds {len(data.runs)} runs, each a timeline of its own",
                f"name one with --run: {', '.join(data.runs[:10])}",
            )
        run = data.runs[0]
    elif run not in data.runs:
        raise CliError(f"{folder} has no run {run!r}", f"it has: {', '.join(data.runs[:10])}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True) as progress:
        done = asyncio.run(publish(data, run, settings, speed, page, progress))
    if as_json:
        print_json(done)
    else:
        console.print(f"{done['rows']} rows of {run or folder.name} are in {done['topic']}")
