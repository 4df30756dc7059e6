"""Targets of each kind at their local servers, and records to tell them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from config import notify
from config.settings import Settings, Topics
from correlator.incident import Incident
from sinks.targets.build import secrets_of, target_of
from sinks.targets.engine import Engine
from sinks.targets.ledger import Ledger, MemoryLedger
from streams.records.stage import Record
from tests.sinks.make import incident
from tests.targets.server import (
    AlertmanagerService,
    JiraService,
    PagerDutyService,
    Service,
    ServiceNowService,
    SlackService,
    WebhookService,
)

SECRETS = {
    "T_ROUTING": "0123456789abcdef0123456789abcdef",
    "T_TOKEN": "xoxb-secret-token",
    "T_PASSWORD": "pw",
}


class Kind(NamedTuple):
    """A kind of target and the service it speaks to."""

    service: Callable[[], Service]
    settings: dict[str, Any]
    path: str = ""


KINDS = {
    "pagerduty": Kind(PagerDutyService, {"routing_key": {"env": "T_ROUTING"}}, "/v2/enqueue"),
    "alertmanager": Kind(AlertmanagerService, {}),
    "webhook": Kind(WebhookService, {"secret": {"env": "T_TOKEN"}}),
    "jira": Kind(JiraService, {"project": "OPS", "user": "a@b.c", "token": {"env": "T_TOKEN"}}),
    "jira-v2": Kind(lambda: JiraService(2), {"project": "OPS", "api": 2, "token": {"env": "T_TOKEN"}}),
    "servicenow": Kind(ServiceNowService, {"user": "tocsin", "password": {"env": "T_PASSWORD"}}),
    "servicenow-events": Kind(
        ServiceNowService, {"user": "tocsin", "password": {"env": "T_PASSWORD"}, "events": True}
    ),
    "slack": Kind(SlackService, {"token": {"env": "T_TOKEN"}, "channel": "C123"}),
}


def engine(kind: str, service: Service, ledger: Ledger | None = None, **more: Any) -> Engine:
    """An engine that tells the service, impatient."""
    raw = {
        "type": kind.split("-")[0],
        "name": "it",
        "url": service.url + KINDS[kind].path,
        "timeout_s": 0.3,
        "rate_per_minute": 1e6,
        "breaker_failures": 1_000,
        **KINDS[kind].settings,
        **more,
    }
    settings = msgspec.convert(raw, notify.Target)
    return Engine(
        target_of(settings), settings, Topics(), ledger or MemoryLedger("it"), lambda: secrets_of(settings)
    )


def version(number: int, **fields: Any) -> Incident:
    """One version of an incident."""
    return msgspec.structs.replace(incident(), version=number, **fields)


def record(item: Incident, offset: int = 0) -> Record:
    """As it stands on the incident topic."""
    raw = msgspec.json.encode({"specversion": "1.0", "data": item})
    return Record(Settings().topics.incidents, 0, offset, 0, item.id.encode(), raw)
