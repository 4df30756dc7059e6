"""Without access control: what the gate refuses, and what it lets through."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from console.access.origin import host_is_ours, is_loopback, is_same_origin, safe_next

EXPIRE = "/configuration/silences/expire"


@pytest.mark.parametrize("host", ["127.0.0.1:8088", "localhost", "[::1]:8088", "LOCALHOST:1"])
def test_loopback_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "[::1", "10.0.0.1"])
def test_other_names(host: str) -> None:
    assert not is_loopback(host)


def test_public_name_is_ours_with_access_only() -> None:
    assert host_is_ours("t.example", "https://t.example", open_to_all=False)
    assert not host_is_ours("t.example", "https://t.example", open_to_all=True)
    assert not host_is_ours("evil.example", "https://t.example", open_to_all=False)


def test_what_the_browser_says_of_the_site_outweighs_the_origin() -> None:
    headers = {"sec-fetch-site": "cross-site", "origin": "http://a", "host": "a"}
    assert not is_same_origin(headers, "http", "")


@pytest.mark.parametrize("path", ["//evil", "https://evil", "/\\evil", "/\t/evil", "", "evil"])
def test_no_open_redirect(path: str) -> None:
    assert safe_next(path) == "/incidents"


def test_path_of_ours_is_kept() -> None:
    assert safe_next("/incidents?severity=critical") == "/incidents?severity=critical"


@pytest.mark.parametrize(("char", "most"), [("a", 1_480), ("é", 240)])
def test_path_that_would_make_a_cookie_too_long_is_not_kept(char: str, most: int) -> None:
    path = f"/incidents?q={char * most}"
    assert safe_next(path) == path
    assert safe_next(path + 20 * char) == "/incidents"


def test_rebound_name_is_refused(client: TestClient) -> None:
    assert client.get("/status", headers={"host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_other_sites_are_refused(client: TestClient, site: str) -> None:
    assert client.post(EXPIRE, headers={"sec-fetch-site": site}).status_code == 403


def test_foreign_origin_is_refused(client: TestClient) -> None:
    del client.headers["sec-fetch-site"]
    assert client.post(EXPIRE, headers={"origin": "http://evil.example"}).status_code == 403


def test_absent_origin_is_refused(client: TestClient) -> None:
    del client.headers["sec-fetch-site"]
    assert client.post(EXPIRE).status_code == 403


def test_our_origin_passes_to_the_route(client: TestClient) -> None:
    del client.headers["sec-fetch-site"]
    answer = client.post("/api/v1/nowhere", headers={"origin": "http://127.0.0.1:8088"})
    assert answer.status_code == 404


def test_large_body_is_refused(client: TestClient) -> None:
    answer = client.post("/api/v1/nowhere", content=b"x" * 1_000_001)
    assert answer.status_code == 413


def test_large_body_without_a_length_is_refused(client: TestClient) -> None:
    answer = client.post("/api/v1/nowhere", content=(b"x" * 100_000 for _ in range(11)))
    assert answer.status_code == 413


def test_json_as_text_is_refused(client: TestClient) -> None:
    answer = client.post("/api/v1/nowhere", content="{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415


def test_form_reaches_its_route_whole(client: TestClient) -> None:
    answer = client.post("/configuration/silences/preview", data={"matchers": "nonsense"})
    assert "nonsense" in answer.text
