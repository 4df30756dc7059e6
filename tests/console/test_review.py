"""Keeping a review: which version it was made from goes along, and the correlator's answer is shown."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from streams.records.messages import Action, ActionResult
from tests.console.test_list import row

ID = "00000000000000a1"


class Bus:
    """In place of Kafka: the actions that would be sent; what is refused has a reason."""

    trouble = ""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.sent: list[Action] = []

    async def act(self, action: Action, key: str) -> ActionResult:
        self.sent.append(action)
        return ActionResult(action.id, action.incident, not self.refusal, self.refusal, "open")


def keep(app: FastAPI, client: TestClient, bus: Bus, **form: str) -> Any:
    app.state.console.board.put(row(id=ID))
    app.state.console.bus = bus
    return client.post(f"/incidents/{ID}/review", data=form)


@pytest.mark.parametrize(("form", "base"), [({"version": "3"}, "3"), ({}, "0")])
def test_a_text_goes_with_the_version_it_was_made_from(
    app: FastAPI, client: TestClient, form: dict[str, str], base: str
) -> None:
    """Also where ClickHouse, which is behind, has another: nobody asks it."""
    bus = Bus()
    answer = keep(app, client, bus, text="# Ours", **form)
    assert [action.fields for action in bus.sent] == [{"text": "# Ours", "base": base}]
    assert f"Version {int(base) + 1} is kept." in answer.text


def test_why_a_text_is_not_kept_is_shown(app: FastAPI, client: TestClient) -> None:
    answer = keep(app, client, Bus("the review is at version 2"), text="x", version="1")
    assert (answer.status_code, "the review is at version 2" in answer.text) == (409, True)


def test_a_version_that_is_no_number_is_refused(app: FastAPI, client: TestClient) -> None:
    bus = Bus()
    assert (keep(app, client, bus, text="x", version="x").status_code, bus.sent) == (422, [])
