"""Host and tag of a line in one of syslog's forms (`vm checkout[123]: text`): who sent it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from streams.decode.columns import Columns
from streams.decode.senders import Usual, sender
from streams.records.pages import Origin

USUAL = Usual(service=("app", "host"), instance=("host",), env=())

_FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "security", "console", "solaris-cron"),
    *(f"local{n}" for n in range(8)),
)
_MAX_TAG = 128
_MAX_HOST = 255


class Tagged(NamedTuple):
    """Empty where the line does not say."""

    host: str
    app: str
    procid: str
    end: int = 0
    """where the text begins"""

    def slot(
        self, sink: Columns, wire_format: str, facility: int = -1, more: Mapping[str, str] | None = None
    ) -> int:
        """Slot of the origin. Rules may name `app`, `host`, `procid`, `facility` and what is in `more`."""
        catalog = sink.catalog
        rules = catalog.rules
        key: tuple[object, ...] = (wire_format, self.host, self.app)
        names = rules.service + rules.instance + rules.env + rules.keep
        if not names:
            slot = catalog.senders.get(key)
            if slot is not None:
                return slot
        asked = self._asked(facility, more, names)
        key = (*key, *asked.items())

        def build() -> Origin:
            fields = {"app": self.app, "host": self.host, **asked}
            return sender({k: v for k, v in fields.items() if v}, rules, USUAL).origin

        return catalog.origin(key, build)

    def _asked(self, facility: int, more: Mapping[str, str] | None, names: tuple[str, ...]) -> dict[str, str]:
        known = {
            **(more or {}),
            "procid": self.procid,
            "facility": _FACILITIES[facility] if 0 <= facility < len(_FACILITIES) else "",
        }
        return {name: known[name] for name in names if known.get(name)}


def split_tag(rest: str) -> Tagged:
    """`host app[pid]: text`, `app[pid]: text`, or `host text`. Only what ends in a colon is a tag."""
    at = rest.find(" ", 0, _MAX_HOST)
    end = rest.find(" ", at + 1, at + 1 + _MAX_TAG) if at >= 0 else -1
    # Without a second space nearby, the text may begin right behind the tag's colon, or there is none.
    return _split(rest[:end] if end >= 0 else rest[: _MAX_HOST + _MAX_TAG].rstrip())


@lru_cache(maxsize=4_096)
def _split(head: str) -> Tagged:
    first, _, second = head.partition(" ")
    if first.endswith(":"):
        return Tagged("", *_tag(first), len(first))
    if second.endswith(":") and " " not in second:
        return Tagged(first, *_tag(second), len(head))
    return Tagged(first[:_MAX_HOST], "", "", len(first) + 1)


def _tag(tag: str) -> tuple[str, str]:
    """Name and process id of `name[pid]:`."""
    tag = tag[:-1]
    if tag.endswith("]"):
        name, bracket, procid = tag[:-1].partition("[")
        if bracket:
            return name, procid
    return tag, ""
