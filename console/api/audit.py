"""The audit for programs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from console.auditing import Admin, Wanted, place_of
from console.state import Shared
from sinks.audit import records

router = APIRouter(tags=["audit"])


class Recorded(BaseModel):
    """One request; with `n` above 1 the last of so many within a minute that differ in nothing but time."""

    id: str
    at: int
    """ms UTC"""
    who: str
    """empty: nobody we know"""
    role: str
    via: str
    """oidc | token | local | nobody"""
    action: str
    target: str
    """id of an incident, problem/ID, silence/NAME, or empty"""
    what: str
    reason: str
    """why it was refused or failed"""
    outcome: str
    """done | refused | failed"""
    status: int
    method: str
    route: str
    address: str
    agent: str
    request_id: str
    """as in the answer's X-Request-Id"""
    domain: str
    n: int


class Audit(BaseModel):
    records: list[Recorded]
    """newest first"""
    next: str | None
    """as `before`, for those that follow; null: there are none"""


@router.get("/audit")
async def audit(
    state: Shared, identity: Admin, wanted: Wanted, most: Annotated[int, Query(ge=1, le=1_000)] = 100
) -> Audit:
    """Who did what at the console, when and from where. Role admin."""
    found = await state.store.ask(lambda reader: records(reader, wanted.asked, most + 1))
    shown = found[:most]
    return Audit(
        records=[Recorded(**row) for row in shown],
        next=place_of(shown[-1]) if len(found) > most else None,
    )
