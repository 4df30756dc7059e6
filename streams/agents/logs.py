"""Logging of a worker, set up once: lines for a person on a terminal, JSON lines for a machine.

Everything goes through the standard library's logging, also what Faust and aiokafka say; structlog only
renders. Fields are given with `extra={...}`: stage, topic, partition, offset, reason.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import IO

import structlog

FORMATS = ("auto", "console", "json")
LEVELS = ("debug", "info", "warning", "error")
_NOISY = ("faust", "mode", "aiokafka", "streams.agents.app", "streams.agents.transport")
"""their information is about every service started and every group joined"""


def chosen_format(wanted: str, stream: IO[str], environ: Mapping[str, str]) -> str:
    """`console` or `json`: what was asked for; for `auto` what suits the stream."""
    if wanted != "auto":
        return wanted
    return "console" if stream.isatty() or environ.get("FORCE_COLOR") else "json"


def set_up(
    level: str = "warning",
    wanted: str = "auto",
    stream: IO[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Send all logging to `stream` (standard error) in one form; returns which. Replaces what was set up."""
    stream = stream or sys.stderr
    environ = os.environ if environ is None else environ
    form = chosen_format(wanted, stream, environ)
    colours = bool(environ.get("FORCE_COLOR") or stream.isatty()) and "NO_COLOR" not in environ
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(form, colours))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING if level == "info" else logging.NOTSET)
    return form


def _formatter(form: str, colours: bool) -> logging.Formatter:
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    after: list[structlog.typing.Processor]
    if form == "json":
        after = [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=str),
        ]
    else:
        after = [
            structlog.dev.ConsoleRenderer(
                colors=colours,
                timestamp_key="time",
                exception_formatter=structlog.dev.plain_traceback,
                pad_event_to=0,
            )
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *after],
    )
