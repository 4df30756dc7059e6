"""What people write, through a worker, Kafka and ClickHouse, with the commands as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from embedded.stack import Stack
from tests.e2e.pipeline import pipeline, wait_for
from tests.e2e.test_notify import served
from tests.targets.server import WebhookService

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_reported_told_reviewed_and_followed_up(tmp_path: Path, stack: Stack) -> None:
    """Customers hear of it once, in a person's words, after its release; items and the review are kept."""
    with served(WebhookService()) as hook:
        target = {
            "type": "webhook", "name": "status-page", "url": hook.url, "about": ["updates"],
            "audience": ["customers"], "min_severity": "info",
        }  # fmt: skip
        extra = {"notify": {"targets": [target]}}
        with pipeline(tmp_path, stack.kafka, stack.clickhouse, "written", tmp_path, extra) as running:
            worker = running.start_worker()
            running.wait_for_topics()

            def said(*words: str, code: int = 0) -> str:
                done = running.tocsin(*words)
                assert done.returncode == code, done.stderr
                return done.stdout + done.stderr

            report = ("report-incident", "no card payments", "--service", "payment", "--severity", "critical")
            wait_for("an answer", lambda: running.tocsin(*report).returncode == 0, log=worker.log)
            (incident,) = wait_for("the incident", lambda: json.loads(said("incidents", "--json") or "[]"))
            id = incident["id"]

            def drafts() -> list[dict[str, str]]:
                found = json.loads(said("updates", id, "--json"))
                return [u for u in found if (u["audience"], u["state"]) == ("customers", "draft")]

            (draft,) = wait_for("a draft", drafts)
            said("updates", "edit", draft["id"], "--text", "Cards do not work. We are on it.")
            said("updates", "release", draft["id"][:6])
            assert "that is sent" in said("updates", "withdraw", draft["id"], code=1)
            said("items", "add", id, "bigger pool", "--owner", "bob", "--due", "2020-01-01")
            items = wait_for("the item", lambda: json.loads(said("items", "--overdue", "--json")))
            said("items", "done", items[0]["id"])
            wait_for("it to be done", lambda: json.loads(said("items", "--overdue", "--json")) == [])

            page = tmp_path / "review.md"
            long = "word " * 8_000  # more than fits one field of an action
            page.write_text(f"# Ours\n\n{long}\n")
            said("review", "edit", id, "-f", str(page))
            shown = wait_for("the review", lambda: (t := said("review", id)).startswith("# Ours") and t)
            assert long.strip() in shown
            assert "bigger pool" in shown
            wait_for("the status page to be told", lambda: hook.bodies, log=worker.log)
            (told,) = (json.loads(body) for body in hook.bodies)
            assert told["data"]["text"] == "Cards do not work. We are on it."
            assert (told["specversion"], told["data"]["audience"]) == ("1.0", "customers")
