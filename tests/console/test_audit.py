"""The audit: every request that changes something leaves a record, and so does every one that is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from config.console import Console, Rate
from config.settings import Settings
from console.access.audit import Paths
from console.access.identity import Identity
from console.acting import changed
from console.app import create_app
from console.store import Unavailable
from streams.records.audit import AuditRecord
from streams.records.messages import ActionResult
from tests.console.conftest import ADMIN, NOW_MS
from tests.console.test_access import ACCESS, BASE, HERE, bearer, csrf_of, log_in
from tests.console.test_list import ROW
from tests.console.test_routes import ID, TABLE, address

ClientFor = Callable[[Identity], TestClient]
UNSAFE = sorted(one for one in TABLE if one[0] != "GET")
ACT = f"/api/v1/incidents/{ID}/actions"


class Bus:
    """In place of Kafka: the bytes that would be sent, and answers to actions."""

    trouble = ""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.answers = True

    async def send(self, topic: str, key: bytes | None, value: bytes, **more: Any) -> None:
        assert topic == "tocsin.audit"
        self.sent.append(value)

    async def act(self, action: Any, key: str) -> ActionResult:
        if not self.answers:
            raise Unavailable("Kafka", "away")
        return ActionResult(action.id, getattr(action, "incident", ""), True, "applied", "acknowledged")


def bytes_of(app: FastAPI) -> list[bytes]:
    """What was sent so far, and is forgotten."""
    asyncio.run(app.state.trail.send())
    bus = app.state.console.bus
    found, bus.sent = bus.sent, []
    return list(found)


def records(app: FastAPI) -> list[AuditRecord]:
    return [msgspec.json.decode(value, type=AuditRecord) for value in bytes_of(app)]


def listening(app: FastAPI) -> FastAPI:
    app.state.console.bus = app.state.trail._bus = Bus()
    return app


@pytest.fixture
def audited(app: FastAPI) -> FastAPI:
    """With an incident of `eu` on the board."""
    app.state.console.board.put(msgspec.structs.replace(ROW, id=ID))
    return listening(app)


@pytest.fixture
def guarded(settings: Settings) -> FastAPI:
    """With access control."""
    console = Console(access=ACCESS, public_url=BASE)
    return listening(create_app(msgspec.structs.replace(settings, console=console), lambda: NOW_MS))


@pytest.fixture
def browser(guarded: FastAPI) -> TestClient:
    return TestClient(guarded, base_url=BASE, headers=HERE, follow_redirects=False)


def test_every_unsafe_route_leaves_one_record_and_its_id(audited: FastAPI, client_for: ClientFor) -> None:
    """By somebody who may do it; what the body lacks does not matter."""
    client = client_for(ADMIN)
    for method, path in UNSAFE:
        answer = client.request(method, address(path), follow_redirects=False)
        (one,) = records(audited)
        assert (one.who, one.role, one.via, one.at) == ("ann", "admin", "local", NOW_MS)
        assert (one.method, one.route, one.status) == (method, path, answer.status_code)
        assert one.request_id == answer.headers["x-request-id"]
        assert one.outcome == ("done" if one.status < 400 else "refused" if one.status < 500 else "failed")
        assert one.outcome == "done" or one.reason, path


def test_every_unsafe_route_says_what_was_done(audited: FastAPI, client_for: ClientFor) -> None:
    """`other` is what a route is that says nothing."""
    client = client_for(ADMIN)
    for method, path in UNSAFE:
        client.request(method, address(path), json={"action": "acknowledge", "matchers": [], "fields": {}})
    found = {one.route: one.action for one in records(audited)}
    assert set(found) == {path for _, path in UNSAFE}
    assert "other" not in found.values()


def test_one_that_nobody_let_in_leaves_one_too(browser: TestClient, guarded: FastAPI) -> None:
    for method, path in UNSAFE:
        browser.request(method, address(path), headers={"sec-fetch-site": "cross-site"})
        answer = browser.request(method, address(path), headers=bearer("t-guessed"))
        found = records(guarded)
        assert [(one.route, one.who, one.via) for one in found] == [(path, "", "nobody")] * 2
        assert found[0].status in (403, 429)
        if path not in ("/login", "/logout"):
            assert (found[1].action, found[1].outcome) == ("token_refused", "refused")
            assert found[1].status in (answer.status_code, 401)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"headers": {"sec-fetch-site": "cross-site"}}, 403),
        ({"headers": {"host": "evil.example"}}, 400),
        ({"content": b"x" * 1_000_001}, 413),
        ({"content": "{}", "headers": {"content-type": "text/plain"}}, 415),
        ({"json": {"action": "drop"}}, 422),
        ({"json": {"verb": "drop"}}, 422),
    ],
)
def test_whatever_refuses_it(
    audited: FastAPI, client_for: ClientFor, asked: dict[str, Any], status: int
) -> None:
    client_for(ADMIN).post(ACT, **asked)
    (one,) = records(audited)
    assert (one.action, one.outcome, one.status, one.route) == (
        "refused", "refused", status, "/api/v1/incidents/{id}/actions",
    )  # fmt: skip
    assert one.reason


def test_too_many_requests_are_in_it(settings: Settings) -> None:
    access = msgspec.structs.replace(ACCESS, rate=Rate(actions_per_minute=1))
    console = Console(access=access, public_url=BASE)
    app = listening(create_app(msgspec.structs.replace(settings, console=console), lambda: NOW_MS))
    client = TestClient(app, base_url=BASE, headers=HERE | bearer("t-responder"))
    for _ in range(5):
        client.post(ACT, json={"action": "close"})
    for one in app.state.trail._folds.due(NOW_MS, all=True):
        app.state.trail._put(one)
    assert [(one.status, one.n, one.who) for one in records(app)] == [
        (403, 1, "rob"), (429, 1, "rob"), (429, 3, "rob"),
    ]  # fmt: skip


def test_a_fault_of_ours_is_in_it_and_names_the_request(app: FastAPI, client_for: ClientFor) -> None:
    async def broken(action: Any, key: str) -> None:
        raise RuntimeError("bug")

    app.state.console.board.put(msgspec.structs.replace(ROW, id=ID))
    listening(app).state.console.bus.act = broken
    client_for(ADMIN)
    client = TestClient(app, base_url="http://127.0.0.1:8088", headers=HERE, raise_server_exceptions=False)
    answer = client.post(ACT, json={"action": "acknowledge"})
    (one,) = records(app)
    assert (one.action, one.outcome, one.status) == ("acknowledge", "failed", 500)
    assert answer.headers["x-request-id"] == one.request_id
    assert one.request_id in answer.text
    assert "bug" not in answer.text


def test_an_action_names_incident_domain_and_what(audited: FastAPI, client_for: ClientFor) -> None:
    client = client_for(ADMIN)
    client.headers["user-agent"] = "<script>" + "x" * 300
    body = {"action": "assign", "note": "my word is 1234", "fields": {"to": "db team"}}
    assert client.post(ACT, json=body).status_code == 200
    (one,) = records(audited)
    assert (one.action, one.target, one.domain, one.what) == ("assign", ID, "eu", "to=db team; note")
    assert (one.outcome, one.address, len(one.agent)) == ("done", "testclient", 200)


def test_what_kafka_does_not_take_has_failed(audited: FastAPI, client_for: ClientFor) -> None:
    audited.state.console.bus.answers = False
    assert client_for(ADMIN).post(ACT, json={"action": "acknowledge"}).status_code == 503
    (one,) = records(audited)
    assert (one.action, one.outcome, one.target) == ("acknowledge", "failed", ID)
    assert one.reason == "Kafka is not there"


def test_prose_is_named_and_not_kept() -> None:
    assert changed("", ("b" * 16,), {"cause": "secret", "severity": "error", "started_at": "5"}) == (
        "cause; severity=error; started_at=5; with " + "b" * 16
    )


def test_reading_leaves_nothing_and_being_refused_does(audited: FastAPI, client_for: ClientFor) -> None:
    client = client_for(Identity("vic", "viewer", ("us",)))
    assert client.get("/configuration").status_code == 200
    assert client.get(f"/incidents/{ID}").status_code == 404
    assert records(audited) == []
    assert client.get("/api/v1/analytics/funnel").status_code == 403
    (one,) = records(audited)
    assert (one.action, one.who, one.method, one.status) == ("refused", "vic", "GET", 403)


def test_an_id_that_comes_in_is_not_believed(audited: FastAPI, client_for: ClientFor) -> None:
    client = client_for(ADMIN)
    found = {client.get("/healthz", headers={"x-request-id": "mine"}).headers["x-request-id"] for _ in "ab"}
    assert len(found) == 2
    assert "mine" not in found


def test_login_refused_login_logout(browser: TestClient, guarded: FastAPI) -> None:
    browser.post("/login", data={"token": "t-guessed"})
    log_in(browser)
    browser.post("/logout", data={"csrf": csrf_of(browser)})
    found = [(one.action, one.who, one.role, one.via, one.outcome) for one in records(guarded)]
    assert found == [
        ("login_refused", "", "", "nobody", "refused"),
        ("login", "rob", "responder", "token", "done"),
        ("logout", "rob", "responder", "token", "done"),
    ]


@pytest.mark.parametrize("path", ["/incidents", "/api/v1/incidents"])
def test_a_bad_token_is_in_it_and_no_token_is_not(browser: TestClient, guarded: FastAPI, path: str) -> None:
    browser.get(path)
    assert records(guarded) == []
    browser.get(path, headers=bearer("t-guessed"))
    (one,) = records(guarded)
    assert (one.action, one.status, one.via) == ("token_refused", 401, "nobody")


def test_a_redirect_to_the_login_counts_as_refused(browser: TestClient, guarded: FastAPI) -> None:
    assert browser.post("/configuration/silences/expire").status_code == 303
    (one,) = records(guarded)
    assert (one.outcome, one.status) == ("refused", 401)


def test_no_secret_is_ever_in_it(browser: TestClient, guarded: FastAPI) -> None:
    browser.post("/login", data={"token": "t-guessed"})
    log_in(browser)
    csrf = csrf_of(browser)
    sent = {
        "csrf": csrf,
        "name": "x",
        "matchers": 'service="db"',
        "comment": "t-guessed",
        "note": "t-guessed",
    }
    for method, path in UNSAFE:
        if path != "/logout":
            browser.request(method, address(path), data=sent)
            browser.request(method, address(path), data=sent | {"csrf": "t-guessed"})
            browser.request(method, address(path), json=sent, headers=bearer("t-guessed"))
            browser.request(method, f"{address(path)}?token=t-guessed", headers={"x-csrf-token": csrf})
    cookie = browser.cookies["__Host-tocsin"]
    said = b"\n".join(bytes_of(guarded)).decode()
    assert said.count("\n") > len(UNSAFE)
    for secret in ("t-guessed", "t-responder", csrf, cookie, ACCESS.tokens[1].sha256):
        assert secret not in said


def test_a_path_becomes_that_of_its_route() -> None:
    paths = Paths([("/a/{id}", ["GET"]), ("/a/new", ["POST"]), ("/b/{name:path}", ["DELETE"])])
    asked = [("GET", "/a/new"), ("POST", "/a/new"), ("PUT", "/a/7"), ("DELETE", "/b/x/y"), ("POST", "/c")]
    assert [paths.template(*one) for one in asked] == ["/a/{id}", "/a/new", "/a/{id}", "/b/{name:path}", ""]
