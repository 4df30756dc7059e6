"""What a request is told that is not as it should be."""

from __future__ import annotations

from pydantic import BaseModel


class Fault(BaseModel):
    field: str
    text: str


class Refused(BaseModel):
    """422. `problems`: by field, where they are known."""

    detail: str
    problems: list[Fault] = []
