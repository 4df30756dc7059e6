"""Severities as log producers write them: words, syslog's and pino's numbers, a word a line begins with."""

from __future__ import annotations

from functools import lru_cache

from streams.decode import otlp

SYSLOG = (21, 19, 18, 17, 13, 10, 9, 5)
"""OpenTelemetry severity number by syslog severity (0 emergency … 7 debug)"""

_PINO = {10: 1, 20: 5, 30: 9, 40: 13, 50: 17, 60: 21}
"""levels of the Node.js loggers pino and bunyan"""

_MORE = {
    **{"t": 1, "d": 5, "v": 5, "i": 9, "n": 10, "w": 13, "e": 17, "c": 18, "a": 19, "f": 21},
    **{"finest": 1, "finer": 1, "fine": 5, "verbose": 5, "dbug": 5, "eror": 17},
}
"""short and rarer words; alone in a field they can mean nothing else"""

_HEAD = 96
"""characters in which a line's level word is looked for"""
_TOKENS = 7


def of(value: object) -> int:
    """Severity number of a level field: a word, a syslog number (also as text) or a pino number; else 0."""
    if type(value) is str:
        return _of_word(value)
    return _of_number(value) if type(value) is int else 0


@lru_cache(maxsize=1024)
def _of_word(word: str) -> int:
    plain = word.strip().lower()[:40]
    if plain.isdecimal() and len(plain) < 3:
        return _of_number(int(plain))
    return _MORE.get(plain) or (otlp.severity_number(0, plain) if plain else 0)


def _of_number(number: int) -> int:
    return SYSLOG[number] if 0 <= number < 8 else _PINO.get(number, 0)


def _marked() -> dict[str, int]:
    found: dict[str, int] = {}
    for word, number in otlp.SEVERITIES.items():
        found[word.upper()] = number
        for spelt in (word, word.upper(), word.capitalize()):
            for form in ("[{}]", "{}:", "[{}]:", "({})", "<{}>", "|{}|", "{},"):
                found[form.format(spelt)] = number
    return found


_MARKED = _marked()
"""words of a line that are its level wherever they stand near its beginning: upper case, or set off"""

_MARKED_WORDS = frozenset(_MARKED)

_PLAIN = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "critical")
_FIRST = {spelt: otlp.SEVERITIES[word] for word in _PLAIN for spelt in (word, word.capitalize())} | _MARKED
"""words that are the level of a line that begins with them"""


def _logfmt(head: str) -> int:
    for name in ("level=", "lvl=", "severity="):
        at = head.find(name)
        if at >= 0:
            return _of_word(head[at + len(name) :].lstrip('"').partition(" ")[0].rstrip('",'))
    return 0


def leading(text: str, start: int = 0) -> int:
    """Severity that a line says of itself near its beginning (`ERROR`, `[warn]`, `level=error`), else 0.

    Linear, and blind to everything beyond the first words: "no errors found" says nothing.
    """
    head = text[start : start + _HEAD]
    words = head.split(None, _TOKENS - 1)  # the last may be all the rest, which is no word then
    if not words:
        return 0
    first = words[0]
    if "level=" in head or "=" in first:
        found = _logfmt(head)
        if found:
            return found
    found = _FIRST.get(first, 0)
    if found:
        return found
    if not _MARKED_WORDS.isdisjoint(words):
        for word in words:
            found = _MARKED.get(word, 0)
            if found:
                return found
    if ":" in first:  # ERROR:root:message
        return _MARKED.get(first.partition(":")[0], 0)
    if len(first) == 5 and first[0] in "IWEF" and first[1:].isdecimal():  # klog: E1122 18:58:23.000123
        return _MORE[first[0].lower()]
    return 0
