"""The configuration pages: what a silence would hold back, who may make one, and what is never shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI
from fastapi.testclient import TestClient

from config.catalogue import Catalogue, Service
from config.load import load
from config.settings import ClickHouse, Correlate, Settings
from config.shown import HIDDEN, as_yaml, sections
from config.suppression import Maintenance, Silence
from console.access.identity import Identity
from console.app import create_app
from console.configuring.known import Day
from console.configuring.preview import preview
from console.configuring.rules import of_service
from console.configuring.services import rows, selected
from console.configuring.silenceform import asked
from correlator.atlas import LearnedCall, ServiceSeen
from correlator.conflicts import Graph
from correlator.domain import DomainCore
from correlator.past import Knowledge, Problem
from correlator.silencing import (
    action_of,
    confined,
    foreign,
    occurrences,
    over_services,
    running_problems,
    spoken,
    standing,
    within_domains,
)
from correlator.suppression import SilenceRecord, Suppression, version_of
from detectors.alert import Alert
from sinks.clickhouse import connect
from streams.records.messages import ActionResult, ShardWatermark, SilenceAction
from streams.records.stage import Record
from tests.console.conftest import NOW_MS
from tests.sinks.make import alert, incident, service
from tests.sinks.store import store

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
VIEWER, RESPONDER = Identity("vic", "viewer"), Identity("rob", "responder")
SCRIPT = "<script>alert(1)</script>"
ClientFor = Callable[[Identity], TestClient]


@pytest.fixture
def rows_of(clickhouse: ClickHouse) -> Client:
    return connect(clickhouse)


def fired(n: int, minutes_ago: float, **changes: Any) -> Alert:
    at = NOW_MS - int(minutes_ago * MINUTE)
    return alert(f"{n:016x}", fingerprint=f"f{n}", started_at=at, detected_at=at, last_seen_at=at, **changes)


def over(one: Alert, minutes_ago: float) -> Alert:
    at = NOW_MS - int(minutes_ago * MINUTE)
    return msgspec.structs.replace(one, version=2, state="resolved", resolved_at=at, last_seen_at=at)


ALERTS = (
    fired(1, 300, service="db", metric="disk.used", severity="critical"),
    fired(2, 200, service="db", metric="cpu", labels=(("route", "/a"),)),
    fired(3, 100, service="cart", metric="disk.used", severity="warning"),
    fired(4, 90, service="db", metric="disk.free", resource=(("zone", "eu-1"),), instance="db-7"),
    fired(5, 50, service="payment", metric="log", kind="log", severity="info"),
)


def day(*alerts: Alert, incidents: tuple[Any, ...] = ()) -> Day:
    return Day(NOW_MS - DAY, NOW_MS, alerts or ALERTS, incidents, False)


def held_back(silence: Silence, alerts: tuple[Alert, ...]) -> set[str]:
    """Ids a real correlator holds back when this silence is made before these alerts come."""
    core = DomainCore(Settings(), Catalogue())
    begin = min(a.detected_at for a in alerts) - 10 * MINUTE
    end = NOW_MS + 10 * MINUTE
    messages: list[Any] = [
        ShardWatermark(0, 1, begin),
        action_of("add", silence, "ann", begin),
        *sorted(alerts, key=lambda a: a.detected_at),
        ShardWatermark(0, 1, end),
    ]
    records = [
        Record("tocsin.alerts", 0, i, 0, None, msgspec.json.encode(one)) for i, one in enumerate(messages)
    ]
    outputs = [o for record in records for o in core.process([record])]
    decoder = msgspec.json.Decoder(Suppression | SilenceRecord)
    said = [decoder.decode(o.value or b"") for o in outputs if o.topic == "tocsin.suppressions"]
    return {one.alert for one in said if isinstance(one, Suppression)}


# -- the preview ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matchers", "expected"),
    [
        (('service="db"',), {1, 2, 4}),
        (('metric=~"disk.*"',), {1, 3, 4}),
        (('metric=~"disk"',), set()),
        (('service="db"', 'severity!="critical"'), {2, 4}),
        (('zone="eu-1"',), {4}),
        (('instance="db-7"',), {4}),
        (('route=""',), {1, 3, 4, 5}),
        (('kind="log"',), {5}),
        (('service!~"db|cart"',), {5}),
    ],
)
def test_a_preview_says_what_the_correlator_holds_back(matchers: tuple[str, ...], expected: set[int]) -> None:
    silence = Silence(name="s", matchers=matchers, until="2030-01-01")
    alerts = tuple(
        a if a.labels != (("route", "/pay"),) else msgspec.structs.replace(a, labels=()) for a in ALERTS
    )
    found = preview(silence, day(*alerts), Correlate(), NOW_MS)
    assert found.ids == {f"{n:016x}" for n in expected}
    assert found.ids == held_back(silence, alerts)


def test_a_preview_ignores_when_it_will_hold() -> None:
    """It is for next Saturday; what it is for has happened today."""
    silence = Silence(name="s", matchers=('service="db"',), from_="2029-01-01", until="2030-01-01")
    assert preview(silence, day(), Correlate(), NOW_MS).matched == 3


def test_a_preview_names_the_open_incidents_it_touches(client: TestClient, rows_of: Client) -> None:
    store(rows_of, *ALERTS, incident("aa" * 8, alerts=(ALERTS[0].id, ALERTS[2].id)))
    store(rows_of, incident("bb" * 8, alerts=(ALERTS[1].id,), state="closed"))
    said = client.post("/api/v1/silences/preview", json={"matchers": ['service="db"']}).json()
    assert [(i["id"], i["matched"], i["alerts"]) for i in said["incidents"]] == [("aa" * 8, 1, 2)]
    assert (said["alerts"], said["matched"], said["services"]) == (5, 3, {"db": 3})


def test_what_was_over_before_the_day_is_not_looked_at(client: TestClient, rows_of: Client) -> None:
    store(rows_of, over(fired(7, 3_000, service="db"), 2_000), over(fired(8, 2_000, service="db"), 1_000))
    said = client.post("/api/v1/silences/preview", json={"matchers": ['service="db"']}).json()
    assert [one["id"] for one in said["examples"]] == [f"{8:016x}"]


def test_occurrences_keep_their_local_time_when_clocks_change() -> None:
    """22:00 in Berlin is 20:00 UTC in summer and 21:00 UTC in winter."""
    silence = Silence(
        name="s",
        matchers=("a=b",),
        from_="2026-10-17T22:00",
        rrule="FREQ=WEEKLY",
        to="23:00",
        zone="Europe/Berlin",
    )
    found = occurrences(silence, NOW_MS, 3)
    hours = [span.start // HOUR % 24 for span in found]
    assert hours == [20, 20, 21]


def test_an_incident_of_another_domain_is_not_named(
    app: FastAPI, client_for: ClientFor, rows_of: Client
) -> None:
    store(rows_of, *ALERTS, incident("aa" * 8, alerts=(ALERTS[0].id,), domain="us"))
    scoped = msgspec.structs.replace(VIEWER, domains=("default",))
    said = client_for(scoped).post("/api/v1/silences/preview", json={"matchers": ['service="db"']}).json()
    assert (said["matched"], said["incidents"]) == (3, [])


# -- matchers that are none -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matcher", "said"),
    [
        ("service", 'a matcher such as service="checkout"'),
        ('path=~"("', "a regular expression that RE2 can read"),
        ("service=a b", "a value in double quotes"),
    ],
)
def test_a_bad_matcher_is_422_with_what_was_expected(client: TestClient, matcher: str, said: str) -> None:
    answer = client.post("/api/v1/silences/preview", json={"matchers": ['a="b"', matcher]})
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    assert problem["field"] == "matchers"
    assert problem["text"].startswith("line 2, ")
    assert said in problem["text"]


def test_the_form_says_it_at_the_field(client: TestClient) -> None:
    answer = client.post("/configuration/silences/preview", data={"matchers": 'path=~"("'})
    assert answer.status_code == 422
    assert '<span class="wrong" id="wrong-matchers"' in answer.text
    assert "line 1, &#39;path=~" in answer.text


def test_nothing_is_silenced_by_accident(client: TestClient) -> None:
    answer = client.post("/api/v1/silences", json={"matchers": [], "until": "2030-01-01"})
    assert answer.status_code == 422
    assert "at least one matcher" in answer.json()["detail"]


def test_confining_it_to_a_domain_is_no_matcher_of_theirs(client_for: ClientFor) -> None:
    scoped = msgspec.structs.replace(RESPONDER, domains=("eu",))
    answer = client_for(scoped).post("/api/v1/silences", json={"matchers": [], "until": "2030-01-01"})
    assert answer.status_code == 422
    assert "at least one matcher" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "until"),
        ({"until": "2020-01-01"}, "until"),
        ({"until": "soon"}, "until"),
        ({"rrule": "FREQ=HOURLY", "from": "2026-01-01", "duration": "1h"}, "rrule"),
        ({"rrule": "FREQ=DAILY", "from": "2026-01-01"}, "duration"),
        ({"until": "2030-01-01", "zone": "Mars/Base"}, "zone"),
    ],
)
def test_a_silence_that_never_ends_or_cannot_be_is_refused(
    client: TestClient, given: dict[str, str], field: str
) -> None:
    answer = client.post("/api/v1/silences", json={"matchers": ['a="b"'], **given})
    assert answer.status_code == 422
    fields = [one["field"] for one in answer.json()["problems"]]
    assert fields == [field]


# -- the form ---------------------------------------------------------------------------------


FORM = {
    "kind": "silence",
    "matchers": 'service="db"\n\n metric=~"disk.*" ',
    "comment": "known",
    "when": "for",
}


def test_a_form_becomes_a_silence_from_now_on() -> None:
    found = asked({**FORM, "lasting": "2h"}, (), NOW_MS, tried=False)
    assert found.wrong == ()
    assert found.silence.matchers == ('service="db"', 'metric=~"disk.*"')
    assert occurrences(found.silence, NOW_MS, 1)[0].end == NOW_MS // 1000 * 1000 + 2 * HOUR


def test_times_of_a_choice_that_was_not_made_do_not_count() -> None:
    more = {"from": "2026-12-01T10:00", "until": "2026-12-01T12:00", "rrule": "nonsense", "lasting": "1h"}
    found = asked({**FORM, **more, "when": "between", "zone": "Europe/Berlin"}, (), NOW_MS, tried=False)
    assert found.wrong == ()
    assert spoken(found.silence) == "from 2026-12-01T10:00, until 2026-12-01T12:00 (Europe/Berlin)"


def test_a_maintenance_window_is_a_silence_over_services() -> None:
    found = asked(
        {**FORM, "kind": "maintenance", "services": "a.b, c", "lasting": "1h"}, (), NOW_MS, tried=False
    )
    assert found.silence.matchers == ('service=~"a\\\\.b|c"',)
    tried = preview(
        found.silence, day(fired(1, 5, service="a.b"), fired(2, 5, service="axb")), Correlate(), NOW_MS
    )
    assert tried.ids == {f"{1:016x}"}


def test_without_services_a_window_says_so_at_its_field() -> None:
    found = asked(
        {**FORM, "kind": "maintenance", "services": " , ", "lasting": "1h"}, (), NOW_MS, tried=False
    )
    assert [one.field for one in found.wrong] == ["services"]


def test_one_has_to_say_why() -> None:
    found = asked({**FORM, "comment": " ", "lasting": "1h"}, (), NOW_MS, tried=False)
    assert [one.field for one in found.wrong] == ["comment"]
    assert asked({**FORM, "comment": " ", "lasting": "1h"}, (), NOW_MS, tried=True).wrong == ()


# -- who may ----------------------------------------------------------------------------------


class Bus:
    """Takes actions down; answers as the correlator does when it applies one."""

    trouble = ""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, str]] = []

    async def act(self, action: Any, key: str) -> ActionResult:
        self.sent.append((action, key))
        await asyncio.sleep(0)
        name = action.silence.name if isinstance(action, SilenceAction) else ""
        return ActionResult(action.id, "", True, "applied", state="active", silence=name)


@pytest.fixture
def bus(app: FastAPI) -> Bus:
    found = app.state.console.bus = Bus()  # type: ignore[assignment]
    return found


SILENCE = {"name": "night", "matchers": ['service="db"'], "until": "2030-01-01", "comment": "moving"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/silences", SILENCE),
        ("DELETE", "/api/v1/silences/night", None),
        ("POST", "/configuration/silences", None),
        ("POST", "/configuration/silences/expire", None),
    ],
)
def test_a_viewer_makes_and_ends_nothing(
    client_for: ClientFor, bus: Bus, method: str, path: str, body: Any
) -> None:
    answer = client_for(VIEWER).request(method, path, json=body)
    assert (answer.status_code, bus.sent) == (403, [])


def test_a_viewer_may_try_one(client_for: ClientFor) -> None:
    answer = client_for(VIEWER).post("/api/v1/silences/preview", json={"matchers": ['service="db"']})
    assert answer.status_code == 200


def test_a_viewer_sees_no_button_that_makes_one(client_for: ClientFor) -> None:
    assert "Put it in force" not in client_for(VIEWER).get("/configuration/silences").text
    assert "Put it in force" in client_for(RESPONDER).get("/configuration/silences").text


def test_a_responder_puts_one_in_force_under_their_name(client_for: ClientFor, bus: Bus) -> None:
    answer = client_for(RESPONDER).post("/api/v1/silences", json=SILENCE)
    assert (answer.status_code, answer.json()["name"]) == (200, "night")
    ((action, key),) = bus.sent
    assert (action.action, action.actor, key) == ("add", "rob", "silence/night")
    assert action.silence == Silence(
        name="night", matchers=('service="db"',), until="2030-01-01", comment="moving"
    )


def test_the_form_does_the_same(client_for: ClientFor, bus: Bus) -> None:
    answer = client_for(RESPONDER).post(
        "/configuration/silences", data={**FORM, "lasting": "2h"}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/configuration/silences#in-force")
    ((action, _),) = bus.sent
    assert action.silence.matchers == ('service="db"', 'metric=~"disk.*"')


def test_a_form_that_is_wrong_comes_back_as_it_was_typed(client_for: ClientFor, bus: Bus) -> None:
    answer = client_for(RESPONDER).post(
        "/configuration/silences", data={**FORM, "lasting": "long", "name": SCRIPT}
    )
    assert (answer.status_code, bus.sent) == (422, [])
    assert 'value="&lt;script&gt;alert(1)&lt;/script&gt;"' in answer.text
    assert "expected a duration" in answer.text


def silenced(
    name: str, *matchers: str, comment: str = "known", state: str = "active", version: int = 1
) -> SilenceRecord:
    written = Silence(name=name, matchers=matchers, until="2030-01-01", comment=comment)
    return SilenceRecord(
        name=name, version=version, state=state, rule_version=version_of(written), silence=written,
        actor="ann", at_ms=NOW_MS - HOUR,
    )  # fmt: skip


def test_one_in_force_is_replaced_only_when_asked_to(
    client_for: ClientFor, bus: Bus, rows_of: Client
) -> None:
    store(rows_of, silenced("night", 'service="cart"'))  # type: ignore[arg-type]
    client = client_for(RESPONDER)
    assert client.post("/api/v1/silences", json=SILENCE).status_code == 409
    assert bus.sent == []
    assert client.post("/api/v1/silences", json={**SILENCE, "replace": True}).status_code == 200


def test_one_that_is_over_may_be_made_again(client_for: ClientFor, bus: Bus, rows_of: Client) -> None:
    old = silenced("night", 'service="cart"')
    store(rows_of, old, msgspec.structs.replace(old, version=2, state="expired"))  # type: ignore[arg-type]
    assert client_for(RESPONDER).post("/api/v1/silences", json=SILENCE).status_code == 200


def test_ending_one_that_is_not_there_is_404(client_for: ClientFor, bus: Bus) -> None:
    assert client_for(RESPONDER).delete("/api/v1/silences/nothing").status_code == 404
    assert bus.sent == []


def test_without_kafka_nothing_is_made_and_it_says_why(client_for: ClientFor) -> None:
    answer = client_for(RESPONDER).post("/api/v1/silences", json=SILENCE)
    assert answer.status_code == 503
    assert "Kafka" in answer.json()["detail"]


# -- tenants ----------------------------------------------------------------------------------


EU = msgspec.structs.replace(RESPONDER, domains=("eu",))


def test_what_a_tenant_silences_is_theirs(client_for: ClientFor, bus: Bus) -> None:
    assert client_for(EU).post("/api/v1/silences", json=SILENCE).status_code == 200
    ((action, _),) = bus.sent
    assert action.silence.matchers == ('service="db"', 'domain="eu"')


@pytest.mark.parametrize(
    ("matchers", "domains", "is_confined"),
    [
        (('domain="eu"',), ("eu",), True),
        (('domain=~"eu|us"',), ("eu", "us"), True),
        (('domain=~"eu|us"',), ("eu",), False),
        (('domain=~"e.*"',), ("eu",), False),
        (('domain="eu|us"',), ("eu", "us"), False),
        (('domain=~"e.u"',), ("e.u",), False),
        (('domain!="us"',), ("eu",), False),
        (('service="db"',), ("eu",), False),
        (('service="db"',), (), True),
    ],
)
def test_only_matchers_that_fit_nobody_else_are_confined(
    matchers: tuple[str, ...], domains: tuple[str, ...], is_confined: bool
) -> None:
    assert confined(matchers, domains) is is_confined


@pytest.mark.parametrize("domains", [("eu",), ("eu", "us"), ("e.u", "a|b")])
def test_what_is_confined_fits_its_own_domains_and_no_other(domains: tuple[str, ...]) -> None:
    silence = Silence(name="s", matchers=within_domains(("kind=metric",), domains))
    everybody = (*domains, "e-u", "a", "b", "ap")
    alerts = [fired(n, 5, resource=(("tenant", d),)) for n, d in enumerate(everybody)]
    tried = preview(silence, day(*alerts), Correlate(domain_label="tenant"), NOW_MS)
    assert tried.ids == {f"{n:016x}" for n in range(len(domains))}


def test_a_tenant_neither_sees_nor_ends_what_is_others(
    client_for: ClientFor, bus: Bus, rows_of: Client
) -> None:
    for name, domain in (("theirs", "us"), ("ours", "eu")):
        store(rows_of, silenced(name, 'service="db"', f'domain="{domain}"'))  # type: ignore[arg-type]
    client = client_for(EU)
    listed = client.get("/api/v1/silences").json()
    assert [(one["name"], one["alerts"]) for one in listed] == [("ours", None)]
    assert client.delete("/api/v1/silences/theirs").status_code == 404
    assert (
        client.post("/api/v1/silences", json={**SILENCE, "name": "theirs", "replace": True}).status_code
        == 409
    )
    assert bus.sent == []
    assert client.delete("/api/v1/silences/ours").status_code == 200


def test_a_tenant_sees_but_does_not_end_one_for_all(client_for: ClientFor, bus: Bus, rows_of: Client) -> None:
    store(rows_of, silenced("all", 'service="db"'))  # type: ignore[arg-type]
    client = client_for(EU)
    assert [one["name"] for one in client.get("/api/v1/silences").json()] == ["all"]
    assert client.delete("/api/v1/silences/all").status_code == 403
    assert bus.sent == []


def test_foreign_is_what_can_hold_for_none_of_theirs() -> None:
    assert foreign(('domain="us"',), ("eu",))
    assert not foreign(('domain=~"us|eu"',), ("eu",))
    assert not foreign(('domain="us"',), ())


# -- what is shown ----------------------------------------------------------------------------


FILE = """
clickhouse: {{url: {url}, database: {database}}}
kafka: {{bootstrap: "127.0.0.1:9"}}
registry: {{url: "http://ann:hunter2@schemas.example/path?key=hunter3", password: hunter4}}
topology: {{catalogue: [services.yaml]}}
correlate:
  silences:
    - {{name: "{script}", matchers: ['service="db"'], comment: "{script}"}}
  maintenance:
    - {{name: move, services: [cart], from: 2026-01-01, until: 2026-01-02}}
detect:
  rules:
    - {{matchers: ['service="checkout"'], sensitivity: high}}
respond:
  schedules:
    - {{name: payments, zone: Europe/Berlin, people: [Ann, "{script}"], start: 2026-01-05T09:00}}
  policies:
    - {{name: pay, teams: [payments], tiers: [{{to: [payments, boss]}}]}}
notify:
  targets:
    - type: webhook
      name: chat
      url: https://hooks.example/services/hunter5?token=hunter6
      headers: {{Authorization: Bearer hunter7, X-Whatever: hunter8}}
      token: {{env: HOOK_TOKEN}}
    - {{type: alertmanager, name: am, url: "http://u:hunter9@am.example:9093", labels: {{api_key: hunter10}}}}
"""
SERVICES = """
- {service: checkout, name: "<script>alert(1)</script>", owner: "<img src=x onerror=alert(1)>", tier: 1,
   depends_on: [payment], runbook: "https://wiki.example/checkout", business: {regulated: [dora]}}
- {service: payment}
"""
PAGES = (
    "/configuration",
    "/configuration/catalogue",
    "/configuration/catalogue/checkout",
    "/configuration/part/service?service=checkout",
    "/configuration/topology",
    "/configuration/topology?service=checkout&depth=3",
    "/configuration/rules",
    "/configuration/rules/series?labels=service%3Dcheckout+metric%3Dx",
    "/configuration/rules/dry-run",
    "/configuration/silences",
    "/configuration/part/silences",
    "/configuration/oncall",
    "/configuration/problems",
    "/configuration/knowledge",
    "/api/v1/services",
    "/api/v1/topology",
    "/api/v1/silences",
    "/api/v1/oncall",
)


@pytest.fixture
def full(tmp_path: Path, clickhouse: ClickHouse, rows_of: Client) -> TestClient:
    """A console with a settings file that holds secrets, and scripts wherever somebody may write."""
    (tmp_path / "services.yaml").write_text(SERVICES)
    path = tmp_path / "tocsin.yaml"
    path.write_text(FILE.format(url=clickhouse.url, database=clickhouse.database, script=SCRIPT))
    store(
        rows_of,
        *ALERTS,
        fired(9, 5, service=SCRIPT, summary=SCRIPT, metric=SCRIPT),
        incident(title=SCRIPT, services=()),
        service(SCRIPT, NOW_MS),  # type: ignore[arg-type]
        silenced(SCRIPT, f'service="{SCRIPT}"', comment=SCRIPT),  # type: ignore[arg-type]
    )
    app = create_app(load(path, {}), lambda: NOW_MS, str(path))
    app.state.who = Identity("ann", "admin")
    return TestClient(app, base_url="http://127.0.0.1:8088", headers={"sec-fetch-site": "same-origin"})


@pytest.mark.parametrize("page", PAGES)
def test_no_page_shows_a_secret(full: TestClient, page: str) -> None:
    answer = full.get(page)
    assert answer.status_code == 200
    assert "hunter" not in answer.text


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("/api/")])
def test_no_page_lets_a_script_through(full: TestClient, page: str) -> None:
    html = full.get(page).text
    assert "<script>alert" not in html
    assert "<img" not in html


@pytest.mark.parametrize(
    "page",
    [
        "/configuration/catalogue",
        "/configuration/topology",
        "/configuration/part/silences",
        "/configuration/rules",
        "/configuration/oncall",
    ],
)
def test_what_was_written_is_there_as_text(full: TestClient, page: str) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in full.get(page).text


def test_a_preview_lets_no_script_through(full: TestClient) -> None:
    answer = full.post("/configuration/silences/preview", data={"matchers": f'service="{SCRIPT}"'})
    assert answer.status_code == 200
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_what_differs_is_shown_with_secrets_replaced() -> None:
    settings = Settings(clickhouse=ClickHouse(password="hunter2"))  # noqa: S106 - made up
    assert as_yaml(sections(settings)) == f"clickhouse:\n  password: {HIDDEN}"


def test_the_file_and_its_keys_are_named(full: TestClient) -> None:
    html = full.get("/configuration/rules").text
    assert "tocsin.yaml" in html
    assert "correlate.silences[0]" in html
    assert "detect.rules[0]" in html


def test_the_overview_says_what_is_wrong(full: TestClient) -> None:
    html = full.get("/configuration").text
    assert "move is over: it can be removed" in html
    assert "no policy is for all teams" in html


def test_a_service_nobody_names_is_404(full: TestClient) -> None:
    assert full.get("/configuration/catalogue/nothing").status_code == 404
    assert full.get("/api/v1/topology?service=nothing").status_code == 404


def test_without_clickhouse_the_catalogue_is_still_there(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text(SERVICES)
    path = tmp_path / "tocsin.yaml"
    path.write_text("topology: {catalogue: [services.yaml]}\nclickhouse: {url: 'http://127.0.0.1:9'}\n")
    app = create_app(load(path, {}), lambda: NOW_MS)
    client = TestClient(app, base_url="http://127.0.0.1:8088", headers={"sec-fetch-site": "same-origin"})
    html = client.get("/configuration/catalogue").text
    assert "payment" in html
    assert "ClickHouse is not there" in html
    assert client.get("/api/v1/services").json()["total"] == 2
    assert client.get("/configuration/part/silences").status_code == 503


# -- views ------------------------------------------------------------------------------------


def test_services_without_an_entry_and_entries_never_seen_are_told_apart() -> None:
    catalogue = Catalogue([Service(service="cart", owner="shop"), Service(service="old")])
    calls = (LearnedCall("bank", 0, 5, 1.0, 0.0, 1),)
    found = rows(Graph(catalogue, [ServiceSeen("cart", 5, 5, calls), ServiceSeen("new", 5, 5)]))
    kinds = {which: [row.service for row in selected(found, "", which)] for which in ("unlisted", "silent")}
    assert kinds == {"unlisted": ["new"], "silent": ["old"]}
    assert [row.service for row in selected(found, "SHOP", "")] == ["cart"]


def test_the_neighbourhood_does_not_mix_both_ways() -> None:
    """a -> b -> c and d -> b: from a, d is no neighbour."""
    catalogue = Catalogue((), [("a", "b"), ("b", "c"), ("d", "b")])
    graph = Graph(catalogue, ())
    assert graph.around("a", 2, 80) == {"a": 0, "b": 1, "c": 2}
    assert graph.around("b", 1, 80) == {"b": 0, "a": 1, "c": 1, "d": 1}
    assert graph.around("b", 1, 2) == {"b": 0, "a": 1}


def test_rules_of_a_service_are_those_that_name_it() -> None:
    correlate = Correlate(
        silences=(Silence(name="a", matchers=('service="db"',)), Silence(name="b", matchers=("x=y",))),
        maintenance=(
            Maintenance(name="c", services=("db", "cart")),
            Maintenance(name="d", services=("web",)),
        ),
    )
    found = of_service(Settings(correlate=correlate), "db")
    assert ([rule.name for rule in found.named], found.general) == (["c", "a"], 1)


def test_how_a_silence_stands() -> None:
    ended = Silence(name="s", matchers=("a=b",), until="2026-01-01")
    weekly = Silence(
        name="s", matchers=("a=b",), from_="2026-09-21T14:00", rrule="FREQ=WEEKLY", duration="1h"
    )
    assert standing("active", ended, NOW_MS) == "over"
    assert standing("active", weekly, NOW_MS) == "in force"
    assert standing("active", weekly, NOW_MS + 2 * HOUR) == "waiting"
    assert standing("expired", weekly, NOW_MS) == "expired"


def test_one_that_is_to_be_made_must_end() -> None:
    endless = Silence(name="s", matchers=("a=b",))
    assert [key for key, _, _ in running_problems("silence", endless, NOW_MS)] == ["silence.until"]


def test_services_are_taken_as_they_are() -> None:
    assert over_services(("a.b",)) == 'service="a.b"'
    assert over_services(("a|b", "c")) == 'service=~"a\\\\|b|c"'


def test_who_is_on_call_is_the_same_for_programs(full: TestClient) -> None:
    (found,) = full.get("/api/v1/oncall").json()
    assert (found["schedule"], found["zone"], len(found["on_call"])) == ("payments", "Europe/Berlin", 1)
    assert found["until_ms"] > NOW_MS


# -- problems and knowledge -------------------------------------------------------------------


PROBLEM = Problem(
    id="cd" * 8,
    version=1,
    domain="eu",
    state="open",
    signature="s",
    title=f"payment is slow {SCRIPT}",
    opened_at=NOW_MS - HOUR,
    updated_at=NOW_MS - HOUR,
    first_seen=NOW_MS - DAY,
    last_seen=NOW_MS - HOUR,
    count=3,
    incidents=("aa" * 8,),
    starts=(NOW_MS - HOUR,),
    services=("payment",),
    interval_ms=8 * HOUR,
)
MANAGER = Identity("meg", "manager")
AT = f"/configuration/problems/{PROBLEM.id}"


def test_a_manager_writes_down_a_workaround(client_for: ClientFor, bus: Bus, rows_of: Client) -> None:
    store(rows_of, PROBLEM)
    answer = client_for(MANAGER).post(
        AT, data={"verb": "workaround", "note": "restart it"}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, AT)
    ((action, key),) = bus.sent
    assert (action.action, action.problem, action.note, action.actor) == (
        "workaround",
        PROBLEM.id,
        "restart it",
        "meg",
    )
    assert (action.incident, key) == ("", PROBLEM.id)


def test_a_responder_changes_no_problem(client_for: ClientFor, bus: Bus, rows_of: Client) -> None:
    store(rows_of, PROBLEM)
    client = client_for(RESPONDER)
    assert client.post(AT, data={"verb": "close"}).status_code == 403
    assert bus.sent == []
    html = client.get(AT).text
    assert 'name="verb"' not in html
    assert "<script>alert" not in html


def test_a_step_that_is_none_is_refused(client_for: ClientFor, bus: Bus, rows_of: Client) -> None:
    store(rows_of, PROBLEM)
    answer = client_for(MANAGER).post(AT, data={"verb": "erase"})
    assert (answer.status_code, bus.sent) == (422, [])
    assert "expected one of workaround, resolve, close, reopen" in answer.text


def test_problems_of_another_domain_are_not_there(client_for: ClientFor, bus: Bus, rows_of: Client) -> None:
    store(rows_of, PROBLEM)
    client = client_for(msgspec.structs.replace(MANAGER, domains=("us",)))
    assert "payment is slow" not in client.get("/configuration/problems").text
    assert client.get(AT).status_code == 404
    assert client.post(AT, data={"verb": "close"}).status_code == 404
    assert bus.sent == []


def test_knowledge_is_found_by_its_words_within_the_domain(client_for: ClientFor, rows_of: Client) -> None:
    for n, (domain, fix) in enumerate((("eu", "more connections"), ("us", "more connections of ours"))):
        store(
            rows_of,
            Knowledge(
                incident=f"{n:016x}",
                version=1,
                domain=domain,
                title="payment is slow",
                started_at=NOW_MS - HOUR,
                services=("payment",),
                cause="pool too small",
                cause_service="payment",
                fix=fix,
                runbook="javascript:alert(1)",
                actor="ann",
                at_ms=NOW_MS,
            ),
        )
    html = client_for(EU).get("/configuration/knowledge?q=POOL+slow").text
    assert "more connections" in html
    assert "of ours" not in html
    assert 'href="javascript' not in html
    assert "Nothing recorded has all of that" in client_for(EU).get("/configuration/knowledge?q=disk").text
