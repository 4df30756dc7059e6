"""What is done at the console, as processes: through the embedded broker and a worker, into its own page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from embedded.probe import free_port, http_ready
from embedded.stack import Stack
from tests.e2e.pipeline import pipeline, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def ask(url: str, body: dict[str, object] | None = None) -> tuple[int, str | None, dict[str, object]]:
    """Status, X-Request-Id, answer."""
    headers = {
        "origin": url.partition("/api")[0],
        "content-type": "application/json",
        "user-agent": "the test",
    }
    sent = json.dumps(body).encode() if body is not None else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, sent, headers)) as answer:  # noqa: S310 - ours
            return answer.status, answer.headers["x-request-id"], json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.headers["x-request-id"], json.load(error)


def test_what_is_done_is_in_the_audit_and_in_the_log(tmp_path: Path, stack: Stack) -> None:
    """A silence made through the API, and an action on an incident there is none of."""
    with pipeline(tmp_path, stack.kafka, stack.clickhouse, "audited", tmp_path) as running:
        running.start_worker()
        running.wait_for_topics()
        port, log = free_port(), tmp_path / "console.log"
        argv = [sys.executable, "-m", "cli.main", "console", "--config", str(running.config)]
        argv += ["--listen", f"127.0.0.1:{port}"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        url = f"http://127.0.0.1:{port}/api/v1"
        with (
            log.open("wb") as out,
            subprocess.Popen(argv, stdout=out, stderr=out, env=environment) as process,
        ):
            try:
                wait_for("the console", http_ready(port, "/healthz"), log=log)
                silence = {"name": "night", "matchers": ['service="db"'], "until": "2099-01-01T00:00"}
                wait_for("Kafka", lambda: ask(f"{url}/silences", silence)[0] in (200, 409), log=log)
                status, id, _ = ask(f"{url}/incidents/{'0' * 16}/actions", {"action": "acknowledge"})
                assert status == 404

                def told() -> list[dict[str, object]]:
                    return ask(f"{url}/audit?target={'0' * 16}")[2].get("records", [])  # type: ignore[return-value]

                wait_for("the record", lambda: len(told()) == 1, log=log)
                (one,) = told()
                assert (one["request_id"], one["agent"], one["outcome"]) == (id, "the test", "refused")
                made = ask(f"{url}/audit?target=silence/night&outcome=done")[2]["records"]
                assert len(made) == 1  # type: ignore[arg-type]
            finally:
                process.terminate()
                process.wait(20)
        assert f'"request_id":"{id}"' in log.read_text()
