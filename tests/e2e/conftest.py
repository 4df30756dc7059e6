"""One embedded stack and one data set for all end-to-end tests; topics are prefixed per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.stack import Stack
from tests.shopdata import write_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a made-up shop with two faults."""
    return write_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Embedded broker and ClickHouse."""
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
