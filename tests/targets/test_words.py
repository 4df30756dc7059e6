"""What targets are told, as text."""

from __future__ import annotations

import pytest

from correlator.afterwards import StatusUpdate
from sinks.targets import words


@pytest.mark.parametrize(("audience", "linked"), [("employees", True), ("customers", False)])
def test_customers_are_not_sent_to_the_console(audience: str, linked: bool) -> None:
    """Its address is ours."""
    update = StatusUpdate(
        id="u", version=1, incident="3f9a", audience=audience, about="open", state="sent", title="t",
        text="It is slow.", actor="ann", at_ms=0,
    )  # fmt: skip
    body = words.body(update, "https://tocsin.internal/{id}")
    assert body.startswith("It is slow.")
    assert ("tocsin.internal/3f9a" in body) is linked
