"""Format `alerts`: one topic for the alerts of several systems, each record read as what it is."""

from __future__ import annotations

from streams.decode.alerts import events, pagerduty, webhook
from streams.decode.columns import Columns
from streams.decode.errors import UNDECODABLE, UNKNOWN_FORMAT, BadRecord
from streams.decode.look import Look

_CHOICES = (
    (webhook.claims_alertmanager, webhook.alertmanager),
    (webhook.claims_grafana, webhook.grafana),
    (pagerduty.claims, pagerduty.decode),
    (events.claims, events.decode),
)


def decode(value: bytes, sink: Columns) -> None:
    """An alert of any system we know. Raises `BadRecord`."""
    look = Look(value)
    for claims, decoder in _CHOICES:
        if claims(look):
            decoder(value, sink)
            return
    if look.object is None:
        raise BadRecord(UNDECODABLE, f"not a JSON object; it begins with {bytes(value[:24])!r}")
    known = "Alertmanager (v4), Grafana, PagerDuty (v2) or Alertmanager's event recorder"
    raise BadRecord(UNKNOWN_FORMAT, f"no alert of {known}; it has {', '.join(sorted(look.keys)[:12])}")
