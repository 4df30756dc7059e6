"""Targets that are told of incidents: which, of what, and how. Secrets stay in environment and files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Union

import msgspec
from msgspec import Meta

from config import tls
from config.matchers import parse
from config.response import Problem
from config.secrets import Secret

Severity = Literal["info", "warning", "error", "critical"]
About = Literal["incidents", "notices", "updates"]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class _Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    about: tuple[About, ...] = ("incidents", "notices")
    """incidents; notices of escalations and clocks; status updates that were released"""
    matchers: tuple[str, ...] = ()
    """on service, severity, priority, category, owner, assignee, domain, kind, state; all must hold"""
    min_severity: Severity = "warning"
    audience: tuple[Literal["employees", "customers"], ...] = ("employees",)
    """of status updates"""
    timeout_s: Annotated[float, Meta(gt=0, le=120)] = 10.0
    rate_per_minute: Annotated[float, Meta(gt=0)] = 120.0
    breaker_failures: Annotated[int, Meta(ge=1)] = 5
    """so many failures in a row and it is left alone for `breaker_s`"""
    breaker_s: Annotated[float, Meta(gt=0)] = 30.0
    ca_file: str = ""
    """PEM, whom to believe that the service is the one we mean; empty: the system's authorities"""
    cert_file: str = ""
    """PEM, our certificate, for services that ask for one"""
    key_file: str = ""
    key_password: Secret = Secret()
    """of the key, where it is encrypted"""
    console_url: str = ""
    """address of an incident, with {id} in it, for links"""


class PagerDuty(_Target, frozen=True, kw_only=True, tag="pagerduty"):
    """Events API v2."""

    routing_key: Secret
    url: str = "https://events.pagerduty.com/v2/enqueue"


class Alertmanager(_Target, frozen=True, kw_only=True, tag="alertmanager"):
    """POST /api/v2/alerts."""

    url: str
    """http://HOST:9093"""
    labels: dict[str, str] = {}
    """further labels of every alert"""
    user: str = ""
    password: Secret = Secret()


class Webhook(_Target, frozen=True, kw_only=True, tag="webhook"):
    """HTTP POST of a payload of your own making, signed."""

    url: str
    template: str = ""
    """Jinja2, of the body; empty: the CloudEvent as it is on the topic"""
    alertmanager: bool = False
    """the body is that of Alertmanager's webhook, version 4"""
    headers: dict[str, str] = {}
    content_type: str = "application/json"
    token: Secret = Secret()
    """sent as a bearer token"""
    secret: Secret = Secret()
    """signs timestamp and body: HMAC-SHA256"""


class Jira(_Target, frozen=True, kw_only=True, tag="jira"):
    """Issues by REST API v3 (cloud) or v2 (data center)."""

    url: str
    project: str
    issue_type: str = "Incident"
    api: Literal[2, 3] = 3
    user: str = ""
    """with it basic authentication (cloud), without a bearer token (data center)"""
    token: Secret
    fields: dict[str, str | int | float | bool | dict[str, str] | list[str]] = {}
    """further fields of a new issue"""
    priorities: dict[str, str] = {}
    """P1 .. P4 -> the name of a priority; empty: not set"""
    resolve: tuple[str, ...] = ("Resolve Issue", "Resolved", "Done", "Close Issue", "Closed")
    """names of transitions, or of the states they lead to; the first there is"""
    reopen: tuple[str, ...] = ("Reopen Issue", "Reopened", "To Do", "Open")


class ServiceNow(_Target, frozen=True, kw_only=True, tag="servicenow"):
    """Incident table, or with `events` the event API."""

    url: str
    user: str = ""
    password: Secret = Secret()
    token: Secret = Secret()
    """OAuth bearer; in place of user and password"""
    events: bool = False
    assignment_groups: dict[str, str] = {}
    """team -> group"""
    fields: dict[str, str] = {}
    """further fields of a new incident"""
    close_code: str = "Solved (Permanently)"


class Slack(_Target, frozen=True, kw_only=True, tag="slack"):
    """A thread per incident; its first message always says how it stands."""

    token: Secret
    channel: str
    url: str = "https://slack.com/api"


class Apprise(_Target, frozen=True, kw_only=True, tag="apprise"):
    """Everything Apprise knows: mail, Teams, ntfy, ...; its addresses hold secrets, so they are secrets."""

    urls: Secret
    """one a line"""


Target = Union[PagerDuty, Alertmanager, Webhook, Jira, ServiceNow, Slack, Apprise]  # noqa: UP007


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The notify stage."""

    targets: tuple[Target, ...] = ()


def problems(notify: Notify) -> Iterator[Problem]:
    """What the types alone cannot say, in order."""
    names = [target.name for target in notify.targets]
    for name in sorted({one for one in names if names.count(one) > 1}):
        yield Problem("notify.targets", name, "distinct names")
    for i, target in enumerate(notify.targets):
        key = f"notify.targets[{i}]"
        if not _NAME.fullmatch(target.name):
            yield Problem(f"{key}.name", target.name, "small letters, digits, - and _, at most 63")
        for text in target.matchers:
            try:
                parse(text)
            except ValueError as error:
                yield Problem(f"{key}.matchers", text, str(error))
        url = getattr(target, "url", "https://")
        if not url.startswith(("http://", "https://")):
            yield Problem(f"{key}.url", url, "an address that begins with http:// or https://")
        for name in target.__struct_fields__:
            value = getattr(target, name)
            if isinstance(value, Secret):
                yield from _secret(f"{key}.{name}", value, needed=name in _NEEDED.get(type(target), ()))
        yield from _tls(key, target, url)
        if isinstance(target, _INCIDENTS_ONLY) and "incidents" not in target.about:
            yield Problem(f"{key}.about", list(target.about), "incidents: it is told of nothing else")
        if isinstance(target, Webhook) and target.template and target.alertmanager:
            yield Problem(f"{key}.template", "…", "a template, or alertmanager: true, and not both")


_INCIDENTS_ONLY = (PagerDuty, Alertmanager, Jira, ServiceNow)
_NEEDED = {PagerDuty: ("routing_key",), Jira: ("token",), Slack: ("token",), Apprise: ("urls",)}


def _tls(key: str, target: Target, url: str) -> Iterator[Problem]:
    if isinstance(target, Apprise):
        yield from tls.unused(key, target, "nothing: Apprise takes REQUESTS_CA_BUNDLE of the environment")
    elif not url.startswith("https://"):
        yield from tls.unused(key, target, f"nothing while the url is {url}, or an https:// address")
    elif target.key_password == Secret():
        yield from tls.problems(key, target)
    else:
        wrong = [*tls.secret_problems(f"{key}.key_password", target.key_password)]
        yield from wrong or tls.problems(key, target, target.key_password)


def _secret(key: str, secret: Secret, needed: bool) -> Iterator[Problem]:
    if secret.env and secret.file:
        yield Problem(key, "env and file", "env or file, not both")
    if needed and not (secret.env or secret.file):
        yield Problem(key, "nothing", "env: NAME of a variable, or file: PATH")
