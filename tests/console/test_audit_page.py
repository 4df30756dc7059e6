"""The audit as page, file and API: filters, pages, domains, and that text stays text."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from config.settings import ClickHouse, Kafka, Settings
from console.access.identity import Identity
from console.app import create_app
from console.auditing import moment
from console.pages.audit import link_of
from sinks.response_rows import AUDIT
from sinks.rows import row_of
from streams.records.audit import AuditRecord
from tests.console.conftest import ADMIN, NOW_MS
from tests.console.test_audit import listening, records
from tests.engine import migrated
from tests.sinks.make import DAY
from tests.sinks.test_audit import done

ClientFor = Callable[[Identity], TestClient]
PAGE, FILE, API = "/configuration/audit", "/configuration/audit.csv", "/api/v1/audit"
SCRIPT = "<script>alert(1)</script>"


FEED = "days=600&who=carl"
"""a hundred and one old records"""


@pytest.fixture(scope="module")
def site(server: str) -> FastAPI:
    """Over a database of its own: two records of domain eu, a login, one of 40 days ago, many of long ago."""
    settings = Settings(
        clickhouse=ClickHouse(url=server, database="console_audit"), kafka=Kafka(bootstrap="127.0.0.1:9")
    )
    client = migrated(settings.clickhouse)
    rows = [
        record(1),
        record(2, who="bob", action="resolve", target="00000000000000bb", agent=SCRIPT, reason=SCRIPT),
        msgspec.structs.replace(
            record(3, who="", action="login_refused", outcome="refused", domain=""), n=12
        ),
        record(4, at=NOW_MS - 40 * DAY),
        record(5, at=NOW_MS - 500 * DAY, who="=cmd()"),
        *(record(n + 100, at=NOW_MS - 500 * DAY - n, who="carl", domain="us") for n in range(101)),
    ]
    batch = [row_of(row) for row in rows]
    client.insert(AUDIT.name, [row.values for row in batch], column_names=AUDIT.columns)
    client.close()
    return listening(create_app(settings, lambda: NOW_MS))


@pytest.fixture
def by(site: FastAPI) -> Callable[[Identity], TestClient]:
    def make(identity: Identity) -> TestClient:
        site.state.who = identity
        return TestClient(site, base_url="http://127.0.0.1:8088")

    return make


@pytest.fixture
def ann(by: ClientFor) -> TestClient:
    return by(ADMIN)


def record(k: int, **changes: Any) -> AuditRecord:
    return done(k, **({"id": f"{k:016x}", "at": NOW_MS - 10 + k} | changes))


def listed(client: TestClient, query: str = "") -> list[int]:
    found = client.get(f"{API}?{query}").json()["records"]
    return [int(one["id"], 16) for one in found]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [3, 2, 1]),
        ("days=90", [3, 2, 1, 4]),
        ("who=bob", [2]),
        ("action=login_refused", [3]),
        ("outcome=refused", [3]),
        ("target=00000000000000bb", [2]),
        (f"since={NOW_MS - 8}", [3, 2]),
        (f"days=90&until={NOW_MS - 8}", [1, 4]),
        ("since=2026-09-21T14:13:19&until=2026-09-21T16:13:20%2B02:00", [3, 2, 1]),
        ("who=' OR 1=1 --", []),
    ],
)
def test_a_filter_is_an_address(ann: TestClient, query: str, expected: list[int]) -> None:
    assert listed(ann, query) == expected
    shown = ann.get(f"{PAGE}?{query}").text
    assert [f"<code>q{n}<" in shown for n in range(1, 5)] == [n in expected for n in range(1, 5)]


@pytest.mark.parametrize(
    "query", ["since=soon", "until=-1", "before=x", "outcome=maybe", "since=9" + "9" * 20]
)
def test_what_is_no_filter_is_422(ann: TestClient, query: str) -> None:
    assert [ann.get(f"{path}?{query}").status_code for path in (PAGE, FILE, API)] == [422] * 3


def test_pages_follow_one_another(ann: TestClient) -> None:
    found, before = [], ""
    for _ in range(2):
        answer = ann.get(f"{API}?days=90&most=2&before={before}").json()
        found.append([int(one["id"], 16) for one in answer["records"]])
        before = answer["next"]
    assert (found, before) == ([[3, 2], [1, 4]], None)


def test_the_page_leads_to_what_is_older(ann: TestClient) -> None:
    first = ann.get(f"{PAGE}?{FEED}").text
    href = first.split(">Older<")[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert "who=carl" in href
    second = ann.get(PAGE + href).text
    assert "q200" not in first
    assert "q200" in second
    assert ">Newest<" in second
    assert ">Older<" not in second


def test_text_stays_text(ann: TestClient) -> None:
    page = ann.get(PAGE).text
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "12 times" in page
    assert SCRIPT not in ann.get(f"{PAGE}?who={SCRIPT}&action={SCRIPT}&target={SCRIPT}").text


def test_a_file_has_the_same_rows_and_no_formula_and_is_in_the_audit(site: FastAPI, ann: TestClient) -> None:
    records(site)
    rows = list(csv.DictReader(io.StringIO(ann.get(f"{FILE}?outcome=done&days=600&until=2026-01-01").text)))
    assert ("'=cmd()", "2025-05-09T14:13:20.000Z") in [(row["who"], row["time"]) for row in rows]
    assert len(rows) == 102
    (one,) = records(site)
    assert (one.action, one.who, one.what) == ("download", "ann", "outcome=done&days=600&until=2026-01-01")


def test_whoever_sees_some_domains_sees_their_records(by: ClientFor) -> None:
    eu = by(Identity("e", "admin", ("eu",)))
    assert listed(eu) == [2, 1]
    assert "nobody known" not in eu.get(PAGE).text
    assert len(eu.get(FILE).text.splitlines()) == 3
    assert listed(by(Identity("u", "admin", ("us",)))) == []


def test_the_tab_is_for_whom_the_page_is(by: ClientFor) -> None:
    shown = {
        role: f'href="{PAGE}"' in by(Identity("x", role)).get("/configuration/oncall").text  # type: ignore[arg-type]
        for role in ("viewer", "manager", "admin")
    }
    assert shown == {"viewer": False, "manager": False, "admin": True}


def test_programs_find_it_described(ann: TestClient) -> None:
    described = ann.get("/api/v1/openapi.json").json()
    asked = described["paths"][API]["get"]
    named = {one["name"] for one in asked["parameters"]}
    assert named >= {"who", "action", "outcome", "target", "since", "until", "days", "before", "most"}
    assert set(described["components"]["schemas"]["Recorded"]["properties"]) == set(
        AuditRecord.__struct_fields__
    )


def test_it_says_what_waits_for_kafka(
    site: FastAPI, ann: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    records(site)
    site.state.trail.keep(record(1))
    monkeypatch.setattr(site.state.trail, "dropped", 7)
    page = ann.get(PAGE).text
    records(site)
    assert "Waiting for Kafka: 1." in page
    assert "as no more may wait: 7." in page


def test_only_our_own_targets_become_links() -> None:
    targets = (
        "00000000000000aa",
        "problem/00000000000000aa",
        "silence/x",
        "javascript:alert(1)",
        "//evil",
        "",
    )
    assert [link_of(target) for target in targets] == [
        "/incidents/00000000000000aa", "/configuration/problems/00000000000000aa",
        "/configuration/silences#in-force", "", "", "",
    ]  # fmt: skip


def test_a_moment_without_a_zone_is_utc() -> None:
    assert moment("since", "2026-09-21T14:13:20") == moment("since", str(NOW_MS)) == NOW_MS
