"""Who sent a record, as far as the user has a say in it: the rules of a topic, frozen."""

from __future__ import annotations

from typing import NamedTuple

from config.settings import InputTopic

SOURCE = "ce_source"
"""in a rule: the source of the CloudEvent"""


class Rules(NamedTuple):
    """Empty lists leave it to the format. A name of the form `=text` stands for the text itself."""

    service: tuple[str, ...] = ()
    """names of labels, fields or resource attributes that name the service, in order"""
    instance: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    """attributes that stay in the context under their own name"""
    fields: tuple[tuple[str, str], ...] = ()
    """our name of a field -> the record's, for records with a schema of their own"""

    @property
    def by_source(self) -> bool:
        """Some rule asks for the source of the CloudEvent that a value came in."""
        return any(SOURCE in names for names in (self.service, self.instance, self.env))

    def sent_by(self, source: str) -> Rules:
        """The rules for values from this source."""
        return self._replace(
            service=_with(self.service, source),
            instance=_with(self.instance, source),
            env=_with(self.env, source),
        )


def _with(names: tuple[str, ...], source: str) -> tuple[str, ...]:
    found = (f"={source}" if source and name == SOURCE else name for name in names)
    return tuple(name for name in found if name != SOURCE)


def of(topic: InputTopic | None, keep: tuple[str, ...] = ()) -> Rules:
    """The rules of an input topic as configured."""
    if topic is None:
        return Rules(keep=keep)
    return Rules(topic.service, topic.instance, topic.env, keep, tuple(sorted(topic.fields.items())))
