"""The page of one incident: its sentence, what may be done, where proof is, and that text stays text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient

from config.settings import ClickHouse
from console.access.identity import Identity
from console.incident.headline import clause, headline, symptom
from console.incident.steps import steps, why_not
from console.incident.view import view
from console.live.recent import Recent
from correlator.incident import Evidence, Figure, Hint, Incident, Pause, ServiceRole
from correlator.response import Clock
from sinks.clickhouse import connect
from tests.sinks.make import HOUR, MEMBER, MINUTE, T0, incident, resolved
from tests.sinks.store import store

ADMIN = Identity("ann", "admin")
ID = "00000000000000aa"


def hinted(cause: str, *evidence: Evidence, **changes: Any) -> Incident:
    return incident(hints=(Hint("inventory", 0.7, evidence, cause),), **changes)


def test_the_sentence_names_symptom_cause_and_change() -> None:
    change = Evidence("change", "13:58:00 deployment 81c2, 240 s before", 0.4, T0 - 4 * MINUTE, "c1")
    impact = (Figure("customers", 1_200, "customers", "estimate", "stated"),)
    found = headline(
        hinted("store locks, 40x its usual", change, impact=impact, category="service disruption")
    )
    assert (found.what, found.whom, found.since) == ("checkout fails", "for about 1,200 customers", T0)
    assert (found.cause, found.change) == ("inventory, store locks", "deployment 81c2")
    assert found.changed_at == T0 - 4 * MINUTE


def test_a_change_that_is_the_cause_is_said_once() -> None:
    change = Evidence("change", "13:58:00 deployment 81c2, 240 s before", 0.4, T0, "c1")
    found = headline(hinted("deployment 81c2 at 13:58:00; checkout slow", change))
    assert (found.cause, found.change) == ("inventory, deployment 81c2", "")


def test_without_hints_there_is_no_cause() -> None:
    assert headline(incident(hints=())).cause == ""


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("p95 1.2 s, 243x its usual 5 ms, 21:33:42 UTC to 21:34:16 UTC", "p95 1.2 s"),
        ("errors 14:02:10 UTC to 14:03:00 UTC", "errors"),
        ("21:02:10 deployment v2", "deployment v2"),
        ("x" * 200, "x" * 159 + "…"),
    ],
)
def test_a_clause_is_the_first_without_its_times(text: str, first: str) -> None:
    assert clause(text) == first


def test_the_symptom_is_the_affected_service_nobody_affected_calls() -> None:
    roles = tuple(ServiceRole(name, "affected") for name in ("checkout", "gateway", "cart"))
    calls = (("gateway", "checkout", 0.1), ("checkout", "cart", 0.1))
    assert symptom(incident(services=roles, calls=calls)) == "gateway"


@pytest.mark.parametrize(
    ("state", "allowed"),
    [
        ("open", {"acknowledge", "mitigate", "resolve"}),
        ("acknowledged", {"mitigate", "resolve"}),
        ("mitigated", {"resolve"}),
        ("resolved", {"reopen", "close"}),
        ("closed", set()),
        ("merged", set()),
    ],
)
def test_the_state_decides_which_steps_are_open(state: str, allowed: set[str]) -> None:
    found = {step.verb for step in steps(incident(state=state), ADMIN) if not step.why_not}
    assert found & {"acknowledge", "mitigate", "resolve", "reopen", "close"} == allowed


def test_the_step_that_follows_is_put_first() -> None:
    assert [step.verb for step in steps(incident(state="acknowledged"), ADMIN) if step.first] == ["mitigate"]


def test_a_role_that_does_not_suffice_is_told_which_does() -> None:
    assert why_not("close", incident(**resolved(5)), Identity("vic", "viewer")) == (
        "needs the role manager, yours is viewer"
    )


def test_clocks_are_paused_once() -> None:
    paused = incident(pauses=(Pause(T0, None, "vendor", "ann"),))
    assert (why_not("pause", paused, ADMIN), why_not("resume", paused, ADMIN)) == (
        "its clocks are paused",
        "",
    )
    assert why_not("resume", incident(), ADMIN) == "its clocks run"


def test_evidence_leads_to_its_proof() -> None:
    kinds = [
        ("path", ""),
        ("strength", "a1"),
        ("change", "c1"),
        ("similar", "00000000000000bb"),
        ("onset", ""),
    ]
    found = view(hinted("x", *(Evidence(kind, kind, 0.1, None, ref) for kind, ref in kinds)), (), T0)
    hrefs = ["#map", "#alert-a1", "#change-c1", "/incidents/00000000000000bb", ""]
    assert [proof.href for proof in found.hints[0].proofs] == hrefs


def test_deadlines_that_matter_come_first_with_the_share_that_is_spent() -> None:
    def clock(name: str, state: str, stopped_at: int | None = None) -> Clock:
        return Clock(
            id=name, version=1, incident=ID, domain="", name=name, kind="sla", state=state, started_at=T0,
            warn_at=T0, due_at=T0 + HOUR, stopped_at=stopped_at, paused_ms=0, at_ms=T0, basis="",
        )  # fmt: skip

    clocks = [clock("a", "met", T0 + HOUR // 2), clock("b", "running"), clock("c", "missed")]
    found = view(incident(), clocks, T0 + HOUR // 4).clocks
    assert [(one.clock.name, one.spent) for one in found] == [("c", 0.25), ("b", 0.25), ("a", 0.5)]


def test_of_many_members_the_first_are_shown_and_the_others_counted() -> None:
    many = tuple(msgspec.structs.replace(MEMBER, alert_id=f"a{n}") for n in range(250))
    found = view(incident(members=many, truncated_members=7), (), T0)
    assert (len(found.members.shown), found.members.pages, found.members.counted) == (200, 2, 7)


def test_a_version_that_came_in_later_is_newer_than_what_is_stored() -> None:
    recent = Recent(most=2)
    recent.put(incident(version=3))
    recent.put(incident(version=2))
    assert recent.newer(ID, incident(version=2)).version == 3  # type: ignore[union-attr]
    assert recent.newer(ID, incident(version=4)).version == 4  # type: ignore[union-attr]
    for n in range(2):
        recent.put(incident(id=f"{n:016x}"))
    assert recent.newer(ID, None) is None


def test_the_page_shows_text_as_text(clickhouse: ClickHouse, client: TestClient) -> None:
    bad = '"><img src=x onerror=alert(1)>'
    member = msgspec.structs.replace(MEMBER, summary=bad, service=bad, metric=bad)
    stored = hinted(bad, Evidence("strength", bad, 0.1, T0, "a1"), title=bad, members=(member,), owner=bad)
    store(connect(clickhouse), stored)
    for part in ("", "/main", "/timeline", "/map", "/charts", "/logs", "/review"):
        answer = client.get(f"/incidents/{ID}{part}")
        assert answer.status_code == 200, part
        assert "<img src=x" not in answer.text, part


def test_an_incident_with_nothing_has_a_page(clickhouse: ClickHouse, client: TestClient) -> None:
    store(connect(clickhouse), incident(hints=(), members=(), alerts=(), timeline=(), services=(), calls=()))
    html = client.get(f"/incidents/{ID}").text
    assert "no likely cause yet" in html
    assert "Nothing stands out yet" in html


def test_the_first_digits_of_an_id_will_do(clickhouse: ClickHouse, client: TestClient) -> None:
    store(connect(clickhouse), incident())
    answer = client.get("/incidents/00000000", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, f"/incidents/{ID}")
    assert client.get("/incidents/ffff").status_code == 404
    assert client.get("/incidents/nothing-like-an-id").status_code == 404


def test_a_viewer_sees_every_action_disabled(
    clickhouse: ClickHouse, client_for: Callable[[Identity], TestClient]
) -> None:
    store(connect(clickhouse), incident())
    html = client_for(Identity("vic", "viewer")).get(f"/incidents/{ID}").text
    assert html.count("needs the role") > 8
    assert 'data-verb="acknowledge" class="" aria-disabled="true" aria-describedby="why-acknowledge"' in html


def test_markdown_of_a_review_is_shown_without_its_html(clickhouse: ClickHouse, client: TestClient) -> None:
    store(connect(clickhouse), incident())
    html = client.post(
        f"/incidents/{ID}/review/preview", data={"text": "**bold** <script>x</script> [a](javascript:x)"}
    ).text
    assert "<strong>bold</strong>" in html
    assert "<script>" not in html
    assert 'href="javascript' not in html
