"""Exceptions and stack traces in log text: type, first frame, and which lines continue the one before.

Shapes of Java and Kotlin, Python, Go, Node and .NET. All of it is linear in the length of the text: no
pattern has a repeat inside a repeat, and identifiers are read backwards at most `MAX_NAME` characters.
"""

from __future__ import annotations

import re

MAX_NAME = 120
MAX_TEXT = 16_000
"""characters of a line that are looked at"""
MAX_FRAME = 200

_TYPE_END = re.compile(r"(?:Exception|Error)\b")
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.$]{0,118}\Z")
_STACK = ("Traceback (most recent call last)", "\n\tat ", "\n    at ", "\n   at ", "\ngoroutine ")
_GO_PANIC = re.compile(r"(?:^|\n|\s)panic: (runtime error: )?")
_NOT_A_TYPE = ("Exception", "Error")

# A line of a trace that is no head of its own.
_FRAME = re.compile(
    r"\s{1,32}(?:at [\w$<.(/]|File \"|\.\.\. \d|\S{1,200}:\d{1,7} \+0x|--- )"
    r"|(?:Caused by|Suppressed): |\.\.\. \d{1,6} (?:more|common frames omitted)"
    r"|Traceback \(most recent call last\):|During handling of the above exception"
    r"|The above exception was the direct cause"
    r"|goroutine \d{1,12} \[|created by [\w./]|exit status \d"
    r"|--- End of |---> |at [\w$<.]{1,160}\("
)
_NAMES = re.compile(
    r"(?:[A-Za-z_][\w$]{0,60}\.){0,12}[A-Z]\w{0,80}(?:Exception|Error|Exit|Interrupt)(?::|\s*\Z)"
)

_FRAMES = (
    # Java, Kotlin, Scala: at a.b.C.method(File.java:12)
    re.compile(r"\n\s{1,16}at ((?:[\w$.<>/-]|@(?=[\w.])){1,160}\([\w$.: -]{1,80}\))"),
    # Node: at name (file.js:1:2), at file.js:1:2 - and .NET: at A.B.C(String x) in file.cs:line 12
    re.compile(r"\n\s{1,16}at ([^\n]{1,200})"),
)
_GO_AT = re.compile(
    r"\n([\w./*()-]{1,120}\.[\w.*()-]{1,80})\([^\n]{0,120}\)\n\s{1,16}([^\s:]{1,160}:\d{1,7})"
)
_PYTHON_FRAME = 'File "'


def is_frame(body: str) -> bool:
    """Whether this text, sent as a record of its own, belongs to a trace begun before it."""
    return _FRAME.match(body) is not None


def names_exception(body: str) -> bool:
    """Whether the line begins with an exception's type: `java.io.IOException: x`, `ValueError`."""
    return _NAMES.match(body) is not None


def has_stack(body: str) -> bool:
    """Whether the line carries a stack trace."""
    return any(mark in body for mark in _STACK)


def exception_of(body: str) -> str:
    """Type of the first exception named in a line (`java.io.IOException`, `ValueError`), or empty.

    In a Python traceback that is the last line's; of a Go panic it is `panic`, or `runtime error`.
    """
    body = body[:MAX_TEXT]
    trace = body.rfind(_STACK[0])
    if trace >= 0:
        foot = _foot(body, trace)
        if foot:
            return foot
    for found in _TYPE_END.finditer(body):
        word = _tail_word(body, found.end())
        simple = word.rpartition(".")[2]
        if simple not in _NOT_A_TYPE and simple[:1].isupper():
            return word
    panic = _GO_PANIC.search(body)
    return "" if panic is None else "runtime error" if panic.group(1) else "panic"


def frame_of(body: str) -> str:
    """The innermost frame of the first stack trace in a line, as `function (file:line)`, or empty."""
    body = body[:MAX_TEXT]
    if not has_stack(body):
        return ""
    trace = body.find(_STACK[0])
    if trace >= 0:
        return _python_frame(body, trace)
    for pattern in _FRAMES:
        found = pattern.search(body)
        if found is not None:
            return found.group(1).strip()[:MAX_FRAME]
    at = body.find("\ngoroutine ")
    for found in _GO_AT.finditer(body, max(0, at)):
        if not found.group(1).startswith(("runtime.", "panic")):
            return f"{found.group(1)} ({found.group(2)})"[:MAX_FRAME]
    return ""


def _foot(body: str, trace: int) -> str:
    """The exception named by the first unindented line below a traceback's frames."""
    for line in body[trace:].split("\n")[1:]:
        if line and not line[0].isspace():
            name = line.partition(":")[0].strip()
            return name if len(name) <= MAX_NAME and _IDENTIFIER.match(name) else ""
    return ""


def _python_frame(body: str, trace: int) -> str:
    """The last `File "x", line n, in f` of the traceback that begins at `trace`."""
    end = body.find(_STACK[0], trace + 1)
    at = body.rfind(_PYTHON_FRAME, trace, end if end >= 0 else len(body))
    if at < 0:
        return ""
    line = body[at : at + 400].partition("\n")[0]
    file, _, rest = line[len(_PYTHON_FRAME) :].partition('", line ')
    number, _, function = rest.partition(", in ")
    return f"{function.strip() or '<module>'} ({file}:{number.strip()})"[:MAX_FRAME]


def _tail_word(body: str, end: int) -> str:
    """The dotted identifier that ends at `end`; at most 120 characters, so the search is linear."""
    start = end
    while start > 0 and end - start < MAX_NAME and (body[start - 1].isalnum() or body[start - 1] in "_.$"):
        start -= 1
    word = body[start:end].lstrip(".$0123456789")
    return word if _IDENTIFIER.match(word) else ""
