"""An incident in words, for targets that show text."""

from __future__ import annotations

from datetime import UTC, datetime

from correlator.afterwards import StatusUpdate
from correlator.incident import Incident
from correlator.response import Notice
from sinks.targets.protocol import OVER, Item


def when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def link(incident: str, console_url: str) -> str:
    """Address of its page, or nothing."""
    return console_url.replace("{id}", incident) if console_url else ""


def headline(item: Item) -> str:
    """One line."""
    if isinstance(item, Incident):
        return f"[{item.priority} {item.state}] {item.title}"
    return item.title


def body(item: Item, console_url: str = "") -> str:
    """Some lines of plain text: what, since when, why we think so, who, what to do."""
    if isinstance(item, Notice | StatusUpdate):
        # Customers have no business with the console, nor with its host.
        outside = isinstance(item, StatusUpdate) and item.audience == "customers"
        address = "" if outside else link(item.incident, console_url)
        return item.text + (f"\n{address}" if address else "")
    lines = [item.title, f"Severity {item.severity}, priority {item.priority}, {item.category}"]
    lines.append(f"Started {when(item.started_at)}, detected {when(item.detected_at)}")
    if item.resolved_at is not None and item.state in OVER:
        lines.append(f"Resolved {when(item.resolved_at)} ({item.resolved_by or 'auto'})")
    if item.merged_into:
        lines.append(f"Merged into incident {item.merged_into}")
    services = ", ".join(role.service for role in item.services[:10])
    if services:
        more = f" and {len(item.services) - 10} more" if len(item.services) > 10 else ""
        lines.append(f"Services: {services}{more}")
    for number, hint in enumerate(item.hints[:3], 1):
        lines.append(f"Likely cause {number}: {hint.service} ({hint.confidence:.0%}) {hint.cause}".rstrip())
    if item.suggestion:
        lines.append(f"Seen before: {item.suggestion}")
    who = item.assignee or item.owner
    if who:
        lines.append(f"With: {who}")
    runbook = next((role.runbook for role in item.services if role.runbook), "")
    if runbook:
        lines.append(f"Runbook: {runbook}")
    address = link(item.id, console_url)
    if address:
        lines.append(address)
    return "\n".join(lines)
