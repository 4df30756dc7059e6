"""Readers to compare with, each in a process of its own. Run by bench.throughput:

    python -m bench.readers READER KAFKA TOPIC RECORDS [--points N]

`bare`      aiokafka `getmany`, the records and nothing else
`decoder`   the same loop, then our ingest core over what it fetched; pages made, nothing produced
`faust`     a plain Faust agent that does nothing
`bytewax`, `quix`, `quix-dict`: see bench/peers
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from typing import Any

import aiokafka

from bench.meter import Meter
from config.settings import InputTopic, Settings, Topics


def _group() -> str:
    return f"bench-{os.getpid()}-{time.time_ns()}"


async def _consumer(kafka: str, topic: str) -> aiokafka.AIOKafkaConsumer:
    reader = aiokafka.AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka,
        group_id=_group(),
        auto_offset_reset="earliest",
        session_timeout_ms=6_000,
    )
    await reader.start()
    return reader


async def bare(kafka: str, topic: str, meter: Meter) -> None:
    reader = await _consumer(kafka, topic)
    while not meter.finished:
        for records in (await reader.getmany(timeout_ms=200)).values():
            meter.count(len(records))
    await reader.stop()


async def decoder(kafka: str, topic: str, meter: Meter) -> None:
    from streams.agents.transport import CHUNK_RECORDS
    from streams.decode.ingest import ingest_factory
    from streams.records.stage import Record

    reader = await _consumer(kafka, topic)
    partitions = sorted(reader.partitions_for_topic(topic) or ())
    settings = Settings(topics=Topics(inputs=(InputTopic(name=topic, partitions=len(partitions)),)))
    make = ingest_factory(settings, [f"{topic}/{p}" for p in partitions])
    cores = {p: make(topic, p) for p in partitions}
    made = 0
    while not meter.finished:
        for tp, records in (await reader.getmany(timeout_ms=200)).items():
            for at in range(0, len(records), CHUNK_RECORDS):
                chunk = [
                    Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value)
                    for r in records[at : at + CHUNK_RECORDS]
                ]
                made += len(cores[tp.partition].process(chunk))
                meter.count(len(chunk))
    assert made
    await reader.stop()


async def plain_faust(kafka: str, topic: str, meter: Meter) -> None:
    import faust

    done = asyncio.Event()
    app = faust.App(
        _group(),
        broker=f"kafka://{kafka}",
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=0.5,
        consumer_auto_offset_reset="earliest",
        table_standby_replicas=0,
        datadir="/tmp/tocsin-bench",  # noqa: S108 - Faust wants one; nothing is kept there
    )

    @app.agent(app.topic(topic, value_serializer="raw"))
    async def nothing(stream: Any) -> None:
        async for _ in stream:
            meter.count(1)
            if meter.finished:
                done.set()

    await app.start()
    await done.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reader")
    parser.add_argument("kafka")
    parser.add_argument("topic")
    parser.add_argument("records", type=int)
    given = parser.parse_args()
    meter = Meter(given.records)
    if given.reader == "bytewax":
        from bench.peers.bytewax_flow import run as bytewax

        bytewax(given.kafka, given.topic, meter)
    elif given.reader.startswith("quix"):
        from bench.peers.quix import run as quix

        quix(given.kafka, given.topic, meter, _group(), durable=given.reader == "quix")
    else:
        read = {"bare": bare, "decoder": decoder, "faust": plain_faust}[given.reader]
        asyncio.run(_report(read(given.kafka, given.topic, meter), meter))


async def _report(work: Any, meter: Meter) -> None:
    await work
    meter.report()
    os._exit(0)  # Faust takes its time to stop, and nothing here needs it


if __name__ == "__main__":
    main()
