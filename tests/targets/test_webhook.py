"""Webhooks: signed, in a form of one's own, or as Alertmanager sends them."""

from __future__ import annotations

import hashlib
import hmac
import json

import msgspec
import pytest

from config import notify
from config.load import ConfigError, load
from correlator.response import Notice
from sinks.protocol import SinkMisconfigured
from sinks.targets.build import target_of
from sinks.targets.protocol import Answer, Refused
from sinks.targets.webhook import WebhookTarget
from streams.decode import formats
from streams.decode.catalog import Catalog
from streams.decode.columns import Columns
from tests.sinks.make import T0
from tests.targets.kit import SECRETS, engine, version
from tests.targets.server import WebhookService
from tests.targets.test_targets import told


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def target(**more: object) -> WebhookTarget:
    raw = {"type": "webhook", "name": "hook", "url": "http://x/y", **more}
    found = target_of(msgspec.convert(raw, notify.Target))
    assert isinstance(found, WebhookTarget)
    return found


async def test_a_receiver_can_check_who_sent_it_and_when() -> None:
    """The HMAC of timestamp and body, as the docs show; the same delivery id when it is sent again."""
    async with WebhookService() as service:
        service.faults = ["lost"]
        teller = engine("webhook", service)
        await told(teller, [version(1, state="open", severity="critical")])
        await teller.stop()
    assert len(service.bodies) == 2
    for body, headers in zip(service.bodies, service.headers, strict=True):
        signed = headers["tocsin-timestamp"].encode() + b"." + body
        expected = hmac.new(SECRETS["T_TOKEN"].encode(), signed, hashlib.sha256).hexdigest()
        assert headers["tocsin-signature"] == f"sha256={expected}"
    assert service.headers[0]["tocsin-delivery"] == service.headers[1]["tocsin-delivery"]
    event = json.loads(service.bodies[0])
    assert (event["specversion"], event["data"]["id"]) == ("1.0", event["subject"])


def test_a_body_of_ones_own() -> None:
    """A template sees the incident, and text that JSON needs escaped stays JSON."""
    form = target(template='{"text": {{ headline|json }}, "state": {{ incident.state|json }}}')
    request = form.plan(version(1, state="open", title='say "hi"\n'), None)
    assert request is not None
    assert json.loads(request.body)["state"] == "open"
    assert 'say "hi"' in json.loads(request.body)["text"]


def test_a_template_that_fails_is_a_refusal_and_a_bad_one_stops_the_start() -> None:
    """One incident that does not fit it holds nothing up; nothing can be reached from inside it."""
    broken = target(template="{{ incident.hints[0].cause.x.y }}")
    item = version(1, hints=())
    request = broken.plan(item, None)
    assert request is not None
    assert isinstance(broken.read(request, Answer(0, {}, b""), item, None), Refused)
    with pytest.raises(SinkMisconfigured, match="template"):
        target(template="{% if %}")
    escape = target(template="{{ ''.__class__.__mro__ }}")
    request = escape.plan(item, None)
    assert request is not None
    assert b"object" not in request.body


def test_alertmanagers_form_is_read_by_what_reads_alertmanagers() -> None:
    """Our own decoder of Alertmanager's webhook takes it: firing, then resolved, as one alert."""
    form = target(alertmanager=True)
    heard = []
    for state, resolved_at in (("open", None), ("resolved", T0 + 600_000)):
        item = version(1, state=state, resolved_at=resolved_at, severity="critical")
        request = form.plan(item, None)
        assert request is not None
        columns = Columns(Catalog(1, 1_000))
        columns.reference_ms = T0 + 700_000
        formats.DECODERS[formats.ALERTMANAGER](request.body, columns)
        heard += [message for _, message in columns.messages]
    assert [one.state for one in heard] == ["firing", "resolved"]  # type: ignore[union-attr]
    assert heard[0].id == heard[1].id


def test_notices_are_told_too() -> None:
    """Escalations and clocks, under ids of their own."""
    notice = Notice(
        id="n1", incident="i", domain="", kind="escalation", severity="critical", title="t", text="x",
        to=("ann",), at_ms=T0,
    )  # fmt: skip
    request = target().plan(notice, None)
    assert request is not None
    event = json.loads(request.body)
    assert (event["type"], event["data"]["to"], event["subject"]) == ("tocsin.notice", ["ann"], "i")
    assert target().dedup_key(notice) == "notice/n1"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{type: webhook, name: a, url: x}", r"notify.targets\[0\].url is 'x'"),
        ("{type: webhook, name: A, url: 'http://x'}", r"notify.targets\[0\].name is 'A'"),
        ("{type: pagerduty, name: a, routing_key: {}}", "routing_key is 'nothing': expected env"),
        ("{type: pagerduty, name: a, routing_key: abc}", "routing_key"),
        ("{type: slack, name: a, channel: c, token: {env: A, file: B}}", "env or file, not both"),
        ("{type: webhook, name: a, url: 'http://x', matchers: [bad]}", "matchers is 'bad'"),
        ("{type: webhook, name: a, url: 'http://x', template: x, alertmanager: true}", "and not both"),
        ("{type: pigeon, name: a}", "pigeon"),
    ],
)
def test_bad_settings_stop_the_start(tmp_path, text: str, named: str) -> None:  # type: ignore[no-untyped-def]
    """Key, value, expectation; a secret in the settings themselves is no secret and is refused."""
    path = tmp_path / "tocsin.yaml"
    path.write_text(f"notify:\n  targets:\n    - {text}\n")
    with pytest.raises(ConfigError, match=named):
        load(path)
