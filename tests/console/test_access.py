"""Access control: tokens, sessions, roles, limits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
from fastapi.testclient import TestClient

from config.console import Access, Console, Rate, Token
from config.load import ConfigError, load
from config.settings import Settings
from config.shown import as_yaml, sections
from console.app import create_app
from console.server import StartError, serve
from tests.console.conftest import NOW_MS

HOURS = 3_600_000
BASE = "https://tocsin.example"
HERE = {"sec-fetch-site": "same-origin"}


def sha(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


ACCESS = Access(
    tokens=(
        Token(name="vera", sha256=sha("t-viewer")),
        Token(name="rob", sha256=sha("t-responder"), role="responder"),
        Token(name="old", sha256=sha("t-old"), role="admin", expires="2020-01-01"),
    )
)


class Clock:
    def __init__(self) -> None:
        self.now = NOW_MS

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def client_of(settings: Settings, clock: Clock, access: Access = ACCESS, base: str = BASE) -> TestClient:
    console = Console(access=access, public_url=BASE)
    app = create_app(msgspec.structs.replace(settings, console=console), clock)
    return TestClient(app, base_url=base, headers=HERE, follow_redirects=False)


@pytest.fixture
def browser(settings: Settings, clock: Clock) -> TestClient:
    return client_of(settings, clock)


def log_in(browser: TestClient, token: str = "t-responder", on: str = "") -> None:  # noqa: S107
    assert browser.post("/login", data={"token": token, "next": on}).status_code == 303


def csrf_of(browser: TestClient) -> str:
    text = browser.get("/configuration").text
    return text.split('name="csrf" content="')[1].split('"')[0]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_nobody_is_shown_to_the_login(browser: TestClient) -> None:
    answer = browser.get("/incidents?team=shop")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/incidents%3Fteam%3Dshop")


def test_programs_are_told_to_bring_a_token(browser: TestClient) -> None:
    answer = browser.get("/api/v1/incidents")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_token_is_let_in(browser: TestClient) -> None:
    assert browser.get("/status", headers=bearer("t-viewer")).status_code == 200


@pytest.mark.parametrize("token", ["t-old", "t-nobody", "", "é"])
def test_others_are_not(browser: TestClient, token: str) -> None:
    headers = {b"authorization": f"Bearer {token}".encode()}
    assert browser.get("/api/v1/incidents", headers=headers).status_code == 401  # type: ignore[arg-type]


def test_role_is_checked_on_the_server(browser: TestClient) -> None:
    answer = browser.post("/configuration/silences/expire", headers=bearer("t-viewer"))
    assert answer.status_code == 403


def test_cookie_is_for_this_host_tls_and_no_script(browser: TestClient) -> None:
    answer = browser.post("/login", data={"token": "t-viewer"})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-tocsin=")
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"))
    assert "Domain" not in cookie


def test_session_shows_pages(browser: TestClient) -> None:
    log_in(browser)
    assert "rob" in browser.get("/configuration").text


def test_login_goes_on_to_no_other_site(browser: TestClient) -> None:
    answer = browser.post("/login", data={"token": "t-viewer", "next": "//evil.example"})
    assert answer.headers["location"] == "/incidents"


def test_unsafe_request_without_the_csrf_token_is_refused(browser: TestClient) -> None:
    log_in(browser)
    assert browser.post("/api/v1/nowhere").status_code == 403


def test_csrf_token_in_the_header_passes(browser: TestClient) -> None:
    log_in(browser)
    assert browser.post("/api/v1/nowhere", headers={"x-csrf-token": csrf_of(browser)}).status_code == 404


def test_csrf_token_in_a_form_passes(browser: TestClient) -> None:
    log_in(browser)
    assert browser.post("/nowhere", data={"csrf": csrf_of(browser)}).status_code == 404


def test_another_sessions_csrf_token_is_refused(browser: TestClient) -> None:
    log_in(browser)
    first = csrf_of(browser)
    assert browser.post("/login", data={"token": "t-responder", "csrf": first}).status_code == 303
    assert browser.post("/api/v1/nowhere", headers={"x-csrf-token": first}).status_code == 403


def test_logout_ends_a_copied_cookie(browser: TestClient) -> None:
    log_in(browser)
    copied = dict(browser.cookies)
    browser.post("/logout", data={"csrf": csrf_of(browser)})
    browser.cookies.update(copied)
    assert browser.get("/configuration").status_code == 303


def test_forged_cookie_is_nobody(browser: TestClient) -> None:
    log_in(browser)
    value = browser.cookies["__Host-tocsin"]
    browser.cookies.clear()
    cookie = "__Host-tocsin=" + ("x" + value[1:])
    assert browser.get("/configuration", headers={"cookie": cookie}).status_code == 303


def test_idle_session_is_over(browser: TestClient, clock: Clock) -> None:
    log_in(browser)
    clock.now += 1 * HOURS
    assert browser.get("/configuration").status_code == 303


def test_session_in_use_lasts(browser: TestClient, clock: Clock) -> None:
    log_in(browser)
    for _ in range(3):
        clock.now += HOURS // 2
        assert browser.get("/configuration").status_code == 200


def test_no_session_lasts_longer_than_allowed(browser: TestClient, clock: Clock) -> None:
    log_in(browser)
    for _ in range(23):
        clock.now += HOURS // 2
        browser.get("/configuration")
    clock.now += HOURS // 2
    assert browser.get("/configuration").status_code == 303


def limited(settings: Settings, clock: Clock, rate: Rate) -> TestClient:
    return client_of(settings, clock, msgspec.structs.replace(ACCESS, rate=rate))


def test_too_many_reads(settings: Settings, clock: Clock) -> None:
    browser = limited(settings, clock, Rate(reads_per_minute=2))
    codes = [browser.get("/status", headers=bearer("t-viewer")).status_code for _ in range(3)]
    assert codes == [200, 200, 429]


def test_429_says_how_long(settings: Settings, clock: Clock) -> None:
    browser = limited(settings, clock, Rate(actions_per_minute=1))
    for _ in range(2):
        answer = browser.post("/api/v1/nowhere", headers=bearer("t-viewer"))
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_another_identity_is_not_held_up(settings: Settings, clock: Clock) -> None:
    browser = limited(settings, clock, Rate(reads_per_minute=1))
    browser.get("/status", headers=bearer("t-viewer"))
    assert browser.get("/status", headers=bearer("t-responder")).status_code == 200


def test_guessing_tokens_is_slow(settings: Settings, clock: Clock) -> None:
    browser = limited(settings, clock, Rate(logins_per_minute=2))
    codes = [browser.get("/api/v1/incidents", headers=bearer(f"g{n}")).status_code for n in range(4)]
    assert codes[0] == 401
    assert codes[2:] == [429, 429]


def test_elsewhere_than_loopback_only_with_access() -> None:
    with pytest.raises(StartError, match="only with access"):
        serve(Settings(), "0.0.0.0", 0, print)  # noqa: S104


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("tokens: []", "at least one"),
        ("tokens: [{name: a}]", "either sha256 or token"),
        ("tokens: [{name: a, sha256: abc}]", "64 hexadecimal digits"),
        ("tokens: [{name: a, token: {env: T}, expires: soon}]", "2027-01-31"),
        ("tokens: [{name: a, token: {env: T}}, {name: a, token: {env: U}}]", "a name of its own"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, lines: str, said: str) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_text(f"console:\n  access:\n    {lines}\n")
    with pytest.raises(ConfigError, match=said):
        load(path)


def test_settings_page_hides_digests() -> None:
    assert sha("t-viewer") not in as_yaml(sections(Settings(console=Console(access=ACCESS))))
