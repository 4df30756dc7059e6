"""The OpenAPI document holds: a short round of schemathesis, where it is installed (`tests.console.fuzz`)."""

from __future__ import annotations

import time
from threading import Thread

import pytest
import uvicorn

from config.settings import Settings
from console.app import create_app
from embedded.probe import free_port
from tests.console import fuzz


@pytest.mark.skipif(not fuzz.command(), reason="no schemathesis: see tests/console/fuzz.py")
def test_nothing_is_answered_that_the_document_does_not_say(settings: Settings) -> None:
    """Without Kafka and with empty tables."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=port, log_level="warning"))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.05)
        assert fuzz.run(f"http://127.0.0.1:{port}", 60, seed=1, phases="coverage", away=True) == 0
    finally:
        server.should_exit = True
        thread.join(10)
