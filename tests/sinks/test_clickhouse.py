"""The ClickHouse sink when things go wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from config.settings import ClickHouse
from embedded.probe import free_port
from embedded.stack import Stack
from sinks.clickhouse import ClickHouseSink, connect
from sinks.protocol import Refusal, SinkMisconfigured, SinkUnavailable
from tests.sinks.contract import deliver
from tests.sinks.make import alert, incident


def _ids(refusals: Sequence[Refusal]) -> list[str]:
    return sorted(refusal.delivery.item.id for refusal in refusals)  # type: ignore[union-attr]


async def test_an_unreachable_server_is_unavailable_and_named() -> None:
    """The message tells the person which address was tried."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(SinkUnavailable, match=url):
        await ClickHouseSink(ClickHouse(url=url), patience_s=0.2).start()


@pytest.mark.slow
async def test_a_batch_that_met_a_dead_server_is_written_when_it_is_back(tmp_path: Path) -> None:
    """Down in the middle of a run: unavailable, then the same batch goes through, and nothing twice."""
    port = free_port()
    settings = ClickHouse(url=f"http://127.0.0.1:{port}")
    sink = ClickHouseSink(settings, patience_s=0.3)
    with Stack(tmp_path, kafka=False, clickhouse_port=port):
        await sink.start()
        await sink.write(deliver(incident("before")))
    with pytest.raises(SinkUnavailable):
        await sink.write(deliver(incident("during")))
    with Stack(tmp_path, kafka=False, clickhouse_port=port):
        await sink.write(deliver(incident("before"), incident("during")))
        client = connect(settings)
        ids = client.query("SELECT id FROM incidents ORDER BY id").result_rows
        client.close()
        await sink.stop()
    assert ids == [("before",), ("during",)]


async def test_a_server_that_was_emptied_gets_its_tables_again(bare: Client, unused: ClickHouse) -> None:
    """A lost volume costs history, not the pipeline."""
    sink = ClickHouseSink(unused)
    await sink.start()
    bare.command(f"DROP DATABASE {unused.database} SYNC")
    await sink.write(deliver(incident()))
    await sink.stop()
    assert bare.query("SELECT count() FROM incidents").result_rows == [(1,)]


async def test_a_value_no_insert_can_carry_is_found_among_good_ones(
    client: Client, settings: ClickHouse
) -> None:
    """Two of twenty cannot be serialised: eighteen are written, two are named."""
    sink = ClickHouseSink(settings)
    await sink.start()
    batch = [alert(f"a{n}", unit="\ud800" if n in (3, 17) else "ms") for n in range(20)]
    refusals = await sink.write(deliver(*batch))
    await sink.stop()
    assert _ids(refusals) == ["a17", "a3"]
    assert {refusal.reason for refusal in refusals} == {"refused-by-clickhouse"}
    assert client.query("SELECT count() FROM alerts").result_rows == [(18,)]


async def test_rows_the_server_rejects_are_found_among_good_ones(
    client: Client, settings: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that answers 469 (constraint violated) accuses the data, so the bad row is looked for.

    The embedded engine does not report a violated constraint on streamed inserts, hence the stand-in.
    """
    sink = ClickHouseSink(settings)
    await sink.start()
    real = sink._connected().insert

    def guarded(table: str, rows: list[tuple[Any, ...]], **how: Any) -> Any:
        if any("forbidden" in row for row in rows):
            raise DatabaseError("constraint violated", code=469)
        return real(table, rows, **how)

    monkeypatch.setattr(sink._connected(), "insert", guarded)
    batch = [alert(f"a{n}", service="forbidden" if n == 11 else "payment") for n in range(20)]
    refusals = await sink.write(deliver(*batch))
    await sink.stop()
    assert _ids(refusals) == ["a11"]
    assert client.query("SELECT count() FROM alerts").result_rows == [(19,)]


async def test_a_server_short_of_memory_is_unavailable_not_refusing(
    client: Client, settings: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors that do not accuse the data must never send good rows to the dead letters."""
    sink = ClickHouseSink(settings, patience_s=0.2)
    await sink.start()

    def short(*_: Any, **__: Any) -> Any:
        raise DatabaseError("memory limit exceeded", code=241)

    monkeypatch.setattr(sink._connected(), "insert", short)
    with pytest.raises(SinkUnavailable, match="memory limit"):
        await sink.write(deliver(incident()))
    monkeypatch.undo()
    assert list(await sink.write(deliver(incident()))) == []
    await sink.stop()


async def test_a_refused_password_is_a_wrong_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trying again would not help; the message names the settings to check."""

    def denied(*_: Any, **__: Any) -> Any:
        raise DatabaseError("Authentication failed", code=516)

    monkeypatch.setattr("sinks.clickhouse.connect", denied)
    with pytest.raises(SinkMisconfigured, match="TOCSIN_CLICKHOUSE_PASSWORD"):
        await ClickHouseSink(ClickHouse()).start()


async def test_batches_above_the_limit_are_cut(client: Client, settings: ClickHouse) -> None:
    """No insert is larger than batch_rows; all of them arrive."""
    small = ClickHouse(url=settings.url, database=settings.database, batch_rows=3)
    sink = ClickHouseSink(small)
    await sink.start()
    await sink.write(deliver(*(alert(f"a{n}") for n in range(10))))
    await sink.stop()
    assert client.query("SELECT count() FROM alerts").result_rows == [(10,)]


async def test_a_full_disk_is_waited_out(
    client: Client, settings: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of space accuses no row; when there is space again everything goes through, nothing twice.

    The engine's own error is put in: filling a real disk would take the machine down with it.
    """
    sink = ClickHouseSink(settings, patience_s=0.2)
    await sink.start()
    real = sink._connected().insert
    full = True

    def guarded(*given: Any, **how: Any) -> Any:
        if full:
            raise DatabaseError("Cannot reserve 1.00 MiB, not enough space", code=243)
        return real(*given, **how)

    monkeypatch.setattr(sink._connected(), "insert", guarded)
    batch = [incident(f"{n:016x}") for n in range(50)]
    with pytest.raises(SinkUnavailable, match="not enough space"):
        await sink.write(deliver(*batch))
    full = False
    assert list(await sink.write(deliver(*batch))) == []
    await sink.stop()
    assert client.query("SELECT count(), uniqExact(id) FROM incidents").result_rows == [(50, 50)]


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_server_killed_in_the_middle_of_inserts_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """SIGKILL while batches go in, several times; the same sink goes on when the server is back."""
    port = free_port()
    settings = ClickHouse(url=f"http://127.0.0.1:{port}", batch_rows=200)
    sink = ClickHouseSink(settings, patience_s=0.5)
    with Stack(tmp_path, kafka=False, clickhouse_port=port) as stack:
        await sink.start()
        written = 0
        for kill in range(3):
            batch = [incident(f"{kill}{n:015x}") for n in range(3_000)]
            writing = asyncio.create_task(sink.write(deliver(*batch)))
            await asyncio.sleep(0.15)
            stack.supervisor.kill("clickhouse")
            with contextlib.suppress(SinkUnavailable):
                await writing
            await asyncio.to_thread(stack.supervisor.restart, "clickhouse")
            refused: Sequence[Refusal] | None = None
            while refused is None:
                with contextlib.suppress(SinkUnavailable):
                    refused = await sink.write(deliver(*batch))
            assert refused == []
            written += len(batch)
        client = connect(settings)
        counted = client.query("SELECT count(), uniqExact(id) FROM incidents").result_rows
        facts = client.query("SELECT count() FROM incident_facts FINAL").result_rows
        client.close()
    await sink.stop()
    assert (counted, facts) == ([(written, written)], [(written,)])
