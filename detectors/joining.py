"""Stack traces whose lines were sent as records of their own become one line again.

Joined is within one step of event time and one instance of a service, where all lines are at hand however
pages were cut; lines of one millisecond are taken in the order in which their source sent them. A frame
(`at a.b.C.d(E.java:1)`, `File "x.py", line 3`, `Caused by:`, `... 5 more`, a goroutine) belongs to the line
before it. So does the line that names the exception, if a frame follows it or a traceback ends with it, and
whatever is indented below a frame. Frames without a line before them in their step become one line.
"""

from __future__ import annotations

from collections.abc import Sequence

from detectors.lines import Line
from detectors.stack import MAX_TEXT, is_frame, names_exception

MAX_LINES = 200
"""of one trace that are kept; more are taken in and left out"""
_FIRST = frozenset(" \t.CSTDgcea-")
"""characters a frame begins with"""

Group = tuple[int, str, str]


def joined(lines: Sequence[Line], step_ms: int) -> tuple[Sequence[Line], int]:
    """The sorted lines with traces joined, and how many lines were taken in."""
    frames = [
        (-(-line.ts // step_ms), line.service, line.instance)
        for line in lines
        if line.body[:1] in _FIRST and is_frame(line.body)
    ]
    if not frames:
        return lines, 0
    wanted = dict.fromkeys(frames)
    groups: dict[Group, list[Line]] = {group: [] for group in wanted}
    rest: list[Line] = []
    for line in lines:
        group = groups.get((-(-line.ts // step_ms), line.service, line.instance))
        (rest if group is None else group).append(line)
    before = sum(map(len, groups.values()))
    whole = [line for group in groups.values() for line in _join(_in_order(group))]
    return sorted(rest + whole), before - len(whole)


def _in_order(group: Sequence[Line]) -> list[Line]:
    """As sent: by time, source and place in it; a line that was delivered twice comes once."""
    seen: dict[tuple[object, ...], Line] = {}
    for line in group:
        seen.setdefault(line.said, line)
    return sorted(seen.values(), key=lambda line: (line.ts, line.source, line.order, line.body))


def _join(group: Sequence[Line]) -> list[Line]:
    out: list[Line] = []
    texts: list[str] = []
    size = 0
    in_trace = False

    def close() -> None:
        if len(texts) > 1:
            out[-1] = out[-1]._replace(body="\n".join(texts))

    for i, line in enumerate(group):
        body = line.body
        follows = i + 1 < len(group) and is_frame(group[i + 1].body)
        if is_frame(body):
            belongs, in_trace = True, True
        elif names_exception(body):
            belongs = in_trace or follows
            in_trace = follows
        else:
            belongs = in_trace = in_trace and body[:1].isspace()
        if belongs and out:
            if len(texts) < MAX_LINES and size + len(body) <= MAX_TEXT:
                texts.append(body)
                size += len(body) + 1
            if line.exception and not out[-1].exception:
                out[-1] = out[-1]._replace(exception=line.exception)
            continue
        close()
        out.append(line)
        texts, size = [body], len(body)
    close()
    return out
