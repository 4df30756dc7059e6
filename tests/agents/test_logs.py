"""Logging: one form for everything, chosen by where it goes."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from streams.agents import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The test run's own logging comes back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("wanted", "stream", "form"),
    [
        ("auto", io.StringIO(), "json"),
        ("auto", Terminal(), "console"),
        ("console", io.StringIO(), "console"),
        ("json", Terminal(), "json"),
    ],
)
def test_the_form_follows_the_stream_unless_asked_for(wanted: str, stream: io.StringIO, form: str) -> None:
    """A person gets lines, a machine JSON."""
    assert logs.set_up("info", wanted, stream, {}) == form


def test_a_json_line_has_the_message_and_its_fields() -> None:
    """Also of libraries that know nothing of it, as Faust and aiokafka."""
    stream = io.StringIO()
    logs.set_up("info", "json", stream, {})
    logging.getLogger("some.library").warning("lost %s", "x", extra={"topic": "in", "partition": 3})
    line = json.loads(stream.getvalue())
    assert (line["message"], line["topic"], line["partition"]) == ("lost x", "in", 3)
    assert (line["level"], line["logger"]) == ("warning", "some.library")
    assert line["time"].endswith("Z")


def test_an_exception_is_one_json_line_with_its_traceback() -> None:
    """A log collector must not get it in pieces."""
    stream = io.StringIO()
    logs.set_up("info", "json", stream, {})
    try:
        int("boom")
    except ValueError:
        logging.getLogger("x").exception("it broke")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


@pytest.mark.parametrize(
    ("environ", "colours"), [({}, True), ({"NO_COLOR": "1"}, False), ({"FORCE_COLOR": "1"}, True)]
)
def test_colours_on_a_terminal_unless_no_color(environ: dict[str, str], colours: bool) -> None:
    """As https://no-color.org asks."""
    stream = Terminal()
    logs.set_up("info", "auto", stream, environ)
    logging.getLogger("x").warning("careful", extra={"stage": "sink"})
    assert ("\x1b[" in stream.getvalue()) is colours
    assert "careful" in stream.getvalue()
    assert "stage" in stream.getvalue()


def test_at_info_the_chatter_of_faust_is_left_out() -> None:
    """It is about every service started; at debug it is all there."""
    stream = io.StringIO()
    logs.set_up("info", "json", stream, {})
    logging.getLogger("faust.app").info("chatter")
    logging.getLogger("streams.agents.process").info("news")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["news"]
    logs.set_up("debug", "json", stream, {})
    logging.getLogger("faust.app").info("chatter")
    assert "chatter" in stream.getvalue()
