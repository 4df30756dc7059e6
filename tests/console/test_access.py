"""Who is let in, what each role may do, and what other pages cannot make a browser do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from config.console import ROLES
from console.access.identity import PERMISSIONS, Identity
from tests.console.conftest import with_domains
from tests.sinks.make import incident as made

ID = "00000000000000aa"
ACTION = f"/api/v1/incidents/{ID}/actions"
VIEWER = Identity("vic", "viewer")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
    ],
)
def test_what_a_page_elsewhere_sends_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post(ACTION, json={"action": "acknowledge"}, headers=headers)
    assert answer.status_code == 403
    assert "another site" in answer.text or "a page of" in answer.text


def test_our_own_page_and_programs_get_through(client: TestClient) -> None:
    """To the next check: the incident is not there."""
    for headers in ({"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8088"}, {}):
        assert client.post(ACTION, json={"action": "acknowledge"}, headers=headers).status_code == 404


def test_a_name_that_is_not_ours_is_refused(client: TestClient) -> None:
    answer = client.get("/incidents", headers={"host": "rebound.example:8088"})
    assert answer.status_code == 421
    assert "console.public_url" in answer.text


def test_a_body_that_is_too_large_is_refused(client: TestClient) -> None:
    answer = client.post(ACTION, content=b"x" * 1_000_001, headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_a_form_in_place_of_json_is_refused(client: TestClient) -> None:
    """What a page can send without asking first is no action."""
    plain = {"content-type": "text/plain"}
    assert client.post(ACTION, content=b'{"action": "acknowledge"}', headers=plain).status_code == 422


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("verb", sorted(PERMISSIONS))
def test_each_role_may_do_what_its_rank_allows(
    client_for: Callable[[Identity], TestClient], verb: str, role: str
) -> None:
    """403 names what is needed; who may gets as far as the incident, which is not there."""
    client = client_for(Identity("ann", role))  # type: ignore[arg-type]
    answer = client.post(ACTION, json={"action": verb})
    may = ROLES.index(role) >= ROLES.index(PERMISSIONS[verb])  # type: ignore[arg-type]
    assert answer.status_code == (404 if may else 403)


def test_a_verb_nobody_has_heard_of_is_nobodys(client: TestClient) -> None:
    assert client.post(ACTION, json={"action": "explode"}).status_code == 403


OPEN = {"/", "/healthz"}
"""routes that ask nobody who they are"""


def test_every_route_asks_who_is_there(app: FastAPI) -> None:
    """Without an identity nothing is shown and nothing is done."""
    app.state.who = None
    client = TestClient(app, base_url="http://127.0.0.1:8088", follow_redirects=False)
    seen = 0
    for route in _routes(app):
        if route.path in OPEN:
            continue
        path = route.path.replace("{id}", ID).replace("{fingerprint}", ID)
        for part in ("service", "name", "question", "incident"):
            path = path.replace(f"{{{part}}}", "x").replace(f"{{{part}:path}}", "x")
        for method in route.methods - {"HEAD"}:
            answer = client.request(method, path)
            assert answer.status_code in (401, 422), (method, path, answer.status_code)
            seen += 1
    assert seen > 40


def _routes(app: FastAPI) -> list[APIRoute]:
    found: list[APIRoute] = []
    stack = list(app.routes)
    while stack:
        route = stack.pop()
        if isinstance(route, APIRoute):
            found.append(route)
        else:
            stack += getattr(getattr(route, "original_router", None), "routes", [])
    return found


def test_another_domains_incident_is_not_there(
    app: FastAPI, client_for: Callable[[Identity], TestClient]
) -> None:
    """In pages, parts, API and actions alike."""
    state = app.state.console
    state.feed.recent.put(made(ID, domain="eu"))
    client = client_for(with_domains(Identity("ann", "admin"), "us"))
    paths = [f"/incidents/{ID}", f"/api/v1/incidents/{ID}"]
    paths += [f"/incidents/{ID}/{part}" for part in ("main", "map", "timeline", "charts", "logs", "review")]
    assert {client.get(path).status_code for path in paths} == {404}
    assert client.post(ACTION, json={"action": "acknowledge"}).status_code == 404
    own = client_for(with_domains(Identity("ann", "admin"), "eu"))
    assert own.get(f"/api/v1/incidents/{ID}").json()["domain"] == "eu"
