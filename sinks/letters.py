"""Dead letters as ClickHouse has them: counts and the newest. The records themselves stay in their topic."""

from __future__ import annotations

from typing import Any

from sinks.reader import Reader

_WHERE = """at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
      AND ({topic:String} = '' OR topic = {topic:String})
      AND ({reason:String} = '' OR reason = {reason:String})"""


def counts(reader: Reader, since_ms: int, topic: str = "", reason: str = "") -> list[dict[str, Any]]:
    """By topic and reason, the most frequent first."""
    sql = f"""
        SELECT toString(topic) AS topic, toString(reason) AS reason, count() AS n, max(at) AS last_at
        FROM dead_letters WHERE {_WHERE}
        GROUP BY topic, reason ORDER BY n DESC, topic, reason LIMIT 200
        """  # noqa: S608
    return reader.ask(sql, since=since_ms, topic=topic, reason=reason)


def total(reader: Reader, since_ms: int, topic: str = "", reason: str = "") -> int:
    """How many there are."""
    sql = f"SELECT count() AS n FROM dead_letters WHERE {_WHERE}"  # noqa: S608
    return int(reader.ask(sql, since=since_ms, topic=topic, reason=reason)[0]["n"])


def newest(
    reader: Reader, since_ms: int, topic: str = "", reason: str = "", limit: int = 50, offset: int = 0
) -> list[dict[str, Any]]:
    """Where each was, why it was refused, and its first bytes."""
    sql = f"""
        SELECT toString(topic) AS topic, partition, offset, at, toString(reason) AS reason, detail, preview,
               value_bytes, rows
        FROM dead_letters WHERE {_WHERE}
        ORDER BY at DESC, topic, partition, offset LIMIT {{limit:UInt32}} OFFSET {{skip:UInt32}}
        """  # noqa: S608
    return reader.ask(sql, since=since_ms, topic=topic, reason=reason, limit=limit, skip=offset)
