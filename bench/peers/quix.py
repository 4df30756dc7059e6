"""quixstreams: decode JSON, EWMA and threshold per series. Run by bench.throughput.

`state`: its own state store (RocksDB, with a changelog topic), which is how it survives a crash.
`dict`: a plain dictionary beside it, lost in a crash: the fastest it can be.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

from quixstreams import Application, State

from bench.meter import Meter
from bench.peers.ewma import step


def run(kafka: str, topic: str, meter: Meter, group: str, durable: bool) -> None:
    """Read until the meter has counted its records; ends the process."""
    app = Application(
        kafka,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=tempfile.mkdtemp(prefix="quix-"),
        loglevel="ERROR",
    )
    stream = app.dataframe(app.topic(topic, value_deserializer="json"))
    memory: dict[Any, Any] = {}
    breaches = 0

    def counted(breach: bool) -> None:
        nonlocal breaches
        breaches += breach
        meter.count(1)
        if meter.finished:
            meter.report()
            os._exit(0)

    def in_store(row: dict[str, Any], state: State) -> None:
        known, breach = step(state.get("ewma"), row["value"])
        state.set("ewma", known)
        counted(breach)

    def in_dict(row: dict[str, Any], key: Any, timestamp: int, headers: Any) -> None:
        memory[key], breach = step(memory.get(key), row["value"])
        counted(breach)

    stream.update(in_store, stateful=True) if durable else stream.update(in_dict, metadata=True)
    app.run()
