"""Parameters of interest in a log line: the status code it tells of, hosts, ids and the like.

Every pattern is linear: no nested repeats, and what may repeat cannot also be what follows.
"""

from __future__ import annotations

import re

MAX_PARAMS = 6
"""of one alert"""
MAX_VALUE = 80
LOOK_AT = 1_000
"""characters of a line that are looked at"""

_STATUS = re.compile(
    r"(?:[Ss]tatus(?:[ _.-]?[Cc]ode)?|STATUS|HTTP/\d(?:\.\d)?|[Rr]esponse[ _.-]?[Cc]ode)"
    r"[\"']?\s{0,2}[:=]?\s{0,2}[\"']?([1-5]\d\d)(?![\w.]|\s?[km]?[sB]\b)"
)
_MARKS = ("tatus", "HTTP/", "TATUS", "esponse")
_PAIR = re.compile(
    r"(?<![\w.-])([A-Za-z][A-Za-z0-9]{0,20}(?:[ _.-]?[Ii][Dd])|[Hh]ost(?:name)?|[Pp]eer|[Uu]pstream|"
    r"[Ss]erver|[Aa]ddr(?:ess)?|[Pp]ath|[Uu]r[il]|"
    r"[Ee]rrno)[\"']?\s{0,2}[:=]\s{0,2}[\"']?([A-Za-z0-9_/][\w./:@+-]{0,79})"
)
_ADDRESS = re.compile(r"(?<![\w.])(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d{1,5})?)(?![\w.])")
_TRACE = ("trace", "span")


def status_of(body: str) -> int:
    """The status code of HTTP a line tells of (`status=503`, `"GET / HTTP/1.1" 200`), or 0."""
    if not any(mark in body for mark in _MARKS):
        return 0
    found = _STATUS.search(body, 0, LOOK_AT)
    return 0 if found is None else int(found.group(1))


def params_of(body: str) -> list[tuple[str, str]]:
    """What a person would look for next: status, hosts, ids, as (`param.NAME`, value), a name once. Trace and
    span ids are not among them: an alert has these anyway."""
    params: dict[str, str] = {}
    if status := status_of(body):
        params["param.status"] = str(status)
    for found in _PAIR.finditer(body, 0, LOOK_AT):
        name, value = found.group(1).lower().replace(" ", "_"), found.group(2).rstrip(".:,")
        if not name.startswith(_TRACE) and len(params) < MAX_PARAMS:
            params.setdefault(f"param.{name}", value[:MAX_VALUE])
    address = _ADDRESS.search(body, 0, LOOK_AT)
    if address is not None and address.group(1) not in params.values() and len(params) < MAX_PARAMS:
        params["param.address"] = address.group(1)
    return list(params.items())
