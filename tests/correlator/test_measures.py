"""What a series means, and how far a window is from normal."""

from __future__ import annotations

import numpy as np
import pytest

from correlator.excess import Loss, exclusive
from correlator.logmix import Line, findings, named, template
from correlator.measures import deviation, failing_share, force, meaning

KNOWN = {"front", "cart", "pay"}


@pytest.mark.parametrize(
    ("metric", "labels", "kind"),
    [
        ("http.server.request.duration.p95", {}, "latency"),
        ("http.server.request.duration.rate", {}, "traffic"),
        ("http.server.requests.rate", {"http.response.status_code": "503"}, "failure"),
        ("shop.orders", {"outcome": "failed"}, "failure"),
        ("PodSuccessRate(%)", {}, "success"),
        ("process.cpu.utilization", {}, "resource"),
        ("NetworkReceiveBytes", {}, "bytes"),
        ("write_error_count", {}, "failure"),
        ("temperature", {}, "other"),
    ],
)
def test_names_and_labels_tell_the_kind(metric: str, labels: dict[str, str], kind: str) -> None:
    assert meaning("front", metric, labels, KNOWN).kind == kind


@pytest.mark.parametrize(
    "labels",
    [
        {"peer.service": "cart"},
        {"peer": "cart:8080"},
        {"server.address": "cart.shop.svc"},
        {"instance": "front_cart"},
    ],
)
def test_labels_name_the_callee(labels: dict[str, str]) -> None:
    """By name, with a port, as a host name, as an edge; never the service itself."""
    assert meaning("front", "http.client.request.duration.p95", labels, KNOWN).callee == "cart"
    assert meaning("cart", "http.client.request.duration.p95", {"peer": "cart"}, KNOWN).callee is None


def test_a_constant_series_is_not_infinitely_surprised() -> None:
    """From a flat zero to anything: fifty spreads, not 1e9."""
    move = deviation(np.zeros(30), np.full(4, 7.0), 1)
    assert move is not None
    assert move.z == pytest.approx(50.0)


def test_what_normal_often_held_is_not_rare() -> None:
    """A burst every ten minutes makes one more burst nothing special."""
    normal = np.ones(60)
    normal[::10] = 9.0
    now = np.array([9.0, 1.0, 1.0])
    rare, common = deviation(np.ones(60), now, 1), deviation(normal, now, 1)
    assert rare is not None
    assert common is not None
    assert rare.rarity > 0.8
    assert common.rarity < 0.2


def test_a_move_against_the_direction_is_negative() -> None:
    move = deviation(np.array([5.0, 6.0, 5.0, 4.0]), np.array([1.0, 1.0]), 1)
    assert move is not None
    assert move.z < 0
    assert force(move.z) == 0.0


def test_too_little_normal_is_no_deviation() -> None:
    assert deviation(np.array([1.0, 2.0]), np.array([9.0])) is None


def test_success_becomes_the_share_that_failed() -> None:
    """Percentages and shares alike."""
    assert failing_share(np.array([100.0, 98.0]), "success") == pytest.approx([0.0, 0.02])
    assert failing_share(np.array([1.0, 0.5]), "success") == pytest.approx([0.0, 0.5])


DOWN = {"front": ["cart", "pay"], "cart": ["pay"]}


def test_a_callers_loss_is_its_callees() -> None:
    """Pay loses 10; front's and cart's 10 are the same loss."""
    own = exclusive(Loss({"front": 10.0, "cart": 10.0, "pay": 10.0}, {}), DOWN, KNOWN)
    assert own == {"pay": 1.0}


def test_loss_on_the_way_is_charged_to_the_callee() -> None:
    """The caller waits, the callee says it is fast: the way to it is slow."""
    own = exclusive(Loss({"front": 10.0, "cart": 0.0}, {("front", "cart"): 10.0}), DOWN, KNOWN)
    assert own == {"cart": 1.0}


def test_waiting_for_nobody_named_is_shared_by_callees_whose_callers_all_wait() -> None:
    """Cart is called by front alone, pay also by cart, which does not wait."""
    own = exclusive(Loss({"front": 9.0, "cart": 0.0}, {}, {"front": 9.0, "cart": 0.0}), DOWN, KNOWN)
    assert own["cart"] > own["pay"] > 0
    assert "front" not in own


def lines(*texts: str, severity: int = 9, at: int = 0) -> list[Line]:
    return [Line(at + i, severity, template(text)) for i, text in enumerate(texts)]


def test_templates_mask_what_varies_and_keep_the_place() -> None:
    text = "16:42:09 ERROR c.s.Contacts#37 id 8a533bf9-bd12-4608-a8eb-606890982448 took 12ms"
    assert template(text) == "* ERROR c.s.Contacts#37 id * took *"


def test_a_new_failure_weighs_more_than_ordinary_change() -> None:
    """Five new errors against as many more ordinary lines."""
    normal = lines(*["ok"] * 100, *["other"] * 20)
    failing = findings(
        normal, lines(*["ok"] * 50, *["other"] * 10) + lines(*["boom"] * 5, severity=17), 1_000
    )
    ordinary = findings(normal, lines(*["ok"] * 50, *["other"] * 15), 1_000)
    assert failing[0].template == "boom"
    assert failing[0].weight > 10 * sum(f.weight for f in ordinary)


def test_a_step_that_no_longer_comes_is_found() -> None:
    """The line that used to follow is gone."""
    normal = lines(*["start", "done"] * 50)
    off = findings(normal, lines(*["start"] * 20), 1_000)
    assert any((f.template, f.seen) == ("done", 0) for f in off)


def test_only_lines_of_trouble_accuse_others() -> None:
    """A warning that names a service does; an ordinary line does not."""
    normal = lines(*["ok"] * 50)
    (warning,) = findings(
        normal, lines(*["ok"] * 20) + lines(*["upstream pay timeout"] * 9, severity=13), 1_000
    )
    (ordinary,) = findings(normal, lines(*["ok"] * 20) + lines(*["called pay"] * 9), 1_000)
    assert named(warning, KNOWN) == ["pay"]
    assert named(ordinary, KNOWN) == []
