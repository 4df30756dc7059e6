"""What a request is told that is not as it should be."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Fault(BaseModel):
    field: str
    text: str


class Refused(BaseModel):
    """422. `problems`: by field, where they are known."""

    detail: str
    problems: list[Fault] = []


class Said(BaseModel):
    """Why not."""

    detail: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "not a request to this console, or one that cannot be read", "model": Said},
    401: {"description": "not logged in", "model": Said},
    403: {"description": "the role does not suffice", "model": Said},
    413: {"description": "a body that is too large", "model": Said},
    415: {"description": "a body that is no JSON", "model": Said},
    422: {"description": "a parameter or a field that cannot be", "model": Refused},
    429: {"description": "too many requests; Retry-After says how long to wait", "model": Said},
    503: {"description": "Kafka or ClickHouse does not answer", "model": Said},
}
"""what any route may answer in place of what it is for"""
