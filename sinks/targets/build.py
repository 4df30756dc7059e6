"""Targets as configured, and the engines that tell them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from config import notify
from config.secrets import Secret
from config.settings import Settings
from sinks.protocol import SinkMisconfigured
from sinks.targets import secrets
from sinks.targets.alertmanager import AlertmanagerTarget
from sinks.targets.apprise_ import AppriseTarget
from sinks.targets.engine import Engine
from sinks.targets.jira import JiraTarget
from sinks.targets.ledger import KafkaLedger, Ledger
from sinks.targets.pagerduty import PagerDutyTarget
from sinks.targets.protocol import Target
from sinks.targets.servicenow import ServiceNowTarget
from sinks.targets.slack import SlackTarget
from sinks.targets.webhook import WebhookTarget


def target_of(settings: notify.Target) -> Target:
    """Raises `SinkMisconfigured`."""

    def secret(name: str) -> Callable[[], str]:
        return lambda: secrets.read(getattr(settings, name), f"target {settings.name}: {name}")

    if isinstance(settings, notify.PagerDuty):
        return PagerDutyTarget(settings, secret("routing_key"))
    if isinstance(settings, notify.Alertmanager):
        return AlertmanagerTarget(settings, secret("password"))
    if isinstance(settings, notify.Webhook):
        return WebhookTarget(settings, secret("token"), secret("secret"))
    if isinstance(settings, notify.Jira):
        return JiraTarget(settings, secret("token"))
    if isinstance(settings, notify.ServiceNow):
        return ServiceNowTarget(settings, secret("password"), secret("token"))
    if isinstance(settings, notify.Slack):
        return SlackTarget(settings, secret("token"))
    return AppriseTarget(settings, secret("urls"))


def secrets_of(settings: notify.Target) -> Sequence[str]:
    """All its secrets, as they are now. Raises `SinkMisconfigured` for one that is not there."""
    found = []
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if isinstance(value, Secret):
            found.append(secrets.read(value, f"target {settings.name}: {name}"))
    return [one for one in found if one]


def named(settings: Settings, name: str) -> notify.Target:
    """Raises `SinkMisconfigured` when there is none."""
    for target in settings.notify.targets:
        if target.name == name:
            return target
    known = ", ".join(target.name for target in settings.notify.targets) or "none"
    raise SinkMisconfigured(f"no target is named {name!r}; configured: {known}")


def engine_of(settings: Settings, name: str, ledger: Ledger | None = None) -> Engine:
    """The engine of one target; by default with the ledger on its topic."""
    target = named(settings, name)
    topics = settings.topics
    kept = ledger or KafkaLedger(name, settings.kafka, topics.notifications)
    return Engine(target_of(target), target, topics, kept, lambda: secrets_of(target))
