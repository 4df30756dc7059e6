"""rsyslog's JSON template: `{"@timestamp":…,"host":…,"severity":"ERR","syslog-tag":"app:","message":…}`."""

from __future__ import annotations

from streams.decode.logs.json_log import JsonLog
from streams.decode.logs.shape import Shape
from streams.decode.look import Look
from streams.decode.senders import Usual

NAME = "rsyslog-json"

SHAPE = Shape(
    NAME,
    time=("@timestamp", "timestamp", "timereported"),
    message=("message", "msg"),
    sent_by=("source", "programname", "app-name", "host", "hostname"),
    usual=Usual(
        service=("source", "programname", "app-name", "host", "hostname"), instance=("host", "hostname")
    ),
    severity=("severity", "syslogseverity-text", "syslogseverity"),
)

decode = JsonLog(SHAPE).decode


def claims(look: Look) -> bool:
    """What the template is known by: a syslog tag beside host and message."""
    return {"@timestamp", "host", "severity", "syslog-tag", "message"} <= look.keys
