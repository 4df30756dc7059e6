"""Figures for programs."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel

from console.access.guard import Reads
from console.api.incidents import ERRORS
from console.pages.analytics import Period, ask, came_in, question_of
from console.state import Shared
from sinks.questions import passed_over, pasteable

router = APIRouter(tags=["analytics"])


class Came(BaseModel):
    records: int
    """at most: compacted topics and transactions have offsets without records"""
    by_topic: dict[str, int]
    cut: bool
    """older records of the period are deleted already: there were more"""


class Answered(BaseModel):
    question: str
    says: str
    """the definition"""
    columns: list[str]
    rows: list[dict[str, Any]]
    """durations in ms, times in ms UTC"""
    passed_over: list[str]
    """filters asked for that this question cannot be limited by: its figures are of everything"""
    sql: str
    """as clickhouse-client takes it"""
    came: Came | None = None
    """with funnel, while Kafka answers: what came in on the input topics, by Kafka's offsets"""


@router.get(
    "/analytics/{question}",
    responses={**ERRORS, 404: {"description": "no such question; the answer names them"}},
)
async def analytics(question: str, state: Shared, identity: Reads, period: Period) -> Answered:
    """The answer to one question over a period: timing, timing_by_service, sla, funnel, recurrence, ..."""
    found = question_of(question, identity)
    columns, rows = await ask(state, found, period.asked)
    came = await came_in(state, found, period.asked)
    return Answered(
        question=found.name,
        says=found.says,
        columns=columns,
        rows=rows,
        passed_over=passed_over(found, period.asked),
        sql=pasteable(found, period.asked),
        came=Came(**msgspec.structs.asdict(came)) if came else None,
    )
