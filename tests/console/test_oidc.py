"""Login by OpenID Connect, against a provider that keeps to it and against one that lies, over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import msgspec
import oidc_provider_mock
import pytest
from fastapi.testclient import TestClient

from config.console import Access, Console, Oidc, Token
from config.load import ConfigError, load
from config.secrets import Secret
from config.settings import ClickHouse, Kafka, Settings
from console.access.claims import NotLetIn, identity_from
from console.app import create_app
from tests.console.provider import CLIENT, SECRET, Liar
from tests.console.test_access import BASE, HERE, HOURS, Clock, csrf_of, sha

ROLES = {"sre": "responder", "leads": "manager", "root": "admin"}


@pytest.fixture
def settings() -> Settings:
    """Neither is needed to log in."""
    return Settings(clickhouse=ClickHouse(url="http://127.0.0.1:9"), kafka=Kafka(bootstrap="127.0.0.1:9"))


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as provider:
        yield provider


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def browser_of(
    settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., TestClient]:
    monkeypatch.setenv("OIDC_SECRET", SECRET)

    def make(issuer: str, **oidc: Any) -> TestClient:
        given = {"roles": ROLES, "client_id": CLIENT, "client_secret": Secret(env="OIDC_SECRET"), **oidc}
        access = Access(
            oidc=Oidc(issuer=issuer, title="Acme", **given),
            tokens=(Token(name="vera", sha256=sha("t-viewer")),),
        )
        console = Console(access=access, public_url=BASE)
        app = create_app(msgspec.structs.replace(settings, console=console), clock)
        return TestClient(app, base_url=BASE, headers=HERE, follow_redirects=False)

    return make


@pytest.fixture
def browser(liar: Liar, browser_of: Callable[..., TestClient]) -> TestClient:
    return browser_of(liar.issuer)


def begun(browser: TestClient, on: str = "/status") -> dict[str, str]:
    """What the provider is asked with."""
    answer = browser.get(f"/login/sso?next={on}")
    assert answer.status_code == 302, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def back(browser: TestClient, liar: Liar, on: str = "/status") -> Any:
    """Through the whole login."""
    return browser.get(f"/login/callback?{liar.code_for(begun(browser, on))}")


def refusal(answer: Any) -> tuple[int, str]:
    """Status and the words of the login page; nobody is logged in."""
    assert "__Host-tocsin=" not in answer.headers.get("set-cookie", "")
    return answer.status_code, answer.text.split('role="alert"')[1].split(">", 1)[1].split("<")[0]


def test_provider_is_asked_with_pkce_state_and_nonce(browser: TestClient) -> None:
    asked = begun(browser)
    assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"]) == (
        "code",
        CLIENT,
        "S256",
    )
    assert asked["redirect_uri"] == f"{BASE}/login/callback"
    assert min(len(asked["state"]), len(asked["nonce"])) >= 20
    assert begun(browser)["state"] != asked["state"]


def test_who_it_vouches_for_is_in(browser: TestClient, liar: Liar) -> None:
    answer = back(browser, liar, on="/configuration")
    assert (answer.status_code, answer.headers["location"]) == (303, "/configuration")
    assert "ann" in browser.get("/configuration").text


def test_cookie_of_the_session_is_for_this_host_tls_and_no_script(browser: TestClient, liar: Liar) -> None:
    given = [c for c in back(browser, liar).headers.get_list("set-cookie") if c.startswith("__Host-tocsin=")]
    assert all(word in given[0] for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"))


def test_a_session_of_the_provider_needs_the_csrf_token_too(browser: TestClient, liar: Liar) -> None:
    back(browser, liar)
    assert browser.post("/api/v1/nowhere").status_code == 403
    headers = {"x-csrf-token": csrf_of(browser)}
    assert browser.post("/api/v1/nowhere", headers=headers).status_code == 404


@pytest.mark.parametrize(
    ("groups", "refused"), [(["sre"], 403), (["sre", "leads"], 200), (["leads", "other"], 200)]
)
def test_role_follows_the_claim(browser: TestClient, liar: Liar, groups: list[str], refused: int) -> None:
    liar.user["groups"] = groups
    back(browser, liar)
    answer = browser.post(
        f"/incidents/{'a' * 16}/review", data={"text": "x"}, headers={"x-csrf-token": csrf_of(browser)}
    )
    assert (answer.status_code == 403) is (refused == 403)


@pytest.mark.parametrize("on", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:x"])
def test_it_goes_on_to_no_other_site(browser: TestClient, liar: Liar, on: str) -> None:
    assert back(browser, liar, on).headers["location"] == "/incidents"


def test_session_ends_as_all_do(browser: TestClient, liar: Liar, clock: Clock) -> None:
    back(browser, liar)
    clock.now += 2 * HOURS
    assert browser.get("/status").headers["location"].startswith("/login")


def test_other_settings_of_the_provider_end_its_sessions(
    browser: TestClient, liar: Liar, browser_of: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    back(browser, liar)
    other = browser_of(liar.issuer, roles={"root": "admin"})
    control, before = other.app.state.control, browser.app.state.control  # type: ignore[attr-defined]
    control.sessions = before.sessions
    other.cookies = browser.cookies
    assert other.get("/status").headers["location"].startswith("/login")


def test_logout_ends_it_and_names_the_way_out_of_the_provider(browser: TestClient, liar: Liar) -> None:
    back(browser, liar)
    answer = browser.post("/logout", headers={"x-csrf-token": csrf_of(browser)})
    assert answer.headers["location"] == "/login?out"
    assert f'href="{liar.issuer}/out?client_id={CLIENT}' in browser.get("/login?out").text
    assert browser.get("/status").headers["location"].startswith("/login")


def test_nobody_without_a_role(browser: TestClient, liar: Liar) -> None:
    liar.user["groups"] = ["others"]
    assert refusal(back(browser, liar)) == (403, "ann has none of the roles of this console (claim groups)")


def test_state_of_another_login_is_refused(browser: TestClient, liar: Liar) -> None:
    query = liar.code_for({**begun(browser), "state": "forged"})
    assert refusal(browser.get(f"/login/callback?{query}"))[0] == 400
    assert liar.asked == []


def test_login_that_began_in_another_browser_is_refused(
    browser: TestClient, liar: Liar, browser_of: Callable[..., TestClient]
) -> None:
    query = liar.code_for(begun(browser))
    assert refusal(browser_of(liar.issuer).get(f"/login/callback?{query}"))[0] == 400


def test_login_that_took_too_long_is_refused(browser: TestClient, liar: Liar, clock: Clock) -> None:
    query = liar.code_for(begun(browser))
    clock.now += 600_000
    assert refusal(browser.get(f"/login/callback?{query}"))[0] == 400


def test_an_answer_is_good_once(browser: TestClient, liar: Liar) -> None:
    query = liar.code_for(begun(browser))
    assert browser.get(f"/login/callback?{query}").status_code == 303
    assert browser.get(f"/login/callback?{query}").status_code == 400


def test_answer_of_another_issuer_is_refused(browser: TestClient, liar: Liar) -> None:
    query = liar.code_for(begun(browser))
    assert refusal(browser.get(f"/login/callback?{query}&iss=https://evil.example"))[0] == 403


BENT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "another nonce": lambda claims: {**claims, "nonce": "other"},
    "no nonce": lambda claims: {k: v for k, v in claims.items() if k != "nonce"},
    "another audience": lambda claims: {**claims, "aud": "somebody-else"},
    "another party": lambda claims: {**claims, "aud": [CLIENT, "x"], "azp": "x"},
    "another issuer": lambda claims: {**claims, "iss": "https://evil.example"},
    "over": lambda claims: {**claims, "exp": claims["iat"] - 600, "iat": claims["iat"] - 900},
    "not yet": lambda claims: {**claims, "nbf": claims["iat"] + 600},
    "no end": lambda claims: {k: v for k, v in claims.items() if k != "exp"},
    "nobody": lambda claims: {k: v for k, v in claims.items() if k != "sub"},
}


@pytest.mark.parametrize("what", BENT)
def test_id_token_that_is_not_for_us_is_refused(browser: TestClient, liar: Liar, what: str) -> None:
    liar.bend = BENT[what]
    status, words = refusal(back(browser, liar))
    assert (status, "does not hold" in words) == (403, True)


@pytest.mark.parametrize("signature", ["unsigned", "with_the_secret"])
def test_only_keys_of_the_provider_sign(browser: TestClient, liar: Liar, signature: str) -> None:
    liar.sign = getattr(liar, signature)
    assert refusal(back(browser, liar))[0] == 403


def test_foreign_signature_is_refused_and_keys_are_asked_for_anew(browser: TestClient, liar: Liar) -> None:
    back(browser, liar)
    liar.new_key("k1")
    assert refusal(back(browser, liar))[0] == 403
    assert back(browser, liar).status_code == 303


def test_keys_may_be_exchanged(browser: TestClient, liar: Liar) -> None:
    back(browser, liar)
    liar.new_key("k2")
    assert back(browser, liar).status_code == 303


def test_without_an_id_token_nobody_is_in(browser: TestClient, liar: Liar) -> None:
    liar.token = {"access_token": "at", "token_type": "Bearer"}
    assert refusal(back(browser, liar))[0] == 403


ODD_TOKENS: list[Any] = [
    [],
    "x",
    {},
    {"id_token": 7, "access_token": "a"},
    {"id_token": "a.b.c", "access_token": "a"},
]


@pytest.mark.parametrize("odd", ODD_TOKENS)
def test_odd_answers_are_refused(browser: TestClient, liar: Liar, odd: Any) -> None:
    liar.token = odd
    assert refusal(back(browser, liar))[0] in (403, 503)


def test_what_the_provider_refuses_is_told(browser: TestClient) -> None:
    state = begun(browser)["state"]
    answer = browser.get(f"/login/callback?error=access_denied&error_description=<b>no</b>&state={state}")
    assert refusal(answer) == (403, "Acme refused: access_denied: &lt;b&gt;no&lt;/b&gt;")


def test_roles_may_come_from_userinfo(browser: TestClient, liar: Liar) -> None:
    del liar.user["groups"]
    liar.info = {"groups": ["sre"]}
    assert back(browser, liar).status_code == 303


def test_userinfo_of_another_is_refused(browser: TestClient, liar: Liar) -> None:
    del liar.user["groups"]
    liar.info = {"groups": ["root"], "sub": "u2"}
    assert refusal(back(browser, liar)) == (403, "Acme told us about two people")


def test_provider_that_is_away_is_told_and_comes_back(browser: TestClient, liar: Liar) -> None:
    liar.down = True
    status, words = refusal(browser.get("/login/sso"))
    assert (status, words.startswith("Acme does not answer as it should")) == (503, True)
    liar.down = False
    assert back(browser, liar).status_code == 303


def test_provider_that_listens_nowhere_leaves_tokens(browser_of: Callable[..., TestClient]) -> None:
    browser = browser_of("http://127.0.0.1:9")
    assert refusal(browser.get("/login/sso"))[0] == 503
    assert browser.post("/login", data={"token": "t-viewer"}).status_code == 303


def test_provider_that_says_it_is_another_is_refused(browser: TestClient, liar: Liar) -> None:
    liar.metadata = {"issuer": "https://evil.example"}
    assert refusal(browser.get("/login/sso"))[0] == 403


def test_logins_are_limited(browser: TestClient) -> None:
    codes = [browser.get("/login/callback?code=x&state=y").status_code for _ in range(12)]
    assert codes[-1] == 429


def test_without_a_provider_there_is_no_way_to_one(settings: Settings, clock: Clock) -> None:
    access = Access(tokens=(Token(name="vera", sha256=sha("t-viewer")),))
    console = Console(access=access, public_url=BASE)
    app = create_app(msgspec.structs.replace(settings, console=console), clock)
    browser = TestClient(app, base_url=BASE, headers=HERE, follow_redirects=False)
    assert browser.get("/login/sso").status_code == 404


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_with_a_provider_that_others_wrote(browser_of: Callable[..., TestClient]) -> None:
    user = oidc_provider_mock.User(sub="u7", claims={"groups": ["sre"]})
    with oidc_provider_mock.run_server_in_thread(user_claims=[user]) as server:
        browser = browser_of(f"http://127.0.0.1:{server.server_port}")
        there = browser.get("/login/sso").headers["location"]
        agreed = httpx2.post(there, data={"sub": "u7"})
        at = urlsplit(agreed.headers["location"])
        assert f"{at.scheme}://{at.netloc}{at.path}" == f"{BASE}/login/callback"
        answer = browser.get(f"{at.path}?{at.query}")
    assert answer.status_code == 303, answer.text
    assert re.search(r"\bu7\b", browser.get("/configuration").text)


def test_logins_and_refusals_are_in_the_audit_without_what_proved_them(
    browser: TestClient, liar: Liar, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tocsin.audit")
    liar.user["groups"] = ["others"]
    back(browser, liar)
    liar.user["groups"] = ["sre"]
    back(browser, liar)
    lines = [line.getMessage() for line in caplog.records if line.name == "tocsin.audit"]
    found = [msgspec.json.decode(line) for line in lines]
    said = [(one["action"], one.get("who", ""), one["via"], one["outcome"]) for one in found]
    assert said == [("login_refused", "", "nobody", "refused"), ("login", "ann", "oidc", "done")]
    assert "has none of the roles" in found[0]["reason"]
    secret = (SECRET, "code-", *(form["code_verifier"] for form in liar.asked))
    assert [one for one in secret if one in "".join(lines)] == []


OIDC = Oidc(issuer="https://x", client_id="c", roles=ROLES, domains_claim="tocsin.domains")  # type: ignore[arg-type]


def test_domains_come_from_the_claim() -> None:
    claims = {"sub": "u", "groups": "sre", "tocsin": {"domains": ["eu", "us", "eu", 7]}}
    assert identity_from(claims, OIDC).domains == ("eu", "us")


@pytest.mark.parametrize("domains", [None, [], "", [7], ["x" * 200] * 3 + [f"{n}" * 200 for n in range(30)]])
def test_no_domains_are_not_all_domains(domains: object) -> None:
    with pytest.raises(NotLetIn):
        identity_from({"sub": "u", "groups": "sre", "tocsin": {"domains": domains}}, OIDC)


def test_an_address_nobody_proved_is_no_name() -> None:
    oidc = msgspec.structs.replace(OIDC, name_claim="email", domains_claim="")
    claims = {"sub": "u", "groups": ["sre"], "email": "boss@x", "email_verified": False}
    assert identity_from(claims, oidc).name == "u"


WRONG = {
    "issuer: 'http://login.example'": "console.access.oidc.issuer",
    "client_id: ''": "console.access.oidc.client_id",
    "scopes: [email]": "console.access.oidc.scopes",
    "roles: {}": "console.access.oidc.roles",
    "ca_file: /nowhere.pem": "console.access.oidc.ca_file",
    "roles: {sre: chief}": "console.access.oidc.roles",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_settings_stop_the_start(tmp_path: Any, wrong: str) -> None:
    right = {"issuer": "https://login.example", "client_id": "c", "roles": "{sre: responder}"}
    key = wrong.partition(":")[0]
    lines = [f"{name}: {value}" for name, value in right.items() if name != key] + [wrong]
    file = tmp_path / "t.yaml"
    body = "".join(f"      {line}\n" for line in lines)
    file.write_text(f"console:\n  public_url: https://t.example\n  access:\n    oidc:\n{body}")
    with pytest.raises(ConfigError, match=re.escape(WRONG[wrong])):
        load(file, {})
