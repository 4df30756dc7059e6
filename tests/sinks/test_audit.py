"""The audit of the console in the real ClickHouse engine: once each, by filter, a page at a time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from config.settings import ClickHouse, Topics
from sinks.audit import COLUMNS, Asked, Place, records
from sinks.clickhouse import ClickHouseSink
from sinks.handler import SinkHandler
from sinks.reader import Reader
from sinks.response_rows import AUDIT
from sinks.rows import row_of
from streams.records.audit import AuditRecord
from streams.records.stage import Record
from tests.sinks.make import DAY, T0
from tests.sinks.store import store

EVER = Asked(since_ms=0, until_ms=T0 + DAY)


def done(k: int, **changes: Any) -> AuditRecord:
    plain: dict[str, Any] = {
        "id": f"r{k:03}", "at": T0 + k, "who": "ann", "role": "admin", "via": "token",
        "action": "acknowledge", "target": "00000000000000aa", "outcome": "done", "status": 200,
        "method": "POST", "route": "/api/v1/incidents/{id}/actions", "address": "192.0.2.7", "agent": "curl",
        "domain": "eu", "request_id": f"q{k}",
    }  # fmt: skip
    return AuditRecord(**(plain | changes))


def ids(client: Client, asked: Asked, limit: int = 100) -> list[str]:
    return [row["id"] for row in records(Reader(client), asked, limit)]


def test_a_record_comes_back_as_it_was_sent(client: Client) -> None:
    sent = done(1, what="to=db", reason="x", n=7)
    store(client, sent)
    (row,) = records(Reader(client), EVER, 10)
    assert msgspec.convert(row, AuditRecord) == sent


def test_every_field_has_a_column_and_is_asked_for() -> None:
    fields = set(AuditRecord.__struct_fields__)
    assert set(AUDIT.columns) == fields == set(COLUMNS)
    assert len(row_of(done(1)).values) == len(AUDIT.columns)


@pytest.mark.parametrize("name", ["audit_records", "console_audit"])
def test_every_column_says_what_it_is(shared: Client, name: str) -> None:
    described = shared.query(f"DESCRIBE TABLE {name}").result_rows
    assert [column for column, _, _, _, comment, *_ in described if not comment] == []


async def test_from_the_topic_into_the_table_once_and_what_is_bad_into_the_dead_letters(
    settings: ClickHouse, client: Client
) -> None:
    topics = Topics()
    handler = SinkHandler(topics, ClickHouseSink(settings))
    good = msgspec.json.encode(done(1))
    values = [good, b"nonsense", msgspec.json.encode(done(2, who="x" * 201)), good]
    values.append(msgspec.json.encode(done(3, status=-1)))
    await handler.start()
    for _ in range(2):
        await handler.write([Record(topics.audit, 0, n, T0, None, v) for n, v in enumerate(values)])
    await handler.stop()
    assert ids(client, EVER) == ["r001"]
    told = client.query(
        "SELECT reason, offset FROM dead_letters WHERE topic = 'tocsin.audit' ORDER BY offset"
    )
    assert told.result_rows == [("undecodable", 1), ("wrong-type", 2), ("out-of-range", 4)]


def test_filters_are_values_and_never_sql(client: Client) -> None:
    hostile = "' OR 1=1 --"
    store(client, done(1), done(2, who=hostile, action="login", outcome="refused", target="silence/x"))
    for change in ({"who": hostile}, {"action": "login"}, {"outcome": "refused"}, {"target": "silence/x"}):
        assert ids(client, msgspec.structs.replace(EVER, **change)) == ["r002"], change
    assert ids(client, msgspec.structs.replace(EVER, target=hostile)) == []


def test_a_period_begins_with_its_first_moment_and_ends_before_its_last(client: Client) -> None:
    store(client, *(done(n) for n in range(4)))
    assert ids(client, Asked(since_ms=T0 + 1, until_ms=T0 + 3)) == ["r002", "r001"]


def test_pages_follow_one_another_also_within_a_millisecond(client: Client) -> None:
    store(client, *(done(n, at=T0 + n // 4) for n in range(10)))
    asked, found = EVER, list[str]()
    while page := records(Reader(client), asked, 3):
        found += [row["id"] for row in page]
        asked = msgspec.structs.replace(asked, after=Place(page[-1]["at"], page[-1]["id"]))
    assert found == [f"r{n:03}" for n in reversed(range(10))]


def test_whoever_sees_some_domains_sees_records_of_those_alone(client: Client) -> None:
    store(client, done(1), done(2, domain="us"), done(3, domain="", action="login"))
    assert ids(client, msgspec.structs.replace(EVER, domains=("us",))) == ["r002"]
    assert len(ids(client, EVER)) == 3
