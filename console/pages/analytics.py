"""How fast, how often, how noisy: figures over a period, each with its SQL and as a file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import WithJsonSchema

from console import analytics
from console.access.guard import Reads
from console.access.identity import Identity
from console.arrivals import Arrived
from console.state import Shared, State
from console.store import Unavailable
from correlator.incident import CATEGORIES
from detectors.alert import SEVERITIES
from sinks import questions
from sinks.questions import QUESTIONS, Asked, Question

router = APIRouter()
DAY_MS = 86_400_000
DAYS = (1, 7, 30, 90, 365)
MOST_MS = 4_102_444_800_000

Text = Annotated[str, Query(max_length=200)]
At = Annotated[
    int | None,
    Query(ge=0, le=MOST_MS, description="ms UTC"),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MOST_MS}),
]
"""of the schema null is no part, as no address can have one"""


class Chosen(NamedTuple):
    """As it stands in the address."""

    asked: Asked
    days: int
    query: str
    """of the address, without the grouping"""


def chosen(
    state: Shared,
    identity: Reads,
    days: Annotated[int, Query(ge=1, le=3_650)] = 30,
    since: At = None,
    until: At = None,
    service: Text = "",
    team: Text = "",
    severity: Literal["", "info", "warning", "error", "critical"] = "",
    category: Text = "",
) -> Chosen:
    """The last `days` days, or from `since` to `until`. Raises 422 for a period without time in it."""
    end = until if until is not None else state.clock()
    begin = since if since is not None else end - days * DAY_MS
    if begin >= end:
        raise HTTPException(422, f"since is {begin}: expected less than until ({end})")
    asked = Asked(
        since_ms=begin,
        until_ms=end,
        service=service,
        team=team,
        severity=severity,
        category=category,
        domains=identity.domains,
    )
    said: dict[str, Any] = {"since": since, "until": until} if since is not None else {"days": days}
    said |= {"service": service, "team": team, "severity": severity, "category": category}
    return Chosen(
        asked, days, urlencode({name: value for name, value in said.items() if value not in ("", None)})
    )


Period = Annotated[Chosen, Depends(chosen)]
Group = Literal["service", "team", "severity", "category", "week", "day"]


def question_of(name: str, identity: Identity) -> Question:
    """Raises 404, and 403 for what cannot be limited to the domains one may see."""
    found = QUESTIONS.get(name)
    if found is None:
        raise HTTPException(404, f"no question {name[:40]!r}; there are {', '.join(QUESTIONS)}")
    if found.everywhere and identity.domains:
        raise HTTPException(403, f"{name} is over all domains, and you may see some")
    return found


@router.get("/analytics")
async def page(
    request: Request, state: Shared, identity: Reads, period: Period, by: Group = "service"
) -> HTMLResponse:
    """The page; its parts come by themselves."""
    return state.page(
        request,
        "analytics.html",
        identity,
        period=period,
        by=by,
        groups=questions.GROUPS,
        days=DAYS,
        names=state.board.names(identity.domains),
        severities=SEVERITIES,
        categories=CATEGORIES,
        names_of=[name for name, one in QUESTIONS.items() if not (one.everywhere and identity.domains)],
    )


@router.get("/analytics/part/{name}")
async def part(request: Request, state: Shared, identity: Reads, period: Period, name: str) -> HTMLResponse:
    """One question: charts, table, SQL."""
    question = question_of(name, identity)
    columns, rows = await ask(state, question, period.asked)
    return state.page(
        request,
        "analytics_part.html",
        identity,
        question=question,
        columns=columns,
        rows=rows,
        charts=[msgspec.json.encode(one).decode() for one in charts(name, rows)],
        sql=questions.pasteable(question, period.asked),
        period=period,
        cell=analytics.cell,
        heading=analytics.heading,
        passed_over=questions.passed_over(question, period.asked),
        records=await came_in(state, question, period.asked),
    )


@router.get("/analytics/{name}.csv")
async def download(state: Shared, identity: Reads, period: Period, name: str) -> Response:
    """The same rows as a file."""
    question = question_of(name, identity)
    columns, rows = await ask(state, question, period.asked)
    return Response(
        analytics.as_csv(columns, rows),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="tocsin-{question.name}.csv"'},
    )


async def ask(state: State, question: Question, asked: Asked) -> tuple[list[str], list[dict[str, Any]]]:
    return await state.store.ask(lambda reader: questions.answer(reader, question, asked))


async def came_in(state: State, question: Question, asked: Asked) -> Arrived | None:
    """The records above the funnel; None where Kafka does not say, or nobody asked."""
    if question.name != "funnel":
        return None
    try:
        return await state.bus.arrived(asked.since_ms, asked.until_ms)
    except Unavailable:
        return None  # the figures of ClickHouse are worth showing without


def charts(name: str, rows: analytics.Rows) -> list[dict[str, Any]]:
    """What is drawn of a question; nothing where a table says it better."""
    if name in ("timing_by_day", "timing_by_week") and rows:
        return analytics.timing_charts(rows, name.rpartition("_")[2])
    if name.startswith("timing_by_") and rows:
        key = name.removeprefix("timing_by_")
        medians = [
            {**row, **{f"p{q}": analytics.minutes(row[f"mttr_p{q}_ms"]) for q in (50, 90)}}
            for row in rows[:20]
        ]
        return [analytics.bars(medians, key, {"p50": "main", "p90": "warn"}, "Restore (MTTR)", "minutes")]
    if name == "sla_by_week" and rows:
        weeks = analytics.filled(rows, "week")
        share = [None if row["compliance"] is None else 100 * row["compliance"] for row in weeks]
        series = [{"name": "met in time", "values": share, "tone": "ok"}]
        times = analytics.times_of(weeks, "week")
        return [{"title": "Met in time", "unit": "% of clocks due", "t": times, "series": series}]
    if name == "noise_by_day" and rows:
        days = analytics.filled(rows, "day")
        times = analytics.times_of(days, "day")
        return [
            {"title": title, "unit": "a day", "t": times, "series": [_bars(days, column, tone)]}
            for title, column, tone in (("Alerts", "alerts", "calm"), ("Incidents", "incidents", "bad"))
        ]
    if name == "services" and rows:
        return [analytics.bars(rows, "name", {"incidents": "calm", "suspected": "bad"}, "Incidents", "")]
    if name == "teams" and rows:
        return [analytics.bars(rows, "name", {"opened": "calm", "urgent": "bad"}, "Opened", "incidents")]
    return []


def _bars(rows: analytics.Rows, column: str, tone: str) -> dict[str, Any]:
    return {"name": column, "values": [row[column] for row in rows], "kind": "bars", "tone": tone}
