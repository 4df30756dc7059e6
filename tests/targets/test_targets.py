"""Every target at a server that enforces its contract: told once, in order, and always of the end."""

from __future__ import annotations

import asyncio
import logging
import time

import msgspec
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from correlator.incident import Incident
from sinks.protocol import SinkUnavailable
from sinks.targets.ledger import MemoryLedger
from sinks.targets.protocol import Answer, retry_after
from tests.targets.kit import KINDS, SECRETS, engine, record, version
from tests.targets.server import FAULTS, JiraService, PagerDutyService, SlackService

ALL = sorted(KINDS)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def life(id: str = "aa00000000000001") -> list[Incident]:
    """Opened, worse, acknowledged, resolved, closed."""
    return [
        version(1, id=id, state="open", severity="error"),
        version(2, id=id, state="open", severity="critical", priority="P1"),
        version(3, id=id, state="acknowledged", severity="critical", acknowledged_at=1_767_225_900_000),
        version(4, id=id, state="resolved", severity="critical", resolved_at=1_767_226_900_000),
        version(5, id=id, state="closed", severity="critical", resolved_at=1_767_226_900_000),
    ]


async def told(teller, items: list[Incident], most: int = 60) -> None:  # type: ignore[no-untyped-def]
    """As the stage does: the same records again until they are taken."""
    for attempt in range(most):
        try:
            await teller.write([record(item, n) for n, item in enumerate(items)])
        except SinkUnavailable:
            assert attempt < most - 1, "never taken"
            continue
        return


@pytest.mark.parametrize("kind", ALL)
async def test_a_target_follows_an_incident_to_its_end(kind: str) -> None:
    """Open after it opened, over when it is; one thing at the other side, nothing refused."""
    async with KINDS[kind].service() as service:
        teller = engine(kind, service)
        await teller.start()
        stood = []
        for item in life():
            await told(teller, [item])
            stood.append(service.standing().get(item.id))
        await teller.stop()
    assert stood == ["open", "open", "open", "over", "over"]
    assert (service.doubles(), service.refused) == ([], [])
    assert teller.counts["sent"] >= 3


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_loses_or_doubles_anything(kind: str, fault: str) -> None:
    """Each request fails once this way; in the end it stands as it should, without a restart."""
    async with KINDS[kind].service() as service:
        teller = engine(kind, service)
        items = life()
        for item in (items[0], items[2], items[3]):
            service.faults = [fault]
            await told(teller, [item])
            service.faults = []
            over = item.state == "resolved"
            assert service.standing()[item.id] == ("over" if over else "open")
        await teller.stop()
    assert (service.doubles(), service.refused) == ([], [])
    assert teller.counts["failed"] >= 2  # the client repeats a GET that was cut off by itself


@pytest.mark.parametrize("kind", ALL)
async def test_a_restart_goes_on_where_it_was(kind: str) -> None:
    """What was told is in the ledger: another engine resolves what the first one opened."""
    ledger = MemoryLedger("it")
    async with KINDS[kind].service() as service:
        first = engine(kind, service, ledger)
        await told(first, life()[:1])
        await first.stop()
        elsewhere = {"min_severity": "critical", "matchers": ['service="another"'], "about": ["updates"]}
        second = engine(kind, service, ledger, **elsewhere)
        await told(second, life()[:1])
        await told(second, [version(4, id=life()[0].id, state="merged", merged_into="bb00000000000000")])
        await second.stop()
    assert service.standing() == {life()[0].id: "over"}
    assert service.doubles() == []


@pytest.mark.parametrize("kind", ["pagerduty", "jira", "slack"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_of_faults_ends_right(kind: str, data: st.DataObject) -> None:
    """Versions in batches of any size, faults and restarts in between: it ends as the last version says."""
    items = [item for n in range(3) for item in life(f"aa0000000000000{n}")]
    ends = data.draw(st.lists(st.integers(1, 5), min_size=3, max_size=3))
    kept = [item for n in range(3) for item in items[5 * n : 5 * n + ends[n]]]
    kept.sort(key=lambda item: item.version)
    asyncio.run(_through(kind, kept, data))


async def _through(kind: str, items: list[Incident], data: st.DataObject) -> None:
    ledger = MemoryLedger("it")
    async with KINDS[kind].service() as service:
        teller = engine(kind, service, ledger, timeout_s=0.05)
        while items:
            size = data.draw(st.integers(1, 4))
            service.faults = data.draw(st.lists(st.sampled_from(("429", "500", "close", "lost")), max_size=3))
            if data.draw(st.booleans()):
                await teller.stop()
                teller = engine(kind, service, ledger, timeout_s=0.5)
            await told(teller, items[:size])
            newest = {item.id: item for item in items[:size]}
            for id, item in newest.items():
                over = item.state in ("resolved", "closed")
                assert service.standing().get(id, "over") == ("over" if over else "open")
            items = items[size:]
        await teller.stop()
    assert (service.doubles(), service.refused) == ([], [])


async def test_secrets_are_written_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Not into logs, nor into what is kept of a refusal that repeats them."""

    class Echo(PagerDutyService):
        async def answer(self, request):  # type: ignore[no-untyped-def]
            return self.bad((await request.read()).decode())

    caplog.set_level(logging.DEBUG)
    ledger = MemoryLedger("it")
    async with Echo() as service:
        teller = engine("pagerduty", service, ledger)
        await told(teller, life()[:1])
        await teller.stop()
    kept = ledger.get(life()[0].id)
    assert kept is not None
    assert (kept.state, "***" in kept.error) == ("refused", True)
    assert SECRETS["T_ROUTING"] not in caplog.text + kept.error


async def test_a_broken_target_is_left_alone_for_a_while() -> None:
    """After failures in a row it is asked no more until the breaker's rest is over."""
    async with PagerDutyService() as service:
        service.down = True
        teller = engine("pagerduty", service, breaker_failures=2, breaker_s=60)
        for _ in range(4):
            with pytest.raises(SinkUnavailable):
                await asyncio.wait_for(teller.write([record(life()[0])]), 0.5)
            teller._rest_until = 0.0
        assert len(service.requests) == 2
        await teller.stop()


async def test_what_a_target_asks_to_wait_is_waited() -> None:
    """Retry-After in seconds, and as a date; nothing is asked before."""

    class Busy(PagerDutyService):
        def __init__(self) -> None:
            super().__init__()
            self.until = {"Retry-After": "1"}

        async def answer(self, request):  # type: ignore[no-untyped-def]
            if self.until:
                return web.Response(status=429, headers=self.until)
            return await super().answer(request)

    async with Busy() as service:
        teller = engine("pagerduty", service)
        with pytest.raises(SinkUnavailable, match="HTTP 429"):
            await teller.write([record(life()[0])])
        service.until = {}
        began = time.monotonic()
        await teller.write([record(life()[0])])
        assert time.monotonic() - began > 0.8
        assert len(service.requests) == 2
        await teller.stop()
    date = {"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    assert retry_after(Answer(429, date, b"")) == 30.0
    assert retry_after(Answer(429, {"retry-after": date["retry-after"]}, b"")) == 60.0


async def test_a_slow_rate_is_kept() -> None:
    """120 a minute are no more than two in the first second, however many incidents there are."""
    async with PagerDutyService() as service:
        teller = engine("pagerduty", service, rate_per_minute=120)
        many = [life(f"{n:016x}")[0] for n in range(4)]
        began = time.monotonic()
        await told(teller, many)
        assert time.monotonic() - began > 0.8
        await teller.stop()


async def test_a_wrong_token_is_waited_for_and_names_what_to_check() -> None:
    """Nothing is lost while somebody corrects the secret."""
    async with SlackService() as service:
        teller = engine("slack", service, token={"env": "T_PASSWORD"})
        with pytest.raises(SinkUnavailable, match="invalid_auth: check its token"):
            await teller.write([record(life()[0])])
        await teller.stop()
    assert service.messages == {}


async def test_jira_without_the_transition_says_which_there_are() -> None:
    """A refusal is kept with its reason; later incidents are not held up."""
    async with JiraService() as service:
        ledger = MemoryLedger("it")
        teller = engine("jira", service, ledger, resolve=["Abnehmen"])
        await told(teller, life()[:1])
        await told(teller, [life()[3], life("aa00000000000009")[0]])
        await teller.stop()
    kept = ledger.get(life()[0].id)
    assert kept is not None
    assert "no transition named Abnehmen; there are: done, resolve issue" in kept.error
    assert "aa00000000000009" in service.standing()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1, max_size=400))
def test_any_title_is_taken(text: str) -> None:
    """Whatever stands in it, in every target."""

    async def all_of_them() -> None:
        for kind in ALL:
            async with KINDS[kind].service() as service:
                teller = engine(kind, service, timeout_s=2)
                title = msgspec.json.decode(msgspec.json.encode(text), type=str)
                await told(teller, [version(1, state="open", severity="error", title=title)])
                await teller.stop()
                assert (service.refused, len(service.standing())) == ([], 1), kind

    asyncio.run(all_of_them())
