"""Who sent a record with flat labels, its times and its units."""

from __future__ import annotations

import pytest

from streams.decode.otlp import RowFault
from streams.decode.rules import Rules
from streams.decode.senders import Usual, sender
from streams.decode.times import any_ms, epoch_ms, rfc3339_ms
from streams.decode.units import in_name, ucum

MS = 1_700_000_000_123


def test_what_named_the_sender_is_not_a_label_again() -> None:
    """The rest tells the series apart; failure domains are copied into the context."""
    found = sender({"app": "cart", "pod": "cart-1", "zone": "b", "route": "/a", "env": "prod"}, Rules())
    assert (found.origin.service, found.origin.instance) == ("cart", "cart-1")
    assert found.origin.resource == (("env", "prod"), ("zone", "b"))
    assert found.labels == {"zone": "b", "route": "/a", "env": "prod"}


def test_the_topics_rules_come_first_and_fixed_names_need_no_label() -> None:
    """A list that finds nothing leaves the service unknown: it says what the user wanted."""
    labels = {"app": "cart", "team": "blue", "host": "n1"}
    assert sender(labels, Rules(service=("team",))).origin.service == "blue"
    assert sender(labels, Rules(service=("squad", "=shop"))).origin.service == "shop"
    assert sender(labels, Rules(service=("squad",))).origin.service == "unknown"
    assert sender(labels, Rules(), Usual(service=("host",))).origin.service == "n1"


@pytest.mark.parametrize("number", [MS / 1000, MS, MS * 1000, MS * 1_000_000])
def test_the_size_of_an_epoch_number_says_its_unit(number: float) -> None:
    """Seconds, ms, µs and ns since 1970 do not overlap for any time we accept."""
    assert epoch_ms(number) == MS
    assert any_ms(repr(number)) == MS


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2023-11-14T22:13:20.123Z", MS),
        ("2023-11-14T23:13:20.123456789+01:00", MS),
        ("2023-11-14 22:13:20.123", MS),
        ("1970-01-01T00:00:10Z", 10_000),
    ],
)
def test_rfc_3339_to_ms(text: str, ms: int) -> None:
    """Any offset, any number of digits; no offset means UTC."""
    assert rfc3339_ms(text) == any_ms(text) == ms


@pytest.mark.parametrize(
    "bad", [0, -1, float("nan"), float("inf"), 10**30, "", "soon", "9" * 5_000, None, True, []]
)
def test_what_is_no_time_is_refused(bad: object) -> None:
    """As a fault of that row alone."""
    with pytest.raises(RowFault):
        any_ms(bad)


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("http_request_duration_seconds", "s"),
        ("node_network_receive_bytes_total", "By"),
        ("request_duration_seconds_bucket", "s"),
        ("request_duration_seconds_count", ""),
        ("cpu_usage_percent", "%"),
        ("up", ""),
        ("days", "d"),
    ],
)
def test_a_unit_in_a_metrics_name(metric: str, unit: str) -> None:
    """By the Prometheus convention."""
    assert in_name(metric) == unit


def test_units_have_one_spelling() -> None:
    """UCUM where it is known, else what was sent."""
    sent = ("Seconds", "bytes", "percent", "ms", "{fault}", "")
    assert [ucum(unit) for unit in sent] == ["s", "By", "%", "ms", "{fault}", ""]
