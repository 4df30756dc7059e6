"""The contract, run over every sink there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from clickhouse_connect.driver.client import Client

from config.settings import ClickHouse
from correlator.incident import Incident
from detectors.alert import Alert
from sinks.clickhouse import ClickHouseSink
from sinks.memory import MemorySink
from tests.sinks.contract import SinkContract

Count = Callable[[str], int]


class TestMemorySink(SinkContract):
    @pytest.fixture
    def sink(self) -> MemorySink:  # type: ignore[override]
        return MemorySink()

    @pytest.fixture
    def count(self, sink: MemorySink) -> Count:  # type: ignore[override]
        def kind(item: object) -> str:
            return {Incident: "incident", Alert: "alert"}.get(type(item), "dead letter")

        return lambda wanted: sum(kind(item) == wanted for item in sink.kept.values())


class TestClickHouseSink(SinkContract):
    @pytest.fixture
    async def sink(self, settings: ClickHouse) -> AsyncIterator[ClickHouseSink]:  # type: ignore[override]
        sink = ClickHouseSink(settings, patience_s=5)
        await sink.start()
        yield sink
        await sink.stop()

    @pytest.fixture
    def count(self, sink: ClickHouseSink, client: Client) -> Count:  # type: ignore[override]
        sql = {
            "incident": "SELECT count() FROM incidents",
            "alert": "SELECT count() FROM alerts",
            "dead letter": "SELECT count() FROM dead_letters",
        }
        return lambda wanted: int(client.query(sql[wanted]).result_rows[0][0])
