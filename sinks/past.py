"""Questions about problems and about what is known of past incidents. Times are ms UTC."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from correlator.past import Problem
from sinks.reader import Reader
from sinks.rows import PROBLEMS

LIVE = ("open", "known_error")


class KnowledgeRow(msgspec.Struct, frozen=True):
    """What is known of an incident, newest version."""

    incident: str
    title: str
    started_at: int
    services: tuple[str, ...]
    cause: str
    cause_service: str
    fix: str
    runbook: str
    actor: str
    recorded_at: int


class Titled(msgspec.Struct, frozen=True):
    """An incident in a few words."""

    id: str
    state: str
    title: str
    started_at: int
    resolved_at: int | None


def problems(
    reader: Reader,
    *,
    every: bool = False,
    service: str = "",
    domains: Sequence[str] = (),
    limit: int = 50,
) -> list[Problem]:
    """Those that are not over, most recent first; with `every` the others, too. `domains`: none: of all."""
    return _problems(
        reader,
        """WHERE ({every:Bool} OR has({live:Array(String)}, state))
             AND ({service:String} = '' OR has(services, {service:String}))
             AND (empty({domains:Array(String)}) OR has({domains:Array(String)}, domain))
           ORDER BY problems.last_seen DESC, id LIMIT {limit:UInt32}""",
        every=every,
        live=list(LIVE),
        service=service,
        domains=list(domains),
        limit=limit,
    )


def problems_like(reader: Reader, prefix: str) -> list[Problem]:
    """Problems whose id begins with `prefix`."""
    return _problems(reader, "WHERE startsWith(id, {prefix:String}) ORDER BY id LIMIT 6", prefix=prefix)


def _problems(reader: Reader, where: str, **parameters: object) -> list[Problem]:
    columns = ", ".join(PROBLEMS.columns)
    rows = reader.ask(f"SELECT {columns} FROM problems {where}", **parameters)  # noqa: S608
    return [msgspec.convert({"type": "problem", **row}, Problem) for row in rows]


def knowledge(
    reader: Reader,
    words: Sequence[str] = (),
    service: str = "",
    domains: Sequence[str] = (),
    limit: int = 50,
) -> list[KnowledgeRow]:
    """What was found out, newest first: where every one of `words` occurs, whatever their case.

    `domains`: only of these; none: of all.
    """
    columns = ", ".join(KnowledgeRow.__struct_fields__)
    rows = reader.ask(
        f"""
        SELECT {columns} FROM knowledge
        WHERE arrayAll(word -> positionCaseInsensitiveUTF8(
                concat(title, ' ', cause, ' ', cause_service, ' ', fix, ' ', runbook, ' ',
                       arrayStringConcat(services, ' ')), word) > 0, {{words:Array(String)}})
          AND ({{service:String}} = '' OR has(arrayPushBack(services, cause_service), {{service:String}}))
          AND (empty({{domains:Array(String)}}) OR has({{domains:Array(String)}}, domain))
        ORDER BY knowledge.recorded_at DESC, incident
        LIMIT {{limit:UInt32}}
        """,  # noqa: S608
        words=list(words),
        service=service,
        domains=list(domains),
        limit=limit,
    )
    return [msgspec.convert(row, KnowledgeRow) for row in rows]


def known_of(reader: Reader, incident: str) -> KnowledgeRow | None:
    """What was found out about one incident."""
    columns = ", ".join(KnowledgeRow.__struct_fields__)
    rows = reader.ask(
        f"SELECT {columns} FROM knowledge WHERE incident = {{incident:String}}",  # noqa: S608
        incident=incident,
    )
    return msgspec.convert(rows[0], KnowledgeRow) if rows else None


def titled(reader: Reader, ids: Sequence[str]) -> list[Titled]:
    """These incidents, by start."""
    columns = ", ".join(Titled.__struct_fields__)
    rows = reader.ask(
        f"SELECT {columns} FROM incidents WHERE has({{ids:Array(String)}}, id)"  # noqa: S608
        " ORDER BY incidents.started_at, id",
        ids=list(ids),
    )
    return [msgspec.convert(row, Titled) for row in rows]
