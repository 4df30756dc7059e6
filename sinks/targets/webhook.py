"""Webhook: the CloudEvent, a payload of your own making (Jinja2, sandboxed) or Alertmanager's, signed.

The signature is HMAC-SHA256 over `TIMESTAMP.BODY`, both headers beside it: a receiver refuses what is old, so
that nobody sends it again. The id in `tocsin-delivery` is the same however often it is sent.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from config.notify import Webhook
from correlator.incident import Incident
from correlator.render import CloudEvent
from correlator.response import Notice
from sinks.notification import Notification
from sinks.protocol import SinkMisconfigured
from sinks.targets import words
from sinks.targets.protocol import OVER, Answer, Done, Item, Outcome, Refused, Request, usual
from streams.records.digest import digest_hex

_environment = ImmutableSandboxedEnvironment(autoescape=False)
_environment.filters["json"] = lambda value: msgspec.json.encode(value).decode()


class WebhookTarget:
    """Told of everything it is configured for."""

    kind = "webhook"

    def __init__(
        self,
        settings: Webhook,
        token: Callable[[], str],
        secret: Callable[[], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises `SinkMisconfigured` for a template that is none."""
        self.name = settings.name
        self._settings = settings
        self._token, self._secret, self._clock = token, secret, clock
        try:
            self._template = _environment.from_string(settings.template) if settings.template else None
        except TemplateError as error:
            raise SinkMisconfigured(f"target {settings.name}: template: {error}") from error

    def dedup_key(self, item: Item) -> str:
        if isinstance(item, Incident):
            return item.id
        return f"{'notice' if isinstance(item, Notice) else 'update'}/{item.id}"

    def fingerprint(self, item: Item) -> str:
        if not isinstance(item, Incident):
            return digest_hex(item.id, item.text)
        if self._settings.alertmanager or self._template is not None:
            return digest_hex(item.state, item.severity, item.priority, item.title, item.assignee)
        return digest_hex(item.id, str(item.version))

    def plan(self, item: Item, known: Notification | None) -> Request | None:
        if known is not None and known.step:
            return None
        try:
            body = self._body(item)
        except (TemplateError, ArithmeticError, TypeError, ValueError) as error:
            return Request("", "", about=f"template: {error}")
        about = item.state if isinstance(item, Incident) else words.headline(item)[:60]
        stamp = str(int(self._clock()))
        headers = {
            "content-type": self._settings.content_type,
            **self._settings.headers,
            "tocsin-delivery": digest_hex(self.name, self.dedup_key(item), self.fingerprint(item)),
            "tocsin-timestamp": stamp,
        }
        if token := self._token():
            headers["authorization"] = f"Bearer {token}"
        if secret := self._secret():
            headers["tocsin-signature"] = "sha256=" + signature(secret, stamp, body)
        return Request("POST", self._settings.url, body, headers, about)

    def _body(self, item: Item) -> bytes:
        if self._template is not None:
            values = {
                "incident": msgspec.to_builtins(item) if isinstance(item, Incident) else None,
                "item": msgspec.to_builtins(item),
                "headline": words.headline(item),
                "text": words.body(item, self._settings.console_url),
                "url": words.link(item.id, self._settings.console_url),
            }
            return self._template.render(values).encode()
        if self._settings.alertmanager:
            return msgspec.json.encode(_alertmanager(item, self._settings))
        kind = (
            "incident" if isinstance(item, Incident) else "notice" if isinstance(item, Notice) else "update"
        )
        at_ms = item.updated_at if isinstance(item, Incident) else item.at_ms
        version = 1 if isinstance(item, Notice) else item.version
        return msgspec.json.encode(
            CloudEvent(
                specversion="1.0",
                id=f"{item.id}/{version}",
                source="tocsin/notify",
                type=f"tocsin.{kind}",
                subject=item.id if isinstance(item, Incident) else item.incident,
                time=datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z"),
                datacontenttype="application/json",
                data=item,
            )
        )

    def read(self, request: Request, answer: Answer, item: Item, known: Notification | None) -> Outcome:
        if request.method == "":
            return Refused(request.about)
        over = isinstance(item, Incident) and item.state in OVER
        return usual(answer) or Done(open=isinstance(item, Incident) and not over)


def signature(secret: str, stamp: str, body: bytes) -> str:
    """Hex digits of the HMAC a receiver computes, too."""
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _alertmanager(item: Item, settings: Webhook) -> dict[str, Any]:
    """Alertmanager's webhook payload, version 4, with a stable groupKey."""
    incident = item if isinstance(item, Incident) else None
    over = incident is not None and incident.state in OVER
    status = "resolved" if over else "firing"
    id = incident.id if incident is not None else item.id
    labels = {"alertname": "TocsinIncident", "incident": id}
    if incident is not None:
        labels |= {"severity": incident.severity, "domain": incident.domain}
    notes = {"summary": words.headline(item), "description": words.body(item, settings.console_url)}
    started = incident.started_at if incident is not None else getattr(item, "at_ms", 0)
    ended = (incident.resolved_at or incident.updated_at) if over and incident is not None else None
    alert = {
        "status": status,
        "labels": labels,
        "annotations": notes,
        "startsAt": _rfc3339(started),
        "endsAt": _rfc3339(ended) if ended is not None else "0001-01-01T00:00:00Z",
        "generatorURL": words.link(id, settings.console_url),
        "fingerprint": digest_hex("fingerprint", id),
    }
    return {
        "receiver": settings.name,
        "status": status,
        "alerts": [alert],
        "groupLabels": {"incident": id},
        "commonLabels": labels,
        "commonAnnotations": notes,
        "externalURL": words.link(id, settings.console_url),
        "version": "4",
        "groupKey": f'{{}}:{{incident="{id}"}}',
        "truncatedAlerts": 0,
    }


def _rfc3339(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
