"""bytewax: decode JSON, EWMA and threshold per series, one worker. Run by bench.throughput."""

from __future__ import annotations

import os
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main

from bench.meter import Meter
from bench.peers.ewma import step


def run(kafka: str, topic: str, meter: Meter) -> None:
    """Read until the meter has counted its records; ends the process."""
    found: list[Any] = []

    def decode(messages: list[Any]) -> list[tuple[str, float]]:
        return [(message.key.decode(), orjson.loads(message.value)["value"]) for message in messages]

    def score(state: Any, value: float) -> tuple[Any, float | None]:
        state, breach = step(state, value)
        meter.count(1)
        if meter.finished:
            meter.report()
            os._exit(0)
        return state, value if breach else None

    flow = Dataflow("ewma")
    read = op.input("read", flow, KafkaSource([kafka], [topic], batch_size=1000))
    keyed = op.flat_map_batch("decode", read, decode)
    scored = op.stateful_map("score", keyed, score)
    breaches = op.filter_map("breaches", scored, lambda pair: pair if pair[1] is not None else None)
    op.output("out", breaches, TestingSink(found))
    run_main(flow)
