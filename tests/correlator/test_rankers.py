"""Rankers: each adds evidence of its own kind and no more than its weight, in the same order every time."""

from __future__ import annotations

import pytest

from correlator import hints
from correlator.hints import RANKERS, Scene, rank
from correlator.rankers.protocol import Field
from correlator.rankers.walk import RandomWalk
from correlator.suspect import Suspect
from streams.records.messages import Change
from tests.correlator.make import T0, firing

CALLS = (("gateway", "checkout", 0.0), ("checkout", "payment", 0.3), ("gateway", "cart", 0.0))
SCENE = Scene(
    [
        firing("gateway", "http.server.duration", 8_000, severity="error"),
        firing("checkout", "http.server.duration", 4_000, severity="error"),
        firing("payment", "http.server.duration", 0, severity="error", strength=40.0),
    ],
    CALLS,
    [Change("c1", T0 - 20_000, "payment", version="42")],
    1_800_000,
)


def kinds(without: tuple[str, ...] = ()) -> set[str]:
    return {evidence.kind for hint in rank(SCENE, without=without) for evidence in hint.evidence}


def test_rankers_have_names_and_weights_of_their_own() -> None:
    """What the bench leaves out, and docs list."""
    names = [ranker.name for ranker in RANKERS]
    assert len(set(names)) == len(names)
    assert all(0.0 <= ranker.weight < 1.0 for ranker in RANKERS)


@pytest.mark.parametrize(
    ("name", "kind"), [("change", "change"), ("onset", "onset"), ("signals", "strength")]
)
def test_a_ranker_left_out_adds_no_evidence(name: str, kind: str) -> None:
    """The others go on without it."""
    assert kind in kinds()
    assert kind not in kinds((name,))


def test_the_right_service_leads_and_no_evidence_exceeds_its_rankers_weight() -> None:
    """Payment began first, was changed, and the others depend on it."""
    found = rank(SCENE)
    assert found[0].service == "payment"
    most = {ranker.name: ranker.weight for ranker in RANKERS}
    for hint in found:
        for evidence in hint.evidence:
            if evidence.kind in ("onset", "change"):
                assert 0 < evidence.weight <= most[evidence.kind]


def test_a_walk_ends_where_trouble_gathers() -> None:
    """Down the calls, toward what is off; nowhere when nothing calls anything."""
    suspects = {
        name: Suspect(name, standing=standing)
        for name, standing in (("gateway", 0.4), ("checkout", 0.6), ("payment", 1.0), ("cart", 0.0))
    }
    field = Field(SCENE, suspects)
    RandomWalk(0.2).look(field)
    weights = {s.service: sum(e.weight for e in s.evidence if e.kind == "walk") for s in field.suspects}
    assert max(weights, key=lambda name: weights[name]) == "payment"
    assert weights["payment"] == 0.2
    assert weights["cart"] == 0.0
    alone = Field(SCENE._replace(calls=()), {name: Suspect(name, standing=1.0) for name in suspects})
    RandomWalk(0.2).look(alone)
    assert all(not suspect.evidence for suspect in alone.suspects)


def test_the_shipped_walk_is_off() -> None:
    """Weight zero by measurement (docs/quality.md): no evidence of it is drawn."""
    assert hints.WALK == 0.0
    assert "walk" not in kinds()
