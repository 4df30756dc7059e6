"""Service, instance and context of a resource."""

from __future__ import annotations

import pytest

from streams.decode.resource import origin, resolve, series
from streams.decode.rules import Rules
from streams.records.pages import Kind

UUID = "627CC493-f310-47de-96bd-71410b7dec09"


@pytest.mark.parametrize(
    ("attributes", "service"),
    [
        ({"service.name": "pay", "k8s.deployment.name": "d"}, "pay"),
        ({"k8s.deployment.name": "d", "host.name": "h"}, "d"),
        ({"service.name": "unknown_service:python", "container.name": "c"}, "c"),
        ({"service.name": "unknown_service:python"}, "unknown_service:python"),
        ({"host.name": "h"}, "h"),
        ({}, "unknown"),
    ],
)
def test_the_service_is_the_best_name_there_is(attributes: dict[str, str], service: str) -> None:
    """`service.name`, then what Kubernetes, the container or the host call it."""
    assert resolve(attributes).service == service


@pytest.mark.parametrize(
    ("attributes", "instance"),
    [
        ({"service.instance.id": "pay-0", "host.name": "h"}, "pay-0"),
        ({"service.instance.id": UUID, "k8s.pod.name": "p", "host.name": "h"}, "p"),
        ({"service.instance.id": UUID, "host.name": "h"}, "h"),
        ({"service.instance.id": UUID}, ""),
        ({}, ""),
    ],
)
def test_a_random_id_is_not_an_instance(attributes: dict[str, str], instance: str) -> None:
    """A new UUID after each restart would make every series a new one."""
    assert resolve(attributes).instance == instance


def test_the_newer_name_of_an_environment_wins() -> None:
    """Producers in transition send both."""
    found = resolve({"deployment.environment": "old", "deployment.environment.name": "new"})
    assert found.resource == (("env", "new"),)


def test_a_domain_label_is_kept_under_its_own_name() -> None:
    """The settings may ask for a resource attribute of their own."""
    assert resolve({"tenant": "acme", "other": "x"}, Rules(keep=("tenant",))).resource == (
        ("tenant", "acme"),
    )


def test_a_topic_may_say_which_attribute_names_its_service() -> None:
    """Its own list comes before ours; a fixed name needs no attribute at all."""
    attributes = {"service.name": "pay", "team": "blue", "pod": "p-1", "stage": "test"}
    found = resolve(attributes, Rules(service=("squad", "team"), instance=("pod",), env=("stage",)))
    assert (found.service, found.instance, found.resource) == ("blue", "p-1", (("env", "test"),))
    assert resolve(attributes, Rules(service=("squad", "=shop"))).service == "shop"
    assert resolve(attributes, Rules(service=("squad",))).service == "pay"


def test_the_unit_of_a_series_has_one_spelling_and_no_part_in_its_identity() -> None:
    """So that two producers of a quantity are read alike, whatever the wire format."""
    sent = [series(origin("a", "", {}), "m", (), unit, Kind.GAUGE, 64) for unit in ("seconds", "s", "Sec")]
    assert {each.unit for each in sent} == {"s"}
    assert len({each.fp for each in sent}) == 1
