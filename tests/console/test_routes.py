"""Every route of the console and the least role it takes. One that is not in the table fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import msgspec
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.requests import Request

from config.console import ROLES, Access, Console, Role, Token
from config.settings import Settings
from console.access.identity import PERMISSIONS, Identity
from console.app import API, PAGES, create_app
from console.store import Unavailable
from tests.console.conftest import NOW_MS
from tests.console.test_list import ROW

ID = "a" * 16
LEAST: dict[str, Role] = {
    "read": "viewer",
    "acknowledge": "responder",
    "assign": "responder",
    "mitigate": "responder",
    "resolve": "responder",
    "reopen": "responder",
    "note": "responder",
    "record": "responder",
    "report": "responder",
    "pause": "responder",
    "resume": "responder",
    "silence": "responder",
    "item": "responder",
    "close": "manager",
    "classify": "manager",
    "impact": "manager",
    "edit": "manager",
    "submit": "manager",
    "merge": "manager",
    "split": "manager",
    "undo": "manager",
    "review": "manager",
    "update": "manager",
    "problem": "manager",
    "reinject": "admin",
    "audit": "admin",
}
"""what may be done -> the least role, written down once more: a slip in the console's own table shows"""
NO_STEPS = ("read", "report", "silence", "problem", "reinject", "audit")
"""permissions that are no actions on an incident there is"""
ACTIONS = sorted(LEAST.keys() - set(NO_STEPS))
ACT = f"/api/v1/incidents/{ID}/actions"
NOBODY = "nobody"
INSIDE = "inside"
"""takes `read`, and by what is asked for a permission more: see the tests of actions"""
TABLE: dict[tuple[str, str], str] = {
    ("GET", "/"): NOBODY,
    ("GET", "/healthz"): NOBODY,
    ("GET", "/login"): NOBODY,
    ("POST", "/login"): NOBODY,
    ("GET", "/login/sso"): NOBODY,
    ("GET", "/login/callback"): NOBODY,
    ("POST", "/logout"): NOBODY,
    ("GET", "/incidents"): "viewer",
    ("GET", "/incidents/live"): "viewer",
    ("GET", "/incidents/sparks"): "viewer",
    ("GET", "/incidents/{id}/map"): "viewer",
    ("GET", "/incidents/{id}/timeline"): "viewer",
    ("GET", "/incidents/{id}/charts"): "viewer",
    ("GET", "/incidents/{id}/logs"): "viewer",
    ("GET", "/incidents/{id}/review"): "viewer",
    ("POST", "/incidents/{id}/review/preview"): "viewer",
    ("POST", "/incidents/{id}/review"): "manager",
    ("GET", "/incidents/new"): "viewer",
    ("GET", "/incidents/{id}"): "viewer",
    ("GET", "/incidents/{id}/main"): "viewer",
    ("GET", "/incidents/{id}/live"): "viewer",
    ("GET", "/incidents/{id}/others"): "viewer",
    ("GET", "/configuration"): "viewer",
    ("GET", "/configuration/catalogue"): "viewer",
    ("GET", "/configuration/catalogue/{service:path}"): "viewer",
    ("GET", "/configuration/part/service"): "viewer",
    ("GET", "/configuration/rules"): "viewer",
    ("GET", "/configuration/rules/series"): "viewer",
    ("GET", "/configuration/rules/dry-run"): "viewer",
    ("GET", "/configuration/oncall"): "viewer",
    ("GET", "/configuration/topology"): "viewer",
    ("GET", "/configuration/silences"): "viewer",
    ("GET", "/configuration/part/silences"): "viewer",
    ("POST", "/configuration/silences/preview"): "viewer",
    ("POST", "/configuration/silences"): "responder",
    ("POST", "/configuration/silences/expire"): "responder",
    ("GET", "/configuration/problems"): "viewer",
    ("GET", "/configuration/problems/{id}"): "viewer",
    ("POST", "/configuration/problems/{id}"): "manager",
    ("GET", "/configuration/knowledge"): "viewer",
    ("GET", "/configuration/audit"): "admin",
    ("GET", "/configuration/audit.csv"): "admin",
    ("GET", "/api/v1/audit"): "admin",
    ("GET", "/status"): "viewer",
    ("GET", "/api/v1/incidents"): "viewer",
    ("GET", "/api/v1/incidents/{id}"): "viewer",
    ("POST", "/api/v1/incidents/{id}/actions"): INSIDE,
    ("POST", "/api/v1/incidents"): INSIDE,
    ("GET", "/api/v1/services"): "viewer",
    ("GET", "/api/v1/topology"): "viewer",
    ("GET", "/api/v1/oncall"): "viewer",
    ("GET", "/api/v1/silences"): "viewer",
    ("POST", "/api/v1/silences/preview"): "viewer",
    ("POST", "/api/v1/silences"): "responder",
    ("DELETE", "/api/v1/silences/{name:path}"): "responder",
    ("GET", "/analytics"): "viewer",
    ("GET", "/analytics/part/{name}"): "viewer",
    ("GET", "/analytics/{name}.csv"): "viewer",
    ("GET", "/api/v1/analytics/{question}"): "viewer",
    ("GET", "/api/v1/incidents/{id}/charts"): "viewer",
    ("GET", "/api/v1/incidents/{id}/map"): "viewer",
    ("GET", "/api/v1/incidents/{id}/timeline"): "viewer",
    ("GET", "/api/v1/incidents/{id}/clocks"): "viewer",
    ("GET", "/api/v1/incidents/{id}/duty"): "viewer",
    ("GET", "/api/v1/incidents/{id}/similar"): "viewer",
    ("GET", "/api/v1/pipeline"): "viewer",
    ("GET", "/api/v1/series"): "viewer",
    ("GET", "/api/v1/series/{fingerprint}"): "viewer",
    ("GET", "/api/v1/deadletters"): "viewer",
    ("POST", "/api/v1/deadletters/reinject"): "admin",
    ("GET", "/incidents/{id}/evidence"): "viewer",
    ("GET", "/pipeline"): "viewer",
    ("GET", "/pipeline/charts"): "viewer",
    ("GET", "/pipeline/deadletters"): "viewer",
    ("POST", "/pipeline/deadletters/reinject"): "admin",
    ("GET", "/pipeline/part"): "viewer",
    ("GET", "/pipeline/series"): "viewer",
    ("GET", "/pipeline/series/{fingerprint}"): "viewer",
}


def routes() -> set[tuple[str, str]]:
    found = set()
    for prefix, modules in (("", PAGES), ("/api/v1", API)):
        for module in modules:
            for route in module.router.routes:
                found |= {(method, prefix + route.path) for method in route.methods}  # type: ignore[attr-defined]
    return found


def address(path: str) -> str:
    return path.replace("{id}", ID).replace("{service:path}", "shop").replace("{name:path}", "x")


GUARDED = sorted(one for one, least in TABLE.items() if least != NOBODY)
BELOW = sorted(
    (method, path, role)
    for (method, path), least in TABLE.items()
    if least in ROLES
    for role in ROLES[: ROLES.index(least)]  # type: ignore[arg-type]
)


def test_table_holds_every_route() -> None:
    assert routes() == set(TABLE)


@pytest.fixture
def closed(settings: Settings) -> TestClient:
    """With access control, and nobody logged in."""
    access = Access(tokens=(Token(name="a", sha256="0" * 64),))
    console = Console(access=access, public_url="https://t.example")
    app = create_app(msgspec.structs.replace(settings, console=console), lambda: NOW_MS)
    headers = {"sec-fetch-site": "same-origin"}
    return TestClient(app, base_url="https://t.example", headers=headers, follow_redirects=False)


def test_nobody_is_let_into_any_other(closed: TestClient) -> None:
    answers = {one: closed.request(one[0], address(one[1])) for one in GUARDED}
    let_in = [
        one
        for one, answer in answers.items()
        if answer.status_code != 401 and not answer.headers.get("location", "").startswith("/login")
    ]
    assert let_in == []


@pytest.mark.parametrize(("method", "path", "role"), BELOW)
def test_lesser_role_is_refused(
    client_for: Callable[[Identity], TestClient], method: str, path: str, role: Role
) -> None:
    answer = client_for(Identity("x", role)).request(method, address(path))
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v1/incidents", "GET, POST"),
        ("/api/v1/silences/preview", "POST"),
        ("/api/v1/silences/x", "DELETE"),
        ("/pipeline", "GET"),
    ],
)
def test_405_names_all_methods_of_the_address(client: TestClient, path: str, methods: str) -> None:
    answer = client.options(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


class Away:
    """In place of ClickHouse, Kafka and the workers: what was let in ends here."""

    trouble = ""

    async def ask(self, question: object) -> NoReturn:
        raise Unavailable("ClickHouse", "away")

    async def seen(self) -> NoReturn:
        raise Unavailable("workers", "away")

    def __getattr__(self, name: str) -> Callable[..., Awaitable[NoReturn]]:
        async def away(*given: object, **more: object) -> NoReturn:
            raise Unavailable("Kafka", "away")

        return away


@pytest.fixture
def alone(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """A console with nothing behind it, and browsers that go at once."""

    async def gone(request: Request) -> bool:
        return True

    monkeypatch.setattr(Request, "is_disconnected", gone)
    state = app.state.console
    state.store = state.bus = state.watch = Away()
    return app


@pytest.mark.parametrize("role", ROLES)
def test_role_that_suffices_is_let_in(
    alone: FastAPI, client_for: Callable[[Identity], TestClient], role: Role
) -> None:
    client = client_for(Identity("x", role))
    codes = {
        (method, path): client.request(method, address(path)).status_code
        for (method, path), least in TABLE.items()
        if least in ROLES and ROLES.index(role) >= ROLES.index(least)
    }
    assert {one: code for one, code in codes.items() if code in (401, 403)} == {}


def test_what_takes_which_role_is_as_written_here() -> None:
    assert PERMISSIONS == LEAST


@pytest.mark.parametrize("role", ROLES)
def test_actions_are_for_those_whose_role_suffices(
    alone: FastAPI, client_for: Callable[[Identity], TestClient], role: Role
) -> None:
    """What is let in goes as far as Kafka, which is away."""
    alone.state.console.board.put(msgspec.structs.replace(ROW, id=ID))
    client = client_for(Identity("x", role))
    codes = {verb: client.post(ACT, json={"action": verb}).status_code for verb in ACTIONS}
    assert codes == {verb: 503 if ROLES.index(role) >= ROLES.index(LEAST[verb]) else 403 for verb in ACTIONS}


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("responder", 503), ("admin", 503)])
def test_incidents_are_reported_by_responders(
    alone: FastAPI, client_for: Callable[[Identity], TestClient], role: Role, status: int
) -> None:
    answer = client_for(Identity("x", role)).post("/api/v1/incidents", json={"fields": {"title": "x"}})
    assert answer.status_code == status


@pytest.mark.parametrize("verb", [*NO_STEPS, "drop"])
def test_what_is_no_action_on_an_incident_is_refused(client: TestClient, verb: str) -> None:
    answer = client.post(ACT, json={"action": verb})
    assert (answer.status_code, "expected one of acknowledge, " in answer.text) == (422, True)


def test_the_document_names_the_actions_there_are(client: TestClient) -> None:
    found = client.get("/api/v1/openapi.json").json()["components"]["schemas"]["Asked"]
    assert found["properties"]["action"]["enum"] == ACTIONS


API_PARTS = ("", "/timeline", "/map", "/charts", "/clocks", "/duty", "/similar")
PARTS = ("", "/main", "/others", "/map", "/timeline", "/charts", "/logs", "/review", "/live")


@pytest.fixture
def elsewhere(app: FastAPI, client_for: Callable[[Identity], TestClient]) -> TestClient:
    """An admin of `us`; the incident on the board is of `eu`."""
    app.state.console.board.put(msgspec.structs.replace(ROW, id=ID))
    return client_for(Identity("u", "admin", ("us",)))


def test_incident_of_another_domain_has_no_page(elsewhere: TestClient) -> None:
    codes = {part: elsewhere.get(f"/incidents/{ID}{part}").status_code for part in PARTS}
    assert codes == dict.fromkeys(PARTS, 404)


def test_incident_of_another_domain_is_unknown_to_programs(elsewhere: TestClient) -> None:
    codes = {part: elsewhere.get(f"/api/v1/incidents/{ID}{part}").status_code for part in API_PARTS}
    assert codes == dict.fromkeys(API_PARTS, 404)


def test_incident_of_another_domain_takes_no_action(elsewhere: TestClient) -> None:
    address = f"/api/v1/incidents/{ID}/actions"
    verbs = ("acknowledge", "close", "merge", "note")
    codes = [elsewhere.post(address, json={"action": verb}).status_code for verb in verbs]
    assert codes == [404] * len(verbs)


def test_incident_of_another_domain_is_no_merge_target(app: FastAPI, elsewhere: TestClient) -> None:
    app.state.console.board.put(msgspec.structs.replace(ROW, id="c" * 16, domain="us"))
    answer = elsewhere.post(
        f"/api/v1/incidents/{'c' * 16}/actions", json={"action": "merge", "targets": [ID]}
    )
    assert (answer.status_code, answer.json()["detail"]) == (404, f"no incident {ID}")


def test_incident_of_another_domain_has_no_review_to_keep(elsewhere: TestClient) -> None:
    answer = elsewhere.post(f"/incidents/{ID}/review", data={"text": "x", "version": "7"})
    assert answer.status_code == 404


def test_incident_of_another_domain_is_not_listed(elsewhere: TestClient) -> None:
    assert ID not in elsewhere.get("/incidents").text
    assert ID not in elsewhere.get("/api/v1/incidents").text


def test_report_for_another_domain_is_refused(elsewhere: TestClient) -> None:
    answer = elsewhere.post("/api/v1/incidents", json={"fields": {"title": "x", "domain": "eu"}})
    assert answer.status_code == 403
