"""For all tests."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator

import pytest

# A runner in the background (nohup, `&`) starts us with these ignored, and every process the tests
# start would inherit that: what is to be stopped with Ctrl-C or a hang-up would never stop.
for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

# A shell or a test runner may export the size of its terminal: what is printed must not depend on it.
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)


TIMED = ("tests/agents/", "tests/chaos/", "tests/demo/", "tests/e2e/")
"""here slow tests watch when processes do what; the slow ones elsewhere only wait for a service"""


def _timed(item: pytest.Item) -> bool:
    return item.nodeid.startswith(TIMED) and item.get_closest_marker("slow") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """With `-n 2 --dist loadgroup --no-loadscope-reorder` a file goes to one worker with what it starts. What
    watches the times of processes begins first and runs one after the other, beside the rest."""
    for item in items:
        group = "processes" if _timed(item) else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
    yield
    items.sort(key=lambda item: not _timed(item))


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """What a command sets up writes to that test's own streams, which are closed after it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
